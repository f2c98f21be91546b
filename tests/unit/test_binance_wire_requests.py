"""Requests: each call becomes exactly the bytes of its example, signed as sent, its repr without secrets."""

from __future__ import annotations

import hashlib
import hmac
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.binance import wire
from adapters.binance.market import Market
from adapters.binance.signing import HmacSigner
from adapters.contract import Order

EXAMPLES = json.loads((Path(__file__).parent / "binance_examples" / "requests.json").read_text())
API_KEY, SECRET = "loopback-key", "loopback-secret"
SIGNER = HmacSigner(API_KEY, SECRET)
FUTURES, SPOT = Market.FUTURES, Market.SPOT
ID = "ew1-abcdefghijklmnopqrstuvwx"
START, END = 1_699_990_000_000, 1_700_000_000_000

MARKET_ORDER = Order(
    client_order_id=ID,
    symbol="BTCUSDT",
    side="buy",
    order_type="market",
    tif="GTC",
    qty=Decimal("0.00200"),
    price=None,
    signal_id="s1",
)
LIMIT_ORDER = msgspec.structs.replace(
    MARKET_ORDER, side="sell", order_type="limit", tif="IOC", price=Decimal("5E+4")
)
REDUCING = msgspec.structs.replace(MARKET_ORDER, side="sell", reduce_only=True)


def requests_of(market: Market) -> dict[str, wire.Request]:
    """Every call that both markets have, by the name of its example."""
    return {
        "new_market_order": wire.new_order(market, MARKET_ORDER),
        "new_limit_order": wire.new_order(market, LIMIT_ORDER),
        "query_order": wire.query_order(market, "BTCUSDT", ID),
        "cancel_order": wire.cancel_order(market, "BTCUSDT", ID),
        "cancel_all": wire.cancel_all(market, "BTCUSDT"),
        "open_orders": wire.open_orders(market, "BTCUSDT"),
        "open_orders_of_all": wire.open_orders(market),
        "all_orders": wire.all_orders(market, "BTCUSDT", start_ms=START, end_ms=END),
        "trades": wire.trades(market, "BTCUSDT", start_ms=START, end_ms=END),
        "trades_of_order": wire.trades(market, "BTCUSDT", order_id=77),
        "account": wire.account(market),
        "balance": wire.balance(market),
        "api_restrictions": wire.api_restrictions(market),
        "exchange_info": wire.exchange_info(market, ["BTCUSDT", "ETHUSDT"]),
        "book_ticker": wire.book_ticker(market, "BTCUSDT"),
        "book_ticker_of_all": wire.book_ticker(market),
        "server_time": wire.server_time(market),
    }


REQUESTS = {
    SPOT: requests_of(SPOT),
    FUTURES: requests_of(FUTURES)
    | {
        "new_reduce_only_order": wire.new_order(FUTURES, REDUCING),
        "amend_order": wire.amend_order(LIMIT_ORDER, Decimal("0.003"), Decimal("50001.50")),
        "countdown": wire.countdown("BTCUSDT", 120_000),
        "all_orders_from_id": wire.all_orders(FUTURES, "BTCUSDT", from_order_id=77, limit=500),
        "trades_from_id": wire.trades(FUTURES, "BTCUSDT", from_trade_id=9),
        "position_risk": wire.position_risk("BTCUSDT"),
        "position_risk_of_all": wire.position_risk(),
        "position_mode": wire.position_mode(),
        "listen_key_create": wire.listen_key_create(),
        "listen_key_extend": wire.listen_key_extend(),
        "listen_key_close": wire.listen_key_close(),
    },
}


def request_of(example: dict[str, Any]) -> wire.Request:
    return REQUESTS[Market(example["market"])][example["name"]]


def name_of(example: dict[str, Any]) -> str:
    return f"{example['market']}-{example['name']}"


def with_signature(text: str, payload: str) -> str:
    """Signed by an HMAC of the test's own."""
    if not text:
        return ""
    return f"{text}&signature={hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()}"


