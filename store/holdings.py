"""Holdings: what the final orders of each symbol add up to, exact to the last digit.

They are written in the transaction that makes an order final, so they never tell of another moment than
the rows do. A quantity that cannot be read makes the sum NaN, for good: nobody knows the position then.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from decimal import Context, Decimal, DecimalException, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Literal

import msgspec

from store import statements as sql
from store.lifecycle import State

# Every result is exact or an error; Python's own 28 digits would round silently.
EXACT = Context(prec=1_000, traps=[InvalidOperation, DivisionByZero, Overflow, Inexact])
UNREADABLE = Decimal("NaN")
# Ids in one list of a statement.
IDS_MAX = 1_000


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What an order's text says of its direction and size."""

    side: Literal["buy", "sell"]
    qty: Decimal


class _Direction(msgspec.Struct, frozen=True, gc=False):
    side: Literal["buy", "sell"]


_decode_direction = msgspec.json.Decoder(_Direction).decode
_SIDES = {"buy": "long", "sell": "short"}


def row_side(side: str, order_json: str | None) -> str:
    """`long` or `short` by the order as it was sent; the row's own side where no order tells."""
    try:
        return _SIDES[_decode_direction(order_json or "").side]
    except msgspec.MsgspecError:
        return side


def signed(side: str, qty: str | None, order_json: str | None) -> Decimal:
    """A filled quantity with its sign; NaN when it cannot be read."""
    direction = row_side(side, order_json)
    try:
        size = Decimal(qty or "")
    except InvalidOperation:
        return UNREADABLE
    if not size.is_finite() or direction not in ("long", "short"):
        return UNREADABLE
    return size if direction == "long" else size.copy_negate()


def filled(state: State, status: str, qty: str | None) -> str:
    """The filled quantity that a row tells of, as it stands there."""
    has_fills = state in (State.FILLED, State.PARTIAL) or (
        state in (State.CANCELED, State.EXPIRED) and status == "success"
    )
    return (qty or "") if has_fills else "0"


def added(total: Decimal, change: Decimal) -> Decimal:
    """The exact sum; NaN when there is none."""
    try:
        return EXACT.add(total, change)
    except DecimalException:
        return UNREADABLE


def add_ended(connection: sqlite3.Connection, row_ids: Collection[int]) -> None:
    """Add the fills of orders that have just become final. Raises sqlite3.Error."""
    found = connection.execute(sql.ENDED, (str(list(row_ids)),)).fetchall()
    add_changes(connection, [(symbol, signed(side, qty, order)) for symbol, side, qty, order in found])


def add_changes(connection: sqlite3.Connection, changes: Iterable[tuple[str, Decimal]]) -> None:
    """Add signed quantities, each to its symbol's holding."""
    totals: dict[str, Decimal] = {}
    for symbol, change in changes:
        before = totals[symbol] if symbol in totals else holding_of(connection, symbol)
        totals[symbol] = added(before, change)
    if totals:
        connection.executemany(sql.HOLDING, [(symbol, str(total)) for symbol, total in totals.items()])


def holding_of(connection: sqlite3.Connection, symbol: str) -> Decimal:
    """What the final orders of `symbol` add up to; NaN when that cannot be told."""
    row = connection.execute(sql.HOLDING_OF, (symbol,)).fetchone()
    return number(row[0] if row else None)


def number(text: str | None) -> Decimal:
    """A stored number; 0 when there is none, NaN when it is none."""
    try:
        value = Decimal("0" if text is None else text)
    except InvalidOperation:
        return UNREADABLE
    return value if value.is_finite() else UNREADABLE
