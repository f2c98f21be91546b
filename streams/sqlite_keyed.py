"""The cursor of one symbol over a WITHOUT ROWID table: the key, and counts of what lies below it.

Rows may become visible later than rows with a greater key. So the rows between `floor` and the cursor
are counted whenever something changed, and those below the floor every ten minutes. A count that differs
from what was read sends the cursor's review over that range again; it hands out what it has not
seen lately, and the keys of the store make repeats harmless.
"""

from __future__ import annotations

import json
import sqlite3

import msgspec

from config.seams import Clock
from streams.position import SourcePosition
from streams.source import SourceCounters
from streams.sqlite_database import TABLE, Reader, Row, is_corrupt
from streams.sqlite_rowid import Found, Mark, Page

# Keys remembered as handed out: a look-back of ten minutes at thirty signals a second, 4 MiB.
SEEN_KEYS_MAX = 20_000
# Between two counts of the range above the floor while a backlog is read.
UNCOUNTED_ROWS_MAX = 100_000
# Rows whose time is beyond any time: they are malformed, and must not drag the cursor behind them.
BEYOND_ROWS_MAX = 1_000
TS_MS_MAX = 10**13

Key = tuple[object, object]
# Blobs stand behind all text, so this follows every signal_id of the millisecond before.
_LAST_ID = b"\xff"
_FLOOR_MIN = -(2**62)
_START: Key = (_FLOOR_MIN - 1, _LAST_ID)


class Depth(msgspec.Struct, frozen=True):
    """What was read: `below` rows under `floor` (ts_ms), `expected` rows from there to `key`.

    `floor_min` is the floor of a first start at `now`: what lies below it is never handed out.
    """

    key: Key
    floor: int
    below: int
    expected: int
    floor_min: int = _FLOOR_MIN

    def mark(self) -> Mark | None:
        """The durable form; a key that is not text has none, and the next one covers it."""
        ts_ms, signal_id = self.key
        if not isinstance(signal_id, str):
            return None
        remembered = {
            "id": signal_id,
            "floor": self.floor,
            "below": self.below,
            "expected": self.expected,
            "floor_min": self.floor_min,
        }
        return Mark(_whole(ts_ms), "", json.dumps(remembered, separators=(",", ":")))

    @staticmethod
    def of(position: SourcePosition) -> Depth | None:
        """What a position remembers; None when it is of another kind of table."""
        try:
            found = json.loads(position.detail)
            return Depth(
                (position.offset, str(found["id"])),
                int(found["floor"]),
                int(found["below"]),
                int(found["expected"]),
                int(found["floor_min"]),
            )
        except (ValueError, TypeError, KeyError):
            return None


_NOTHING = Depth(_START, _FLOOR_MIN, 0, 0)


