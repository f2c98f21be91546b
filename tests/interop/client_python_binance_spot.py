"""python-binance on the spot market: its user socket subscribes over the WebSocket API, no listen key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from belief import (
    BAD_SIGNATURE,
    KEY,
    NO_SUCH_ORDER,
    PREFIX,
    QTY,
    REST_URL,
    RESTING_PRICE,
    SECRET,
    STREAM_URL,
    SYMBOL,
    Belief,
    wait_until,
)
from binance import AsyncClient, BinanceSocketManager, Client
from binance.exceptions import BinanceAPIException


class LoopbackClient(Client):
    """The client, with our host."""

    API_URL = f"{REST_URL}/api"


class LoopbackAsyncClient(AsyncClient):
    """The other client, with our hosts."""

    API_URL = f"{REST_URL}/api"
    WS_API_URL = f"{STREAM_URL}/ws-api/v3"


def refused_with(code: int, act: Callable[[], object]) -> bool:
    """Whether `act` ends in the client's own error with this code."""
    try:
        act()
    except BinanceAPIException as error:
        return bool(error.code == code)
    return False


async def main() -> None:
    """The orders, and what the stream told of them."""
    belief = Belief("python-binance")
    client = LoopbackClient(KEY, SECRET, ping=True)
    listener = LoopbackAsyncClient(KEY, SECRET)
    events: list[dict[str, Any]] = []
    try:
        async with BinanceSocketManager(listener).user_socket() as stream:
            following = asyncio.create_task(follow(stream, events))
            await asyncio.to_thread(act, belief, client)
            await asyncio.to_thread(wait_until, "the last word", lambda: "CANCELED" in told(events, "limit"))
            following.cancel()
    finally:
        await listener.close_connection()
    belief.holds("filled by the stream", "FILLED" in told(events, "market"))
    belief.same("life of the limit order", told(events, "limit"), ["NEW", "CANCELED"])
    paid = [one for one in events if one.get("x") == "TRADE" and one["c"] == PREFIX + "market"]
    belief.same("filled quantity by the stream", sum(Decimal(one["l"]) for one in paid), QTY)
    belief.holds("the wallet by the stream", any(one["e"] == "outboundAccountPosition" for one in events))
    for row in client.get_my_trades(symbol=SYMBOL):
        belief.fill(row["id"], row["orderId"], row["qty"], row["price"])
    belief.say()


async def follow(stream: Any, events: list[dict[str, Any]]) -> None:
    """Keep what the stream says."""
    while True:
        events.append(await stream.recv())


def told(events: list[dict[str, Any]], name: str) -> list[str]:
    """The states of an order in the stream's words; a canceled order's own id stands in `C`."""
    reports = [one for one in events if one["e"] == "executionReport"]
    return [one["X"] for one in reports if PREFIX + name in (one["c"], one["C"])]


def act(belief: Belief, client: Any) -> None:
    """The orders."""
    belief.near("server time", client.get_server_time()["serverTime"])
    belief.same("tick size", tick(client), Decimal("0.01"))
    for name, side in (("market", "BUY"), ("close", "SELL")):
        client.create_order(
            symbol=SYMBOL, side=side, type="MARKET", quantity=str(QTY), newClientOrderId=PREFIX + name
        )
        note(belief, name, wait_until(f"order {name} fills", lambda wanted=name: filled(client, wanted)))
    placed = client.create_order(
        symbol=SYMBOL,
        side="BUY",
        type="LIMIT",
        timeInForce="GTC",
        quantity=str(QTY),
        price=str(RESTING_PRICE),
        newClientOrderId=PREFIX + "limit",
    )
    listed = [one["orderId"] for one in client.get_open_orders(symbol=SYMBOL)]
    belief.same("listed as open", listed, [placed["orderId"]])
    canceled = client.cancel_order(symbol=SYMBOL, orderId=placed["orderId"])
    belief.same("canceled", canceled["status"], "CANCELED")
    note(belief, "limit", ask(client, "limit"))
    belief.holds("no such order", refused_with(NO_SUCH_ORDER, lambda: ask(client, "never")))
    forger = LoopbackClient(KEY, "not-the-secret", ping=False)
    belief.holds("bad signature", refused_with(BAD_SIGNATURE, lambda: ask(forger, "limit")))
    balance = client.get_asset_balance(asset="USDT")
    belief.holds("balance", Decimal(balance["free"]) > 0 and Decimal(balance["locked"]) == 0)


def tick(client: Any) -> Decimal:
    """The tick size as the client decoded it."""
    filters = client.get_symbol_info(SYMBOL)["filters"]
    return Decimal(next(one["tickSize"] for one in filters if one["filterType"] == "PRICE_FILTER"))


def ask(client: Any, name: str) -> dict[str, Any]:
    """The order as the exchange tells it now."""
    found: dict[str, Any] = client.get_order(symbol=SYMBOL, origClientOrderId=PREFIX + name)
    return found


def filled(client: Any, name: str) -> dict[str, Any] | None:
    """The order once it is filled."""
    order = ask(client, name)
    return order if order["status"] == "FILLED" else None


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


if __name__ == "__main__":
    asyncio.run(main())
