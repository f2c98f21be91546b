"""The minute files of the execution log on disk, in spool/ and ready/. Blocking; run in a thread.

A file is published by a rename that puts it there whole, and both folders are on disk before anybody is told.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from config.seams import crash_point
from store.output_file import ShorterThanKnownError, append_lines, sync_folder

MINUTE_MS = 60_000
SPOOL = Path("spool") / "execlog"
READY = Path("ready") / "execlog"
_NAME = re.compile(r"exec_(\d{8}_\d{4})\.jsonl(\.part)?")
_FORMAT = "%Y%m%d_%H%M"


class Minute(NamedTuple):
    """Which file: one for each minute (counted from the epoch) and symbol. Ordered by time."""

    minute: int
    symbol: str

    @property
    def part(self) -> str:
        """Where it is written, relative to the output folder."""
        return f"{SPOOL}/{self.symbol}/exec_{minute_name(self.minute)}.jsonl.part"

    @property
    def ready(self) -> str:
        """Where it is published."""
        return f"{READY}/{self.symbol}/exec_{minute_name(self.minute)}.jsonl"

    @property
    def end_ms(self) -> int:
        """When the minute is over."""
        return (self.minute + 1) * MINUTE_MS


@lru_cache(maxsize=64)
def minute_name(minute: int) -> str:
    """`YYYYMMDD_HHMM` (UTC) of a minute counted from the epoch."""
    return datetime.fromtimestamp(minute * 60, UTC).strftime(_FORMAT)


def minute_of(path: str) -> Minute:
    """The minute and symbol of a path that `Minute` has made."""
    *_, symbol, name = path.split("/")
    match = _NAME.fullmatch(name)
    assert match is not None, path
    at = datetime.strptime(match[1], _FORMAT).replace(tzinfo=UTC)
    return Minute(int(at.timestamp()) // 60, symbol)


class PartState(Enum):
    """What a file in spool/ is found to be."""

    WHOLE = "whole"
    PUBLISHED = "published"
    SHORTER = "shorter"


class Files:
    """The files below one output folder. Every method raises OSError."""

    def __init__(self, output: Path) -> None:
        self._output = output

    def repair(self, minute: Minute, size: int) -> PartState:
        """Cut a file that is being written to its known size.

        One that was published before the store was told is gone from spool/ and stands in ready/ with every
        byte that is known: of one that was published earlier and goes on, ready/ has fewer.
        """
        part, ready = self._output / minute.part, self._output / minute.ready
        found = _size(part)
        if found is not None and found >= size:
            if found > size:
                os.truncate(part, size)
            return PartState.WHOLE
        if found is None and _size(ready) == size:
            self._sync_folders(minute)
            return PartState.PUBLISHED
        return PartState.SHORTER

    def repair_all(self, sizes: Mapping[Minute, int]) -> dict[Minute, PartState]:
        """`repair` for each of these files, with its known size."""
        return {minute: self.repair(minute, size) for minute, size in sizes.items()}

    def sweep(self, known: Iterable[Minute]) -> None:
        """Delete what a crash has left in spool/ unknown to the store: its lines are written again."""
        kept = {str(self._output / minute.part) for minute in known}
        for path in (self._output / SPOOL).glob("*/exec_*.jsonl.part"):
            if str(path) not in kept and _NAME.fullmatch(path.name):
                path.unlink(missing_ok=True)

    def append(self, minute: Minute, data: bytes, size: int) -> int:
        """Make the file its first `size` bytes and `data`, on disk; the new size.

        Raises ShorterThanKnownError when it has fewer than `size` bytes.
        """
        part = self._output / minute.part
        _make_folder(part.parent)
        return append_lines(part, data, size)

    def reopen(self, minute: Minute, size: int) -> None:
        """Begin a file again with its published bytes, for a minute that goes on.

        Raises ShorterThanKnownError when those are not there any more.
        """
        part, ready = self._output / minute.part, self._output / minute.ready
        if (_size(ready) or 0) < size:
            raise ShorterThanKnownError(str(ready))
        _make_folder(part.parent)
        shutil.copyfile(ready, part)
        os.truncate(part, size)
        sync_folder(part.parent)

    def empty(self, minute: Minute) -> None:
        """Begin a file anew."""
        (self._output / minute.part).unlink(missing_ok=True)

    def publish(self, minutes: Sequence[Minute]) -> tuple[list[Minute], OSError | None]:
        """Rename files to where readers look; those that are there now, on disk, and a fault of the others.

        A reader that holds the older file of that name may refuse the rename on some systems.
        """
        published, fault = [], None
        for minute in minutes:
            ready = self._output / minute.ready
            try:
                _make_folder(ready.parent)
                os.replace(self._output / minute.part, ready)
            except OSError as error:
                fault = error
                continue
            published.append(minute)
        crash_point("after_projection_write")
        self._sync_folders(*published)
        return published, fault

    def _sync_folders(self, *minutes: Minute) -> None:
        """Where a file came to before where it came from: a power cut may show it in both, never in none."""
        for folder in dict.fromkeys((self._output / minute.ready).parent for minute in minutes):
            sync_folder(folder)
        for folder in dict.fromkeys((self._output / minute.part).parent for minute in minutes):
            if folder.exists():
                sync_folder(folder)

    def prune(self, before: int) -> int:
        """Delete published files of minutes before `before`; how many went."""
        oldest = f"exec_{minute_name(before)}.jsonl"
        # The names sort by time.
        old = [
            path
            for path in (self._output / READY).glob("*/exec_*.jsonl")
            if path.name < oldest and _NAME.fullmatch(path.name)
        ]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _make_folder(folder: Path) -> None:
    """Make a folder and what it stands in, each on disk before something is put into it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)
