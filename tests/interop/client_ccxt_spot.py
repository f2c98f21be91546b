"""ccxt (binance) on the spot market: other paths and codes, and a wallet instead of positions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import ccxt
from belief import KEY, PREFIX, QTY, REST_URL, RESTING_PRICE, SECRET, SMALL_QTY, Belief, wait_until

MARKET = "BTC/USDT"
SMALL_MARKET = "ETH/USDT"


def open_client(secret: str) -> Any:
    """The client with every host of its own replaced by ours, and spot alone."""
    client = ccxt.binance({"apiKey": KEY, "secret": secret, "enableRateLimit": False})
    for name, url in client.urls["api"].items():
        if isinstance(url, str):
            client.urls["api"][name] = re.sub(r"^[a-z]+://[^/]+", REST_URL, url)
    client.has["fetchCurrencies"] = False
    client.options["fetchMarkets"] = {"types": ["spot"]}
    client.options["fetchMargins"] = False
    return client


def refused_with(kind: type[Exception], code: int, act: Callable[[], object]) -> bool:
    """Whether `act` ends in the client's own kind of error, with this code in it."""
    try:
        act()
    except kind as error:
        return f'"code":{code}' in str(error).replace(" ", "")
    return False


def main() -> None:
    """Everything a trader does, and what the client makes of the replies."""
    belief = Belief("ccxt")
    client = open_client(SECRET)
    belief.near("server time", client.fetch_time())
    markets = client.load_markets()
    belief.same("tick size", markets[MARKET]["precision"]["price"], 0.01)
    belief.same("step size", markets[MARKET]["precision"]["amount"], 0.00001)
    belief.holds("spot market", markets[MARKET]["active"] and markets[MARKET]["spot"])
    trade(belief, client)
    work(belief, client)
    be_refused(belief, client)
    for row in client.fetch_my_trades(MARKET):
        belief.fill(row["id"], row["order"], row["amount"], row["price"])
    belief.say()


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


def closed(client: Any, order_id: str) -> dict[str, Any] | None:
    """The order once it is filled."""
    order: dict[str, Any] = client.fetch_order(order_id, MARKET)
    return order if order["status"] == "closed" else None


def trade(belief: Belief, client: Any) -> None:
    """In and out again; the wallet follows."""
    before = client.fetch_balance()
    for name, side in (("market", "buy"), ("close", "sell")):
        params = {"clientOrderId": PREFIX + name}
        placed = client.create_order(MARKET, "market", side, float(QTY), None, params)
        belief.same("client order id came back", placed["clientOrderId"], PREFIX + name)
        done = wait_until(f"order {name} fills", lambda wanted=placed["id"]: closed(client, wanted))
        belief.same("filled", done["filled"], float(QTY))
        belief.holds("average price", done["average"] > 0)
        note(belief, name, done, "FILLED")
        after = client.fetch_balance()
        grown = after["USDT"]["total"] > before["USDT"]["total"]
        belief.same(f"the wallet after the {side}", grown, side == "sell")
        before = after


def work(belief: Belief, client: Any) -> None:
    """A limit order that waits, is listed, doubled in vain, and canceled."""
    name = PREFIX + "limit"

    def place() -> Any:
        params = {"clientOrderId": name}
        return client.create_order(MARKET, "limit", "buy", float(QTY), float(RESTING_PRICE), params)

    placed = place()
    belief.same("limit order is open", placed["status"], "open")
    belief.holds("listed as open", name in [one["clientOrderId"] for one in client.fetch_open_orders(MARKET)])
    belief.holds("money is locked", client.fetch_balance()["USDT"]["used"] > 0)
    belief.holds("the id of an open order is refused", refused_with(ccxt.ExchangeError, -2010, place))
    canceled = client.cancel_order(placed["id"], MARKET)
    belief.same("canceled", canceled["status"], "canceled")
    belief.same("none is open", client.fetch_open_orders(MARKET), [])
    note(belief, "limit", client.fetch_order(placed["id"], MARKET), "CANCELED")
    listed = [one["clientOrderId"] for one in client.fetch_orders(MARKET)]
    for each in ("market", "close", "limit"):
        belief.same(f"{each} listed once", listed.count(PREFIX + each), 1)


def be_refused(belief: Belief, client: Any) -> None:
    """Too small, wrongly signed, not there: each in the client's own words."""

    def place(client: Any, name: str, market: str, qty: float) -> Any:
        params = {"clientOrderId": PREFIX + name}
        return client.create_order(market, "market", "buy", qty, None, params)

    small = refused_with(
        ccxt.BadRequest, -1013, lambda: place(client, "small", SMALL_MARKET, float(SMALL_QTY))
    )
    belief.holds("min notional", small)
    forger = open_client("not-the-secret")
    forged = refused_with(
        ccxt.AuthenticationError, -1022, lambda: place(forger, "forged", MARKET, float(QTY))
    )
    belief.holds("bad signature", forged)
    for name in ("small", "forged"):
        belief.refused(name)
    absent = refused_with(
        ccxt.OrderNotFound,
        -2013,
        lambda: client.fetch_order(None, MARKET, {"clientOrderId": PREFIX + "never"}),
    )
    belief.holds("no such order", absent)


if __name__ == "__main__":
    main()
