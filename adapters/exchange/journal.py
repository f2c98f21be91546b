"""The journal: what really happened, one plain dict per fact, only ever added to.

It is the outside witness: a drill that wants to know whether a signal became two orders asks this file,
not the worker. It is enough to rebuild orders, fills, positions and balances after a restart.

Every entry has `kind`, `seq`, `now_ms` (as handed in), `exchange_ms` (with the clock's skew). Kinds:
`accepted`, `amended`, `fill`, `canceled`, `expired` (an order's life), `mode`, `leverage` (the account's
settings), `fault`, `refused_late` (what the fault plan did; nothing follows from them).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from adapters.exchange.orders import Book, LiveOrder, Terms, Trade
from adapters.exchange.timeline import Timeline

Entry = Mapping[str, object]
JournalSink = Callable[[Entry], None]
Ending = Literal["canceled", "expired"]


class JournalError(Exception):
    """A journal that an exchange cannot be rebuilt from."""


class Accepted(msgspec.Struct, frozen=True, tag_field="kind", tag="accepted"):
    """The fact everything hangs on: from here on the order exists."""

    now_ms: int
    exchange_ms: int
    order_id: int
    account: str
    symbol: str
    client_order_id: str
    side: Literal["BUY", "SELL"]
    type: str
    tif: str
    qty: Decimal
    price: Decimal | None
    position_side: str
    reduce_only: bool


class Filled(msgspec.Struct, frozen=True, tag_field="kind", tag="fill"):
    """One trade of one order."""

    now_ms: int
    exchange_ms: int
    order_id: int
    account: str
    symbol: str
    client_order_id: str
    side: Literal["BUY", "SELL"]
    trade_id: int
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    realized: Decimal
    maker: bool


class Amended(msgspec.Struct, frozen=True, tag_field="kind", tag="amended"):
    """A working order goes on under other terms."""

    now_ms: int
    exchange_ms: int
    order_id: int
    qty: Decimal
    price: Decimal


class Canceled(msgspec.Struct, frozen=True, tag_field="kind", tag="canceled"):
    """The order stopped because someone asked for it."""

    now_ms: int
    exchange_ms: int
    order_id: int


class Expired(msgspec.Struct, frozen=True, tag_field="kind", tag="expired"):
    """The order stopped by its own terms."""

    now_ms: int
    exchange_ms: int
    order_id: int


class ModeSet(msgspec.Struct, frozen=True, tag_field="kind", tag="mode"):
    """The account went over to another position mode."""

    account: str
    hedge: bool


class LeverageSet(msgspec.Struct, frozen=True, tag_field="kind", tag="leverage"):
    """A symbol's leverage was changed."""

    account: str
    symbol: str
    leverage: Decimal


class FaultDone(msgspec.Struct, frozen=True, tag_field="kind", tag="fault"):
    """The fault plan struck."""

    fault: str


class RefusedLate(msgspec.Struct, frozen=True, tag_field="kind", tag="refused_late"):
    """An order that was on its way too long."""

    code: int | None


Fact = Accepted | Amended | Filled | Canceled | Expired | ModeSet | LeverageSet | FaultDone | RefusedLate


class Journal:
    """Hands each fact to the sink and keeps the entries, in order."""

    def __init__(self, timeline: Timeline, sink: JournalSink | None) -> None:
        self.entries: list[Entry] = []
        self._timeline = timeline
        self._sink = sink

    def write(self, kind: str, **values: object) -> None:
        """Add one fact; Decimals become text."""
        entry: dict[str, object] = {
            "seq": len(self.entries) + 1,
            "kind": kind,
            "now_ms": self._timeline.host_ms,
            "exchange_ms": self._timeline.now_ms,
        }
        entry |= {
            name: format(value, "f") if isinstance(value, Decimal) else value
            for name, value in values.items()
        }
        self.entries.append(entry)
        if self._sink is not None:
            self._sink(entry)

    def accepted(self, order: LiveOrder) -> None:
        """The order exists."""
        terms = order.terms
        self.write(
            "accepted",
            **_names_of(order),
            type=terms.type,
            tif=terms.tif,
            qty=terms.qty,
            price=terms.price,
            position_side=terms.position_side,
            reduce_only=terms.reduce_only,
        )

    def fill(self, order: LiveOrder, trade: Trade) -> None:
        """The order filled, in part or in whole."""
        self.write(
            "fill",
            **_names_of(order),
            trade_id=trade.trade_id,
            qty=trade.qty,
            price=trade.price,
            fee=trade.fee,
            fee_asset=trade.fee_asset,
            realized=trade.realized,
            maker=trade.maker,
            executed=order.executed,
            status=order.status,
        )

    def amended(self, order: LiveOrder) -> None:
        """The order has new terms."""
        self.write("amended", **_names_of(order), qty=order.terms.qty, price=order.terms.price)

    def ended(self, order: LiveOrder, ending: Ending) -> None:
        """The order will not fill any more."""
        self.write(ending, **_names_of(order), executed=order.executed)


def _names_of(order: LiveOrder) -> dict[str, object]:
    return {
        "account": order.terms.account,
        "symbol": order.terms.symbol,
        "order_id": order.order_id,
        "client_order_id": order.terms.client_order_id,
        "side": order.terms.side,
    }


def read_fact(entry: Entry) -> Fact:
    """One entry as a typed fact; raises JournalError where it is none."""
    try:
        fact: Fact = msgspec.convert(entry, Fact, strict=False)
        return fact
    except msgspec.ValidationError as error:
        raise JournalError(f"journal entry {entry.get('seq')} cannot be read: {error}") from error


def order_of(fact: Accepted) -> LiveOrder:
    """The order as it was when it was accepted."""
    terms = Terms(
        account=fact.account,
        symbol=fact.symbol,
        side=fact.side,
        type=fact.type,
        tif=fact.tif,
        qty=fact.qty,
        price=fact.price,
        client_order_id=fact.client_order_id,
        position_side=fact.position_side,
        reduce_only=fact.reduce_only,
    )
    return LiveOrder(fact.order_id, terms, created_ms=fact.exchange_ms, updated_ms=fact.exchange_ms)


def known_order(book: Book, order_id: int) -> LiveOrder:
    """The order an entry speaks of; raises JournalError where none was accepted before."""
    order = book.orders.get(order_id)
    if order is None:
        raise JournalError(f"journal speaks of order {order_id}, which it never says was accepted")
    return order
