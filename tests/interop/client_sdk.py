"""The exchange's own SDK (derivatives-trading-usds-futures): generated, and strict about every reply's types.

It says a warning and goes on when a reply does not fit its model, so each warning is a failure here.
"""

from __future__ import annotations

import asyncio
import logging
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
from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
from binance_common.errors import BadRequestError, ClientError, UnauthorizedError
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    DerivativesTradingUsdsFutures,
)


class Warnings(logging.Handler):
    """Keeps what the client warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.texts.append(record.getMessage())


def open_client(secret: str) -> DerivativesTradingUsdsFutures:
    """The client, with our hosts."""
    return DerivativesTradingUsdsFutures(
        config_rest_api=ConfigurationRestAPI(
            api_key=KEY, api_secret=secret, base_path=REST_URL, timeout=10_000, retries=0
        ),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=STREAM_URL),
    )


def complete(belief: Belief, what: str, model: Any, *lacking: str) -> None:
    """The reply has every field that the model declares, but for `lacking`, and none besides."""
    missing = [name for name in type(model).model_fields if getattr(model, name) is None]
    belief.same(f"fields of the {what}", sorted(missing), sorted(lacking))
    belief.same(f"further fields of the {what}", list(model.additional_properties), [])


def refused_with(code: int, act: Callable[[], object]) -> bool:
    """Whether `act` ends in the client's own error with this code."""
    try:
        act()
    except (BadRequestError, UnauthorizedError, ClientError) as error:
        return bool(error.status_code == code)
    return False


async def main() -> None:
    """Everything a trader does, and what the client makes of the replies and of the stream."""
    belief = Belief("binance-sdk-derivatives-trading-usds-futures")
    warnings = Warnings()
    logging.getLogger().addHandler(warnings)
    client = open_client(SECRET)
    rest = client.rest_api
    events: list[Any] = []
    listen_key = rest.start_user_data_stream().data().listen_key
    belief.holds("listen key", listen_key)
    await client.websocket_streams.create_connection()
    stream = await client.websocket_streams.user_data(listen_key)
    stream.on("message", events.append)
    await asyncio.to_thread(act, belief, rest)
    await asyncio.to_thread(wait_until, "the stream's last word", lambda: canceled(events, "all"))
    belief.same("extended", rest.keepalive_user_data_stream().data().listen_key, listen_key)
    await client.websocket_streams.close_connection(close_session=True)
    rest.close_user_data_stream()
    compare(belief, events)
    trades = rest.account_trade_list(symbol=SYMBOL).data()
    # The two are for coin-margined contracts.
    complete(belief, "trade", trades[0], "base_qty", "pair")
    for row in trades:
        belief.fill(row.id, row.order_id, row.qty, row.price)
    belief.same("every reply fits its model", warnings.texts, [])
    belief.say()


def of_order(events: list[Any], name: str) -> list[Any]:
    """The stream's words on one order, as the models decoded them."""
    updates = [one.actual_instance for one in events]
    orders = [one.o for one in updates if type(one).__name__ == "OrderTradeUpdate"]
    return [one for one in orders if one.c == PREFIX + name]


def canceled(events: list[Any], name: str) -> bool:
    """Whether the stream has said the last word on an order."""
    return any(one.X == "CANCELED" for one in of_order(events, name))


def compare(belief: Belief, events: list[Any]) -> None:
    """What the stream told of the same orders."""
    fills = [one for one in of_order(events, "market") if one.x == "TRADE"]
    belief.same("filled by the stream", sum(Decimal(one.l) for one in fills), QTY)
    belief.same("last cumulative quantity", fills[-1].z, QTY)
    belief.same("life of the limit order", [one.x for one in of_order(events, "limit")], ["NEW", "CANCELED"])
    kinds = {type(one.actual_instance).__name__ for one in events}
    belief.holds("account updates", "AccountUpdate" in kinds)
    strays = [list(one.additional_properties) for one in of_order(events, "market")]
    belief.same("nothing undeclared on the stream", [one for one in strays if one], [])


def act(belief: Belief, rest: Any) -> None:
    """The orders."""
    look_around(belief, rest)
    before = position(rest)
    trade(belief, rest, before)
    work(belief, rest)
    be_refused(belief, rest)


def look_around(belief: Belief, rest: Any) -> None:
    """What is public, and the account."""
    belief.near("server time", rest.check_server_time().data().server_time)
    info = rest.exchange_information().data()
    symbol = next(one for one in info.symbols if one.symbol == SYMBOL)
    filters = {one.filter_type: one for one in symbol.filters}
    belief.same("tick size", filters["PRICE_FILTER"].tick_size, Decimal("0.10"))
    belief.same("step size", filters["LOT_SIZE"].step_size, Decimal("0.001"))
    belief.same("min notional", filters["MIN_NOTIONAL"].notional, Decimal(50))
    belief.holds("percent price", Decimal(filters["PERCENT_PRICE"].multiplier_up) > 1)
    belief.same("contract", symbol.contract_type, "PERPETUAL")
    book = rest.symbol_order_book_ticker(symbol=SYMBOL).data().actual_instance
    belief.holds("bid below ask", 0 < Decimal(book.bid_price) < Decimal(book.ask_price))
    balance = {one.asset: one for one in rest.futures_account_balance_v3().data()}
    complete(belief, "balance", balance["USDT"])
    belief.holds("free balance", Decimal(balance["USDT"].available_balance) > 0)
    account = rest.account_information_v3().data()
    complete(belief, "account", account)
    belief.holds("account", Decimal(account.total_wallet_balance) > 0 and account.assets[0].asset)
    belief.same("one-way mode", rest.get_current_position_mode().data().dual_side_position, False)


