"""A drill that finds nothing would prove nothing: what is spoiled behind the worker's back is found."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from drill.judge import judge
from drill.process import read_files, read_journal, read_rows, start_feed, start_worker

SIGNALS = 400


def _drain(output: Path, log: Path) -> None:
    worker = start_worker(output, log, "--once")
    assert worker.wait() == 0, worker.tail()


@pytest.fixture
def drained(tmp_path: Path) -> Path:
    """A folder in which a worker has done flawless work on 400 signals."""
    feed = start_feed(
        "v1-jsonl", tmp_path / "output", tmp_path / "journal.jsonl", seed=11, rate=20_000, count=SIGNALS
    )
    assert feed.wait() == 0, feed.tail()
    _drain(tmp_path / "output", tmp_path / "first.log")
    return tmp_path


def _objections(folder: Path) -> tuple[str, ...]:
    output = folder / "output"
    journal, rows = read_journal(folder / "journal.jsonl"), read_rows(output)
    return judge(journal, rows, read_files(output)).complaints


def _sql(output: Path, statement: str) -> None:
    with closing(sqlite3.connect(output / "executions" / "executions.db", isolation_level=None)) as store:
        store.execute(statement)


def _last_hour(output: Path) -> Path:
    return max((output / "executions" / "BTCUSDT").glob("exec_*.jsonl"))


def _double_a_line(output: Path) -> None:
    path = _last_hour(output)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[-1]]))


def _cut_a_line(output: Path) -> None:
    path = _last_hour(output)
    path.write_bytes(path.read_bytes()[:-9])


def _lose_a_line(output: Path) -> None:
    path = _last_hour(output)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))


SPOILED: dict[str, Callable[[Path], None]] = {
    "a row is deleted": lambda output: _sql(output, "DELETE FROM executions WHERE id = 7"),
    "an outcome is turned": lambda output: _sql(
        output,
        "UPDATE executions SET status = iif(status = 'skip', 'success', 'skip') WHERE id = 7",
    ),
    "a row moves to the end": lambda output: _sql(output, "UPDATE executions SET id = 1000000 WHERE id = 7"),
    "a line is doubled": _double_a_line,
    "a line is cut": _cut_a_line,
    "a line is lost": _lose_a_line,
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_what_is_spoiled_after_the_work_is_found(drained: Path, spoiled: str) -> None:
    assert _objections(drained) == ()

    SPOILED[spoiled](drained / "output")

    assert _objections(drained) != ()


def test_a_row_that_vanishes_between_two_runs_is_found(drained: Path) -> None:
    _sql(drained / "output", "DELETE FROM executions WHERE id = 7")

    _drain(drained / "output", drained / "second.log")

    assert any("0 times" in objection for objection in _objections(drained))


@pytest.mark.parametrize("spoil", [_double_a_line, _cut_a_line])
def test_hourly_files_that_were_spoiled_while_the_worker_was_down_are_mended(
    drained: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(drained / "output")

    _drain(drained / "output", drained / "second.log")

    assert _objections(drained) == ()
