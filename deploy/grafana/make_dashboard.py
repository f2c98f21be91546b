"""The dashboard: `python deploy/grafana/make_dashboard.py` makes the JSON that Grafana reads of panels.yml.

Places, ids and colours follow from the order of the panels. A test keeps the JSON true to its source.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
TARGET = FOLDER / "dashboards" / "execution-worker.json"
DATASOURCE = {"type": "prometheus", "uid": "execution-prometheus"}
COLUMNS = 24
OF = 'job=~"$job", instance=~"$instance"'
ON = f'{OF}, symbol=~"$symbol"'
DEFAULTS = {"kind": "timeseries", "size": [8, 8], "text": "", "steps": {"green": None}, "words": {}}


def _looks(panel: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The field defaults and the options of a panel."""
    steps = [{"color": color, "value": value} for color, value in panel["steps"].items()]
    words = {str(value): {"text": word, "color": color} for value, (word, color) in panel["words"].items()}
    fields: dict[str, Any] = {"unit": panel["unit"], "thresholds": {"mode": "absolute", "steps": steps}}
    if words:
        fields["mappings"] = [{"type": "value", "options": words}]
    if panel["kind"] == "stat":
        return fields, {"colorMode": "background", "reduceOptions": {"calcs": ["lastNotNull"]}}
    if panel["kind"] != "timeseries":
        return fields, {}
    stacked = panel.get("stacked", False)
    if not panel.get("signed", False):
        fields["min"] = 0
    fields["custom"] = {
        "fillOpacity": 20 if stacked else 0,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none"},
        "thresholdsStyle": {"mode": "line" if len(steps) > 1 else "off"},
    }
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
    return fields, {"legend": legend, "tooltip": {"mode": "multi"}}


def _panel(number: int, panel: dict[str, Any], x: int, y: int) -> dict[str, Any]:
    fields, options = _looks(panel)
    targets = [
        {
            "refId": chr(ord("A") + index),
            "expr": expr.replace("{OF", "{" + OF).replace("{ON", "{" + ON),
            "legendFormat": legend,
            "datasource": DATASOURCE,
        }
        for index, (legend, expr) in enumerate(panel["queries"].items())
    ]
    width, height = panel["size"]
    return {
        "id": number,
        "type": panel["kind"],
        "title": panel["title"],
        "description": panel["text"],
        "datasource": DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": width, "h": height},
        "fieldConfig": {"defaults": fields, "overrides": []},
        "options": options,
        "targets": targets,
    }


def _row(number: int, title: str, y: int) -> dict[str, Any]:
    place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _panels(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each row below the one before it, its panels from left to right and then on the next line."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        panels.append(_row(len(panels) + 1, row["row"], y))
        x, y, lowest = 0, y + 1, 0
        for given in row["panels"]:
            panel = {**DEFAULTS, **given}
            width, height = panel["size"]
            if x + width > COLUMNS:
                x, y, lowest = 0, y + lowest, 0
            panels.append(_panel(len(panels) + 1, panel, x, y))
            x, lowest = x + width, max(lowest, height)
        y += lowest
    return panels


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "type": "query",
        "name": name,
        "label": name,
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "sort": 1,
    }


def dashboard() -> dict[str, Any]:
    """The whole dashboard as Grafana imports it."""
    rows = yaml.safe_load((FOLDER / "panels.yml").read_text(encoding="utf-8"))
    variables = [
        _variable("job", "label_values(execution_build_info, job)"),
        _variable("instance", 'label_values(execution_build_info{job=~"$job"}, instance)'),
        _variable("symbol", f"label_values(execution_signals_total{{{OF}}}, symbol)"),
    ]
    return {
        "uid": "execution-worker",
        "title": "execution-worker",
        "tags": ["execution"],
        "schemaVersion": 38,
        "version": 1,
        "editable": True,
        "timezone": "utc",
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": variables},
        "annotations": {"list": []},
        "panels": _panels(rows),
    }


def text() -> str:
    """The file as it has to be."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{TARGET} written\n")
