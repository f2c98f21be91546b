"""The newest executions, for somebody who looks on: a read-only connection of its own, a few bounded queries.

The worker's own connection is never asked, so a viewer costs the way of a signal nothing. Blocking: to be
called in a thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from store import statements as sql
from store import statements_recent as recent_sql
from store.connection import open_reader
from store.limits import MINUTE_MS

EXECUTIONS_MAX = 200
UNRESOLVED_MAX = 100
# So far back orders are looked for among skips: half a millisecond of reading.
ROWS_LOOKED_AT_MAX = 2_000


class Execution(msgspec.Struct, frozen=True):
    """One row as it stands now; quantities are exact decimal text, long words are cut."""

    row_id: int
    symbol: str
    signal_id: str
    signal_ts_ms: int
    reserved_ms: int
    exec_ts_ms: int | None
    state: str
    status: str
    side: str
    qty: str | None
    price: str | None
    error_code: str | None
    error_msg: str | None
    guard_reason: str | None
    client_order_id: str | None


class Recent(msgspec.Struct, frozen=True):
    """What a look at the store found, newest first; `unresolved` oldest first."""

    executions: list[Execution] = []
    orders: list[Execution] = []
    unresolved: list[Execution] = []
    orders_last_minute: int = 0


def read_recent(path: Path, now_ms: int) -> Recent:
    """Look once. Raises sqlite3.Error when the store cannot be read now."""
    with closing(open_reader(path)) as reader:
        # One snapshot: an order is not among the executions and missing among the orders.
        reader.execute("BEGIN")
        sent = reader.execute(sql.COUNT_SENDS, (now_ms - MINUTE_MS,)).fetchone()
        return Recent(
            executions=_executions(reader.execute(recent_sql.LATEST, (EXECUTIONS_MAX,))),
            orders=_executions(
                reader.execute(recent_sql.LATEST_ORDERS, (ROWS_LOOKED_AT_MAX, EXECUTIONS_MAX))
            ),
            unresolved=_executions(reader.execute(recent_sql.UNRESOLVED, (UNRESOLVED_MAX,))),
            orders_last_minute=int(sent[0]),
        )


def _executions(rows: Iterable[tuple[Any, ...]]) -> list[Execution]:
    return [Execution(*row) for row in rows]


def why_unreadable(error: sqlite3.Error) -> str:
    """The sentence for a look that failed."""
    return f"the store cannot be read now ({error}): execution-worker check says more"
