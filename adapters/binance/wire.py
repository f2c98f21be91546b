"""Requests: every call that the adapter makes, as a value, and the exact bytes that it becomes.

Pure. A `Request` holds no time stamp and no signature, so that it may be shown; the `HttpRequest` made
of it holds both. Replies are in `wire_replies`, pushed events in `wire_stream`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from adapters.binance.market import HISTORY_ROWS_MAX, PATHS, WEIGHTS, Market
from adapters.binance.signing import Signer, encode, signed
from adapters.binance.transport import HttpRequest
from adapters.contract import Order

API_KEY_HEADER = "X-MBX-APIKEY"

Security = Literal["none", "key", "signed"]
Method = Literal["GET", "POST", "PUT", "DELETE"]
Params = tuple[tuple[str, str], ...]

_FORM = ("Content-Type", "application/x-www-form-urlencoded")


class Request(msgspec.Struct, frozen=True):
    """One call. `weight` counts against the IP address; `places_order` against the account's order limits."""

    method: Method
    path: str
    params: Params = ()
    security: Security = "none"
    weight: int = 1
    places_order: bool = False


def http_request(
    request: Request, signer: Signer | None, *, timestamp_ms: int = 0, recv_window_ms: int = 0
) -> HttpRequest:
    """The bytes that leave: a POST carries its parameters as a form body, everything else in the query.

    `timestamp_ms` (exchange clock) and `recv_window_ms` go into signed calls alone, `signature` comes last.
    """
    if request.security == "signed":
        assert signer is not None, "a signed call needs a signer"
        window = (("recvWindow", str(recv_window_ms)), ("timestamp", str(timestamp_ms)))
        text = signed((*request.params, *window), signer)
    else:
        text = encode(request.params)
    headers: list[tuple[str, str]] = []
    if request.security != "none":
        assert signer is not None, "a call with a key needs a signer"
        headers.append((API_KEY_HEADER, signer.api_key))
    if request.method == "POST":
        headers.append(_FORM)
        return HttpRequest(request.method, request.path, body=text.encode("ascii"), headers=tuple(headers))
    return HttpRequest(request.method, request.path, query=text, headers=tuple(headers))


def decimal_text(value: Decimal) -> str:
    """Plain decimal text: never an exponent, no zeros at the end of a fraction."""
    assert value.is_finite(), "only a finite number can be sent"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def new_order(market: Market, order: Order) -> Request:
    """Place `order` exactly as the row has it; the reply is a mere acknowledgement.

    ACK because it comes soonest, and because placing replies tell no fills since 2026-06.
    """
    params = [("symbol", order.symbol), ("side", order.side.upper()), ("type", order.order_type.upper())]
    if order.order_type == "limit":
        assert order.price is not None, "a limit order has a price"
        params.append(("timeInForce", order.tif))
    params.append(("quantity", decimal_text(order.qty)))
    if order.order_type == "limit" and order.price is not None:
        params.append(("price", decimal_text(order.price)))
    if market is Market.FUTURES:
        params.append(("positionSide", order.position_side))
        if order.reduce_only:
            params.append(("reduceOnly", "true"))
    params.append(("newClientOrderId", order.client_order_id))
    params.append(("newOrderRespType", "ACK"))
    weight = WEIGHTS[market].new_order
    return Request("POST", PATHS[market].order, tuple(params), "signed", weight, places_order=True)


def rehearse_order(market: Market, symbol: str, qty: Decimal) -> Request:
    """Ask whether this key may place an order, without placing one: the venue checks it and forgets it."""
    params = (
        ("symbol", symbol),
        ("side", "BUY"),
        ("type", "MARKET"),
        ("quantity", decimal_text(qty)),
    )
    return Request("POST", PATHS[market].test_order, params, "signed", 1)


def amend_order(order: Order, qty: Decimal, price: Decimal) -> Request:
    """Change a working futures limit order; it counts as an order. Spot has no such call."""
    params = (
        ("symbol", order.symbol),
        ("side", order.side.upper()),
        ("origClientOrderId", order.client_order_id),
        ("quantity", decimal_text(qty)),
        ("price", decimal_text(price)),
    )
    weight = WEIGHTS[Market.FUTURES].new_order
    return Request("PUT", PATHS[Market.FUTURES].order, params, "signed", weight, places_order=True)


def query_order(market: Market, symbol: str, client_order_id: str) -> Request:
    """One order by its client order id; "does not exist" right after acceptance is common and no proof."""
    params = (("symbol", symbol), ("origClientOrderId", client_order_id))
    return Request("GET", PATHS[market].order, params, "signed", WEIGHTS[market].query_order)


def cancel_order(market: Market, symbol: str, client_order_id: str) -> Request:
    """Ask for one order to stop working; may be repeated."""
    params = (("symbol", symbol), ("origClientOrderId", client_order_id))
    return Request("DELETE", PATHS[market].order, params, "signed", WEIGHTS[market].cancel_order)


def cancel_all(market: Market, symbol: str) -> Request:
    """Ask for every order of `symbol` to stop working; may be repeated."""
    params = (("symbol", symbol),)
    return Request("DELETE", PATHS[market].all_open_orders, params, "signed", WEIGHTS[market].cancel_all)


