"""Alerts and dashboards: every name in them is one that a worker exposes, and each alert is tested both ways.

What promtool and amtool judge is skipped where they are not installed (apt install prometheus
prometheus-alertmanager); all else holds without them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streams.codec import MALFORMED_REASONS
from worker import metrics as declared
from worker.metrics import Metrics
from worker.tallies import Family

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "rules.yml"
ALERTMANAGER = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
GRAFANA = ROOT / "deploy" / "grafana"
# Of Prometheus itself, of each scrape and of the process.
GIVEN = {"up": set(), "ALERTS": {"alertname", "alertstate", "severity"}}
TARGET_LABELS = {"job", "instance"}
# Whose values are of the run, not fixed words.
FREE_LABELS = {"symbol", "le", "version", "mode", "adapter", "window", "kind", *TARGET_LABELS}
SELECTOR = re.compile(
    r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}|\b((?:execution|executor|process)_[a-z0-9_]+)\b"
)
MATCHER = re.compile(r'([a-z_]+)\s*(=~|!=|!~|=)\s*"([^"]*)"')


@lru_cache
def _yaml(path: Path) -> Any:
    """Read once: the pure parser takes seconds for what the tests ask many times."""
    return yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _rules() -> list[dict[str, Any]]:
    return [rule for group in _yaml(RULES)["groups"] for rule in group["rules"]]


def _alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in _rules() if "alert" in rule}


def _maker() -> ModuleType:
    spec = spec_from_file_location("make_dashboard", GRAFANA / "make_dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "execution-worker.json").read_text())
    return found


def _dashboard_queries() -> dict[str, str]:
    """Every query by its panel, with the page's variables filled in."""
    return {
        f"{panel['title']}: {target['legendFormat']}": re.sub(
            r"\$(job|instance|symbol)", ".*", target["expr"]
        )
        for panel in _dashboard()["panels"]
        for target in panel.get("targets", [])
    }


def _test_series() -> Iterator[str]:
    for path in sorted((PROMETHEUS / "tests").glob("*.yml")):
        for case in _yaml(path)["tests"]:
            yield from (series["series"] for series in case["input_series"])


@lru_cache
def _exposed() -> dict[str, dict[str, set[str]]]:
    """Each series name that a worker exposes, with the values of its labels that are known at a start."""
    found: dict[str, dict[str, set[str]]] = {}
    metrics = Metrics(["BTCUSDT"], MALFORMED_REASONS)
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    for family in (one for one in vars(declared).values() if isinstance(one, Family)):
        # A labelled gauge shows once something was looked at.
        for label in family.labels:
            names = [family.name] if family.kind != "histogram" else [f"{family.name}_bucket"]
            for name in names:
                found.setdefault(name, {}).setdefault(label, set())
    return found


def _unknown_words(expression: str, exposed: dict[str, dict[str, set[str]]]) -> list[str]:
    """What an expression names that no worker exposes: series, labels, label values."""
    recorded = {rule["record"] for rule in _rules() if "record" in rule}
    wrong = []
    for match in SELECTOR.finditer(expression):
        name, matchers = match[1] or match[3], match[2] or ""
        if name in recorded or name in GIVEN:
            continue
        if name not in exposed:
            wrong.append(name)
            continue
        for label, _, value in MATCHER.findall(matchers):
            known = exposed[name].get(label)
            if label in TARGET_LABELS:
                continue
            if known is None:
                wrong.append(f"{name}{{{label}}}")
            elif label not in FREE_LABELS:
                words = [word for word in value.split("|") if not any(re.fullmatch(word, k) for k in known)]
                wrong += [f"{name}{{{label}={word}}}" for word in words]
    return wrong


def test_every_alert_has_a_severity_a_topic_and_says_what_to_do() -> None:
    alerts = _alerts()

    assert len(alerts) > 30
    for name, rule in alerts.items():
        assert rule["labels"]["severity"] in ("P1", "P2"), name
        assert rule["labels"]["topic"], name
        assert set(rule["annotations"]) == {"summary", "meaning", "action", "runbook"}, name
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"


def test_an_alert_of_either_severity_has_a_twin_only_under_one_topic() -> None:
    topics: dict[str, list[str]] = {}
    for rule in _alerts().values():
        topics.setdefault(rule["labels"]["topic"], []).append(rule["labels"]["severity"])

    assert {
        topic: found for topic, found in topics.items() if sorted(found) not in (["P1"], ["P2"], ["P1", "P2"])
    } == {}


def test_every_alert_is_tested_where_it_fires_and_where_it_does_not() -> None:
    fires, quiet = set(), set()
    for path in (PROMETHEUS / "tests").glob("*.yml"):
        for case in _yaml(path)["tests"]:
            for test in case["alert_rule_test"]:
                (fires if test["exp_alerts"] else quiet).add(test["alertname"])

    assert fires == set(_alerts())
    assert quiet == set(_alerts())


