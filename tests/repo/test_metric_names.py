"""A metric's name is declared once, so that it has one kind, one text and one set of labels."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

METRIC = re.compile(r"^(execution|executor)_[a-z0-9_]+$")
DECLARES = {"Family", "Counter", "Gauge", "Histogram", "Summary", "Info"}


def metric_offences(sources: dict[str, str]) -> list[str]:
    """Metric names that are declared more than once."""
    declared: dict[str, list[str]] = defaultdict(list)
    for name, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", "") not in DECLARES:
                continue
            metric = getattr(node.args[0], "value", "") if node.args else ""
            if METRIC.match(str(metric)):
                declared[metric].append(f"{name}:{node.lineno}")
    return [f"{metric}: declared at {', '.join(at)}" for metric, at in declared.items() if len(at) > 1]


def test_every_metric_name_is_declared_once(package_python: dict[str, str]) -> None:
    assert metric_offences(package_python) == []


def test_the_metrics_are_declared_as_this_rule_expects(package_python: dict[str, str]) -> None:
    text = package_python["worker/metrics.py"]

    assert len(metric_offences({"a.py": text, "b.py": text})) > 10


def test_a_name_that_is_declared_twice_is_caught() -> None:
    sources = {
        "worker/a.py": 'A = Family("execution_lag_ms", "gauge", "x")\n',
        "worker/b.py": 'B = Gauge("execution_lag_ms", "x")\nC = Gauge("execution_other", "x")\n',
    }

    assert metric_offences(sources) == ["execution_lag_ms: declared at worker/a.py:1, worker/b.py:1"]
