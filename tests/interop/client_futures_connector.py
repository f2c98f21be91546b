"""binance-futures-connector (UMFutures): the exchange's older client; it signs everything into the query."""

from __future__ import annotations

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
    SYMBOL,
    Belief,
    wait_until,
)
from binance.error import ClientError
from binance.um_futures import UMFutures


def refused_with(code: int, act: Callable[[], object]) -> bool:
    """Whether `act` ends in the client's own error with this code."""
    try:
        act()
    except ClientError as error:
        return bool(error.error_code == code)
    return False


def main() -> None:
    """Everything a trader does, and what the client makes of the replies."""
    belief = Belief("binance-futures-connector")
    client = UMFutures(key=KEY, secret=SECRET, base_url=REST_URL)
    look_around(belief, client)
    before = position(client)
    trade(belief, client)
    belief.same("position holds the fill", position(client), before + QTY)
    close(belief, client, before)
    work(belief, client)
    cancel_all(belief, client)
    be_refused(belief, client)
    for row in client.get_account_trades(symbol=SYMBOL):
        belief.fill(row["id"], row["orderId"], row["qty"], row["price"])
    belief.say()


def look_around(belief: Belief, client: Any) -> None:
    """What is public, and the account."""
    belief.same("ping", client.ping(), {})
    belief.near("server time", client.time()["serverTime"])
    info = client.exchange_info()
    symbol = next(one for one in info["symbols"] if one["symbol"] == SYMBOL)
    filters = {one["filterType"]: one for one in symbol["filters"]}
    belief.same("tick size", filters["PRICE_FILTER"]["tickSize"], Decimal("0.10"))
    belief.same("step size", filters["LOT_SIZE"]["stepSize"], Decimal("0.001"))
    belief.same("min notional", filters["MIN_NOTIONAL"]["notional"], Decimal(50))
    kinds = {one["rateLimitType"] for one in info["rateLimits"]}
    belief.same("rate limits", kinds, {"REQUEST_WEIGHT", "ORDERS"})
    book = client.book_ticker(symbol=SYMBOL)
    belief.holds("bid below ask", 0 < Decimal(book["bidPrice"]) < Decimal(book["askPrice"]))
    balance = {one["asset"]: one for one in client.balance()}
    belief.holds("free balance", Decimal(balance["USDT"]["availableBalance"]) > 0)
    belief.holds("account", Decimal(client.account()["totalWalletBalance"]) > 0)
    belief.same("one-way mode", client.get_position_mode()["dualSidePosition"], False)


def position(client: Any) -> Decimal:
    """The signed position as the client sees it."""
    return sum((Decimal(one["positionAmt"]) for one in client.get_position_risk(symbol=SYMBOL)), Decimal(0))


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
    order: dict[str, Any] = client.query_order(symbol=SYMBOL, origClientOrderId=PREFIX + name)
    return order if order["status"] == "FILLED" else None


def trade(belief: Belief, client: Any) -> None:
    """A market order with the whole result asked for."""
    placed = client.new_order(
        symbol=SYMBOL,
        side="BUY",
        type="MARKET",
        quantity=str(QTY),
        newClientOrderId=PREFIX + "market",
        newOrderRespType="RESULT",
    )
    belief.same("client order id came back", placed["clientOrderId"], PREFIX + "market")
    done = wait_until("the market order fills", lambda: filled(client, "market"))
    belief.same("filled", done["executedQty"], QTY)
    belief.holds("average price", Decimal(done["avgPrice"]) > 0)
    by_id = client.query_order(symbol=SYMBOL, orderId=placed["orderId"])
    belief.same("found by order id", by_id["clientOrderId"], PREFIX + "market")
    note(belief, "market", done)


def close(belief: Belief, client: Any, before: Decimal) -> None:
    """Out again, reduce-only."""
    client.new_order(
        symbol=SYMBOL,
        side="SELL",
        type="MARKET",
        quantity=str(QTY),
        reduceOnly="true",
        newClientOrderId=PREFIX + "close",
    )
    done = wait_until("the closing order fills", lambda: filled(client, "close"))
    belief.same("reduce-only came back", done["reduceOnly"], True)
    belief.same("position is as before", position(client), before)
    note(belief, "close", done)


