"""Which of the producer's sinks is read: chosen once from what is there, then stamped in the store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from config import settings
from config.seams import Clock
from config.settings import SinkKind
from streams.source import Source
from streams.sqlite import FILE_NAMES, SqliteSource

SourceKind = Literal["jsonl", "sqlite_v1", "sqlite_v2"]
SOURCE_KINDS: tuple[SourceKind, ...] = ("jsonl", "sqlite_v1", "sqlite_v2")
SIGNAL_FOLDER = Path("ready") / "signal"


def resolve_kind(sink_kind: SinkKind, signals_dir: Path) -> SourceKind:
    """The source behind a sink setting: the newer table first, then the older, then files (CONTRACTS 1.1).

    `sqlite` without any file means the older table, which is what most producers will create.
    """
    if sink_kind is SinkKind.JSONL:
        return "jsonl"
    if _newest_ns("sqlite_v2", signals_dir) is not None:
        return "sqlite_v2"
    if sink_kind is SinkKind.SQLITE or _newest_ns("sqlite_v1", signals_dir) is not None:
        return "sqlite_v1"
    return "jsonl"


def ignored_newer_sources(kind: str, signals_dir: Path) -> list[str]:
    """The sources that are not read although something was written to them later than to `kind`."""
    read_ns = _newest_ns(kind, signals_dir) or 0
    return [
        other for other in SOURCE_KINDS if other != kind and (_newest_ns(other, signals_dir) or 0) > read_ns
    ]


def open_source(
    kind: str,
    signals_dir: Path,
    *,
    settings: settings.Source,
    clock: Clock,
    once: bool,
    symbols: tuple[str, ...],
) -> Source:
    """The source of that kind; nothing is read before its `start`. Raises ValueError for another kind."""
    assert symbols, "a source without symbols reads nothing"
    match kind:
        case "jsonl":
            # Only here, so that a worker that reads tables does not pay for the file watcher's import.
            from streams.jsonl import JsonlSource

            return JsonlSource(signals_dir, settings=settings, clock=clock, once=once)
        case "sqlite_v1" | "sqlite_v2":
            return SqliteSource(signals_dir, kind=kind, settings=settings, clock=clock, once=once)
        case _:
            raise ValueError(f"source kind is {kind!r}, must be one of {', '.join(SOURCE_KINDS)}")


def _newest_ns(kind: str, signals_dir: Path) -> int | None:
    """When something was last written to a source; None when it is not there. Looks, opens nothing."""
    times = [found for path in _paths_of(kind, signals_dir) if (found := _mtime_ns(path)) is not None]
    return max(times, default=None)


def _paths_of(kind: str, signals_dir: Path) -> Iterator[Path]:
    if kind == "jsonl":
        folder = signals_dir / SIGNAL_FOLDER
        # The files' own times: a folder's time does not move with an append.
        for symbol in _names_in(folder):
            for name in _names_in(folder / symbol):
                if name.endswith(".jsonl") and not name.startswith("."):
                    yield folder / symbol / name
        return
    for known, name in FILE_NAMES.items():
        if known == kind:
            yield signals_dir / name
            # In WAL mode commits are written here first.
            if _mtime_ns(signals_dir / name) is not None and _size(signals_dir / f"{name}-wal"):
                yield signals_dir / f"{name}-wal"


def _names_in(folder: Path) -> list[str]:
    # Not Path.glob: it raises when a folder goes away under it.
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _mtime_ns(path: Path) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def _size(path: Path) -> int:
    # An empty one was made by a reader, and its time says nothing about the producer.
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
