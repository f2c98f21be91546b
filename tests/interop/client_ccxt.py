"""ccxt (binanceusdm): one engine for a hundred exchanges, which signs in query and body and sorts nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import ccxt
from belief import (
    KEY,
    PREFIX,
    QTY,
    REST_URL,
    RESTING_PRICE,
    SECRET,
    SMALL_QTY,
    Belief,
    wait_until,
)

MARKET = "BTC/USDT:USDT"
SMALL_MARKET = "ETH/USDT:USDT"


def open_client(secret: str) -> Any:
    """The client with every host of its own replaced by ours."""
    client = ccxt.binanceusdm({"apiKey": KEY, "secret": secret, "enableRateLimit": False})
    for name, url in client.urls["api"].items():
        client.urls["api"][name] = re.sub(r"^[a-z]+://[^/]+", REST_URL, url)
    client.has["fetchCurrencies"] = False
    return client


def refused_with(kind: type[Exception], code: int, act: Callable[[], object]) -> bool:
    """Whether `act` ends in the client's own kind of error, with this code; it knows some by host alone."""
    try:
        act()
    except kind as error:
        return f'"code":{code}' in str(error).replace(" ", "")
    return False


def main() -> None:
    """Everything a trader does, and what the client makes of the replies."""
    belief = Belief("ccxt")
    client = open_client(SECRET)
    look_around(belief, client)
    before = position(client)
    trade(belief, client)
    belief.same("position holds the fill", position(client), before + float(QTY))
    close(belief, client, before)
    work(belief, client)
    be_refused(belief, client)
    for trade_row in client.fetch_my_trades(MARKET):
        belief.fill(trade_row["id"], trade_row["order"], trade_row["amount"], trade_row["price"])
    belief.say()


def look_around(belief: Belief, client: Any) -> None:
    """What is public, and the balance."""
    belief.near("server time", client.fetch_time())
    markets = client.load_markets()
    belief.same("tick size", markets[MARKET]["precision"]["price"], 0.1)
    belief.same("step size", markets[MARKET]["precision"]["amount"], 0.001)
    belief.same("min notional", markets[MARKET]["limits"]["cost"]["min"], 50.0)
    belief.holds("active market", markets[MARKET]["active"] and markets[MARKET]["linear"])
    ticker = client.fetch_bids_asks([MARKET])[MARKET]
    belief.holds("bid below ask", 0 < ticker["bid"] < ticker["ask"])
    balance = client.fetch_balance()
    belief.holds("free balance", balance["USDT"]["free"] > 0)
    belief.holds("one-way mode", client.fetch_position_mode()["hedged"] is False)


def position(client: Any) -> float:
    """The signed position as the client sees it."""
    found = client.fetch_positions([MARKET])
    return sum(one["contracts"] * (-1 if one["side"] == "short" else 1) for one in found)


def note(belief: Belief, name: str, order: dict[str, Any], state: str) -> None:
    """Keep an order as decoded."""
    belief.order(
        name,
        side=order["side"],
        kind=order["type"],
        price=order["price"] if order["type"] == "limit" else 0,
        state=state,
        filled=order["filled"],
        order_id=order["id"],
    )


def trade(belief: Belief, client: Any) -> None:
    """A market order with a client order id of ours, and one with the client's own."""
    name = PREFIX + "market"
    placed = client.create_order(MARKET, "market", "buy", float(QTY), None, {"clientOrderId": name})
    belief.same("client order id came back", placed["clientOrderId"], name)
    done = wait_until("the market order fills", lambda: closed(client, placed["id"]))
    belief.same("filled", done["filled"], float(QTY))
    belief.holds("average price", done["average"] > 0)
    by_name = client.fetch_order(None, MARKET, {"clientOrderId": name})
    belief.same("found by client order id", by_name["id"], placed["id"])
    note(belief, "market", done, "FILLED")


def closed(client: Any, order_id: str) -> dict[str, Any] | None:
    """The order once it is filled."""
    order: dict[str, Any] = client.fetch_order(order_id, MARKET)
    return order if order["status"] == "closed" else None


def close(belief: Belief, client: Any, before: float) -> None:
    """Out again, reduce-only."""
    params = {"clientOrderId": PREFIX + "close", "reduceOnly": True}
    placed = client.create_order(MARKET, "market", "sell", float(QTY), None, params)
    done = wait_until("the closing order fills", lambda: closed(client, placed["id"]))
    belief.holds("reduce-only came back", done["reduceOnly"])
    belief.same("position is as before", position(client), before)
    note(belief, "close", done, "FILLED")


def work(belief: Belief, client: Any) -> None:
    """A limit order that waits, is listed, doubled in vain, and canceled."""
    name = PREFIX + "limit"
    params = {"clientOrderId": name}
    placed = client.create_order(MARKET, "limit", "buy", float(QTY), float(RESTING_PRICE), params)
    belief.same("limit order is open", placed["status"], "open")
    belief.same("limit price", placed["price"], float(RESTING_PRICE))
    belief.holds("listed as open", name in [one["clientOrderId"] for one in client.fetch_open_orders(MARKET)])
    again = refused_with(
        ccxt.ExchangeError,
        -4116,
        lambda: client.create_order(MARKET, "limit", "buy", float(QTY), float(RESTING_PRICE), params),
    )
    belief.holds("the id of an open order is refused", again)
    canceled = client.cancel_order(None, MARKET, {"clientOrderId": name})
    belief.same("canceled", canceled["status"], "canceled")
    belief.same("none is open", client.fetch_open_orders(MARKET), [])
    found = client.fetch_order(placed["id"], MARKET)
    belief.same("canceled when asked again", found["status"], "canceled")
    note(belief, "limit", found, "CANCELED")
    listed = [one["clientOrderId"] for one in client.fetch_orders(MARKET)]
    for each in ("market", "close", "limit"):
        belief.same(f"{each} listed once", listed.count(PREFIX + each), 1)


def be_refused(belief: Belief, client: Any) -> None:
    """Too small, wrongly signed, not there: each in the client's own words."""

    def too_small() -> object:
        params = {"clientOrderId": PREFIX + "small"}
        return client.create_order(SMALL_MARKET, "market", "buy", float(SMALL_QTY), None, params)

    def forged() -> object:
        params = {"clientOrderId": PREFIX + "forged"}
        forger = open_client("not-the-secret")
        return forger.create_order(MARKET, "market", "buy", float(QTY), None, params)

    def absent() -> object:
        return client.fetch_order(None, MARKET, {"clientOrderId": PREFIX + "never"})

    belief.holds("min notional", refused_with(ccxt.ExchangeError, -4164, too_small))
    belief.refused("small")
    belief.holds("bad signature", refused_with(ccxt.AuthenticationError, -1022, forged))
    belief.refused("forged")
    belief.holds("no such order", refused_with(ccxt.OrderNotFound, -2013, absent))


if __name__ == "__main__":
    main()