def test_every_call_has_an_example() -> None:
    assert sorted(map(name_of, EXAMPLES)) == sorted(
        f"{market}-{name}" for market, calls in REQUESTS.items() for name in calls
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_a_call_becomes_the_bytes_of_its_example(example: dict[str, Any]) -> None:
    request = request_of(example)

    sent = wire.http_request(request, SIGNER, timestamp_ms=1_700_000_000_000, recv_window_ms=5_000)

    query, body = example["query"], example["body"]
    if example["security"] == "signed":
        query, body = with_signature(query, query + body), with_signature(body, query + body)
    assert (sent.method, sent.path, sent.query, sent.body.decode()) == (
        example["method"],
        example["path"],
        query,
        body,
    )
    for name in ("security", "weight", "places_order"):
        assert getattr(request, name) == example[name]


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_headers_hold_the_key_where_it_is_due_and_the_form_type_for_posts(example: dict[str, Any]) -> None:
    signer = None if example["security"] == "none" else SIGNER

    headers = wire.http_request(request_of(example), signer, timestamp_ms=1, recv_window_ms=1).headers

    assert (("X-MBX-APIKEY", API_KEY) in headers) == (example["security"] != "none")
    form = ("Content-Type", "application/x-www-form-urlencoded")
    assert (form in headers) == (example["method"] == "POST")


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_no_text_made_of_a_request_holds_the_key_or_the_signature(example: dict[str, Any]) -> None:
    request = request_of(example)

    sent = wire.http_request(request, SIGNER, timestamp_ms=1, recv_window_ms=1)

    for text in (repr(request), repr(sent), str(sent), f"{[sent]!r}", repr(list(sent.__rich_repr__()))):
        assert API_KEY not in text
        assert "signature" not in text


def test_a_futures_order_names_its_position_side_and_a_spot_order_does_not() -> None:
    assert ("positionSide", "BOTH") in wire.new_order(FUTURES, REDUCING).params
    names = {name for name, _ in wire.new_order(SPOT, REDUCING).params}
    assert not names & {"positionSide", "reduceOnly"}


def test_only_what_places_is_marked_as_placing() -> None:
    placing = {name for calls in REQUESTS.values() for name, call in calls.items() if call.places_order}

    assert placing == {"new_market_order", "new_limit_order", "new_reduce_only_order", "amend_order"}


def test_an_odd_symbol_is_percent_encoded_before_it_is_signed() -> None:
    request = wire.query_order(FUTURES, "\u5e01\u5b89USDT", "a:b/c")

    sent = wire.http_request(request, SIGNER, timestamp_ms=2, recv_window_ms=1)

    payload = "symbol=%E5%B8%81%E5%AE%89USDT&origClientOrderId=a%3Ab%2Fc&recvWindow=1&timestamp=2"
    assert sent.query == with_signature(payload, payload)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.00200", "0.002"),
        ("1E+3", "1000"),
        ("1E-8", "0.00000001"),
        ("100", "100"),
        ("120.000", "120"),
        ("0E-8", "0"),
        ("-0.10", "-0.1"),
    ],
)
def test_a_decimal_is_plain_text(value: str, text: str) -> None:
    assert wire.decimal_text(Decimal(value)) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20))
def test_decimal_text_keeps_the_value_and_has_no_exponent(value: Decimal) -> None:
    text = wire.decimal_text(value)

    assert Decimal(text) == value
    assert "e" not in text.lower()


def test_a_number_that_is_none_is_never_sent() -> None:
    for value in ("NaN", "Infinity"):
        with pytest.raises(AssertionError):
            wire.decimal_text(Decimal(value))


def test_a_page_is_asked_for_by_id_or_by_time() -> None:
    with pytest.raises(AssertionError):
        wire.all_orders(FUTURES, "BTCUSDT", from_order_id=1, start_ms=START)
    with pytest.raises(AssertionError):
        wire.trades(FUTURES, "BTCUSDT", from_trade_id=1, end_ms=END)
