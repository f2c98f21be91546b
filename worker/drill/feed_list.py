"""The feed's own list: every record is announced before it is written, so a killed feed can be asked.

A line of the list is one system call, which a kill does not cut. Whether the last thing announced was
written as well is seen in the source by the next life, which says so in the list.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

Entry = dict[str, Any]


class FeedPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a feed writes, and its habits; `moves`, `torn` and the like are chances for each signal.

    `step_ms` is the signal time between two signals, from `base_ms` on; 0: signals are of their moment.
    """

    shape: str
    into: str
    list: str
    symbols: tuple[str, ...]
    seed: int
    rate: float
    base_ms: int = 0
    step_ms: int = 0
    minute_files: bool = True
    twice: float = 0.0
    torn: float = 0.0
    malformed: float = 0.0
    moves: float = 0.0
    odd_times: float = 0.0


class FeedList:
    """Appends to the list, and reads what former lives wrote."""

    def __init__(self, path: Path) -> None:
        self.former = read_list(path)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @property
    def signals(self) -> int:
        """How many signals were announced in former lives."""
        return sum(1 for entry in self.former if entry["kind"] == "signal")

    @property
    def last_ms(self) -> int:
        """The greatest time of theirs that was their moment's."""
        times = [
            entry["fields"]["ts_ms"]
            for entry in self.former
            if entry["kind"] == "signal" and entry["moment"] == "now"
        ]
        return max(times, default=0)

    def note(self, *entries: Entry) -> None:
        """Announce; one write."""
        data = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
        written = os.write(self._descriptor, data)
        assert written == len(data), "the list of the feed was cut by the disk"

    def close(self) -> None:
        """Let go."""
        os.close(self._descriptor)


def read_list(path: Path) -> Sequence[Entry]:
    """The whole lines of a list; none when there is none."""
    if not path.exists():
        return []
    return [msgspec.json.decode(line) for line in path.read_bytes().split(b"\n")[:-1]]
