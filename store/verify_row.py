"""What one row must say by itself. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Literal, NamedTuple

import msgspec

from store.lifecycle import TERMINAL_STATES, State, status_of

_STATES = {state.value: state for state in State}
_SIDES = {"buy": "long", "sell": "short"}
# Nothing of these has filled: the quantity is the ordered one.
_UNFILLED = frozenset({State.RESERVED, State.UNKNOWN, State.OPEN})


class Row(NamedTuple):
    """One row of statements_care.ROWS."""

    row_id: int
    signal_ts_ms: int
    symbol: str
    signal_id: str
    state: str
    status: str
    exec_ts_ms: int | None
    order_id: str | None
    side: str
    qty: str | None
    price: str | None
    meta_json: str
    client_order_id: str | None
    order_json: str | None
    reserved_ms: int
    place_file: str


class _Order(msgspec.Struct, frozen=True, gc=False):
    side: Literal["buy", "sell"]
    qty: Decimal
    symbol: str | None = None
    client_order_id: str | None = None
    signal_id: str | None = None


_decode_order = msgspec.json.Decoder(_Order).decode
Doubt = tuple[str, str]


def check_row(row: Row, wire_id: Callable[[str, str], str]) -> Iterator[Doubt]:
    """Each broken rule as a code and a sentence without its subject."""
    state = _STATES.get(row.state)
    if state is None:
        yield "state", f"its state is {row.state!r}, which is none"
        return
    if row.status not in {status_of(state, has_fills=fills) for fills in (False, True)}:
        yield "status", f"its status is {row.status}, which no {state} has"
    if (row.exec_ts_ms is not None) != (state in TERMINAL_STATES):
        yield "exec_time", f"it is {state} and its exec_ts_ms is {row.exec_ts_ms}"
    elif row.exec_ts_ms is not None and row.exec_ts_ms < row.reserved_ms:
        yield "time", f"it became final at {row.exec_ts_ms}, before it was written at {row.reserved_ms}"
    if row.client_order_id is not None:
        expected = wire_id(row.symbol, row.signal_id)
        if row.client_order_id != expected:
            yield "wire_id", f"its client order id is {row.client_order_id}, by its signal it is {expected}"
        if row.order_json is None:
            yield "order", "it went over a wire and the order is not kept"
    if row.order_json is not None:
        yield from _check_order(row, state, row.order_json)


def _check_order(row: Row, state: State, text: str) -> Iterator[Doubt]:
    try:
        order = _decode_order(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        yield "order", f"its order cannot be read ({error})"
        return
    for name, said, wanted in (
        ("symbol", order.symbol, row.symbol),
        ("signal id", order.signal_id, row.signal_id),
        ("client order id", order.client_order_id, row.client_order_id),
    ):
        if said is not None and wanted is not None and said != wanted:
            yield "order", f"its order has {name} {said}, the row {wanted}"
    if row.side in ("long", "short") and _SIDES[order.side] != row.side:
        yield "order", f"its order says {order.side}, the row {row.side}"
    yield from _check_quantity(row, state, order.qty)


def _check_quantity(row: Row, state: State, ordered: Decimal) -> Iterator[Doubt]:
    try:
        qty = Decimal(row.qty or "")
    except InvalidOperation:
        qty = Decimal("NaN")
    if not qty.is_finite():
        yield "quantity", f"its quantity is {row.qty!r}"
    elif state in _UNFILLED and qty != ordered:
        yield "quantity", f"it is {state} with quantity {row.qty}, its order says {ordered}"
    elif qty > ordered:
        yield "quantity", f"it has filled {row.qty}, more than the {ordered} of its order"
