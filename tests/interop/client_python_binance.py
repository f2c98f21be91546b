"""python-binance: the most used client that nobody at the exchange wrote; sorts, and deletes with a body.

Its user socket follows the account over the private stream while the orders are placed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from belief import (
    BAD_SIGNATURE,
    KEY,
    MIN_NOTIONAL,
    NO_SUCH_ORDER,
    PREFIX,
    QTY,
    REST_URL,
    RESTING_PRICE,
    SECRET,
    SMALL_QTY,
    SMALL_SYMBOL,
    STREAM_URL,
    SYMBOL,
    Belief,
    wait_until,
)
from binance import AsyncClient, BinanceSocketManager, Client
from binance.exceptions import BinanceAPIException


class LoopbackClient(Client):
    """The client, with our host."""

    FUTURES_URL = f"{REST_URL}/fapi"


class LoopbackAsyncClient(AsyncClient):
    """The other client, with our host."""

    FUTURES_URL = f"{REST_URL}/fapi"


class LoopbackSockets(BinanceSocketManager):
    """The sockets, with our host."""

    FSTREAM_URL = f"{STREAM_URL}/"


def refused_with(code: int, act: Callable[[], object]) -> bool:
    """Whether `act` ends in the client's own error with this code."""
    try:
        act()
    except BinanceAPIException as error:
        return bool(error.code == code)
    return False


async def main() -> None:
    """Everything a trader does, and what the client makes of the replies and of the stream."""
    belief = Belief("python-binance")
    client = LoopbackClient(KEY, SECRET, ping=False)
    listener = LoopbackAsyncClient(KEY, SECRET)
    events: list[dict[str, Any]] = []
    try:
        async with LoopbackSockets(listener).futures_user_socket() as stream:
            following = asyncio.create_task(follow(stream, events))
            await asyncio.to_thread(act, belief, client)
            await asyncio.to_thread(wait_until, "the stream's last word", lambda: final(events, "all"))
            following.cancel()
    finally:
        await listener.close_connection()
    compare(belief, events)
    for row in client.futures_account_trades(symbol=SYMBOL):
        belief.fill(row["id"], row["orderId"], row["qty"], row["price"])
    belief.say()


async def follow(stream: Any, events: list[dict[str, Any]]) -> None:
    """Keep what the stream says."""
    while True:
        events.append(await stream.recv())


