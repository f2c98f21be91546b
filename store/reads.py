"""What the ledger can be asked; nothing here writes."""

from __future__ import annotations

import sqlite3
from decimal import Decimal

from store import statements as sql
from store.lifecycle import State
from store.records import Position, Unsettled


class Reads:
    """The questions; asked in the thread that owns the connection."""

    _connection: sqlite3.Connection

    def unsettled(self, symbol: str) -> list[Unsettled]:
        """The rows of `symbol` without a final outcome, oldest first."""
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
            for row in self._connection.execute(sql.UNSETTLED, (symbol,)).fetchall()
        ]

    def unsettled_summary(self) -> list[tuple[str, State, int, int]]:
        """(symbol, state, rows, oldest reserved_ms) of everything that is not final."""
        rows = self._connection.execute(sql.UNSETTLED_SUMMARY).fetchall()
        return [(symbol, State(state), count, oldest) for symbol, state, count, oldest in rows]

    def row_of(self, client_order_id: str) -> tuple[int, State] | None:
        """Row id and state of the execution with this client order id."""
        row = self._connection.execute(sql.BY_CLIENT_ORDER_ID, (client_order_id,)).fetchone()
        return (row[0], State(row[1])) if row else None

    def quantity_of(self, row_id: int) -> Decimal:
        """The quantity on record: ordered, or filled so far once there is a fill."""
        row = self._connection.execute(sql.QUANTITY_OF, (row_id,)).fetchone()
        return Decimal(row[0] or 0)

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

    def stamps(self) -> dict[str, str]:
        """What this store belongs to."""
        return dict(self._connection.execute(sql.STAMPS).fetchall())