def test_every_metric_and_label_of_the_rules_is_one_that_a_worker_exposes() -> None:
    exposed = _exposed()

    assert [wrong for rule in _rules() for wrong in _unknown_words(rule["expr"], exposed)] == []


def test_every_series_of_the_rule_tests_is_one_that_a_worker_exposes() -> None:
    exposed = _exposed()

    assert [wrong for series in _test_series() for wrong in _unknown_words(series, exposed)] == []


def test_every_metric_and_label_of_the_dashboard_is_one_that_a_worker_exposes() -> None:
    exposed = _exposed()

    assert [
        wrong for query in _dashboard_queries().values() for wrong in _unknown_words(query, exposed)
    ] == []


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("rate(execution_gone_total[5m])", "execution_gone_total"),
        ('execution_trouble{part="gone"}', "execution_trouble{part=gone}"),
        ('execution_halted{scope="x"}', "execution_halted{scope}"),
        ('executor_pre_deny_total{reason=~"risk_.*|gone"}', "executor_pre_deny_total{reason=gone}"),
    ],
)
def test_a_word_that_no_worker_exposes_is_caught(expression: str, word: str) -> None:
    assert _unknown_words(expression, _exposed()) == [word]


def test_the_dashboard_is_the_one_that_its_source_makes() -> None:
    text = (GRAFANA / "dashboards" / "execution-worker.json").read_text(encoding="utf-8")

    assert text == _maker().text(), "run: python deploy/grafana/make_dashboard.py"


def test_the_panels_of_the_dashboard_have_ids_units_and_places_of_their_own() -> None:
    panels = _dashboard()["panels"]
    shown = [panel for panel in panels if panel["type"] != "row"]
    taken: set[tuple[int, int]] = set()

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in shown)
    assert {panel["type"] for panel in shown} <= {"timeseries", "stat", "state-timeline"}
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_provisioned_data_source_is_the_one_that_the_dashboard_asks() -> None:
    source = _yaml(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"][0]
    provider = _yaml(GRAFANA / "provisioning" / "dashboards" / "execution-worker.yml")["providers"][0]
    asked = {panel["datasource"]["uid"] for panel in _dashboard()["panels"] if "datasource" in panel}

    assert asked == {source["uid"]}
    assert provider["type"] == "file"


def test_the_alertmanager_names_no_address_and_repeats_what_is_urgent_sooner() -> None:
    settings = _yaml(ALERTMANAGER)
    receivers = {one["name"]: one["webhook_configs"] for one in settings["receivers"]}
    urgent, seldom = settings["route"]["routes"]

    assert all(set(hook) == {"url_file", "send_resolved"} for hooks in receivers.values() for hook in hooks)
    assert (urgent["matchers"], urgent["repeat_interval"]) == (['severity = "P1"'], "10m")
    assert (seldom["matchers"], seldom["repeat_interval"]) == (['severity = "P2"'], "6h")
    assert {urgent["receiver"], seldom["receiver"], settings["route"]["receiver"]} == set(receivers)


def test_what_one_alert_silences_are_alerts_that_there_are() -> None:
    names = set(_alerts())
    matchers = [
        matcher
        for rule in _yaml(ALERTMANAGER)["inhibit_rules"]
        for matcher in rule["source_matchers"] + rule["target_matchers"]
        if matcher.startswith("alertname")
    ]

    for matcher in matchers:
        for word in re.findall(r'"(.*)"', matcher)[0].split("|"):
            assert any(re.fullmatch(word, name) for name in names), word


def _tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} IS NOT INSTALLED: the rules were not judged by it (apt install {package})")
    return found


def _run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(one) for one in command], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_the_rules_and_the_configuration() -> None:
    promtool = _tool("promtool", "prometheus")

    assert f"{len(_rules())} rules found" in _run(promtool, "check", "rules", RULES)
    _run(promtool, "check", "config", PROMETHEUS / "prometheus.yml")


def test_promtool_takes_every_query_of_the_dashboard(tmp_path: Path) -> None:
    promtool = _tool("promtool", "prometheus")
    rules = [
        {"record": f"panel:{index}", "expr": query}
        for index, query in enumerate(_dashboard_queries().values())
    ]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    assert f"{len(rules)} rules found" in _run(promtool, "check", "rules", path)


def test_amtool_takes_the_routes_and_sends_each_severity_its_way(tmp_path: Path) -> None:
    amtool = _tool("amtool", "prometheus-alertmanager")
    path = tmp_path / "alertmanager.yml"
    text = ALERTMANAGER.read_text(encoding="utf-8")
    # 0.25 knows webhooks without a file alone; all else is judged as it stands.
    path.write_text(re.sub(r"url_file: \S+", "url: http://127.0.0.1:9/", text))
    routes = (amtool, "config", "routes", "test", f"--config.file={path}")

    _run(amtool, "check-config", path)

    assert _run(*routes, "severity=P1").strip() == "wake"
    assert _run(*routes, "severity=P2").strip() == "morning"
    assert _run(*routes, "other=1").strip() == "morning"
