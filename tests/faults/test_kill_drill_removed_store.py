"""A store that is removed under a running worker: it stops by itself, sends nothing more, loses nothing."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable, Iterator
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
ADVICE = re.compile(r"saved to (?P<copy>[^\s:]+): .* move the copy to (?P<database>\S+) ")


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
def feed(tmp_path: Path) -> Iterator[Process]:
    """Signals without end, so that the worker is at work when its store goes."""
    process = start_feed("v1-jsonl", tmp_path / "output", tmp_path / "journal.jsonl", seed=5, rate=400)
    yield process
    if process.ended() is None:
        process.end(signal.SIGKILL)


def _saved_and_wanted(printed: str) -> tuple[Path, Path]:
    advice = ADVICE.search(printed)
    assert advice is not None, printed[-1500:]
    return Path(advice["copy"]), Path(advice["database"])


@pytest.mark.parametrize("removal", REMOVALS)
def test_what_a_removed_store_held_is_back_once_its_advice_was_followed(
    removal: str, feed: Process, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    worker = start_worker(output, tmp_path / "worker.log")
    assert worker.wait_for(READY), worker.tail()
    REMOVALS[removal](output)
    assert worker.wait() == CANNOT_WRITE, worker.tail()
    assert "Traceback" not in worker.output()

    copy, database = _saved_and_wanted(worker.output())
    database.parent.mkdir(exist_ok=True)
    copy.rename(database)
    assert feed.end() == 0, feed.tail()
    resumed = start_worker(output, tmp_path / "resumed.log", "--once")

    assert resumed.wait() == 0, resumed.tail()
    verdict = judge(read_journal(tmp_path / "journal.jsonl"), read_rows(output), read_files(output))
    assert verdict.complaints == ()
    assert verdict.rows == verdict.lines == verdict.signals


def test_a_start_without_the_removed_store_is_refused_and_says_what_to_move(
    feed: Process, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    worker = start_worker(output, tmp_path / "worker.log")
    assert worker.wait_for(READY), worker.tail()
    _remove_database(output)
    assert worker.wait() == CANNOT_WRITE, worker.tail()

    refused = start_worker(output, tmp_path / "refused.log")

    assert refused.wait() == CANNOT_WRITE, refused.tail()
    assert "executions_rescued_" in refused.output()
    assert "Traceback" not in refused.output()
