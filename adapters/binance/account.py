"""What the account has and what becomes of its orders at a person's word: one call each, values back.

Answers are typed facts or a `Trouble`; the adapter and the commands for people put them into their own words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from adapters.binance import wire
from adapters.binance.asking import Trouble, ask
from adapters.binance.client import Client
from adapters.binance.history import orders_since, trades_since
from adapters.binance.market import Market
from adapters.binance.wire_replies import (
    BalanceReply,
    OrderReply,
    PositionReply,
    read_balances,
    read_order,
    read_orders,
    read_positions,
)
from adapters.contract import (
    AmendResult,
    CancelResult,
    Fill,
    Order,
    OrderSide,
    OrderState,
    OrderUpdate,
    PastOrder,
)

# Whose orders they are: the worker's own, and those that `flatten` places.
Ours = Callable[[str], bool]

FINAL: frozenset[str] = frozenset({"filled", "canceled", "expired"})
ANOTHER_ORDER = "the answer is about another order"


async def position(client: Client, symbol: str, base_asset: str | None) -> Decimal | Trouble:
    """The signed position in base units; on spot, all there is of the base asset."""
    if client.market is Market.FUTURES:
        positions = await positions_of(client, symbol)
        if isinstance(positions, Trouble):
            return positions
        return sum((one.position_amt for one in positions if one.symbol == symbol), Decimal(0))
    if base_asset is None:
        return Trouble("missing", f"the base asset of {symbol} is not known")
    held = await balances(client)
    if isinstance(held, Trouble):
        return held
    return sum((one.total for one in held if one.asset == base_asset), Decimal(0))


async def positions_of(client: Client, symbol: str | None = None) -> Sequence[PositionReply] | Trouble:
    """Futures: the positions that are not flat, of `symbol` or of all."""
    found = await ask(client, wire.position_risk(symbol), read_positions)
    return found if isinstance(found, Trouble) else [one for one in found if one.position_amt]


async def balances(client: Client) -> Sequence[BalanceReply] | Trouble:
    """Every asset that there is some of."""
    market = client.market
    found = await ask(client, wire.balance(market), lambda body: read_balances(market, body))
    return found if isinstance(found, Trouble) else [one for one in found if one.total or one.free]


async def working(client: Client, symbol: str, ours: Ours) -> Sequence[PastOrder] | Trouble:
    """The orders of `symbol` that work, as far as they are `ours`."""
    found = await ask(client, wire.open_orders(client.market, symbol), read_orders, urgent=True)
    return found if isinstance(found, Trouble) else _past(found, ours)


async def past(client: Client, symbol: str, since_ms: int, ours: Ours) -> Sequence[PastOrder] | Trouble:
    """Every order since `since_ms` (exchange clock) that is `ours`, oldest first; all of them or none."""
    found = await orders_since(client, symbol, since_ms)
    return found if isinstance(found, Trouble) else _past(found, ours)


async def fills(client: Client, symbol: str, since_ms: int) -> Sequence[Fill] | Trouble:
    """The trades since `since_ms` (exchange clock); the client order id is "" for orders older than that."""
    trades = await trades_since(client, symbol, since_ms)
    if isinstance(trades, Trouble):
        return trades
    if not trades:
        return ()
    orders = await orders_since(client, symbol, since_ms)
    if isinstance(orders, Trouble):
        return orders
    names = {order.order_id: order.our_id for order in orders}
    return [
        Fill(
            client_order_id=names.get(trade.order_id, ""),
            trade_id=str(trade.id),
            qty=trade.qty,
            price=trade.price,
            fee=trade.commission,
            fee_asset=trade.commission_asset,
            ts_ms=trade.time,
        )
        for trade in trades
    ]


async def cancel(client: Client, client_order_id: str, symbol: str) -> CancelResult | Trouble:
    """One order shall work no longer; `done` also when it had ended by itself. May be repeated."""
    request = wire.cancel_order(client.market, symbol, client_order_id)
    canceled = await ask(client, request, read_order, urgent=True)
    if not isinstance(canceled, Trouble):
        if not _is_about(canceled, client_order_id, symbol):
            return Trouble("unreadable", ANOTHER_ORDER)
        # A futures reply may show the order before it is off the book: its word is what counts.
        return CancelResult(done=True, text=(canceled.status or "canceled").lower())
    if canceled.kind != "missing":
        return canceled
    order = await ask(
        client, wire.query_order(client.market, symbol, client_order_id), read_order, urgent=True
    )
    if isinstance(order, Trouble):
        return Trouble(order.kind, f"nothing of it works, and it cannot be looked at: {order.text}")
    if not _is_about(order, client_order_id, symbol):
        return Trouble("unreadable", ANOTHER_ORDER)
    if order.state in FINAL or order.status == "REJECTED":
        return CancelResult(done=True, text=f"it had ended before: {(order.status or '').lower()}")
    return CancelResult(done=False, text=f"it is {order.status} and was not canceled: repeat it")


async def amend(
    client: Client, client_order_id: str, symbol: str, qty: Decimal, price: Decimal
) -> AmendResult | Trouble:
    """Change a working futures limit order; asked for first, because the call has to name its side."""
    order = await ask(client, wire.query_order(client.market, symbol, client_order_id), read_order)
    if isinstance(order, Trouble):
        return order
    if not _is_about(order, client_order_id, symbol):
        return Trouble("unreadable", ANOTHER_ORDER)
    side = _side(order.side)
    if side is None or order.state in FINAL or order.type != "LIMIT":
        return AmendResult(done=False, text=f"it is a {order.type} order that is {order.status}")
    before = Order(
        client_order_id=client_order_id,
        symbol=symbol,
        side=side,
        order_type="limit",
        tif=order.time_in_force or "GTC",
        qty=qty,
        price=price,
        signal_id="",
    )
    amended = await ask(client, wire.amend_order(before, qty, price), read_order)
    if isinstance(amended, Trouble):
        return amended
    if not _is_about(amended, client_order_id, symbol):
        return Trouble("unreadable", ANOTHER_ORDER)
    return AmendResult(done=True, text=(amended.status or "amended").lower())


def _is_about(order: OrderReply, client_order_id: str, symbol: str) -> bool:
    return (order.our_id, order.symbol) == (client_order_id, symbol)


def _past(orders: Sequence[OrderReply], ours: Ours) -> Sequence[PastOrder] | Trouble:
    read = [_past_order(order) for order in orders if ours(order.our_id)]
    whole = [order for order in read if order is not None]
    if len(whole) < len(read):
        return Trouble("unreadable", "an order of ours is shown without its terms")
    return sorted(whole, key=lambda order: order.at_ms)


def _past_order(order: OrderReply) -> PastOrder | None:
    """The order with its terms; None when one of them is not told."""
    side = _side(order.side)
    # Refused after it was taken: it works no longer, and nothing of it was executed.
    state: OrderState | None = "canceled" if order.status == "REJECTED" else order.state
    at_ms = order.time or order.update_time
    if side is None or state is None or order.type is None or order.orig_qty is None or at_ms is None:
        return None
    return PastOrder(
        update=OrderUpdate(
            client_order_id=order.our_id,
            state=state,
            filled_qty=order.executed_qty or Decimal(0),
            average_price=order.average_price,
            exchange_order_id=str(order.order_id),
            event_ms=order.update_time,
            symbol=order.symbol,
        ),
        symbol=order.symbol,
        side=side,
        order_type=order.type.lower(),
        tif=order.time_in_force or "GTC",
        qty=order.orig_qty,
        price=order.price or None,
        at_ms=at_ms,
    )


def _side(word: str | None) -> OrderSide | None:
    match word:
        case "BUY":
            return "buy"
        case "SELL":
            return "sell"
    return None
