"""Holdings: what the final orders of each symbol add up to, exact to the last digit.

They are written in the transaction that makes an order final, so they never tell of another moment than
the rows do. A quantity that cannot be read makes the sum NaN, for good: nobody knows the position then.
"""

from __future__ import annotations

import sqlite3
from decimal import Context, Decimal, DecimalException, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Literal

import msgspec

from store import statements as sql
from store.lifecycle import State

# Every result is exact or an error; Python's own 28 digits would round silently.
EXACT = Context(prec=1_000, traps=[InvalidOperation, DivisionByZero, Overflow, Inexact])
NOTHING = Decimal(0)
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


def add_fill(connection: sqlite3.Connection, row_id: int, before: Decimal = NOTHING) -> None:
    """Add the fill of a wire order that is final now, less what it had added `before`."""
    row = connection.execute(sql.ENDED, (row_id,)).fetchone()
    if row is None:
        return
    symbol, side, qty, order_json, held = row
    change = added(signed(side, qty, order_json), before.copy_negate())
    connection.execute(sql.HOLDING, (symbol, str(added(number(held), change))))


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