def rest(client: Any, name: str) -> dict[str, Any]:
    """Place a limit order that waits."""
    placed: dict[str, Any] = client.new_order(
        symbol=SYMBOL,
        side="BUY",
        type="LIMIT",
        timeInForce="GTC",
        quantity=str(QTY),
        price=str(RESTING_PRICE),
        newClientOrderId=PREFIX + name,
    )
    return placed


def open_names(client: Any) -> list[str]:
    """The client order ids that are listed as open."""
    return [one["clientOrderId"] for one in client.get_orders(symbol=SYMBOL)]


def work(belief: Belief, client: Any) -> None:
    """A limit order that waits, is listed, doubled in vain, and canceled."""
    name = PREFIX + "limit"
    placed = rest(client, "limit")
    belief.same("limit order is open", placed["status"], "NEW")
    belief.same("limit price", placed["price"], RESTING_PRICE)
    belief.holds("listed as open", name in open_names(client))
    one = client.get_open_orders(symbol=SYMBOL, origClientOrderId=name)
    belief.same("asked for as open", one["orderId"], placed["orderId"])
    belief.holds("the id of an open order is refused", refused_with(-4116, lambda: rest(client, "limit")))
    canceled = client.cancel_order(symbol=SYMBOL, origClientOrderId=name)
    belief.same("canceled", canceled["status"], "CANCELED")
    belief.holds("not open any more", name not in open_names(client))
    found = client.query_order(symbol=SYMBOL, orderId=placed["orderId"])
    belief.same("canceled when asked again", found["status"], "CANCELED")
    note(belief, "limit", found)
    listed = [one["clientOrderId"] for one in client.get_all_orders(symbol=SYMBOL)]
    for each in ("market", "close", "limit"):
        belief.same(f"{each} listed once", listed.count(PREFIX + each), 1)


def cancel_all(belief: Belief, client: Any) -> None:
    """Two that wait, ended by one call; a countdown is set and taken back."""
    for name in ("one", "two"):
        rest(client, name)
    counting = client.countdown_cancel_order(symbol=SYMBOL, countdownTime=60_000)
    belief.same("countdown", str(counting["countdownTime"]), "60000")
    client.countdown_cancel_order(symbol=SYMBOL, countdownTime=0)
    belief.same("cancel all", client.cancel_open_orders(symbol=SYMBOL)["code"], 200)
    belief.same("none is open", open_names(client), [])
    for name in ("one", "two"):
        note(belief, name, client.query_order(symbol=SYMBOL, origClientOrderId=PREFIX + name))


def be_refused(belief: Belief, client: Any) -> None:
    """Too small, off the tick, wrongly signed, not there: each in the client's own words."""

    def place(client: Any, name: str, **terms: str) -> object:
        return client.new_order(newClientOrderId=PREFIX + name, side="BUY", **terms)

    limit = {"symbol": SYMBOL, "type": "LIMIT", "timeInForce": "GTC", "quantity": str(QTY)}
    small = {"symbol": SMALL_SYMBOL, "type": "MARKET", "quantity": str(SMALL_QTY)}
    too_small = refused_with(MIN_NOTIONAL, lambda: place(client, "small", **small))
    belief.holds("min notional", too_small)
    off_tick = refused_with(-4014, lambda: place(client, "tick", price="58000.15", **limit))
    belief.holds("off the tick", off_tick)
    stop = {"symbol": SYMBOL, "type": "STOP_MARKET", "quantity": str(QTY), "stopPrice": "50000"}
    belief.holds("conditional order", refused_with(-4120, lambda: place(client, "stop", **stop)))
    forger = UMFutures(key=KEY, secret="not-the-secret", base_url=REST_URL)
    market = {"symbol": SYMBOL, "type": "MARKET", "quantity": str(QTY)}
    forged = refused_with(BAD_SIGNATURE, lambda: place(forger, "forged", **market))
    belief.holds("bad signature", forged)
    for name in ("small", "tick", "stop", "forged"):
        belief.refused(name)
    absent = refused_with(
        NO_SUCH_ORDER, lambda: client.query_order(symbol=SYMBOL, origClientOrderId=PREFIX + "never")
    )
    belief.holds("no such order", absent)


if __name__ == "__main__":
    main()
