"""binance-connector (Spot): the exchange's older client for the spot market."""

from __future__ import annotations

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
    SMALL_QTY,
    SMALL_SYMBOL,
    SYMBOL,
    Belief,
    wait_until,
)
from binance.error import ClientError
from binance.spot import Spot


def refused_with(code: int, act: Callable[[], object]) -> bool:
    """Whether `act` ends in the client's own error with this code."""
    try:
        act()
    except ClientError as error:
        return bool(error.error_code == code)
    return False


def main() -> None:
    """Everything a trader does, and what the client makes of the replies."""
    belief = Belief("binance-connector")
    client = Spot(api_key=KEY, api_secret=SECRET, base_url=REST_URL)
    look_around(belief, client)
    trade(belief, client)
    work(belief, client)
    be_refused(belief, client)
    for row in client.my_trades(SYMBOL):
        belief.fill(row["id"], row["orderId"], row["qty"], row["price"])
    belief.say()


def look_around(belief: Belief, client: Any) -> None:
    """What is public, and the account."""
    belief.same("ping", client.ping(), {})
    belief.near("server time", client.time()["serverTime"])
    symbol = client.exchange_info(symbol=SYMBOL)["symbols"][0]
    filters = {one["filterType"]: one for one in symbol["filters"]}
    belief.same("tick size", filters["PRICE_FILTER"]["tickSize"], Decimal("0.01"))
    belief.same("step size", filters["LOT_SIZE"]["stepSize"], Decimal("0.00001"))
    belief.same("min notional", filters["NOTIONAL"]["minNotional"], Decimal(5))
    book = client.book_ticker(symbol=SYMBOL)
    belief.holds("bid below ask", 0 < Decimal(book["bidPrice"]) < Decimal(book["askPrice"]))
    account = client.account()
    belief.holds("may trade", account["canTrade"] is True)
    belief.holds("balances", {one["asset"] for one in account["balances"]} >= {"USDT", "BTC"})


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


def ask(client: Any, name: str) -> dict[str, Any]:
    """The order as the exchange tells it now."""
    found: dict[str, Any] = client.get_order(SYMBOL, origClientOrderId=PREFIX + name)
    return found


def filled(client: Any, name: str) -> dict[str, Any] | None:
    """The order once it is filled."""
    order = ask(client, name)
    return order if order["status"] == "FILLED" else None


def trade(belief: Belief, client: Any) -> None:
    """In and out again, with every trade told in the reply."""
    for name, side in (("market", "BUY"), ("close", "SELL")):
        placed = client.new_order(
            symbol=SYMBOL,
            side=side,
            type="MARKET",
            quantity=str(QTY),
            newClientOrderId=PREFIX + name,
            newOrderRespType="FULL",
        )
        belief.same("client order id came back", placed["clientOrderId"], PREFIX + name)
        belief.same("told fills", sum(Decimal(one["qty"]) for one in placed["fills"]), QTY)
        done = wait_until(f"order {name} fills", lambda wanted=name: filled(client, wanted))
        belief.same("filled", done["executedQty"], QTY)
        belief.holds("spent", Decimal(done["cummulativeQuoteQty"]) > 0)
        note(belief, name, done)


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


def work(belief: Belief, client: Any) -> None:
    """Limit orders that wait, are listed, doubled in vain, and canceled, alone and all at once."""
    placed = rest(client, "limit")
    belief.same("limit order is open", ask(client, "limit")["status"], "NEW")
    listed = [one["clientOrderId"] for one in client.get_open_orders(SYMBOL)]
    belief.holds("listed as open", PREFIX + "limit" in listed)
    belief.holds("the id of an open order is refused", refused_with(-2010, lambda: rest(client, "limit")))
    canceled = client.cancel_order(SYMBOL, orderId=placed["orderId"])
    belief.same("canceled", canceled["status"], "CANCELED")
    rest(client, "all")
    ended = client.cancel_open_orders(SYMBOL)
    belief.same("cancel all", [one["origClientOrderId"] for one in ended], [PREFIX + "all"])
    belief.same("none is open", client.get_open_orders(SYMBOL), [])
    for name in ("limit", "all"):
        note(belief, name, ask(client, name))
    listed = [one["clientOrderId"] for one in client.get_orders(SYMBOL)]
    for each in ("market", "close", "limit", "all"):
        belief.same(f"{each} listed once", listed.count(PREFIX + each), 1)


def be_refused(belief: Belief, client: Any) -> None:
    """Too small, wrongly signed, not there: each in the client's own words."""

    def place(client: Any, name: str, symbol: str, qty: Decimal) -> object:
        terms = {"symbol": symbol, "quantity": str(qty), "newClientOrderId": PREFIX + name}
        return client.new_order(side="BUY", type="MARKET", **terms)

    too_small = refused_with(-1013, lambda: place(client, "small", SMALL_SYMBOL, SMALL_QTY))
    belief.holds("min notional", too_small)
    forger = Spot(api_key=KEY, api_secret="not-the-secret", base_url=REST_URL)
    forged = refused_with(BAD_SIGNATURE, lambda: place(forger, "forged", SYMBOL, QTY))
    belief.holds("bad signature", forged)
    for name in ("small", "forged"):
        belief.refused(name)
    belief.holds("no such order", refused_with(NO_SUCH_ORDER, lambda: ask(client, "never")))


if __name__ == "__main__":
    main()