class KeyedCursor:
    """Forward by key, with reviews of the range behind it."""

    def __init__(
        self,
        symbol: str,
        depth: Depth | None,
        counters: SourceCounters,
        *,
        lookback_ms: int,
        recount_ms: int,
        clock: Clock,
    ) -> None:
        # The producer may write small letters; mixed ones would cost a scan of the index.
        self._symbols = (symbol, symbol.lower())
        self._depth = depth or _NOTHING
        self._counters = counters
        self._lookback_ms = lookback_ms
        self._recount_s = recount_ms / 1_000
        self._clock = clock
        self._seen: dict[Key, None] = {}
        self._handing_out: list[Key] = []
        # After a start the rows below the floor may have changed meanwhile: count them at once.
        self._recount_at_s = 0.0 if depth else clock.monotonic_s() + self._recount_s
        self._review: Key | None = None
        # A review of the whole range counts it anew; the short one after a start does not.
        self._review_counts = False
        if depth is not None:
            # What was handed out shortly before the stop may have overtaken rows that come only now.
            self._review = _before(max(depth.floor, self._floor_for(depth.key)))

    @property
    def recount_is_due(self) -> bool:
        """Whether the rows below the floor are to be counted although nothing was seen to change."""
        return self._clock.monotonic_s() >= self._recount_at_s

    async def page(self, reader: Reader, limit: int) -> Page:
        """The next rows of the symbol. Raises sqlite3.Error; the cursor has not moved then."""
        kept = self._depth, self._review, self._review_counts
        while True:
            self._handing_out.clear()
            try:
                page = await self._page(reader, limit)
            except sqlite3.Error as error:
                self._depth, self._review, self._review_counts = kept
                if not is_corrupt(error) or limit == 1:
                    raise
                # The rows before a damaged page are as good as ever: go up to it in smaller steps.
                limit = max(1, limit // 8)
            else:
                self._remember_handed_out()
                return page

    async def _page(self, reader: Reader, limit: int) -> Page:
        await self._check_cursor(reader)
        if self.recount_is_due:
            await self._recount(reader)
        if self._review is not None:
            rows, done = await self._review_page(reader, limit)
            if rows or not done:
                return Page(rows, exhausted=False, backlog_rows=len(rows))
        raw = await self._between(reader, self._depth.key, TS_MS_MAX, limit)
        found = self._found_forward(reader, raw)
        full = len(raw) == limit
        if not full or self._depth.expected > UNCOUNTED_ROWS_MAX:
            await self._count_window(reader)
        if not full:
            found += await self._beyond(reader)
        return Page(found, exhausted=not full and self._review is None, backlog_rows=limit if full else 0)

    async def end(self, reader: Reader) -> Mark | None:
        """Offset, marker and detail behind everything that is there; None when there is nothing."""
        rows = await reader.rows(
            f"SELECT ts_ms, signal_id FROM {TABLE} WHERE symbol IN (?, ?) AND ts_ms <= ?"
            " ORDER BY ts_ms DESC, signal_id DESC LIMIT 1",
            (*self._symbols, TS_MS_MAX),
        )
        if not rows:
            return None
        key: Key = (rows[0][0], rows[0][1])
        floor = _whole(key[0]) + 1
        return Depth(key, floor, await self._count_below(reader, floor), 0, floor).mark()

    async def _check_cursor(self, reader: Reader) -> None:
        key = self._depth.key
        if key == _START:
            return
        rows = await reader.rows(
            f"SELECT 1 FROM {TABLE} WHERE symbol IN (?, ?) AND ts_ms = ? AND signal_id = ?",
            (*self._symbols, *key),
        )
        if not rows:
            self._counters.resets["rebuilt"] += 1
            self._depth = _NOTHING
            self._review = None

    async def _recount(self, reader: Reader) -> None:
        below = await self._count_below(reader, self._depth.floor)
        if below != self._depth.below:
            # A lower count means rows were deleted, which may hide late ones: read those again too.
            self._counters.late_beyond_lookback += max(0, below - self._depth.below)
            self._counters.resets["rescan"] += 1
            floor = self._depth.floor_min
            below = await self._count_below(reader, floor)
            self._depth = Depth(self._depth.key, floor, below, 0, floor)
            self._start_review()
        self._recount_at_s = self._clock.monotonic_s() + self._recount_s

    def _start_review(self) -> None:
        self._review = _before(self._depth.floor)
        self._review_counts = True
        self._depth = msgspec.structs.replace(self._depth, expected=0)

    async def _review_page(self, reader: Reader, limit: int) -> tuple[list[Found], bool]:
        assert self._review is not None
        raw = await self._between(reader, self._review, TS_MS_MAX, limit, up_to=self._depth.key)
        if self._review_counts:
            expected = self._depth.expected + len(raw)
            self._depth = msgspec.structs.replace(self._depth, expected=expected)
        done = len(raw) < limit
        self._review = None if done else _key_of(reader, raw[-1])
        # The cursor stays: a crash during the review comes back to it, and counts again.
        return [
            self._found(reader, row, self._depth) for row in raw if _key_of(reader, row) not in self._seen
        ], done

    def _found_forward(self, reader: Reader, raw: list[Row]) -> list[Found]:
        depth, found = self._depth, []
        for number, row in enumerate(raw, start=depth.expected + 1):
            self._depth = Depth(_key_of(reader, row), depth.floor, depth.below, number, depth.floor_min)
            found.append(self._found(reader, row, self._depth))
        return found

    async def _count_window(self, reader: Reader) -> None:
        """Compare what stands between floor and cursor with what was read there; equal: raise the floor."""
        depth = self._depth
        if depth.key == _START or self._review is not None:
            return
        if await self._count_from(reader, depth.floor, depth.key) != depth.expected:
            self._start_review()
            return
        floor = max(depth.floor, self._floor_for(depth.key))
        sunk = await reader.number(
            f"SELECT count(*) FROM {TABLE} WHERE symbol IN (?, ?) AND ts_ms >= ? AND ts_ms < ?",
            (*self._symbols, depth.floor, floor),
        )
        self._depth = Depth(depth.key, floor, depth.below + sunk, depth.expected - sunk, depth.floor_min)

    async def _beyond(self, reader: Reader) -> list[Found]:
        raw = await self._between(reader, _before(TS_MS_MAX + 1), None, BEYOND_ROWS_MAX)
        return [
            self._found(reader, row, self._depth) for row in raw if _key_of(reader, row) not in self._seen
        ]

    async def _between(
        self, reader: Reader, after: Key, ts_ms_max: int | None, limit: int, *, up_to: Key | None = None
    ) -> list[Row]:
        bounds = "symbol IN (?, ?) AND (ts_ms, signal_id) > (?, ?)"
        parameters: list[object] = [*self._symbols, *after]
        if ts_ms_max is not None:
            bounds += " AND ts_ms <= ?"
            parameters.append(ts_ms_max)
        if up_to is not None:
            bounds += " AND (ts_ms, signal_id) <= (?, ?)"
            parameters.extend(up_to)
        return await reader.rows(
            f"SELECT {reader.table.selection} FROM {TABLE} WHERE {bounds} ORDER BY ts_ms, signal_id LIMIT ?",
            (*parameters, limit),
        )

    async def _count_below(self, reader: Reader, floor: int) -> int:
        return await reader.number(
            f"SELECT count(*) FROM {TABLE} WHERE symbol IN (?, ?) AND ts_ms < ?", (*self._symbols, floor)
        )

    async def _count_from(self, reader: Reader, floor: int, key: Key) -> int:
        return await reader.number(
            f"SELECT count(*) FROM {TABLE} WHERE symbol IN (?, ?) AND ts_ms >= ?"
            " AND (ts_ms, signal_id) <= (?, ?)",
            (*self._symbols, floor, *key),
        )

    def _floor_for(self, key: Key) -> int:
        # A row from the far future must not take the floor with it: all others would be late.
        return min(_whole(key[0]), self._clock.wall_ms()) - self._lookback_ms

    def _found(self, reader: Reader, row: Row, depth: Depth) -> Found:
        self._handing_out.append(_key_of(reader, row))
        return Found(dict(zip(reader.table.columns, row, strict=True)), -1, depth)

    def _remember_handed_out(self) -> None:
        self._seen.update(dict.fromkeys(self._handing_out))
        self._handing_out.clear()
        while len(self._seen) > SEEN_KEYS_MAX:
            del self._seen[next(iter(self._seen))]


def _before(ts_ms: int) -> Key:
    return ts_ms - 1, _LAST_ID


def _key_of(reader: Reader, row: Row) -> Key:
    columns = reader.table.columns
    return row[columns.index("ts_ms")], row[columns.index("signal_id")]


def _whole(ts_ms: object) -> int:
    return int(ts_ms) if isinstance(ts_ms, int | float) else 0
