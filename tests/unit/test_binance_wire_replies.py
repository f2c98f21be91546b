"""Replies: what the documented bodies mean, and that garbage of any kind is None and never an exception."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.binance import wire_replies as replies
from adapters.binance.market import Market
from adapters.binance.wire_exchange_info import RateLimit, read_exchange_info

HERE = Path(__file__).parent / "binance_examples"
EXAMPLES: dict[str, object] = json.loads((HERE / "replies.json").read_text())
INFO: dict[str, object] = json.loads((HERE / "exchange_info.json").read_text())
ID = "ew1-abcdefghijklmnopqrstuvwx"

Reader = Callable[[bytes], object]


def spot_balances(body: bytes) -> object:
    return replies.read_balances(Market.SPOT, body)


def futures_balances(body: bytes) -> object:
    return replies.read_balances(Market.FUTURES, body)


READERS: dict[str, Reader] = {
    "order": replies.read_order,
    "orders": replies.read_orders,
    "trades": replies.read_trades,
    "positions": replies.read_positions,
    "futures_balances": futures_balances,
    "spot_balances": spot_balances,
    "account": replies.read_account,
    "position_mode": replies.read_position_mode,
    "restrictions": replies.read_restrictions,
    "exchange_info": read_exchange_info,
    "book_ticker": replies.read_book_ticker,
    "book_tickers": replies.read_book_tickers,
    "error": replies.read_error,
    "server_time": replies.read_server_time,
    "listen_key": replies.read_listen_key,
}


def body_of(value: object) -> bytes:
    return json.dumps(value).encode()


def example(name: str, **changes: object) -> bytes:
    """The body of an example, with fields changed, or left out where the change is `...`."""
    value = EXAMPLES[name]
    if changes:
        assert isinstance(value, dict)
        value = {key: item for key, item in (value | changes).items() if item is not ...}
    return body_of(value)


def test_a_futures_order_tells_its_fills() -> None:
    order = replies.read_order(example("futures_order"))

    assert order is not None
    assert (order.order_id, order.our_id, order.symbol) == (8389765512345678901, ID, "BTCUSDT")
    assert (order.status, order.state, order.side, order.type) == ("FILLED", "filled", "BUY", "MARKET")
    assert (order.orig_qty, order.executed_qty) == (Decimal("0.002"), Decimal("0.002"))
    assert order.average_price == Decimal("50010.20000")
    assert order.quote_qty == Decimal("100.02040")
    assert (order.time, order.update_time) == (1_700_000_000_010, 1_700_000_000_020)
    assert order.reduce_only is False


def test_a_placed_order_may_leave_out_what_it_costs() -> None:
    order = replies.read_order(example("futures_placed"))

    assert order is not None
    assert (order.state, order.executed_qty) == ("open", Decimal("0.000"))
    assert (order.average_price, order.quote_qty, order.time) == (None, None, None)


def test_an_acknowledgement_of_spot_has_three_fields_that_matter() -> None:
    order = replies.read_order(example("spot_ack"))

    assert order is not None
    assert (order.order_id, order.our_id, order.symbol) == (31, ID, "BTCUSDT")
    assert (order.status, order.state, order.executed_qty) == (None, None, None)
    assert order.transact_time == 1_700_000_000_015


def test_a_spot_order_has_its_average_price_computed() -> None:
    order = replies.read_order(example("spot_order"))

    assert order is not None
    assert order.average_price == Decimal("50020")
    assert order.quote_qty == Decimal("150.06")


def test_a_quote_sum_that_is_not_told_gives_no_average_price() -> None:
    order = replies.read_order(example("spot_order", cummulativeQuoteQty="-1.00000000"))

    assert order is not None
    assert (order.quote_qty, order.average_price) == (None, None)


def test_a_canceled_spot_order_is_known_by_the_id_it_was_placed_under() -> None:
    order = replies.read_order(example("spot_canceled"))

    assert order is not None
    assert (order.client_order_id, order.our_id, order.state) == ("cancelMyOrder1", ID, "canceled")
    assert order.executed_qty == Decimal("0.001")


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("NEW", "open"),
        ("PENDING_NEW", "open"),
        ("PARTIALLY_FILLED", "partial"),
        ("FILLED", "filled"),
        ("CANCELED", "canceled"),
        ("EXPIRED", "expired"),
        ("EXPIRED_IN_MATCH", "expired"),
        ("REJECTED", None),
        ("SOMETHING_NEW", None),
    ],
)
def test_a_status_has_our_word_for_it(status: str, state: str | None) -> None:
    order = replies.read_order(example("futures_order", status=status))

    assert order is not None
    assert order.state == state


def test_lists_of_orders_are_read_and_may_be_empty() -> None:
    assert replies.read_orders(b"[]") == ()
    orders = replies.read_orders(body_of([EXAMPLES["futures_order"], EXAMPLES["futures_canceled"]]))
    assert orders is not None
    assert [order.state for order in orders] == ["filled", "canceled"]


@pytest.mark.parametrize(
    ("name", "ids", "fees"),
    [
        ("futures_trades", [698759, 698760], [("0.02000408", "USDT"), ("0.00000800", "BNB")]),
        ("spot_trades", [28457], [("0.00000300", "BTC")]),
    ],
)
def test_trades_tell_what_was_paid_and_in_what(
    name: str, ids: list[int], fees: list[tuple[str, str]]
) -> None:
    trades = replies.read_trades(example(name))

    assert trades is not None
    assert [trade.id for trade in trades] == ids
    assert [(trade.commission, trade.commission_asset) for trade in trades] == [
        (Decimal(fee), asset) for fee, asset in fees
    ]


def test_a_position_is_signed() -> None:
    positions = replies.read_positions(example("futures_positions"))

    assert positions is not None
    assert [(one.symbol, one.position_amt, one.position_side) for one in positions] == [
        ("BTCUSDT", Decimal("-0.002"), "BOTH")
    ]


def test_balances_read_alike_on_both_markets() -> None:
    assert replies.read_balances(Market.FUTURES, example("futures_balance")) == (
        replies.BalanceReply("USDT", free=Decimal("900.25"), total=Decimal("1000.5")),
    )
    assert replies.read_balances(Market.SPOT, example("spot_account")) == (
        replies.BalanceReply("BTC", free=Decimal("0.4"), total=Decimal("0.5")),
    )


def test_what_account_and_key_may_do_is_told() -> None:
    spot, futures = (
        replies.read_account(example("spot_account")),
        replies.read_account(example("futures_account")),
    )
    rights = replies.read_restrictions(example("restrictions"))

    assert spot is not None
    assert (spot.can_trade, spot.can_withdraw) == (True, True)
    assert futures == replies.AccountReply()
    assert rights is not None
    assert (rights.enable_futures, rights.enable_withdrawals, rights.ip_restrict) == (True, False, True)
    assert replies.read_position_mode(example("position_mode")) == replies.PositionModeReply(False)


def test_a_right_to_withdraw_that_is_not_told_is_not_assumed_to_be_missing() -> None:
    assert replies.read_restrictions(example("restrictions", enableWithdrawals=...)) is None


def test_prices_clock_and_listen_key_are_read() -> None:
    futures = replies.read_book_ticker(example("futures_book_ticker"))
    spot = replies.read_book_tickers(body_of([EXAMPLES["spot_book_ticker"]]))

    assert futures is not None
    assert (futures.bid_price, futures.ask_price, futures.time) == (
        Decimal("50010.10"),
        Decimal("50010.20"),
        1_700_000_000_000,
    )
    assert spot is not None
    assert spot[0].time is None
    assert replies.read_server_time(example("time")) == 1_700_000_000_123
    assert (replies.read_listen_key(example("listen_key")) or "").startswith("pqia91ma19a5s61cv6a81va65")


@pytest.mark.parametrize("key", ["", "a/b", "a?b", "a b", "a\n", "\u00e9", "a" * 257, 5, None])
def test_a_listen_key_that_would_change_a_path_is_none(key: object) -> None:
    assert replies.read_listen_key(body_of({"listenKey": key})) is None


def test_an_error_may_come_without_a_code() -> None:
    assert replies.read_error(example("error")) == replies.ErrorReply(-2019, "Margin is insufficient.")
    assert replies.read_error(example("error_without_code")) == replies.ErrorReply(
        None, "Unknown error, please check your request or try again later."
    )


def test_exchange_info_has_the_limits_and_the_wanted_symbols() -> None:
    info = read_exchange_info(body_of(INFO["futures"]), {"BTCUSDT", "ETHUSDT"})

    assert info is not None
    assert info.rate_limits[2] == RateLimit("ORDERS", "SECOND", 10, 300)
    assert [(one.symbol, one.status) for one in info.symbols] == [
        ("BTCUSDT", "TRADING"),
        ("ETHUSDT", "SETTLING"),
    ]
    filters = {one.filter_type: one for one in info.symbols[0].filters}
    assert filters["PRICE_FILTER"].tick_size == Decimal("0.10")
    assert filters["MARKET_LOT_SIZE"].max_qty == Decimal("120")
    assert filters["MIN_NOTIONAL"].notional == Decimal("50")
    assert filters["MAX_NUM_ORDERS"].limit == Decimal("200")
    assert info.symbol("BTCUSDT") is info.symbols[0]
    assert info.symbol("XRPUSDT") is None


def test_one_odd_symbol_spoils_no_other() -> None:
    info = read_exchange_info(body_of(INFO["futures"]))

    assert info is not None
    assert [one.symbol for one in info.symbols] == ["BTCUSDT", "ETHUSDT"]
    assert info.unreadable == ("ODDUSDT",)


def test_exchange_info_of_spot_has_its_own_filters() -> None:
    info = read_exchange_info(body_of(INFO["spot"]))

    assert info is not None
    assert [limit.rate_limit_type for limit in info.rate_limits][-1] == "RAW_REQUESTS"
    filters = {one.filter_type: one for one in info.symbols[0].filters}
    assert filters["NOTIONAL"].min_notional == Decimal("5")
    assert filters["PERCENT_PRICE_BY_SIDE"].ask_multiplier_down == Decimal("0.2")
    assert info.symbols[0].is_spot_trading_allowed is True


GARBAGE = {
    "empty": b"",
    "cut": b'{"orderId": 1, "symbol": "BTC',
    "html": b"<html><body><h1>502 Bad Gateway</h1></body></html>",
    "null": b"null",
    "number": b"5",
    "text": b'"ok"',
    "not utf-8": b"\xff\xfe\x00",
    "broken text inside": b'{"symbol": "\xff", "msg": "\xff", "canTrade": "\xff"}',
    "nul bytes": b"\x00" * 64,
    "two values": b"{} {}",
    "array of arrays": b"[[]]",
    "array of nulls": b"[null]",
    "deep array": b"[" * 200_000,
    "deep unknown field": b'{"x":' + b"[" * 200_000,
    "deep in an array": b'[{"x":' + b"[" * 200_000,
    "NaN": b'{"orderId": NaN, "serverTime": NaN, "code": NaN}',
    "bare word": b"undefined",
}


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("reader", READERS)
def test_garbage_is_none_and_never_an_exception(reader: str, garbage: str) -> None:
    assert READERS[reader](GARBAGE[garbage]) is None


@pytest.mark.parametrize("reader", sorted(set(READERS) - {"account", "error"}))
def test_an_object_or_array_of_nothing_is_no_reply(reader: str) -> None:
    lists = {"orders", "trades", "positions", "futures_balances", "book_tickers"}
    assert READERS[reader](b"{}") is None
    assert READERS[reader](b"[]") == (() if reader in lists else None)


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "sNaN", "1E+999999", "1E-999999", "9" * 100, "", "1,5"]
)
def test_a_number_that_is_none_makes_the_reply_unreadable(number: str) -> None:
    assert replies.read_order(example("futures_order", executedQty=number)) is None
    assert replies.read_book_ticker(example("futures_book_ticker", bidPrice=number)) is None


def test_numbers_may_be_told_as_text_or_not_where_they_are_decimals() -> None:
    order = replies.read_order(example("futures_order").replace(b'"0.002"', b"0.002"))

    assert order is not None
    assert order.executed_qty == Decimal("0.002")


@pytest.mark.parametrize(
    "changes", [{"orderId": "31"}, {"orderId": 2**63}, {"orderId": 1.5}, {"symbol": 5}, {"executedQty": True}]
)
def test_an_order_of_other_types_is_unreadable(changes: dict[str, object]) -> None:
    assert replies.read_order(example("futures_order", **changes)) is None


@pytest.mark.parametrize("name", ["orderId", "symbol", "clientOrderId"])
def test_an_order_without_its_names_is_unreadable(name: str) -> None:
    assert replies.read_order(example("futures_order", **{name: ...})) is None


@given(body=st.binary(max_size=200), cut=st.integers(min_value=0, max_value=400))
def test_no_bytes_make_a_reader_raise(body: bytes, cut: int) -> None:
    for name, reader in READERS.items():
        reader(body)
        reader(body_of(EXAMPLES.get(name, EXAMPLES["futures_order"]))[:cut] + body)
