"""A store that is removed under a running worker: it stops by itself, sends nothing more, loses nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from drill.judge import judge
from drill.process import (
    READY,
    Process,
    read_files,
    read_journal,
    read_rows,
    start_feed,
    start_worker,
)

CANNOT_WRITE = 73
COPY = re.compile(r"[^\s'\"]*executions_rescued_\d+[^\s'\"]*\.db")


def _remove_database(output: Path) -> None:
    (output / "executions" / "executions.db").unlink()


def _remove_database_and_log(output: Path) -> None:
    for path in (output / "executions").glob("executions.db*"):
        path.unlink()


def _replace_database(output: Path) -> None:
    database = output / "executions" / "executions.db"
    shutil.copy(database, output / "other.db")
    (output / "other.db").rename(database)


def _rename_folder(output: Path) -> None:
    (output / "executions").rename(output / "moved")


REMOVALS: dict[str, Callable[[Path], None]] = {
    "rm executions.db": _remove_database,
    "rm executions.db*": _remove_database_and_log,
    "mv other.db executions.db": _replace_database,
    "mv executions moved": _rename_folder,
    "rm -r executions": lambda output: shutil.rmtree(output / "executions"),
}


@pytest.fixture
def feed(tmp_path: Path) -> Process:
    return start_feed(
        "v1-jsonl", tmp_path / "output", tmp_path / "journal.jsonl", seed=5, rate=400, count=2_500
    )


@pytest.mark.parametrize("removal", REMOVALS)
def test_a_store_that_is_removed_under_the_worker_stops_it(
    removal: str, feed: Process, tmp_path: Path
) -> None:
    worker = start_worker(tmp_path / "output", tmp_path / "worker.log")
    assert worker.wait_for(READY), worker.tail()

    REMOVALS[removal](tmp_path / "output")

    assert worker.wait() == CANNOT_WRITE, worker.tail()
    assert "Traceback" not in worker.output()
    feed.end()


def test_what_a_removed_store_held_is_back_after_its_advice_was_followed(
    feed: Process, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    worker = start_worker(output, tmp_path / "worker.log")
    assert worker.wait_for(READY), worker.tail()
    _remove_database(output)
    assert worker.wait() == CANNOT_WRITE, worker.tail()

    refused = start_worker(output, tmp_path / "refused.log", "--once")
    assert refused.wait() == CANNOT_WRITE, refused.tail()
    copies = COPY.findall(refused.output())
    assert copies, refused.tail()
    name = Path(copies[0]).name
    saved = next(path for path in (output / "executions" / name, output / name) if path.exists())
    saved.rename(output / "executions" / "executions.db")
    assert feed.wait() == 0, feed.tail()
    resumed = start_worker(output, tmp_path / "resumed.log", "--once")

    assert resumed.wait() == 0, resumed.tail()
    verdict = judge(read_journal(tmp_path / "journal.jsonl"), read_rows(output), read_files(output))
    assert verdict.complaints == ()
    assert verdict.rows == verdict.lines == verdict.signals
