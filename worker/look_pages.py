"""Looking back: a read-only view of the store that reads in short pieces and never disturbs the worker.

Outcomes are walked in the order in which they became final, by the numbers of their events: exact, without an
index, and the newest are there at once however large the store is. Between two pieces nothing is held open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from store import statements as sql
from store import statements_look as look
from store.connection import APPLICATION_ID, newest_version, open_reader
from store.paths import DATABASE
from worker.planning import client_order_id

# Events in one piece: some 50 ms of reading. The first pieces backwards are smaller: fifty rows need few.
EVENTS_MAX = 20_000
EVENTS_FIRST = 500
# Entries of the key's index in one piece.
KEYS_MAX = 200_000
# One signal id stands in more rows only where symbols share it.
SAME_ID_MAX = 20
FOREVER_MS = 9_999_999_999_999
# A canceled or expired order is final too; these two are what is not.
UNSETTLED_STATUSES = frozenset({"pending", "retry"})


class LookError(Exception):
    """There is nothing to look at; the text is the sentence for the person who asked."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which executions; None asks for nothing. Times are of the outcome, both ends included.

    What is not final yet counts by the time when it was written first.
    """

    symbols: tuple[str, ...] | None = None
    statuses: tuple[str, ...] | None = None
    reason: str | None = None
    side: str | None = None
    since_ms: int = 0
    until_ms: int = FOREVER_MS

    def parameters(self) -> dict[str, object]:
        """For the statements."""
        return {
            "symbols": _json(self.symbols),
            "statuses": _json(self.statuses),
            "reason": self.reason,
            "side": self.side,
            "since_ms": self.since_ms,
            "until_ms": self.until_ms,
        }

    @property
    def has_final(self) -> bool:
        """Whether a final outcome can be among them."""
        return self.statuses is None or not set(self.statuses) <= UNSETTLED_STATUSES

    @property
    def has_unsettled(self) -> bool:
        """Whether something that is not final can be among them."""
        return self.statuses is None or bool(set(self.statuses) & UNSETTLED_STATUSES)


def _json(values: tuple[str, ...] | None) -> str | None:
    return None if values is None else msgspec.json.encode(values).decode()


class Look:
    """An opened store. Every method reads in pieces; sqlite3.Error where the store cannot be read."""

    def __init__(self, folder: Path) -> None:
        """Raises LookError when there is no store in `folder`, or none that this program can read."""
        self.path = folder / DATABASE
        if not self.path.exists() or not self.path.stat().st_size:
            raise LookError(
                f"store {self.path} does not exist yet: start the worker once, "
                "or name its folder with --output"
            )
        try:
            self.connection = open_reader(self.path)
            try:
                self.version = self._checked_version()
            except BaseException:
                self.connection.close()
                raise
        except sqlite3.Error as error:
            raise LookError(
                f"store {self.path} cannot be read ({error}): execution-worker check says more"
            ) from None

    def _checked_version(self) -> int:
        version = int(self.connection.execute(look.SCHEMA_VERSION).fetchone()[0])
        if self.connection.execute(look.APPLICATION).fetchone()[0] != APPLICATION_ID:
            raise LookError(f"{self.path} is no store of this program: name its folder with --output")
        if not 1 <= version <= newest_version():
            raise LookError(
                f"store {self.path} has schema version {version}, "
                f"this program knows up to {newest_version()}: use the newer program"
            )
        return version

    def __enter__(self) -> Look:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def bounds(self, since_ms: int, until_ms: int) -> tuple[int, int]:
        """The first and the last event number of a time; the first is greater where there is none."""
        first, last = self.connection.execute(look.SEQ_ENDS).fetchone()
        if until_ms < FOREVER_MS:
            last = min(last, self.first_event(until_ms + 1) - 1)
        return max(first, self.first_event(since_ms)), last

    def first_event(self, at_ms: int) -> int:
        """The first event number at that time or later; times never decrease along the numbers.

        One more than the last where there is none.
        """
        low, last = self.connection.execute(look.SEQ_ENDS).fetchone()
        high = last + 1
        while low < high:
            middle = (low + high) // 2
            row = self.connection.execute(sql.EVENT_TIME, (middle,)).fetchone()
            if row is not None and row[0] < at_ms:
                low = middle + 1
            else:
                high = middle
        return int(low)

    def newest(self, wanted: Wanted, limit: int, *, lines: bool = False) -> Iterator[tuple[Any, ...]]:
        """At most `limit` rows, newest first; what is not final stands before everything else.

        A row has the contract's keys and the state; with `lines` the line of the hourly file alone.
        """
        if wanted.has_unsettled:
            statement = look.UNSETTLED_LINES if lines else look.UNSETTLED_ROWS
            for row in self.connection.execute(statement, wanted.parameters()).fetchmany(limit):
                yield row[1:]
                limit -= 1
        if not wanted.has_final:
            return
        statement = look.LINES_BACKWARDS if lines else look.ENDED_BACKWARDS
        first, last = self.bounds(wanted.since_ms, wanted.until_ms)
        size = EVENTS_FIRST
        while limit > 0 and last >= first:
            piece = {"first": max(first, last - size + 1), "last": last, "rows": limit}
            rows = self.connection.execute(statement, {**wanted.parameters(), **piece}).fetchall()
            yield from (row[1:] for row in rows)
            limit -= len(rows)
            last -= size
            size = min(size * 4, EVENTS_MAX)

    def all_of(self, wanted: Wanted, *, lines: bool = False) -> Iterator[list[tuple[Any, ...]]]:
        """Everything, oldest first and each once, in pieces; what is not final stands at the end.

        Where it ends is settled at the start: what becomes final meanwhile is told as it was then.
        """
        self.connection.execute("BEGIN")
        try:
            first, last = self.bounds(wanted.since_ms, wanted.until_ms)
            unsettled: list[tuple[Any, ...]] = []
            if wanted.has_unsettled:
                statement = look.UNSETTLED_LINES if lines else look.UNSETTLED_ROWS
                unsettled = self.connection.execute(statement, wanted.parameters()).fetchall()
        finally:
            self.connection.execute("COMMIT")
        if wanted.has_final:
            statement = look.LINES_FORWARDS if lines else look.ENDED_FORWARDS
            for rows in self.pieces(statement, wanted, first, last):
                yield [row[1:] for row in rows]
        yield [row[1:] for row in reversed(unsettled)]

    def pieces(
        self, statement: str, wanted: Wanted, first: int, last: int
    ) -> Iterator[list[tuple[Any, ...]]]:
        """What a statement says of the events from `first` to `last`, piece by piece."""
        for start in range(first, last + 1, EVENTS_MAX):
            piece = {"first": start, "last": min(start + EVENTS_MAX - 1, last)}
            yield self.connection.execute(statement, {**wanted.parameters(), **piece}).fetchall()

    def ids_of(self, signal_id: str) -> list[int]:
        """The rows of a signal id or client order id, oldest first, at most SAME_ID_MAX.

        Ids that an index knows are found at once: client order ids, and those that the producer gave or that
        went over a wire. Only for others are all keys read.
        """
        execute = self.connection.execute
        symbols = [str(row[0]) for row in execute(sql.LANES).fetchall()]
        wire_ids = [signal_id, *(client_order_id(symbol, signal_id) for symbol in symbols)]
        found: set[int] = set()
        for wire_id in wire_ids:
            found.update(int(row[0]) for row in execute(look.IDS_BY_ORDER, (wire_id,)).fetchall())
        for symbol in symbols:
            found.update(int(row[0]) for row in execute(look.IDS_GIVEN, (symbol, signal_id)).fetchall())
        return sorted(found or self._scanned(signal_id))[:SAME_ID_MAX]

    def _scanned(self, signal_id: str) -> set[int]:
        """The rows with a signal id, by reading all keys, the newest first."""
        execute = self.connection.execute
        found: set[int] = set()
        newest = execute(look.NEWEST_KEY).fetchone()[0]
        end = None if newest is None else newest + 1
        while end is not None and len(found) < SAME_ID_MAX:
            row = execute(look.KEY_PIECE, (end, KEYS_MAX)).fetchone()
            start = -FOREVER_MS if row is None else row[0]
            found.update(
                int(one[0]) for one in execute(look.IDS_IN_PIECE, (start, end, signal_id)).fetchall()
            )
            end = None if row is None else start
        return found

    def row(self, row_id: int) -> dict[str, object] | None:
        """All columns of a row; None when it is gone."""
        cursor = self.connection.execute(look.ROW_BY_ID, (row_id,))
        names = [column[0] for column in cursor.description]
        values = cursor.fetchone()
        return None if values is None else dict(zip(names, values, strict=True))

    def steps_of(self, row_id: int, reserved_ms: int, exec_ts_ms: int | None) -> list[tuple[Any, ...]]:
        """(seq, at_ms, from, to, reason, qty, price) of every event of a row.

        A final row has no event after its outcome, unless it was filled late.
        """
        execute = self.connection.execute
        until_ms = FOREVER_MS if exec_ts_ms is None else exec_ts_ms
        if self.version >= LATE_FILLS_VERSION and execute(look.LATE_FILL_OF, (row_id,)).fetchone():
            until_ms = FOREVER_MS
        first, last = self.bounds(reserved_ms, until_ms)
        statement = look.STEPS_OF if self.version >= FILLS_VERSION else look.STEPS_OF_OLD
        found: list[tuple[Any, ...]] = []
        for start in range(first, last + 1, EVENTS_MAX):
            end = min(start + EVENTS_MAX - 1, last)
            found += execute(statement, (start, end, row_id)).fetchall()
        return found


LATE_FILLS_VERSION = 2
FILLS_VERSION = 3
