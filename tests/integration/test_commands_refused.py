"""A halt that reaches nobody says so: whoever gives it goes back to sleep on its answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from worker.cli import app
from worker.exits import Exit


def test_a_halt_in_a_folder_without_a_store_is_no_success(tmp_path: Path) -> None:
    folder = tmp_path / "misspelled"

    result = CliRunner().invoke(app, ["halt", "--why", "odd prices", "--output", str(folder)])

    assert result.exit_code == Exit.NOT_RUNNING
    assert "no worker was reached" in result.output
    assert (folder / "executions" / "HALT").exists()


def test_a_halt_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "executions").write_text("a file in the place of the folder")

    result = CliRunner().invoke(app, ["halt", "--why", "odd prices", "--output", str(tmp_path)])

    assert result.exit_code == Exit.PERMISSION
    assert "nothing is halted: no file HALT can be written" in result.output


def test_a_halt_of_real_money_waits_for_no_confirmation_and_its_start_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIVE_CONFIRM", raising=False)
    limits = "{max_order_usd: 100, max_orders_per_minute: 10, max_position_usd: 1000}"
    config = tmp_path / "live.yaml"
    config.write_text(f"execution: {{mode: live, symbols: [BTCUSDT], risk: {limits}}}\n")
    where = ["--config", str(config), "--output", str(tmp_path / "output")]

    started = CliRunner().invoke(app, where)
    halted = CliRunner().invoke(app, ["halt", "--why", "odd prices", *where])
    kept = CliRunner().invoke(app, ["store", "backup", "--to", str(tmp_path), *where])

    assert started.exit_code == Exit.CONFIGURATION
    assert "set LIVE_CONFIRM=YES" in started.output
    assert (tmp_path / "output" / "executions" / "HALT").exists()
    assert "LIVE_CONFIRM" not in halted.output + kept.output
    assert kept.exit_code == Exit.NOT_RUNNING


@pytest.mark.parametrize("command", [["cancel-all"], ["flatten", "BTCUSDT"]])
@pytest.mark.parametrize(
    ("said", "code", "told"), [("", Exit.USAGE, "add --yes where nobody can be asked"), ("n\n", Exit.OK, "")]
)
def test_what_nobody_confirmed_is_not_done_and_says_so(
    tmp_path: Path, command: list[str], said: str, code: Exit, told: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("execution: {mode: testnet, symbols: [BTCUSDT]}\n")

    result = CliRunner().invoke(app, [*command, "--config", str(config)], input=said)

    assert result.exit_code == code
    assert (
        f"execution-worker: nothing was done{': there was no answer; ' if told else ''}{told}"
        in result.output
    )
    assert "Aborted" not in result.output
