"""Prune: rows that nothing can ask for any more go, with their events; nobody is executed twice by it.

A row stays while its outcome is open, while its signal may still be read again from a source, while the
venue may still tell of its order, and until every output has told of it. What its fills added to the position
of its symbol stays in `holdings`; how much of that has no row any more is kept in a stamp, so that a recount
agrees.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import msgspec

from store import execlog, execlog_table
from store import statements as sql
from store import statements_care as care
from store.connection import Store
from store.holdings import NOTHING, added, filled, number, signed
from store.lifecycle import State
from store.pruning import own_transaction

# The fills of pruned rows, an exact sum; the symbol follows.
PRUNED_STAMP = "pruned:"
# Rows of which the outcome is older than this may be gone.
PRUNED_BEFORE_STAMP = "pruned_before_ms"
# In one transaction: some 10 ms, for which a commit may have to wait.
ROWS_A_BATCH = 250
_HOURLY = "executions"


class Reach(msgspec.Struct, frozen=True):
    """What a source may still deliver of one symbol: everything since a time, and single times before it."""

    since_ms: int
    odd: frozenset[int] = frozenset()

    def holds(self, signal_ts_ms: int) -> bool:
        """Whether a signal of that time may still be read."""
        return signal_ts_ms >= self.since_ms or signal_ts_ms in self.odd


class Horizon(msgspec.Struct, frozen=True):
    """Which rows may go: final before a time, of symbols whose reach is known, beyond that reach."""

    before_ms: int
    reach: Mapping[str, Reach]


class _Row(NamedTuple):
    row_id: int
    symbol: str
    signal_ts_ms: int
    reserved_ms: int
    exec_ts_ms: int | None
    state: str
    status: str
    side: str
    qty: str | None
    client_order_id: str | None
    order_json: str | None
    late_at_ms: int | None

    @property
    def end_ms(self) -> int:
        """When its last event happened."""
        return max(self.exec_ts_ms or 0, self.late_at_ms or 0)


@dataclass(slots=True)
class Batch:
    """What one look has chosen; `reached` is the last row that was looked at."""

    reached: int
    done: bool
    ids: list[int] = field(default_factory=list)
    events: list[int] = field(default_factory=list)
    fills: dict[str, Decimal] = field(default_factory=dict)
    late: int = 0
    # Rows that stay although they are old enough, by reason.
    kept: Counter[str] = field(default_factory=Counter)


def choose(reader: sqlite3.Connection, after: int, horizon: Horizon) -> Batch:
    """Those of the next ROWS_A_BATCH rows after row `after` that may go. Raises sqlite3.Error."""
    reader.execute("BEGIN")
    try:
        return _choose(reader, after, horizon)
    finally:
        reader.execute("COMMIT")


def _choose(reader: sqlite3.Connection, after: int, horizon: Horizon) -> Batch:
    last_row = reader.execute(sql.LAST_ROW).fetchone()[0]
    last_event = reader.execute(care.LAST_EVENT).fetchone()[0]
    told = _told_up_to(reader)
    rows = [_Row(*row) for row in reader.execute(care.PRUNE_ROWS, (after, ROWS_A_BATCH))]
    # Rows are written in the order of time: behind one that is too young there is none.
    old = [row for row in rows if row.reserved_ms < horizon.before_ms]
    batch = Batch(
        reached=old[-1].row_id if old else after, done=len(old) < len(rows) or len(rows) < ROWS_A_BATCH
    )
    chosen: dict[int, _Row] = {}
    for row in old:
        why = "last" if row.row_id == last_row else _why_kept(row, horizon)
        if why is None:
            chosen[row.row_id] = row
        else:
            batch.kept[why] += 1
    seqs = _events_of(reader, chosen)
    for row_id, row in chosen.items():
        own = seqs.get(row_id, [])
        if not own or max(own) > told or max(own) >= last_event:
            batch.kept["untold"] += 1
            continue
        batch.ids.append(row_id)
        batch.events += own
        batch.late += row.late_at_ms is not None
        _add_fill(batch.fills, row)
    return batch


def _why_kept(row: _Row, horizon: Horizon) -> str | None:
    reach = horizon.reach.get(row.symbol)
    if row.exec_ts_ms is None:
        return "unsettled"
    if row.end_ms >= horizon.before_ms or row.signal_ts_ms >= horizon.before_ms:
        return "recent"
    if reach is None or reach.holds(row.signal_ts_ms):
        return "reachable"
    return None


def _told_up_to(reader: sqlite3.Connection) -> int:
    """The last event that every output in force has told of."""
    cursors: dict[str, int] = dict(reader.execute(sql.PROJECTIONS).fetchall())
    kind = dict(reader.execute(sql.STAMPS).fetchall()).get("execlog")
    log = {"jsonl": execlog.NAME, "sqlite": execlog_table.NAME}.get(kind or "")
    told = cursors.get(_HOURLY, 0)
    return told if log is None else min(told, cursors.get(log, 0))


def _events_of(reader: sqlite3.Connection, rows: Mapping[int, _Row]) -> dict[int, list[int]]:
    """The events of these rows, looked for between the first one's birth and the last one's end."""
    if not rows:
        return {}
    first = _first_event(reader, min(row.reserved_ms for row in rows.values()))
    behind = _first_event(reader, max(row.end_ms for row in rows.values()) + 1)
    found: dict[int, list[int]] = {}
    for seq, row_id in reader.execute(care.EVENTS_OF_ROWS, (first, behind, _list(rows))):
        found.setdefault(row_id, []).append(seq)
    return found


def _first_event(reader: sqlite3.Connection, at_ms: int) -> int:
    """The first event at or after a time, found by halving; behind the last one when there is none."""
    low, high = 0, reader.execute(care.LAST_EVENT).fetchone()[0] + 1
    while low < high:
        middle = (low + high) // 2
        row = reader.execute(care.EVENT_FROM, (middle,)).fetchone()
        if row is None or row[1] >= at_ms:
            high = middle
        else:
            low = row[0] + 1
    return low


def _add_fill(fills: dict[str, Decimal], row: _Row) -> None:
    if row.client_order_id is None:
        return
    size = filled(State(row.state), row.status, row.qty)
    change = NOTHING if size == "0" else signed(row.side, size, row.order_json)
    fills[row.symbol] = added(fills.get(row.symbol, NOTHING), change)


def forget(store: Store, batch: Batch, before_ms: int) -> int:
    """Take a batch out of the store; how many rows went, 0 when one of them has changed since it was chosen.

    Belongs into the thread that writes. Raises FencedError, and sqlite3.Error when nothing went.
    """
    with own_transaction(store) as connection:
        gone = _forget(connection, batch, before_ms)
        if not gone:
            connection.execute("ROLLBACK")
    return gone


def _forget(connection: sqlite3.Connection, batch: Batch, before_ms: int) -> int:
    ids, events = _list(batch.ids), _list(batch.events)
    if connection.execute(care.COUNT_LATE, (ids,)).fetchone()[0] != batch.late:
        return 0
    connection.execute(care.PRUNE_LATE, (ids,))
    connection.execute(care.PRUNE_LOG, (events,))
    told = connection.execute(care.PRUNE_EVENTS, (events,)).rowcount
    gone = connection.execute(care.PRUNE_EXECUTIONS, (ids,)).rowcount
    if gone != len(batch.ids) or told != len(batch.events):
        return 0
    stamps: dict[str, str] = dict(connection.execute(sql.STAMPS).fetchall())
    before = max(before_ms, int(stamps.get(PRUNED_BEFORE_STAMP, "0")))
    changed = {PRUNED_BEFORE_STAMP: str(before)}
    for symbol, change in batch.fills.items():
        key = f"{PRUNED_STAMP}{symbol}"
        changed[key] = str(added(number(stamps.get(key)), change))
    connection.executemany(sql.STAMP, list(changed.items()))
    return gone


def _list(numbers: Mapping[int, _Row] | list[int]) -> str:
    return msgspec.json.encode(list(numbers)).decode()
