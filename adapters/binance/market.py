"""The two markets: their hosts, the paths of their calls, and what each call weighs.

Pure. Base URLs are constants: nothing but a loopback address may stand in for them. Sources: the
public documentation of spot and of USDⓈ-M futures; a path that is None does not exist there.
"""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from typing import Literal
from urllib.parse import urlsplit

import msgspec

DAY_MS = 86_400_000

HostMode = Literal["live", "testnet"]


class Market(StrEnum):
    """Which of the exchange's markets; the value is `broker.name`."""

    FUTURES = "binance-futures"
    SPOT = "binance-spot"


class Hosts(msgspec.Struct, frozen=True):
    """Where a market is spoken to, without a trailing slash; a stream path follows `stream_url`.

    `stream_url` None: no user stream, REST alone tells. `permissions_url` is the host that answers for the
    rights of an API key, which is never the futures host; None: nobody does.
    """

    rest_url: str
    stream_url: str | None
    permissions_url: str | None


class Paths(msgspec.Struct, frozen=True):
    """One market's paths, each beginning with a slash."""

    order: str
    test_order: str
    open_orders: str
    all_open_orders: str
    all_orders: str
    trades: str
    account: str
    balance: str
    time: str
    exchange_info: str
    book_ticker: str
    api_restrictions: str
    position_risk: str | None
    position_mode: str | None
    countdown: str | None
    listen_key: str | None


class Weights(msgspec.Struct, frozen=True):
    """What a call costs of the request weight per minute and IP address.

    Placing a futures order weighs nothing: it counts against the order limits alone.
    """

    new_order: int
    query_order: int
    cancel_order: int
    cancel_all: int
    open_orders: int
    open_orders_all: int
    all_orders: int
    trades: int
    trades_of_order: int
    account: int
    balance: int
    time: int
    exchange_info: int
    book_ticker: int
    book_ticker_all: int
    api_restrictions: int = 1
    position_risk: int = 5
    position_mode: int = 30
    countdown: int = 10
    listen_key: int = 1


PATHS = {
    Market.FUTURES: Paths(
        order="/fapi/v1/order",
        test_order="/fapi/v1/order/test",
        open_orders="/fapi/v1/openOrders",
        all_open_orders="/fapi/v1/allOpenOrders",
        all_orders="/fapi/v1/allOrders",
        trades="/fapi/v1/userTrades",
        account="/fapi/v3/account",
        balance="/fapi/v3/balance",
        time="/fapi/v1/time",
        exchange_info="/fapi/v1/exchangeInfo",
        book_ticker="/fapi/v1/ticker/bookTicker",
        api_restrictions="/sapi/v1/account/apiRestrictions",
        position_risk="/fapi/v3/positionRisk",
        position_mode="/fapi/v1/positionSide/dual",
        countdown="/fapi/v1/countdownCancelAll",
        listen_key="/fapi/v1/listenKey",
    ),
    Market.SPOT: Paths(
        order="/api/v3/order",
        test_order="/api/v3/order/test",
        open_orders="/api/v3/openOrders",
        all_open_orders="/api/v3/openOrders",
        all_orders="/api/v3/allOrders",
        trades="/api/v3/myTrades",
        account="/api/v3/account",
        balance="/api/v3/account",
        time="/api/v3/time",
        exchange_info="/api/v3/exchangeInfo",
        book_ticker="/api/v3/ticker/bookTicker",
        api_restrictions="/sapi/v1/account/apiRestrictions",
        position_risk=None,
        position_mode=None,
        countdown=None,
        listen_key=None,
    ),
}

WEIGHTS = {
    Market.FUTURES: Weights(
        new_order=0,
        query_order=1,
        cancel_order=1,
        cancel_all=1,
        open_orders=1,
        open_orders_all=40,
        all_orders=5,
        trades=5,
        trades_of_order=5,
        account=5,
        balance=5,
        time=1,
        exchange_info=1,
        book_ticker=2,
        book_ticker_all=5,
    ),
    Market.SPOT: Weights(
        new_order=1,
        query_order=4,
        cancel_order=1,
        cancel_all=1,
        open_orders=6,
        open_orders_all=80,
        all_orders=20,
        trades=20,
        trades_of_order=5,
        account=20,
        balance=20,
        time=1,
        exchange_info=20,
        book_ticker=2,
        book_ticker_all=4,
    ),
}

# Where spot's WebSocket API is spoken, from the root of its host.
SOCKET_API_PATH = "/ws-api/v3"

# The longest span between startTime and endTime of an order or trade history: 7 days and 24 hours, "less
# than" on one page of the documentation and "not longer" on another.
HISTORY_SPAN_MS = {Market.FUTURES: 7 * DAY_MS - 1, Market.SPOT: DAY_MS - 1}

# The most rows of one page of an order or trade history.
HISTORY_ROWS_MAX = 1_000

_HOSTS: dict[tuple[Market, HostMode], Hosts] = {
    (Market.FUTURES, "live"): Hosts(
        rest_url="https://fapi.binance.com",
        stream_url="wss://fstream.binance.com",
        permissions_url="https://api.binance.com",
    ),
    (Market.FUTURES, "testnet"): Hosts(
        rest_url="https://demo-fapi.binance.com",
        stream_url="wss://demo-fstream.binance.com",
        permissions_url=None,
    ),
    # Spot took its listen keys away on 2026-02-20: its events come through the WebSocket API.
    (Market.SPOT, "live"): Hosts(
        rest_url="https://api.binance.com",
        stream_url="wss://ws-api.binance.com:443",
        permissions_url="https://api.binance.com",
    ),
    (Market.SPOT, "testnet"): Hosts(
        rest_url="https://testnet.binance.vision",
        stream_url="wss://ws-api.testnet.binance.vision",
        permissions_url=None,
    ),
}


class HostError(Exception):
    """A base URL that may not be used; the text says which may."""


def hosts_of(market: Market, mode: HostMode) -> Hosts:
    """The real hosts of a market."""
    return _HOSTS[market, mode]


def loopback_hosts(rest_url: str, stream_url: str | None = None) -> Hosts:
    """Hosts on this machine: `broker.rest_url`, and `broker.stream_url` or the same host by web socket.

    Raises HostError for anything that is not a loopback address, so that neither a slip of the pen nor a
    changed environment sends signed orders to a stranger.
    """
    rest = _loopback("broker.rest_url", rest_url, ("http", "https"))
    if stream_url is None:
        stream_url = "ws" + rest.removeprefix("http")
    stream = _loopback("broker.stream_url", stream_url, ("ws", "wss"))
    return Hosts(rest_url=rest, stream_url=stream, permissions_url=rest)


def is_loopback(url: str) -> bool:
    """Whether the host of `url` is this machine: localhost, 127.0.0.0/8 or ::1."""
    try:
        name = urlsplit(url).hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def stream_path(listen_key: str) -> str:
    """The path of the futures user stream from the host's root. It holds the listen key: never log it."""
    return f"/private/ws?listenKey={listen_key}"


def _loopback(name: str, url: str, schemes: tuple[str, ...]) -> str:
    """`url` without its trailing slash, when it is a bare loopback address."""
    try:
        parts = urlsplit(url)
        bare = not (
            parts.username or parts.password or parts.query or parts.fragment or parts.path.strip("/")
        )
        usable = parts.scheme in schemes and bare and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not is_loopback(url):
        raise HostError(
            f"{name} may only name a loopback host such as {schemes[0]}://127.0.0.1:8080, without a path:"
            " correct it, or leave it out for the exchange's own hosts"
        )
    return url.rstrip("/")
