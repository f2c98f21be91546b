"""Signals out of the producer's SQLite tables: one source per file, one feed per symbol.

`PRAGMA data_version` is the hint that something was committed; what is new is decided by the cursors.
Memory is bounded by one page per symbol. Nothing is ever written to the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from config import settings
from config.seams import Clock
from streams.codec import decode_row
from streams.position import SourcePosition
from streams.signal import Place, Record
from streams.source import FeedState, SourceCounters
from streams.sqlite_database import TABLE, Database, Reader, Table
from streams.sqlite_keyed import Depth, KeyedCursor
from streams.sqlite_rowid import Found, Mark, Page, Reached, RowidCursor

SqliteKind = Literal["sqlite_v1", "sqlite_v2"]
FILE_NAMES: dict[SqliteKind, str] = {"sqlite_v1": "signals.db", "sqlite_v2": "signals_v2.db"}

RESET_REASONS = ("replaced", "rebuilt", "rescan")
# A poll without news costs two stats; ten of them a second are 0.1 % of a CPU.
IDLE_POLL_S_MIN = 0.1
IDLE_AFTER_S = 5.0

Cursor = RowidCursor | KeyedCursor


class SqliteBatch:
    """Records in the order of the table, and the positions that any prefix of them reaches."""

    def __init__(
        self,
        records: Sequence[Record],
        reached: Sequence[Reached],
        position_of: Callable[[Mark], SourcePosition],
    ) -> None:
        self._records = records
        self._reached = reached
        self._position_of = position_of

    @property
    def records(self) -> Sequence[Record]:
        """The records, in source order; may be empty."""
        return self._records

    def positions(self, start: int, end: int) -> Sequence[SourcePosition]:
        """The position of the last of `records[start:end]` that has one."""
        for index in range(end - 1, start - 1, -1):
            mark = self._reached[index].mark()
            if mark is not None:
                return (self._position_of(mark),)
        return ()


class SqliteFeed:
    """The rows of one symbol, resumed from its durable position."""

    def __init__(self, source: SqliteSource, symbol: str, position: SourcePosition | None) -> None:
        self._source = source
        self._database = source.database
        self._symbol = symbol
        self._resume = position
        self._cursor: Cursor | None = None
        self._file_epoch = -1
        # Handed out by the cursor, not yet by `read`: a cancelled read must not lose them.
        self._ready: list[tuple[Record, Reached]] = []
        # The generation of the snapshot that had no more for us.
        self._exhausted_at = -1
        self._backlog_rows = 0
        self._last_read_ms = 0
        self._oldest_at_s: float | None = None
        # What stood in the way of the last read; damage may concern one symbol and not another.
        self._fault: str | None = None

    @property
    def symbol(self) -> str:
        """The symbol, upper case."""
        return self._symbol

    async def read(self, limit: int) -> SqliteBatch:
        """Up to `limit` records that are new since the last call; empty when nothing is new now."""
        if self._exhausted_at == self._database.generation:
            await self._database.look()
        while not self._ready and not self._is_exhausted():
            done = await self._database.transaction(lambda reader: self._turn(reader, limit))
            self._fault = self._database.fault if done is None else None
            if done is None:
                break
        taken, self._ready = self._ready[:limit], self._ready[limit:]
        if taken:
            self._last_read_ms = self._source.clock.wall_ms()
        records, reached = [item[0] for item in taken], [item[1] for item in taken]
        return SqliteBatch(records, reached, self._position_of)

    async def wait(self) -> None:
        """Return when something may be new: at a commit of the producer, or after the rescan interval."""
        if self._ready or (self._fault is None and not self._is_exhausted()):
            return
        await self._source.changed()

    async def end_positions(self) -> Sequence[SourcePosition]:
        """The position behind everything that is there now; waits while the file cannot be read.

        Guessing here would turn old signals into orders.
        """
        while True:
            found = await self._database.transaction(self._end)
            if found is not None:
                return found
            if not self._database.may_hold_signals:
                return ()
            await self._source.clock.sleep(IDLE_POLL_S_MIN)

    def state(self) -> FeedState:
        """A snapshot; cheap."""
        waiting_for = self._fault or self._database.fault
        fault = None if self._database.is_absent else waiting_for
        return FeedState(waiting_for, self._backlog_rows, self._last_read_ms, fault)

    def _is_exhausted(self) -> bool:
        due = isinstance(self._cursor, KeyedCursor) and self._cursor.recount_is_due
        done = self._exhausted_at == self._database.generation and not due
        # After a fault the file is tried again even when nothing new was announced.
        return done and self._fault is None and self._database.fault is None

    async def _turn(self, reader: Reader, limit: int) -> Page:
        generation = self._database.generation
        cursor = self._cursor_for(reader.table)
        page = await cursor.page(reader, limit)
        self._ready.extend((self._decode(found), found.reached) for found in page.rows)
        self._backlog_rows = page.backlog_rows
        self._exhausted_at = generation if page.exhausted else -1
        await self._note_oldest(reader)
        return page

    def _cursor_for(self, table: Table) -> Cursor:
        """The cursor; another one, from the start, when the file or the shape of its table is another."""
        keyed = table.rowid is None
        same_file = self._file_epoch == self._database.file_epoch
        if self._cursor is not None and same_file and isinstance(self._cursor, KeyedCursor) == keyed:
            return self._cursor
        position, self._resume = self._resume, None
        if self._cursor is not None or (position is not None and position.inode != self._database.inode):
            self._source.counters.resets["replaced"] += 1
            position = None
        self._file_epoch = self._database.file_epoch
        self._cursor = self._new_cursor(keyed, position)
        return self._cursor

    def _new_cursor(self, keyed: bool, position: SourcePosition | None) -> Cursor:
        counters, limits = self._source.counters, self._source.limits
        if not keyed:
            return RowidCursor(self._symbol, position, counters)
        return KeyedCursor(
            self._symbol,
            None if position is None else Depth.of(position),
            counters,
            lookback_ms=limits.lookback_ms,
            recount_ms=limits.recount_ms,
            clock=self._source.clock,
        )

    async def _end(self, reader: Reader) -> Sequence[SourcePosition]:
        mark = await self._new_cursor(reader.table.rowid is None, None).end(reader)
        return () if mark is None else (self._position_of(mark),)

    async def _note_oldest(self, reader: Reader) -> None:
        now_s = self._source.clock.monotonic_s()
        if (
            self._oldest_at_s is not None
            and now_s < self._oldest_at_s + self._source.limits.recount_ms / 1_000
        ):
            return
        self._oldest_at_s = now_s
        ((oldest,),) = await reader.rows(f"SELECT min(ts_ms) FROM {TABLE} WHERE symbol = ?", (self._symbol,))
        self._source.note_oldest(self._symbol, oldest if isinstance(oldest, int) else None)

    def _decode(self, found: Found) -> Record:
        place = Place(self._database.path.name, found.place_offset, 0)
        return decode_row(found.values, symbol=self._symbol, place=place)

    def _position_of(self, mark: Mark) -> SourcePosition:
        return SourcePosition(
            symbol=self._symbol,
            source=self._source.kind,
            name=self._database.path.name,
            device=self._database.device,
            inode=self._database.inode,
            offset=mark.offset,
            marker=mark.marker,
            detail=mark.detail,
        )


class SqliteSource:
    """One database file: its connection, its poller, its feeds."""

    def __init__(
        self, signals_dir: Path, *, kind: SqliteKind, settings: settings.Source, clock: Clock, once: bool
    ) -> None:
        self.limits = settings
        self.clock = clock
        self.database = Database(
            signals_dir / FILE_NAMES[kind], busy_timeout_ms=settings.sqlite_busy_timeout_ms, clock=clock
        )
        self._kind = kind
        self._once = once
        self._counters = SourceCounters(resets=dict.fromkeys(RESET_REASONS, 0), ignored_files={})
        self._oldest: dict[str, int | None] = {}
        self._change = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None

    @property
    def kind(self) -> str:
        """`sqlite_v1` or `sqlite_v2`; stamped in the store."""
        return self._kind

    @property
    def counters(self) -> SourceCounters:
        """Live counters."""
        return self._counters

    async def start(self) -> None:
        """Begin to poll; a missing file is waited for."""
        await self.database.look()
        if self._poller is None and not self._once:
            self._poller = asyncio.create_task(self._poll())
            # A poller that ends, even by a bug, must not leave anybody waiting.
            self._poller.add_done_callback(lambda _: self._announce())

    def feed(self, symbol: str, positions: Sequence[SourcePosition]) -> SqliteFeed:
        """The feed of `symbol`, resumed from its durable position in this file."""
        name = self.database.path.name
        mine = [p for p in positions if (p.symbol, p.source, p.name) == (symbol, self._kind, name)]
        assert len(mine) <= 1, "one position per symbol, source and name"
        return SqliteFeed(self, symbol, mine[0] if mine else None)

    def reachable_since_ms(self, symbol: str) -> int | None:
        """The oldest `ts_ms` of the symbol when it was last looked for; None when nothing is known."""
        return self._oldest.get(symbol)

    async def close(self) -> None:
        """End the poller, then the connection and its thread; may be repeated."""
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.wait({self._poller})
        await self.database.close()

    async def changed(self) -> None:
        """Return at the next announcement of the poller; at once when none will come (`once`, closed)."""
        if self._poller is None:
            if self.database.fault is not None:
                await self.clock.sleep(IDLE_POLL_S_MIN)
            return
        if self._poller.done():
            if not self._poller.cancelled():
                self._poller.result()
            return
        await self._change.wait()

    def note_oldest(self, symbol: str, ts_ms: int | None) -> None:
        """Remember the oldest row of a symbol."""
        self._oldest[symbol] = ts_ms

    async def _poll(self) -> None:
        quiet_since_s = announced_s = self.clock.monotonic_s()
        poll_s, rescan_s = self.limits.poll_ms / 1_000, self.limits.rescan_ms / 1_000
        while True:
            now_s = self.clock.monotonic_s()
            idle = now_s - quiet_since_s > IDLE_AFTER_S
            await self.clock.sleep(max(poll_s, IDLE_POLL_S_MIN) if idle else poll_s)
            retrying = self.database.retry_is_due
            changed = await self.database.poll()
            now_s = self.clock.monotonic_s()
            if changed:
                quiet_since_s = now_s
            # Announced now and then without a change, too: recounts fall due while nothing is written.
            if changed or retrying or now_s - announced_s >= rescan_s:
                announced_s = now_s
                self._announce()

    def _announce(self) -> None:
        change, self._change = self._change, asyncio.Event()
        change.set()
