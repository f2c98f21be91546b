"""What the ledger can be asked; nothing here writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal, DecimalException
from functools import reduce
from typing import Any

import msgspec

from store import statements as sql
from store.halts import halts_of
from store.holdings import EXACT, IDS_MAX, filled, holding_of, number, signed
from store.lifecycle import State
from store.limits import BASELINE_STAMP, MINUTE_MS
from store.records import AuditEntry, Halt, Position, Unsettled

_encode = msgspec.json.encode


class Reads:
    """The questions; asked in the thread that owns the connection."""

    _connection: sqlite3.Connection

    def unsettled(self, symbol: str) -> list[Unsettled]:
        """The rows of `symbol` without a final outcome, oldest first."""
        return _unsettled(self._connection.execute(sql.UNSETTLED, (symbol,)))

    def working(self, symbol: str) -> list[Unsettled]:
        """The orders of `symbol` that the venue has and has not finished, oldest first."""
        return [row for row in self.unsettled(symbol) if row.state in (State.OPEN, State.PARTIAL)]

    def row_by_signal(self, signal_id: str) -> list[Unsettled]:
        """The rows without a final outcome of a signal id, or of a client order id.

        More than one when symbols share a signal id. A final row is not among them: `inspect` shows it.
        """
        return _unsettled(self._connection.execute(sql.UNSETTLED_BY_ID, (signal_id,)))

    def unsettled_summary(self) -> list[tuple[str, State, int, int]]:
        """(symbol, state, rows, oldest reserved_ms) of everything that is not final."""
        rows = self._connection.execute(sql.UNSETTLED_SUMMARY).fetchall()
        return [(symbol, State(state), count, oldest) for symbol, state, count, oldest in rows]

    def row_of(self, client_order_id: str) -> tuple[int, State] | None:
        """Row id and state of the execution with this client order id."""
        row = self._connection.execute(sql.BY_CLIENT_ORDER_ID, (client_order_id,)).fetchone()
        return (row[0], State(row[1])) if row else None

    def known(self, client_order_ids: Collection[str]) -> frozenset[str]:
        """Those of the ids that have a row."""
        ids = list(client_order_ids)
        found: set[str] = set()
        for start in range(0, len(ids), IDS_MAX):
            chunk = _encode(ids[start : start + IDS_MAX]).decode()
            found.update(row[0] for row in self._connection.execute(sql.KNOWN, (chunk,)))
        return frozenset(found)

    def venue_orders(self, client_order_ids: Collection[str]) -> dict[str, tuple[State, str | None]]:
        """State and the venue's own order id (None while not known) of those of the ids that have a row."""
        ids = list(client_order_ids)
        found: dict[str, tuple[State, str | None]] = {}
        for start in range(0, len(ids), IDS_MAX):
            chunk = _encode(ids[start : start + IDS_MAX]).decode()
            for wire_id, state, venue_id in self._connection.execute(sql.VENUE_ORDERS, (chunk,)):
                found[wire_id] = State(state), None if venue_id is None else str(venue_id)
        return found

    def exchange_order_id_of(self, row_id: int) -> str | None:
        """The venue's own id of the order of a row that exists; None while it is not known."""
        found = self._connection.execute(sql.VENUE_ID_OF, (row_id,)).fetchone()[0]
        return None if found is None else str(found)

    def symbol_of(self, row_id: int) -> str:
        """The symbol of a row that exists."""
        row = self._connection.execute(sql.SYMBOL_OF, (row_id,)).fetchone()
        assert row is not None, row_id
        return str(row[0])

    def quantity_of(self, row_id: int) -> Decimal:
        """The quantity on record: ordered, or filled so far once there is a fill."""
        row = self._connection.execute(sql.QUANTITY_OF, (row_id,)).fetchone()
        return Decimal(row[0] or 0)

    def filled_of(self, row_id: int) -> Decimal:
        """The filled quantity that a row tells of; 0 before the first fill, NaN when it cannot be read."""
        state, status, qty = self._connection.execute(sql.OUTCOME_OF, (row_id,)).fetchone()
        return number(filled(State(state), status, qty))

    def holding(self, symbol: str) -> Decimal:
        """The signed sum of what the final wire orders of `symbol` filled; NaN when it cannot be told."""
        return holding_of(self._connection, symbol)

    def expected_position(self, symbol: str, except_ids: Collection[str] = ()) -> Decimal | None:
        """The signed position that the account should show: its beginning and every fill on record.

        None where nobody can tell: while an order of the symbol is in flight, those of `except_ids` (client
        order ids) apart, or when a quantity cannot be read. Of those, fills on record count.
        """
        baseline = self._connection.execute(sql.STAMP_OF, (f"{BASELINE_STAMP}{symbol}",)).fetchone()
        parts = [number(baseline[0] if baseline else None), self.holding(symbol)]
        for wire_id, state, side, qty, order_json in self._connection.execute(sql.IN_FLIGHT, (symbol,)):
            if wire_id not in except_ids:
                return None
            parts.append(signed(side, filled(State(state), "", qty), order_json))
        if any(part.is_nan() for part in parts):
            return None
        return _exact_sum(parts)

    def sends_since(self, since_ms: int) -> list[int]:
        """When each wire order since `since_ms` was reserved, ascending; what budgets begin with."""
        return [row[0] for row in self._connection.execute(sql.SENDS, (since_ms,))]

    def orders_in_last_minute(self, now_ms: int) -> int:
        """How many wire orders of all symbols were reserved in the 60 s before `now_ms`."""
        row = self._connection.execute(sql.COUNT_SENDS, (now_ms - MINUTE_MS,)).fetchone()
        return int(row[0])

    def halts(self) -> list[Halt]:
        """Every halt on record, those whose time is over too; the one for all symbols first."""
        return halts_of(self._connection)

    def audits(self, limit: int) -> list[AuditEntry]:
        """The latest decisions, newest first, at most `limit`."""
        return [AuditEntry(*row) for row in self._connection.execute(sql.AUDITS, (limit,))]

    def positions(self, symbol: str, source: str) -> list[Position]:
        """The durable source positions of one lane."""
        return [Position(*row) for row in self._connection.execute(sql.POSITIONS, (symbol, source))]

    def get_high_water_ts(self, symbol: str) -> int | None:
        """The greatest signal time ever read for `symbol`, for people; it decides nothing."""
        row = self._connection.execute(sql.LANE_OF, (symbol,)).fetchone()
        return int(row[0]) if row else None

    def last_order_ts_ms(self, symbol: str) -> int:
        """The signal time of the last order of `symbol`; 0 when there was none."""
        row = self._connection.execute(sql.LANE_OF, (symbol,)).fetchone()
        return int(row[1]) if row else 0

    def last_event_seq(self) -> int:
        """The sequence number of the newest event; 0 when there is none."""
        return int(self._connection.execute(sql.LAST_EVENT_SEQ).fetchone()[0])

    def stamps(self) -> dict[str, str]:
        """What this store belongs to."""
        return dict(self._connection.execute(sql.STAMPS).fetchall())


def _unsettled(rows: Iterable[tuple[Any, ...]]) -> list[Unsettled]:
    return [
        Unsettled(
            row_id=row[0],
            symbol=row[1],
            signal_id=row[2],
            signal_ts_ms=row[3],
            state=State(row[4]),
            client_order_id=row[5],
            order_json=row[6],
            side=row[7],
            meta_json=row[8],
            reserved_ms=row[9],
        )
        for row in rows
    ]


def _exact_sum(parts: Sequence[Decimal]) -> Decimal | None:
    try:
        return reduce(EXACT.add, parts, Decimal(0))
    except DecimalException:
        return None
