"""A drill can only touch its scratch folder and loopback, whatever the environment that it is called in."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.exchange.faults import parse_rules
from config.load import load_settings
from config.settings import Mode
from worker import cli
from worker.drill import lies
from worker.drill.command import fresh_folder
from worker.drill.figures import percentile
from worker.drill.plans import KINDS, Plan, chosen, plans, shared_out
from worker.drill.process import environment
from worker.drill.scene import worker_settings
from worker.exits import Exit

HOSTILE = {
    "LIVE_CONFIRM": "YES",
    "V13_EXECUTION_MODE": "live",
    "V13_BROKER_REST_URL": "https://fapi.binance.com",
    "BINANCE_API_KEY": "a-real-key",
    "BINANCE_API_SECRET": "a-real-secret",
    "CREDENTIALS_DIRECTORY": "/run/credentials",
    "HTTPS_PROXY": "http://proxy.example:3128",
    "NOTIFY_SOCKET": "/run/systemd/notify",
    "PYTHONSTARTUP": "/tmp/evil.py",
}
URL = "http://127.0.0.1:8080"


def test_nothing_of_the_callers_environment_reaches_a_process_of_a_drill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)

    given = environment(tmp_path)

    assert set(given) == {
        "PATH", "HOME", "TMPDIR", "LANG", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHONUNBUFFERED",
    }  # fmt: skip
    assert not set(given.values()) & set(HOSTILE.values())
    assert given["PATH"] == os.defpath


@pytest.mark.parametrize("plan", plans(), ids=lambda plan: plan.folder)
def test_no_drill_trades_live_or_speaks_to_another_host(plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "worker.json"
    path.write_text(json.dumps(worker_settings(plan, 1, URL)))

    loaded = load_settings(config_file=path, environ={}, overrides={})

    assert loaded.settings.execution.mode is not Mode.LIVE
    assert loaded.settings.execution.http.host == "127.0.0.1"
    assert loaded.settings.broker.rest_url == (URL if plan.mode == "testnet" else None)
    assert loaded.settings.execution.paper.prices == "signal"
    assert loaded.warnings == []


@pytest.mark.parametrize("rules", [lies.lying(), lies.skewed()], ids=["lying", "skewed"])
def test_every_lie_is_one_that_the_exchange_knows_and_the_worker_bears(rules: list[lies.Rule]) -> None:
    assert parse_rules(json.dumps(rules).encode())
    assert max(lies.LATE_MS) < lies.NUMBERS["recv_window_ms"]
    assert max(lies.INVISIBLE_MS) < lies.NUMBERS["visibility_ms"]
    assert lies.NUMBERS["request_timeout_ms"] < lies.BEYOND_TIMEOUT_MS
    assert lies.SKEWED_NUMBERS["absence_margin_ms"] > 2 * lies.SKEW_MS


@pytest.mark.parametrize("kills", [1, 9, 20, 200, 1_000])
def test_kills_are_shared_out_and_none_is_left_over(kills: int) -> None:
    among = chosen("all")

    shares = shared_out(kills, among)

    assert min(shares) >= 1
    assert sum(shares) == max(kills, len(among))


def test_each_kind_has_its_drills() -> None:
    assert [plan.kind for kind in KINDS for plan in chosen(kind)] == [plan.kind for plan in plans()]
    assert len({plan.folder for plan in plans()}) == len(plans())


def test_two_drills_of_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    first, second = (fresh_folder(tmp_path / "drills", "all", 1_763_226_000_000) for _ in range(2))

    assert (first.name, second.name) == ("20251115-170000-all", "20251115-170000-all-2")
    assert first.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_written_ends_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    result = CliRunner().invoke(cli.app, ["drill", "all", "--into", str(tmp_path / "file" / "below")])

    assert result.exit_code == Exit.CANNOT_WRITE
    assert "name a folder that is yours with --into" in result.stderr


def test_percentiles_are_values_that_occurred() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([1.0] * 99 + [9.0], 0.99) == 9.0
