"""The source protocol: one feed per symbol, read by pull, woken by hints.

A feed hands records out in source order and says, for any prefix of a batch, which positions that
prefix reaches. What is handed out but not committed is read again after a crash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from streams.position import SourcePosition
from streams.signal import Record


class Batch(Protocol):
    """Records in source order, and the positions that any prefix of them reaches."""

    @property
    def records(self) -> Sequence[Record]:
        """The records, in source order; may be empty."""

    def positions(self, start: int, end: int) -> Sequence[SourcePosition]:
        """The positions reached once `records[start:end]` are committed (all before `start` are already)."""


@dataclass(frozen=True, slots=True)
class FeedState:
    """What a feed looks like from outside, for /status, metrics and heartbeats."""

    waiting_for: str | None  # a sentence when nothing can be read: not there yet, or a fault; else None
    backlog_bytes: int  # bytes (JSONL) or rows (SQLite) known to be unread
    last_read_ms: int  # wall clock of the last record handed out; 0 = never
    fault: str | None = None  # the same sentence when the source is there and cannot be read


class Feed(Protocol):
    """The signals of one symbol. Not safe for concurrent use: one lane owns one feed."""

    @property
    def symbol(self) -> str:
        """The symbol, upper case."""

    async def read(self, limit: int) -> Batch:
        """Up to `limit` records that are new since the last call; an empty batch when nothing is new now.

        Never raises for the world's faults (missing, unreadable, locked, corrupt): those show in
        `state()` and counters, and the next call tries again.
        """

    async def wait(self) -> None:
        """Return when something may be new: on a hint, or after the poll interval."""

    async def end_positions(self) -> Sequence[SourcePosition]:
        """The positions of everything that is there now, for a first start at `now`."""

    def state(self) -> FeedState:
        """A snapshot; cheap."""


@dataclass(slots=True)
class SourceCounters:
    """Counts since start, read by the metrics; keys are fixed codes."""

    resets: dict[str, int]  # truncated, replaced, inode_reused, marker, rebuilt, rescan
    ignored_files: dict[str, int]  # part, tmp, gz, foreign, unreadable
    late_beyond_lookback: int = 0


class Source(Protocol):
    """A resolved sink of the producer."""

    @property
    def kind(self) -> str:
        """`jsonl`, `sqlite_v1` or `sqlite_v2`; stamped in the store."""

    @property
    def counters(self) -> SourceCounters:
        """Live counters."""

    async def start(self) -> None:
        """Begin watching; a missing folder or file is waited for, not an error."""

    def feed(self, symbol: str, positions: Sequence[SourcePosition]) -> Feed:
        """The feed of `symbol`, resumed from its durable positions."""

    def reachable_since_ms(self, symbol: str) -> int | None:
        """A lower bound of the `ts_ms` that the source can still deliver; None when nothing is known."""

    async def close(self) -> None:
        """Release descriptors, threads and watches."""
