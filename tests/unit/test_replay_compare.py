"""Comparing two runs: each planted difference is found, and what must differ between modes is not one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from worker.cli import app
from worker.exits import Exit

START_MS = 1_763_225_940_000


@pytest.fixture
def signals(tmp_path: Path) -> Path:
    """Thirty signals of two symbols."""
    rows = [
        {"ts_ms": START_MS + at, "symbol": symbol, "score": 0.7, "confirm": at % 5 > 0, "price": 3_000 + at}
        for at in range(15)
        for symbol in ("BTCUSDT", "ETHUSDT")
    ]
    path = tmp_path / "signals.jsonl"
    path.write_text("\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n")
    return path


def replay(signals: Path, out: Path, *more: str) -> Result:
    arguments = ["replay", "--signals", str(signals), "--out", str(out), *more]
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


@pytest.fixture
def earlier(signals: Path, tmp_path: Path) -> Path:
    """A run to compare with."""
    assert replay(signals, tmp_path / "earlier").exit_code == Exit.OK
    return tmp_path / "earlier"


def edited(run: Path, symbol: str, number: int, **fields: object) -> None:
    """Change one execution of a run on disk."""
    (path,) = (run / "executions" / symbol).glob("*.jsonl")
    lines = path.read_text().splitlines()
    lines[number] = json.dumps(json.loads(lines[number]) | fields)
    path.write_text("\n".join(lines) + "\n")


def told(signals: Path, earlier: Path, out: Path) -> tuple[int, dict[str, Any]]:
    result = replay(signals, out, "--compare", str(earlier), "--json")
    return result.exit_code, json.loads(result.stdout)["comparison"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("side", "short"), ("status", "failed"), ("error_code", "halted"), ("qty", 5), ("price", 1.5)],
)
def test_a_planted_difference_is_found(
    signals: Path, earlier: Path, tmp_path: Path, field: str, value: object
) -> None:
    edited(earlier, "BTCUSDT", 3, **{field: value})

    code, comparison = told(signals, earlier, tmp_path / "out")

    assert code == Exit.DATA
    assert (comparison["equal"], comparison["differing"], comparison["fields"]) == (29, 1, {field: 1})
    (pair,) = comparison["first_differing"]
    assert (pair["signal_ts_ms"], pair["symbol"], pair[field][1]) == (START_MS + 3, "BTCUSDT", str(value))


def test_what_differs_between_modes_is_not_compared(signals: Path, earlier: Path, tmp_path: Path) -> None:
    for number in range(15):
        edited(earlier, "ETHUSDT", number, order_id="paper:x", exec_ts_ms=1, meta_json={"mode": "paper"})

    assert told(signals, earlier, tmp_path / "out")[0] == Exit.OK


def test_numbers_are_equal_however_they_are_written(signals: Path, earlier: Path, tmp_path: Path) -> None:
    (path,) = (earlier / "executions" / "BTCUSDT").glob("*.jsonl")
    path.write_text(path.read_text().replace('"qty":0.033,', '"qty":0.03300,'))

    assert told(signals, earlier, tmp_path / "out")[0] == Exit.OK


def test_executions_of_one_side_alone_are_counted(signals: Path, earlier: Path, tmp_path: Path) -> None:
    (path,) = (earlier / "executions" / "BTCUSDT").glob("*.jsonl")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[2:], lines[0].replace(str(START_MS), "1700000000000")]) + "\n")

    result = replay(signals, tmp_path / "out", "--compare", str(earlier))

    assert result.exit_code == Exit.DATA
    assert "28 equal, 0 differ, 2 only here, 1 only there" in result.stdout
    assert "1700000000000 BTCUSDT" in result.stdout


def test_no_more_than_twenty_pairs_are_shown_the_earliest_first(
    signals: Path, earlier: Path, tmp_path: Path
) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT"):
        for number in range(15):
            edited(earlier, symbol, number, side="flat")

    _, comparison = told(signals, earlier, tmp_path / "out")

    shown = [pair["signal_ts_ms"] - START_MS for pair in comparison["first_differing"]]
    assert comparison["differing"] == 30
    assert shown == sorted(list(range(10)) * 2)


def test_a_run_may_be_compared_with_what_it_replaces(signals: Path, earlier: Path) -> None:
    edited(earlier, "BTCUSDT", 0, side="flat")

    assert replay(signals, earlier, "--compare", str(earlier)).exit_code == Exit.DATA
    assert replay(signals, earlier, "--compare", str(earlier)).exit_code == Exit.OK


def test_a_folder_without_executions_cannot_be_compared(signals: Path, tmp_path: Path) -> None:
    result = replay(signals, tmp_path / "out", "--compare", str(tmp_path / "nothing"))

    assert result.exit_code == Exit.DATA
    assert "has no executions/SYMBOL/exec_*.jsonl" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_line_that_is_no_execution_is_named(signals: Path, earlier: Path, tmp_path: Path) -> None:
    (path,) = (earlier / "executions" / "BTCUSDT").glob("*.jsonl")
    path.write_text(path.read_text() + "{cut\n")

    result = replay(signals, tmp_path / "out", "--compare", str(earlier))

    assert (result.exit_code, f"{path} line 16 is no execution" in result.stderr) == (Exit.DATA, True)
    assert not (tmp_path / "out" / "run.json").exists()


def test_a_missing_folder_is_a_sentence(tmp_path: Path) -> None:
    result = replay(tmp_path / "nowhere", tmp_path / "out")

    assert result.exit_code == Exit.DATA
    assert result.stderr.count("\n") == 1
    assert "nowhere does not exist: name a folder or a file with signals" in result.stderr


@pytest.mark.parametrize("name", ["empty", "signals.db", "signals.parquet", "lines.jsonl", "symbols"])
def test_an_input_that_cannot_be_used_is_a_sentence(signals: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "signals.db").write_bytes(b"SQLite format 3\0" + b"x" * 200)
    (tmp_path / "signals.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "lines.jsonl").write_text("{}\n")
    shutil.copy(signals, tmp_path / "symbols")

    result = replay(tmp_path / name, tmp_path / "out", "--symbols", "SOLUSDT")

    assert result.exit_code == Exit.DATA
    assert result.stderr.startswith("execution-worker: ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out" / "run.json").exists()


def test_a_folder_that_is_no_replay_is_left_alone(signals: Path, tmp_path: Path) -> None:
    for folder, name in (("store", "executions/executions.db"), ("other", "letter.txt")):
        (tmp_path / folder / name).parent.mkdir(parents=True)
        (tmp_path / folder / name).write_text("mine")

        result = replay(signals, tmp_path / folder)

        assert result.exit_code == Exit.CANNOT_WRITE
        assert [path.name for path in (tmp_path / folder).iterdir()] == [name.partition("/")[0]]
        assert (tmp_path / folder / name).read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_a_sentence(signals: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    result = replay(signals, tmp_path / "file")

    assert (result.exit_code, result.stderr.count("\n")) == (Exit.CANNOT_WRITE, 1)


def test_what_a_killed_replay_left_is_replaced(signals: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / ".part" / "executions").mkdir(parents=True)
    (tmp_path / "out" / "executions").mkdir()

    assert replay(signals, tmp_path / "out").exit_code == Exit.OK
    assert not (tmp_path / "out" / ".part").exists()
