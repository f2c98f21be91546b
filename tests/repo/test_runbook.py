"""Every alert leads to a section of the runbook that says the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

Rule = dict[str, Any]


@pytest.fixture(scope="module")
def alerts(root: Path) -> list[Rule]:
    groups = yaml.safe_load((root / "deploy/prometheus/rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def section_of(rule: Rule) -> str:
    """What the runbook has to say of an alert."""
    told = rule["annotations"]
    meaning = told["meaning"].replace("in {{ $labels.window }} s", "in one of its windows")
    action = told["action"].replace("{{ $labels.reason }}", "REASON")
    end = "" if action.endswith("?") else "."
    return f"### {rule['alert']}\n\n{rule['labels']['severity']}. {meaning}\n\nDo: {action}{end}\n"


def test_the_runbook_says_of_each_alert_what_its_rule_says(alerts: list[Rule], root: Path) -> None:
    runbook = (root / "docs/runbook.md").read_text()

    missing = [section_of(rule) for rule in alerts if section_of(rule) not in runbook]

    assert missing == []


def test_the_runbook_has_no_section_of_an_alert_that_is_gone(alerts: list[Rule], root: Path) -> None:
    heads = [
        line.removeprefix("### ")
        for line in (root / "docs/runbook.md").read_text().splitlines()
        if line.startswith("### Execution")
    ]

    assert heads == [rule["alert"] for rule in alerts]
    assert [rule["annotations"]["runbook"] for rule in alerts] == [
        f"docs/runbook.md#{head.lower()}" for head in heads
    ]
