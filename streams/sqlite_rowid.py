"""The cursor of one symbol over a table with rowids: the rowid, and the identity of the row there.

Rowids grow in the order of commits, so nothing becomes visible behind the cursor; but a producer that
rebuilds its table starts them again. Then another row, or none, stands where the cursor is, and reading
starts over. The keys of the store make that harmless.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple, Protocol

from streams.position import SourcePosition
from streams.source import SourceCounters
from streams.sqlite_database import TABLE, Reader, Row, Table, is_corrupt

# Rows that one transaction walks over at most, whosever they are: about 5 ms.
SPAN_ROWS_MAX = 20_000
_START = -(2**63)
IDENTITY = ("ts_ms", "symbol", "score", "run_id", "signal_id")


class Mark(NamedTuple):
    """The durable part of a position."""

    offset: int
    marker: str
    detail: str


class Reached(Protocol):
    """How far the cursor is with a row."""

    def mark(self) -> Mark | None:
        """The mark, made only when it is committed; None when this row cannot be one."""


class Found(NamedTuple):
    """One row of the symbol, where it stands (-1: nowhere), and what is reached with it."""

    values: Mapping[str, object]
    place_offset: int
    reached: Reached


@dataclass(frozen=True, slots=True)
class Page:
    """Rows that are new, in order; `exhausted` when this snapshot has no more."""

    rows: list[Found]
    exhausted: bool
    backlog_rows: int


class RowReached(NamedTuple):
    """A row of a table with rowids."""

    table: Table
    values: Mapping[str, object]
    rowid: int

    def mark(self) -> Mark:
        """The rowid and the identity of the row there."""
        return Mark(self.rowid, row_marker(self.table, self.values), "")


def row_marker(table: Table, values: Mapping[str, object]) -> str:
    """The identity of a row, of the columns that the table has."""
    identity = repr([values[name] for name in IDENTITY if name in table.columns])
    return blake2b(identity.encode(), digest_size=16).hexdigest()


class RowidCursor:
    """Forward only. `passed` is the rowid up to which the table was walked, other symbols included."""

    def __init__(self, symbol: str, position: SourcePosition | None, counters: SourceCounters) -> None:
        self._symbol = symbol
        self._counters = counters
        self._passed = position.offset if position is not None else _START
        self._marker = position.marker if position is not None else ""

    async def page(self, reader: Reader, limit: int) -> Page:
        """The next rows of the symbol. Raises sqlite3.Error; the cursor has not moved then."""
        table = reader.table
        if self._passed != _START and await self._marker_at(reader, self._passed) != self._marker:
            self._counters.resets["rebuilt"] += 1
            self._passed = _START
        span = SPAN_ROWS_MAX
        while True:
            try:
                return await self._walk(reader, table, limit, span)
            except sqlite3.DatabaseError as error:
                if not is_corrupt(error) or span == 1:
                    raise
                # The rows before a damaged page are as good as ever: walk up to it in smaller steps.
                span = max(1, span // 8)

    async def end(self, reader: Reader) -> Mark | None:
        """Offset, marker and detail behind everything that is there; None for an empty table."""
        ((last,),) = await reader.rows(f"SELECT max({reader.table.rowid}) FROM {TABLE}")
        if not isinstance(last, int):
            return None
        return Mark(last, await self._marker_at(reader, last) or "", "")

    async def _walk(self, reader: Reader, table: Table, limit: int, span: int) -> Page:
        rowid = table.rowid
        ((walked, end),) = await reader.rows(
            f"SELECT count(*), max(r) FROM (SELECT {rowid} AS r FROM {TABLE}"
            f" WHERE {rowid} > ? ORDER BY {rowid} LIMIT ?)",
            (self._passed, span),
        )
        if not isinstance(end, int) or not isinstance(walked, int):
            return Page([], exhausted=True, backlog_rows=0)
        # upper() forgives small letters as the lines do; it also keeps the planner off an index on
        # symbol, which would make it sort all rows of the symbol for each page.
        rows = await reader.rows(
            f"SELECT {rowid}, {table.selection} FROM {TABLE}"
            f" WHERE {rowid} > ? AND {rowid} <= ? AND upper(symbol) = ? ORDER BY {rowid} LIMIT ?",
            (self._passed, end, self._symbol, limit),
        )
        full = len(rows) == limit
        found = [self._found(table, row) for row in rows]
        passed = found[-1].place_offset if full else end
        marker = await self._marker_at(reader, passed)
        assert marker is not None, "the row was read in this very transaction"
        self._passed, self._marker = passed, marker
        return Page(found, exhausted=not full and walked < span, backlog_rows=end - passed)

    def _found(self, table: Table, row: Row) -> Found:
        offset = row[0]
        assert isinstance(offset, int)
        values = dict(zip(table.columns, row[1:], strict=True))
        return Found(values, offset, RowReached(table, values, offset))

    async def _marker_at(self, reader: Reader, rowid: int) -> str | None:
        table = reader.table
        rows = await reader.rows(
            f"SELECT {table.selection} FROM {TABLE} WHERE {table.rowid} = ?",
            (rowid,),
        )
        return row_marker(table, dict(zip(table.columns, rows[0], strict=True))) if rows else None
