"""Which sink is read when the settings leave it open."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from sqlite_producer import ManualClock

from config import settings
from config.settings import SinkKind
from streams.choice import ignored_newer_sources, open_source, resolve_kind


def lay(folder: Path, name: str, mtime_s: int = 1) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    os.utime(path, (mtime_s, mtime_s))


LINES = "ready/signal/BTCUSDT/signals-20251115-16.jsonl"


@pytest.mark.parametrize(
    ("sink", "files", "kind"),
    [
        (SinkKind.AUTO, [], "jsonl"),
        (SinkKind.AUTO, [LINES], "jsonl"),
        (SinkKind.AUTO, [LINES, "signals.db"], "sqlite_v1"),
        (SinkKind.AUTO, [LINES, "signals.db", "signals_v2.db"], "sqlite_v2"),
        (SinkKind.SQLITE, [], "sqlite_v1"),
        (SinkKind.SQLITE, ["signals_v2.db"], "sqlite_v2"),
        (SinkKind.JSONL, ["signals.db", "signals_v2.db"], "jsonl"),
    ],
)
def test_the_newest_shape_that_is_there_is_read(
    tmp_path: Path, sink: SinkKind, files: list[str], kind: str
) -> None:
    for name in files:
        lay(tmp_path, name)

    assert resolve_kind(sink, tmp_path) == kind


def test_a_source_that_is_not_read_but_newer_is_named(tmp_path: Path) -> None:
    lay(tmp_path, "signals.db", 10)
    lay(tmp_path, "signals_v2.db", 20)
    lay(tmp_path, LINES, 30)

    assert ignored_newer_sources("sqlite_v1", tmp_path) == ["jsonl", "sqlite_v2"]
    assert ignored_newer_sources("sqlite_v2", tmp_path) == ["jsonl"]
    assert ignored_newer_sources("jsonl", tmp_path) == []


def test_a_write_ahead_log_counts_once_something_was_committed_to_it(tmp_path: Path) -> None:
    lay(tmp_path, "signals.db", 10)
    lay(tmp_path, LINES, 20)
    lay(tmp_path, "signals.db-wal", 30)

    assert ignored_newer_sources("jsonl", tmp_path) == ["sqlite_v1"]
    (tmp_path / "signals.db-wal").write_bytes(b"")
    assert ignored_newer_sources("jsonl", tmp_path) == []


async def test_each_kind_opens_its_source(tmp_path: Path) -> None:
    for kind in ("jsonl", "sqlite_v1", "sqlite_v2"):
        source = open_source(
            kind, tmp_path, settings=settings.Source(), clock=ManualClock(), once=True, symbols=("BTCUSDT",)
        )
        assert source.kind == kind
        await source.close()


def test_an_unknown_kind_is_refused_with_what_may_be(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be one of jsonl, sqlite_v1, sqlite_v2"):
        open_source(
            "csv", tmp_path, settings=settings.Source(), clock=ManualClock(), once=True, symbols=("A1",)
        )


def test_folders_that_come_and_go_are_no_fault(tmp_path: Path) -> None:
    folder = tmp_path / "ready" / "signal"
    folder.mkdir(parents=True)
    going_on = True

    def churn() -> None:
        while going_on:
            for number in range(20):
                (folder / f"S{number}").mkdir()
            for number in range(20):
                (folder / f"S{number}").rmdir()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        found = [ignored_newer_sources("sqlite_v1", tmp_path) for _ in range(2_000)]
    finally:
        going_on = False
        thread.join()

    assert found == [[]] * 2_000
