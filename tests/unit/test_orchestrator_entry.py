"""The entry for an orchestrator says what is true of the program: its word, variables, files and codes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.load import load_settings
from worker.exits import Exit

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def entry() -> dict[str, Any]:
    found = yaml.safe_load((ROOT / "deploy" / "orchestrator" / "execution_worker.yaml").read_text())
    assert isinstance(found, dict)
    return found


def filled(text: str, entry: dict[str, Any]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: str(entry["values"].get(match[1], match[0])), text)


def test_its_environment_is_a_configuration_that_sends_nothing(entry: dict[str, Any]) -> None:
    environ = {name: filled(value, entry) for name, value in entry["env"].items()}

    execution = load_settings(config_file=None, environ=environ, overrides={}).settings.execution

    assert execution.mode.value == "dry_run"
    assert execution.symbols == ("BTCUSDT", "ETHUSDT")
    assert execution.output_dir == Path(entry["values"]["output_dir"])
    assert execution.http.port == entry["values"]["port"]


def test_the_ready_word_is_what_the_worker_logs(entry: dict[str, Any]) -> None:
    keyword = entry["ready_probe_args"]["keyword"]

    assert f'"{keyword}",' in (ROOT / "worker" / "app.py").read_text()


def test_the_probes_ask_for_what_is_served_and_written(entry: dict[str, Any]) -> None:
    served = (ROOT / "worker" / "http_endpoints.py").read_text()
    paths = [probe["url"].rpartition("/")[2] for probe in entry["health_probes"] if probe["probe"] == "http"]
    (pattern,) = (probe["pattern"] for probe in entry["health_probes"] if probe["probe"] == "file_count")

    assert paths == ["readyz", "healthz"]
    assert all(f'"/{path}"' in served for path in paths)
    assert pattern == "{output_dir}/executions/{symbol}/*.jsonl"


def test_no_restart_is_tried_where_none_helps(entry: dict[str, Any]) -> None:
    final = {Exit(code) for code in entry["restart_args"]["final_exit_codes"]}
    unit = (ROOT / "deploy" / "systemd" / "execution-worker.service").read_text()
    (left_alone,) = re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.MULTILINE)

    assert final == {Exit.OK, Exit.USAGE, Exit.DATA, Exit.PERMISSION, Exit.CONFIGURATION}
    assert final == {Exit(int(code)) for code in left_alone.split()}
    assert entry["stop"]["within_s"] > 10