def of_order(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The stream's words on one order."""
    updates = [one["o"] for one in events if one.get("e") == "ORDER_TRADE_UPDATE"]
    return [one for one in updates if one["c"] == PREFIX + name]


def final(events: list[dict[str, Any]], name: str) -> bool:
    """Whether the stream has said the last word on an order."""
    return any(one["X"] in ("FILLED", "CANCELED") for one in of_order(events, name))


def compare(belief: Belief, events: list[dict[str, Any]]) -> None:
    """What the stream told of the same orders."""
    fills = [one for one in of_order(events, "market") if one["x"] == "TRADE"]
    belief.same("filled by the stream", sum(Decimal(one["l"]) for one in fills), QTY)
    belief.same("last cumulative quantity", fills[-1]["z"], QTY)
    belief.holds("a fee was paid", Decimal(fills[-1]["n"]) > 0 and fills[-1]["N"] == "USDT")
    kinds = [one["x"] for one in of_order(events, "limit")]
    belief.same("life of the limit order", kinds, ["NEW", "CANCELED"])
    belief.holds("account updates", any(one.get("e") == "ACCOUNT_UPDATE" for one in events))


def act(belief: Belief, client: Any) -> None:
    """The orders."""
    look_around(belief, client)
    before = position(client)
    trade(belief, client, before)
    work(belief, client)
    be_refused(belief, client)


def look_around(belief: Belief, client: Any) -> None:
    """What is public, and the account."""
    belief.near("server time", client.futures_time()["serverTime"])
    symbols = {one["symbol"]: one for one in client.futures_exchange_info()["symbols"]}
    belief.same("symbol trades", symbols[SYMBOL]["status"], "TRADING")
    book = client.futures_orderbook_ticker(symbol=SYMBOL)
    belief.holds("bid below ask", 0 < Decimal(book["bidPrice"]) < Decimal(book["askPrice"]))
    balance = {one["asset"]: one for one in client.futures_account_balance()}
    belief.holds("free balance", Decimal(balance["USDT"]["availableBalance"]) > 0)
    belief.holds("may trade", client.futures_account()["canTrade"] is True)
    belief.same("one-way mode", client.futures_get_position_mode()["dualSidePosition"], False)


def position(client: Any) -> Decimal:
    """The signed position as the client sees it."""
    found = client.futures_position_information(symbol=SYMBOL)
    return sum((Decimal(one["positionAmt"]) for one in found), Decimal(0))


def note(belief: Belief, name: str, order: dict[str, Any]) -> None:
    """Keep an order as decoded."""
    belief.order(
        name,
        side=order["side"],
        kind=order["type"],
        price=order["price"],
        state=order["status"],
        filled=order["executedQty"],
        order_id=order["orderId"],
    )


def filled(client: Any, name: str) -> dict[str, Any] | None:
    """The order once it is filled."""
    order: dict[str, Any] = client.futures_get_order(symbol=SYMBOL, origClientOrderId=PREFIX + name)
    return order if order["status"] == "FILLED" else None


def market(client: Any, name: str, side: str, **more: str) -> dict[str, Any]:
    """Place a market order and wait for its fill."""
    client.futures_create_order(
        symbol=SYMBOL, side=side, type="MARKET", quantity=str(QTY), newClientOrderId=PREFIX + name, **more
    )
    done: dict[str, Any] = wait_until(f"order {name} fills", lambda: filled(client, name))
    return done


def trade(belief: Belief, client: Any, before: Decimal) -> None:
    """In and out again, reduce-only."""
    done = market(client, "market", "BUY")
    belief.same("filled", done["executedQty"], QTY)
    belief.holds("average price", Decimal(done["avgPrice"]) > 0)
    belief.same("position holds the fill", position(client), before + QTY)
    note(belief, "market", done)
    done = market(client, "close", "SELL", reduceOnly="true")
    belief.same("position is as before", position(client), before)
    note(belief, "close", done)


def rest(client: Any, name: str) -> dict[str, Any]:
    """Place a limit order that waits."""
    placed: dict[str, Any] = client.futures_create_order(
        symbol=SYMBOL,
        side="BUY",
        type="LIMIT",
        timeInForce="GTC",
        quantity=str(QTY),
        price=str(RESTING_PRICE),
        newClientOrderId=PREFIX + name,
    )
    return placed


def work(belief: Belief, client: Any) -> None:
    """Limit orders that wait, are listed, doubled in vain, and canceled, alone and all at once."""
    placed = rest(client, "limit")
    belief.same("limit order is open", placed["status"], "NEW")
    listed = [one["clientOrderId"] for one in client.futures_get_open_orders(symbol=SYMBOL)]
    belief.holds("listed as open", PREFIX + "limit" in listed)
    belief.holds("the id of an open order is refused", refused_with(-4116, lambda: rest(client, "limit")))
    canceled = client.futures_cancel_order(symbol=SYMBOL, origClientOrderId=PREFIX + "limit")
    belief.same("canceled", canceled["status"], "CANCELED")
    rest(client, "all")
    belief.same("cancel all", int(client.futures_cancel_all_open_orders(symbol=SYMBOL)["code"]), 200)
    belief.same("none is open", client.futures_get_open_orders(symbol=SYMBOL), [])
    for name in ("limit", "all"):
        found = client.futures_get_order(symbol=SYMBOL, origClientOrderId=PREFIX + name)
        belief.same(f"{name} is canceled when asked again", found["status"], "CANCELED")
        note(belief, name, found)
    listed = [one["clientOrderId"] for one in client.futures_get_all_orders(symbol=SYMBOL)]
    for each in ("market", "close", "limit", "all"):
        belief.same(f"{each} listed once", listed.count(PREFIX + each), 1)


def be_refused(belief: Belief, client: Any) -> None:
    """Too small, wrongly signed, not there: each in the client's own words."""

    def place(client: Any, name: str, symbol: str, qty: Decimal) -> object:
        terms = {"symbol": symbol, "quantity": str(qty), "newClientOrderId": PREFIX + name}
        return client.futures_create_order(side="BUY", type="MARKET", **terms)

    too_small = refused_with(MIN_NOTIONAL, lambda: place(client, "small", SMALL_SYMBOL, SMALL_QTY))
    belief.holds("min notional", too_small)
    too_fine = refused_with(-1111, lambda: place(client, "fine", SYMBOL, Decimal("0.0105")))
    belief.holds("too many decimals", too_fine)
    forger = LoopbackClient(KEY, "not-the-secret", ping=False)
    forged = refused_with(BAD_SIGNATURE, lambda: place(forger, "forged", SYMBOL, QTY))
    belief.holds("bad signature", forged)
    for name in ("small", "fine", "forged"):
        belief.refused(name)
    absent = refused_with(
        NO_SUCH_ORDER, lambda: client.futures_get_order(symbol=SYMBOL, origClientOrderId=PREFIX + "never")
    )
    belief.holds("no such order", absent)


if __name__ == "__main__":
    asyncio.run(main())
