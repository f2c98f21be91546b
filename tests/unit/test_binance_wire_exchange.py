"""Wire and exchange in the box: each call is accepted as signed, and each reply and event is understood."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from adapters.binance import wire
from adapters.binance import wire_replies as replies
from adapters.binance.market import Market, stream_path
from adapters.binance.signing import Ed25519Signer, HmacSigner, Signer
from adapters.binance.transport import HttpReply
from adapters.binance.verdicts import Denied, Duplicate, NoSuchOrder, Ok, Refused, Verdict, reply_verdict
from adapters.binance.wire_exchange_info import read_exchange_info
from adapters.binance.wire_stream import OrderTradeUpdate, read_event
from adapters.contract import Order
from adapters.exchange.engine import Exchange
from adapters.exchange.messages import Incoming
from adapters.exchange.terms import MarketName

F, S = Market.FUTURES, Market.SPOT
NOW = 1_700_000_000_000
KEY, SECRET = "loopback-key", "loopback-secret"


class Venue:
    """The exchange in the box behind signed requests, in one call."""

    def __init__(self, market: Market, signer: Signer | None = None, secret: str = SECRET) -> None:
        known = SECRET if signer is None else secret
        name: MarketName = "futures" if market is F else "spot"
        self.market = market
        self.signer = signer or HmacSigner(KEY, secret)
        self.exchange = Exchange(start_ms=NOW - 1_000, market=name, keys={KEY: known})
        self.now_ms = NOW

    def ask(self, request: wire.Request) -> HttpReply:
        self.now_ms += 50
        sent = wire.http_request(request, self.signer, timestamp_ms=self.now_ms, recv_window_ms=5_000)
        reply = self.exchange.handle(
            Incoming(
                method=sent.method,
                path=sent.path,
                query=sent.query,
                body=sent.body,
                headers={name.lower(): value for name, value in sent.headers},
            ),
            self.now_ms,
        )
        return HttpReply(reply.status, {name.lower(): value for name, value in reply.headers}, reply.body)

    def said(self, request: wire.Request) -> Verdict:
        return reply_verdict(self.market, self.ask(request), placing=request.places_order)


def order_of(number: int, order_type: str = "market", price: str | None = None, qty: str = "0.01") -> Order:
    return Order(
        client_order_id=f"ew1-{number:024d}",
        symbol="BTCUSDT",
        side="buy",
        order_type=order_type,
        tif="GTC",
        qty=Decimal(qty),
        price=None if price is None else Decimal(price),
        signal_id=f"s{number}",
    )


def low_price(venue: Venue) -> str:
    """A price that rests in the book and meets the filters."""
    book = replies.read_book_ticker(venue.ask(wire.book_ticker(venue.market, "BTCUSDT")).body)
    assert book is not None
    return str((book.bid_price * Decimal("0.97")).quantize(Decimal(1)))


@pytest.mark.parametrize("market", [F, S])
def test_an_order_lives_its_life_over_the_wire(market: Market) -> None:
    venue = Venue(market)
    working, filled = order_of(1, "limit", low_price(venue)), order_of(2)

    for order in (working, filled):
        assert venue.said(wire.new_order(market, order)) == Ok()
    queried = replies.read_order(venue.ask(wire.query_order(market, "BTCUSDT", filled.client_order_id)).body)
    assert queried is not None
    assert (queried.state, queried.our_id, queried.executed_qty) == (
        "filled",
        filled.client_order_id,
        filled.qty,
    )
    trades = replies.read_trades(venue.ask(wire.trades(market, "BTCUSDT", order_id=queried.order_id)).body)
    assert trades
    assert sum(trade.qty for trade in trades) == filled.qty
    assert queried.average_price is not None
    assert abs(queried.average_price - trades[0].price) < Decimal("0.01")

    assert isinstance(venue.said(wire.new_order(market, working)), Duplicate)
    canceled = replies.read_order(
        venue.ask(wire.cancel_order(market, "BTCUSDT", working.client_order_id)).body
    )
    assert canceled is not None
    assert (canceled.state, canceled.our_id) == ("canceled", working.client_order_id)
    assert isinstance(venue.said(wire.cancel_order(market, "BTCUSDT", working.client_order_id)), NoSuchOrder)
    assert isinstance(venue.said(wire.query_order(market, "BTCUSDT", "ew1-nothing")), NoSuchOrder)


Reader = Callable[[bytes], object]

SHARED: dict[str, tuple[Callable[[Market], wire.Request], Reader]] = {
    "open_orders": (lambda market: wire.open_orders(market, "BTCUSDT"), replies.read_orders),
    "open_orders_of_all": (wire.open_orders, replies.read_orders),
    "all_orders": (lambda market: wire.all_orders(market, "BTCUSDT", start_ms=NOW - 1), replies.read_orders),
    "all_orders_from_id": (
        lambda market: wire.all_orders(market, "BTCUSDT", from_order_id=1),
        replies.read_orders,
    ),
    "trades": (lambda market: wire.trades(market, "BTCUSDT", start_ms=NOW - 1), replies.read_trades),
    "trades_from_id": (lambda market: wire.trades(market, "BTCUSDT", from_trade_id=1), replies.read_trades),
    "account": (wire.account, replies.read_account),
    "exchange_info": (lambda market: wire.exchange_info(market, ["BTCUSDT"]), read_exchange_info),
    "book_ticker": (lambda market: wire.book_ticker(market, "BTCUSDT"), replies.read_book_ticker),
    "book_ticker_of_all": (wire.book_ticker, replies.read_book_tickers),
    "server_time": (wire.server_time, replies.read_server_time),
    "api_restrictions": (wire.api_restrictions, replies.read_restrictions),
}
FUTURES_ONLY: dict[str, tuple[wire.Request, Reader]] = {
    "position_risk": (wire.position_risk("BTCUSDT"), replies.read_positions),
    "position_mode": (wire.position_mode(), replies.read_position_mode),
    "listen_key": (wire.listen_key_create(), replies.read_listen_key),
}


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("market", [F, S])
def test_a_question_has_an_answer_that_is_understood(market: Market, name: str) -> None:
    venue = Venue(market)
    venue.ask(wire.new_order(market, order_of(1)))
    request_of, read = SHARED[name]

    reply = venue.ask(request_of(market))

    assert reply_verdict(market, reply, placing=False) == Ok(), reply.body
    assert read(reply.body) is not None


@pytest.mark.parametrize("name", FUTURES_ONLY)
def test_a_question_of_futures_has_an_answer_that_is_understood(name: str) -> None:
    request, read = FUTURES_ONLY[name]

    reply = Venue(F).ask(request)

    assert reply_verdict(F, reply, placing=False) == Ok(), reply.body
    assert read(reply.body) is not None


@pytest.mark.parametrize("market", [F, S])
def test_balances_are_understood(market: Market) -> None:
    balances = replies.read_balances(market, Venue(market).ask(wire.balance(market)).body)

    assert balances
    assert all(one.total >= one.free >= 0 for one in balances)


@pytest.mark.parametrize("market", [F, S])
def test_all_orders_of_a_symbol_are_canceled_at_once(market: Market) -> None:
    venue = Venue(market)
    venue.ask(wire.new_order(market, order_of(1, "limit", low_price(venue))))

    assert venue.said(wire.cancel_all(market, "BTCUSDT")) == Ok()

    assert replies.read_orders(venue.ask(wire.open_orders(market, "BTCUSDT")).body) == ()


def test_a_refused_order_has_its_reason() -> None:
    venue = Venue(F)

    assert venue.said(wire.new_order(F, order_of(1, qty="0.0005"))) == Refused(
        "invalid_quantity", "HTTP 400 code -1111: Precision is over the maximum defined for this asset."
    )


def test_a_pushed_trade_says_the_same_as_the_order() -> None:
    venue = Venue(F)
    key = replies.read_listen_key(venue.ask(wire.listen_key_create()).body)
    assert key is not None
    assert parse_qs(urlsplit(stream_path(key)).query) == {"listenKey": [key]}

    venue.ask(wire.new_order(F, order_of(1)))
    venue.exchange.advance(venue.now_ms + 1_000)

    events = [read_event(push.message) for push in venue.exchange.take_pushes() if push.listen_key == key]
    assert None not in events
    orders = [event for event in events if isinstance(event, OrderTradeUpdate)]
    assert [order.execution for order in orders] == ["NEW", "TRADE"]
    assert (orders[-1].state, orders[-1].cum_qty) == ("filled", Decimal("0.01"))
    assert orders[-1].client_order_id == order_of(1).client_order_id


@pytest.mark.parametrize("market", [F, S])
def test_another_secret_is_denied(market: Market) -> None:
    assert isinstance(Venue(market, secret="another").said(wire.new_order(market, order_of(1))), Denied)


@pytest.mark.parametrize("market", [F, S])
def test_an_ed25519_signature_is_accepted(market: Market) -> None:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
    venue = Venue(market, signer=Ed25519Signer(KEY, private), secret=public)

    # Many signatures, so that each of `+`, `/` and `=` was in some of them.
    for _ in range(20):
        assert venue.said(wire.balance(market)) == Ok()
    assert venue.said(wire.new_order(market, order_of(1))) == Ok()