def countdown(symbol: str, countdown_ms: int) -> Request:
    """Futures: cancel the orders of `symbol` unless called again within `countdown_ms`; 0 disarms."""
    params = (("symbol", symbol), ("countdownTime", str(countdown_ms)))
    path = _existing(PATHS[Market.FUTURES].countdown)
    return Request("POST", path, params, "signed", WEIGHTS[Market.FUTURES].countdown)


def open_orders(market: Market, symbol: str | None = None) -> Request:
    """The orders that work, of `symbol` or of all (which weighs much more)."""
    weights = WEIGHTS[market]
    if symbol is None:
        return Request("GET", PATHS[market].open_orders, (), "signed", weights.open_orders_all)
    return Request("GET", PATHS[market].open_orders, (("symbol", symbol),), "signed", weights.open_orders)


def all_orders(
    market: Market,
    symbol: str,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    from_order_id: int | None = None,
    limit: int = HISTORY_ROWS_MAX,
) -> Request:
    """A page of the order history, oldest first; `from_order_id` pages on and then no times may be given.

    `end_ms - start_ms` is at most HISTORY_SPAN_MS of the market.
    """
    assert from_order_id is None or (start_ms is None and end_ms is None), "page by id or by time"
    params = _given(
        ("symbol", symbol),
        ("orderId", from_order_id),
        ("startTime", start_ms),
        ("endTime", end_ms),
        ("limit", limit),
    )
    return Request("GET", PATHS[market].all_orders, params, "signed", WEIGHTS[market].all_orders)


def trades(
    market: Market,
    symbol: str,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    order_id: int | None = None,
    from_trade_id: int | None = None,
    limit: int = HISTORY_ROWS_MAX,
) -> Request:
    """A page of the account's trades, oldest first: of one order, of a span, or on from a trade id.

    `end_ms - start_ms` is at most HISTORY_SPAN_MS of the market; a trade id excludes both times.
    """
    assert from_trade_id is None or (start_ms is None and end_ms is None), "page by id or by time"
    weights = WEIGHTS[market]
    params = _given(
        ("symbol", symbol),
        ("orderId", order_id),
        ("startTime", start_ms),
        ("endTime", end_ms),
        ("fromId", from_trade_id),
        ("limit", limit),
    )
    weight = weights.trades if order_id is None else weights.trades_of_order
    return Request("GET", PATHS[market].trades, params, "signed", weight)


def account(market: Market) -> Request:
    """The account's state; spot tells there whether it may trade."""
    return Request("GET", PATHS[market].account, (), "signed", WEIGHTS[market].account)


def balance(market: Market) -> Request:
    """The balances by asset; spot has them in its account."""
    params = (("omitZeroBalances", "true"),) if market is Market.SPOT else ()
    return Request("GET", PATHS[market].balance, params, "signed", WEIGHTS[market].balance)


def position_risk(symbol: str | None = None) -> Request:
    """Futures positions; a symbol without position and orders is left out of the reply."""
    path = _existing(PATHS[Market.FUTURES].position_risk)
    return Request("GET", path, _given(("symbol", symbol)), "signed", WEIGHTS[Market.FUTURES].position_risk)


def position_mode() -> Request:
    """Futures: whether the account is in hedge mode."""
    path = _existing(PATHS[Market.FUTURES].position_mode)
    return Request("GET", path, (), "signed", WEIGHTS[Market.FUTURES].position_mode)


def api_restrictions(market: Market) -> Request:
    """What the key may do; asked at `Hosts.permissions_url`, which is another host than the futures one."""
    weights = WEIGHTS[market]
    return Request("GET", PATHS[market].api_restrictions, (), "signed", weights.api_restrictions)


def exchange_info(market: Market, symbols: Sequence[str] = ()) -> Request:
    """Filters and limits: spot for `symbols` alone (all would be megabytes), futures for all anyway."""
    params: Params = ()
    if market is Market.SPOT and symbols:
        params = (("symbols", msgspec.json.encode(list(symbols)).decode("ascii")),)
    return Request("GET", PATHS[market].exchange_info, params, weight=WEIGHTS[market].exchange_info)


def book_ticker(market: Market, symbol: str | None = None) -> Request:
    """Best bid and ask, of `symbol` or of all."""
    weights = WEIGHTS[market]
    weight = weights.book_ticker_all if symbol is None else weights.book_ticker
    return Request("GET", PATHS[market].book_ticker, _given(("symbol", symbol)), weight=weight)


def server_time(market: Market) -> Request:
    """The exchange's clock."""
    return Request("GET", PATHS[market].time, weight=WEIGHTS[market].time)


def listen_key_create() -> Request:
    """Futures: the key of the user stream; while one lives, the same one comes again."""
    return _listen_key("POST")


def listen_key_extend() -> Request:
    """Futures: another 60 minutes for the account's listen key."""
    return _listen_key("PUT")


def listen_key_close() -> Request:
    """Futures: end the user stream of the account, everybody's who shares the key."""
    return _listen_key("DELETE")


def _listen_key(method: Method) -> Request:
    """A call about the listen key carries the key header and no signature."""
    path = _existing(PATHS[Market.FUTURES].listen_key)
    return Request(method, path, (), "key", WEIGHTS[Market.FUTURES].listen_key)


def _existing(path: str | None) -> str:
    """A path that the market has."""
    assert path is not None, "the market has no such call"
    return path


def _given(*params: tuple[str, str | int | None]) -> Params:
    """The parameters that have a value, as text."""
    return tuple((name, str(value)) for name, value in params if value is not None)
