"""Pushed events: both markets say the same things to us, and garbage is None and never an exception."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.binance.wire_stream import ListenKeyExpired, OrderTradeUpdate, OtherEvent, read_event

EVENTS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "binance_examples" / "events.json").read_text()
)
ID = "ew1-abcdefghijklmnopqrstuvwx"


def body_of(value: object) -> bytes:
    return json.dumps(value).encode()


def order_event(value: object) -> OrderTradeUpdate:
    event = read_event(body_of(value))
    assert isinstance(event, OrderTradeUpdate)
    return event


def test_a_futures_trade_tells_its_fill_and_what_the_order_came_to() -> None:
    event = order_event(EVENTS["futures_trade"])

    assert (event.client_order_id, event.order_id, event.symbol) == (ID, 8389765512345678901, "BTCUSDT")
    assert (event.execution, event.status, event.state) == ("TRADE", "PARTIALLY_FILLED", "partial")
    assert (event.cum_qty, event.average_price, event.cum_quote) == (
        Decimal("0.001"),
        Decimal("50010.2"),
        None,
    )
    assert (event.trade_id, event.last_qty, event.last_price) == (
        698759,
        Decimal("0.001"),
        Decimal("50010.20"),
    )
    assert (event.commission, event.commission_asset) == (Decimal("0.02000408"), "USDT")
    assert (event.event_ms, event.transaction_ms) == (1_700_000_000_016, 1_700_000_000_015)
    assert (event.side, event.order_type, event.tif, event.orig_qty) == (
        "BUY",
        "MARKET",
        "GTC",
        Decimal("0.002"),
    )


def test_a_futures_order_that_was_accepted_has_no_trade_and_no_average_price() -> None:
    event = order_event(EVENTS["futures_new"])

    assert (event.execution, event.state, event.cum_qty) == ("NEW", "open", Decimal(0))
    assert (event.trade_id, event.average_price, event.commission, event.commission_asset) == (None,) * 4


def test_a_spot_trade_tells_the_same_with_a_quote_sum() -> None:
    event = order_event(EVENTS["spot_trade"])

    assert (event.client_order_id, event.order_id, event.state) == (ID, 31, "filled")
    assert (event.cum_qty, event.average_price, event.cum_quote) == (
        Decimal("0.003"),
        None,
        Decimal("150.06"),
    )
    assert (event.trade_id, event.commission, event.commission_asset) == (28457, Decimal("0.000003"), "BTC")
    assert event.reason is None


def test_a_canceled_spot_order_is_known_by_the_id_it_was_placed_under() -> None:
    event = order_event(EVENTS["spot_canceled"])

    assert (event.client_order_id, event.state, event.trade_id) == (ID, "canceled", None)


def test_a_spot_rejection_has_no_state_of_ours_and_tells_why() -> None:
    event = order_event(
        EVENTS["spot_trade"] | {"x": "REJECTED", "X": "REJECTED", "r": "INSUFFICIENT_BALANCES"}
    )

    assert (event.state, event.reason) == (None, "INSUFFICIENT_BALANCES")


def test_an_expired_listen_key_is_told_and_its_key_is_dropped() -> None:
    event = read_event(body_of(EVENTS["futures_listen_key_expired"]))

    assert event == ListenKeyExpired(1_700_003_600_000)
    assert "pqia91ma" not in repr(event)


@pytest.mark.parametrize(
    ("name", "kind"), [("futures_account", "ACCOUNT_UPDATE"), ("spot_balance", "balanceUpdate")]
)
def test_an_event_that_concerns_no_order_is_another_event(name: str, kind: str) -> None:
    assert read_event(body_of(EVENTS[name])) == OtherEvent(kind)


def test_a_wrapped_event_is_unwrapped() -> None:
    plain = order_event(EVENTS["futures_trade"])
    spot = order_event(EVENTS["spot_trade"])

    assert order_event({"stream": "abc", "data": EVENTS["futures_trade"]}) == plain
    assert order_event({"subscriptionId": 0, "event": EVENTS["spot_trade"]}) == spot


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"<html>",
        b"\xff",
        b'{"e": 5}',
        b'{"e": "ORDER_TRADE_UPDATE"}',
        b'{"e": "ORDER_TRADE_UPDATE", "E": 1, "o": {}}',
        b'{"e": "executionReport", "E": 1}',
        b'{"data": 5}',
        b'{"data": {"data": {"e": "x"}}}',
        b'{"e": "listenKeyExpired", "E": "soon"}',
        b'{"x":' + b"[" * 200_000,
    ],
)
def test_garbage_is_none_and_never_an_exception(message: bytes) -> None:
    assert read_event(message) is None


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1E+999999", "", "abc"])
@pytest.mark.parametrize("field", ["z", "l", "L", "ap", "n"])
def test_a_number_that_is_none_makes_the_event_unreadable(field: str, number: str) -> None:
    event = EVENTS["futures_trade"]

    assert read_event(body_of(event | {"o": event["o"] | {field: number}})) is None


@given(body=st.binary(max_size=100), cut=st.integers(min_value=0, max_value=900))
def test_no_bytes_make_the_reader_raise(body: bytes, cut: int) -> None:
    for event in EVENTS.values():
        read_event(body_of(event)[:cut] + body)
