"""Pushed events: what the user stream says about our orders, the same for both markets.

Pure. Garbage is None and never an exception; events that nobody needs are `OtherEvent`. Events come at
least once and, around a gap, in any order.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import field

from adapters.binance.wire_replies import STATE_OF_STATUS, Int64, Reply, decoded
from adapters.contract import OrderState


class OrderTradeUpdate(msgspec.Struct, frozen=True):
    """One event of one order: futures' ORDER_TRADE_UPDATE, spot's executionReport.

    `client_order_id` is the one that it was placed under. `cum_qty`, `average_price` and `cum_quote` stand
    after the event (futures tell the average, spot the quote sum; None where not told); `last_*`,
    `commission` and `trade_id` are this fill's, and `trade_id` is None when the event is no trade.
    """

    client_order_id: str
    order_id: int
    symbol: str
    side: str
    order_type: str
    tif: str
    orig_qty: Decimal
    price: Decimal
    execution: str
    status: str
    cum_qty: Decimal
    average_price: Decimal | None
    cum_quote: Decimal | None
    last_qty: Decimal
    last_price: Decimal
    commission: Decimal | None
    commission_asset: str | None
    trade_id: int | None
    event_ms: int
    transaction_ms: int
    reduce_only: bool = False
    reason: str | None = None

    @property
    def state(self) -> OrderState | None:
        """Our word for its status; None for REJECTED or an unknown word."""
        return STATE_OF_STATUS.get(self.status)


class ListenKeyExpired(msgspec.Struct, frozen=True):
    """The stream falls silent, without a disconnect: a new key and a new connection are due."""

    event_ms: int


class OtherEvent(msgspec.Struct, frozen=True):
    """An event that concerns no order, or none of ours; `kind` is the exchange's word."""

    kind: str


StreamEvent = OrderTradeUpdate | ListenKeyExpired | OtherEvent


class _Envelope(msgspec.Struct, frozen=True):
    """The event itself, or a wrapper of a combined stream (`data`) or of the spot WebSocket API (`event`)."""

    kind: str | None = field(default=None, name="e")
    event_ms: Int64 = field(default=0, name="E")
    data: msgspec.Raw = msgspec.Raw()
    event: msgspec.Raw = msgspec.Raw()


class _FuturesOrder(Reply, frozen=True):
    symbol: str = field(name="s")
    client_order_id: str = field(name="c")
    side: str = field(name="S")
    order_type: str = field(name="o")
    tif: str = field(name="f")
    orig_qty: Decimal = field(name="q")
    price: Decimal = field(name="p")
    execution: str = field(name="x")
    status: str = field(name="X")
    order_id: Int64 = field(name="i")
    last_qty: Decimal = field(name="l")
    cum_qty: Decimal = field(name="z")
    last_price: Decimal = field(name="L")
    transaction_ms: Int64 = field(name="T")
    trade_id: Int64 = field(default=0, name="t")
    average_price: Decimal | None = field(default=None, name="ap")
    commission: Decimal | None = field(default=None, name="n")
    commission_asset: str | None = field(default=None, name="N")
    reduce_only: bool = field(default=False, name="R")


class _FuturesEvent(msgspec.Struct, frozen=True):
    event_ms: Int64 = field(name="E")
    order: _FuturesOrder = field(name="o")


class _SpotEvent(Reply, frozen=True):
    event_ms: Int64 = field(name="E")
    symbol: str = field(name="s")
    client_order_id: str = field(name="c")
    side: str = field(name="S")
    order_type: str = field(name="o")
    tif: str = field(name="f")
    orig_qty: Decimal = field(name="q")
    price: Decimal = field(name="p")
    execution: str = field(name="x")
    status: str = field(name="X")
    order_id: Int64 = field(name="i")
    last_qty: Decimal = field(name="l")
    cum_qty: Decimal = field(name="z")
    last_price: Decimal = field(name="L")
    transaction_ms: Int64 = field(name="T")
    trade_id: Int64 = field(default=-1, name="t")
    # A cancel has an id of its own in `c`; the order's then stands here.
    placed_id: str = field(default="", name="C")
    cum_quote: Decimal | None = field(default=None, name="Z")
    commission: Decimal | None = field(default=None, name="n")
    commission_asset: str | None = field(default=None, name="N")
    reason: str = field(default="NONE", name="r")


_envelope = msgspec.json.Decoder(_Envelope)
_futures = msgspec.json.Decoder(_FuturesEvent)
_spot = msgspec.json.Decoder(_SpotEvent)


def read_event(message: bytes) -> StreamEvent | None:
    """What one message of the user stream says; None when it cannot be read, which counts as a gap."""
    envelope = decoded(_envelope, message)
    if envelope is None:
        return None
    if envelope.kind is None:
        message = bytes(envelope.data) or bytes(envelope.event)
        envelope = decoded(_envelope, message)
    if envelope is None or envelope.kind is None:
        return None
    match envelope.kind:
        case "ORDER_TRADE_UPDATE":
            return _of_futures(message)
        case "executionReport":
            return _of_spot(message)
        case "listenKeyExpired":
            return ListenKeyExpired(envelope.event_ms)
        case other:
            return OtherEvent(other)


def _of_futures(message: bytes) -> OrderTradeUpdate | None:
    """The futures event; trade id 0 and average price 0 mean that there is none."""
    event = decoded(_futures, message)
    if event is None:
        return None
    order = event.order
    return OrderTradeUpdate(
        client_order_id=order.client_order_id,
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        order_type=order.order_type,
        tif=order.tif,
        orig_qty=order.orig_qty,
        price=order.price,
        execution=order.execution,
        status=order.status,
        cum_qty=order.cum_qty,
        average_price=order.average_price or None,
        cum_quote=None,
        last_qty=order.last_qty,
        last_price=order.last_price,
        commission=order.commission,
        commission_asset=order.commission_asset,
        trade_id=order.trade_id if order.trade_id > 0 else None,
        event_ms=event.event_ms,
        transaction_ms=order.transaction_ms,
        reduce_only=order.reduce_only,
    )


def _of_spot(message: bytes) -> OrderTradeUpdate | None:
    """The spot event; trade id -1 means that there is none, and the quote sum stands for the average."""
    event = decoded(_spot, message)
    if event is None:
        return None
    return OrderTradeUpdate(
        client_order_id=event.placed_id or event.client_order_id,
        order_id=event.order_id,
        symbol=event.symbol,
        side=event.side,
        order_type=event.order_type,
        tif=event.tif,
        orig_qty=event.orig_qty,
        price=event.price,
        execution=event.execution,
        status=event.status,
        cum_qty=event.cum_qty,
        average_price=None,
        cum_quote=event.cum_quote,
        last_qty=event.last_qty,
        last_price=event.last_price,
        commission=event.commission,
        commission_asset=event.commission_asset,
        trade_id=event.trade_id if event.trade_id >= 0 else None,
        event_ms=event.event_ms,
        transaction_ms=event.transaction_ms,
        reason=None if event.reason == "NONE" else event.reason,
    )
