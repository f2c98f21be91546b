"""Steps: how executions move from state to state, each with its event in the same transaction.

A move that the table does not allow changes nothing and comes back with the reason.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from store import statements as sql
from store.binding import alike, event_values, flat, has_fills, move_values, slices
from store.holdings import add_fill, filled, row_side, signed
from store.lifecycle import State, may_fill_late, may_move
from store.records import Move

Refused = list[tuple[Move, str]]

_ENDS_WITH_FILLS = (State.FILLED, State.CANCELED, State.EXPIRED)


def take_steps(
    connection: sqlite3.Connection, moves: Sequence[Move], now_ms: int, *, over_a_wire: bool
) -> Refused:
    """Apply every legal move with its event; those that are not legal change nothing and come back.

    `over_a_wire` is False when the store has no order with a client order id: then there are no holdings.
    """
    refused: Refused = []
    if len({move.row_id for move in moves}) == len(moves):
        _step(connection, moves, now_ms, refused, over_a_wire=over_a_wire)
    else:
        for move in moves:  # two steps of one row: one after the other
            _step(connection, [move], now_ms, refused, over_a_wire=over_a_wire)
    return refused


def _step(
    connection: sqlite3.Connection,
    moves: Sequence[Move],
    now_ms: int,
    refused: Refused,
    *,
    over_a_wire: bool,
) -> None:
    """Steps of different rows at once."""
    legal = []
    for move in moves:
        if move.late:
            _fill_late(connection, move, now_ms, refused)
        elif may_move(move.before, move.after):
            legal.append(move)
        else:
            refused.append((move, f"{move.before} to {move.after} is not a legal move"))
    moved = _write_steps(connection, legal, now_ms)
    if len(moved) < len(legal):
        gone = [move for move in legal if move.row_id not in moved]
        refused += [(move, f"row {move.row_id} is not in state {move.before}") for move in gone]
        legal = [move for move in legal if move.row_id in moved]
    _tell(connection, [event_values(move, now_ms) for move in legal])
    if over_a_wire:
        for move in legal:
            if _ends_with_fills(move):
                add_fill(connection, move.row_id)


def _ends_with_fills(move: Move) -> bool:
    return move.after is State.FILLED or (move.after in _ENDS_WITH_FILLS and has_fills(move))


def _write_steps(connection: sqlite3.Connection, moves: Sequence[Move], now_ms: int) -> set[int]:
    """The ids of the rows that were in the expected state."""
    moved: set[int] = set()
    various: list[Move] = []
    for group in alike(moves):
        if len(group) < sql.ALIKE_MIN or group[0].order_json is not None:
            various += group
            continue
        ids = str([move.row_id for move in group])
        cursor = connection.execute(sql.MOVE_ALIKE, (*move_values(group[0], now_ms)[1:-1], ids))
        moved.update(row[0] for row in cursor.fetchall())
    for start, count in slices(len(various), sql.MOVES_MAX):
        values = flat([move_values(move, now_ms) for move in various[start : start + count]])
        moved.update(row[0] for row in connection.execute(sql.move(count), values).fetchall())
    return moved


def _tell(connection: sqlite3.Connection, events: Sequence[tuple[object, ...]]) -> None:
    for start, count in slices(len(events), sql.EVENTS_MAX):
        connection.execute(sql.events(count), flat(events[start : start + count]))


def _fill_late(connection: sqlite3.Connection, move: Move, now_ms: int, refused: Refused) -> None:
    """A fill of an order whose outcome was final without it: the line is kept, the row put right."""
    if not may_fill_late(move.before, move.after):
        refused.append((move, f"{move.before} to {move.after} is no late fill"))
        return
    row = connection.execute(sql.LATE_ROW, (move.row_id, move.before)).fetchone()
    if row is None:
        refused.append((move, f"row {move.row_id} is not in state {move.before}"))
        return
    side, status, qty, order_json = row
    connection.execute(sql.KEEP_LINE, (now_ms, move.row_id))
    # A skipped row had lost its side, because it had become no order.
    values = (row_side(side, order_json), move.qty, move.price, move.error_code, move.error_msg, move.patch)
    connection.execute(sql.MOVE_LATE, (move.row_id, *values))
    _tell(connection, [event_values(move, now_ms)])
    add_fill(connection, move.row_id, signed(side, filled(move.before, status, qty), order_json))