def position(rest: Any) -> Decimal:
    """The signed position as the client sees it."""
    found = rest.position_information_v3(symbol=SYMBOL).data()
    return sum((Decimal(one.position_amt) for one in found), Decimal(0))


def note(belief: Belief, name: str, order: Any) -> None:
    """Keep an order as decoded."""
    belief.order(
        name,
        side=order.side,
        kind=order.type,
        price=order.price,
        state=order.status,
        filled=order.executed_qty,
        order_id=order.order_id,
    )


def ask(rest: Any, name: str) -> Any:
    """The order as the exchange tells it now."""
    return rest.query_order(symbol=SYMBOL, orig_client_order_id=PREFIX + name).data()


def filled(rest: Any, name: str) -> Any:
    """The order once it is filled."""
    order = ask(rest, name)
    return order if order.status == "FILLED" else None


def market(rest: Any, name: str, side: str, **more: str) -> Any:
    """Place a market order and wait for its fill."""
    placed = rest.new_order(
        symbol=SYMBOL,
        side=side,
        type="MARKET",
        quantity=float(QTY),
        new_client_order_id=PREFIX + name,
        new_order_resp_type="RESULT",
        **more,
    )
    assert placed.data().client_order_id == PREFIX + name
    # The client counts limits from the headers of accepted orders.
    assert {one.rateLimitType for one in placed.rate_limits} == {"REQUEST_WEIGHT", "ORDERS"}
    return wait_until(f"order {name} fills", lambda: filled(rest, name))


def trade(belief: Belief, rest: Any, before: Decimal) -> None:
    """In and out again, reduce-only."""
    done = market(rest, "market", "BUY")
    complete(belief, "order", done, "activate_price", "price_rate")
    belief.same("filled", done.executed_qty, QTY)
    belief.holds("average price", Decimal(done.avg_price) > 0)
    belief.same("position holds the fill", position(rest), before + QTY)
    complete(belief, "position", rest.position_information_v3(symbol=SYMBOL).data()[0])
    held = [one for one in rest.account_information_v3().data().positions if one.symbol == SYMBOL]
    belief.same("position in the account", held[0].position_amt, before + QTY)
    note(belief, "market", done)
    done = market(rest, "close", "SELL", reduce_only="true")
    belief.same("reduce-only came back", done.reduce_only, True)
    belief.same("position is as before", position(rest), before)
    note(belief, "close", done)


def place_resting(rest: Any, name: str) -> Any:
    """Place a limit order that waits."""
    return rest.new_order(
        symbol=SYMBOL,
        side="BUY",
        type="LIMIT",
        time_in_force="GTC",
        quantity=float(QTY),
        price=float(RESTING_PRICE),
        new_client_order_id=PREFIX + name,
    ).data()


def work(belief: Belief, rest: Any) -> None:
    """Limit orders that wait, are listed, doubled in vain, and canceled, alone and all at once."""
    placed = place_resting(rest, "limit")
    complete(belief, "new order", placed)
    belief.same("limit order is open", placed.status, "NEW")
    belief.same("limit price", placed.price, RESTING_PRICE)
    listed = [one.client_order_id for one in rest.current_all_open_orders(symbol=SYMBOL).data()]
    belief.holds("listed as open", PREFIX + "limit" in listed)
    one = rest.query_current_open_order(symbol=SYMBOL, orig_client_order_id=PREFIX + "limit").data()
    belief.same("asked for as open", one.order_id, placed.order_id)
    twice = refused_with(-4116, lambda: place_resting(rest, "limit"))
    belief.holds("the id of an open order is refused", twice)
    canceled = rest.cancel_order(symbol=SYMBOL, orig_client_order_id=PREFIX + "limit").data()
    complete(belief, "cancellation", canceled, "activate_price", "price_rate")
    belief.same("canceled", canceled.status, "CANCELED")
    place_resting(rest, "all")
    counting = rest.auto_cancel_all_open_orders(symbol=SYMBOL, countdown_time=60_000).data()
    belief.same("countdown", counting.countdown_time, "60000")
    rest.auto_cancel_all_open_orders(symbol=SYMBOL, countdown_time=0)
    belief.same("cancel all", rest.cancel_all_open_orders(symbol=SYMBOL).data().code, 200)
    belief.same("none is open", rest.current_all_open_orders(symbol=SYMBOL).data(), [])
    for name in ("limit", "all"):
        found = ask(rest, name)
        belief.same(f"{name} is canceled when asked again", found.status, "CANCELED")
        note(belief, name, found)
    listed = [one.client_order_id for one in rest.all_orders(symbol=SYMBOL).data()]
    for each in ("market", "close", "limit", "all"):
        belief.same(f"{each} listed once", listed.count(PREFIX + each), 1)


def be_refused(belief: Belief, rest: Any) -> None:
    """Too small, wrongly signed, not there: each in the client's own words."""

    def place(rest: Any, name: str, symbol: str, qty: Decimal) -> object:
        terms = {"symbol": symbol, "quantity": float(qty), "new_client_order_id": PREFIX + name}
        return rest.new_order(side="BUY", type="MARKET", **terms)

    too_small = refused_with(MIN_NOTIONAL, lambda: place(rest, "small", SMALL_SYMBOL, SMALL_QTY))
    belief.holds("min notional", too_small)
    forger = open_client("not-the-secret").rest_api
    forged = refused_with(BAD_SIGNATURE, lambda: place(forger, "forged", SYMBOL, QTY))
    belief.holds("bad signature", forged)
    for name in ("small", "forged"):
        belief.refused(name)
    belief.holds("no such order", refused_with(NO_SUCH_ORDER, lambda: ask(rest, "never")))


if __name__ == "__main__":
    asyncio.run(main())
