"""What was told of starts and ends, over restarts: a worker that dies every minute must not fill a chat.

A small file beside the log. It is a courtesy: where it cannot be read or written, more is told than need be.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from config.notify_settings import Event
from worker.notices.repeats import Remembered

FILE = "notices.json"
BYTES_MAX = 65_536
ENTRIES_MAX = 64
# What a restart can repeat; everything else is about one life.
KEPT = frozenset((Event.STARTED, Event.STOPPED, Event.FAILED, Event.EXCHANGE_REFUSED))


class Memory:
    """The file. `unwritten` counts what could not be kept."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self.unwritten = 0

    def load(self) -> list[Remembered]:
        """What is remembered; nothing where there is no file, or another one."""
        try:
            with self._path.open("rb") as file:
                found = json.loads(file.read(BYTES_MAX))
            return [
                Remembered(Event(one["event"]), str(one["key"]), int(one["at_ms"]), int(one["since"]))
                for one in found[:ENTRIES_MAX]
            ]
        except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError):
            return []

    def save(self, entries: Iterable[Remembered]) -> None:
        """Keep the newest of those that a restart can repeat; the folder must be there."""
        kept = [one for one in entries if one.event in KEPT][-ENTRIES_MAX:]
        told = [{"event": x.event, "key": x.key, "at_ms": x.at_ms, "since": x.since} for x in kept]
        spare = self._path.with_suffix(".new")
        try:
            spare.write_text(json.dumps(told))
            os.replace(spare, self._path)
        except OSError:
            self.unwritten += 1
