"""From a signal to an order: sized by the book, cut to the rules, in a window that ends with its life."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.binance import preparing
from adapters.binance.preparing import Window
from adapters.binance.prices import BookPrice
from adapters.contract import Order, OrderCtx, Reject
from adapters.filters import Band, Notional, SymbolRules
from adapters.grid import Grid

D = Decimal
RULES = SymbolRules(
    symbol="BTCUSDT",
    price=Grid(D("0.10"), D("261.10"), D("809484")),
    lot=Grid(D("0.001"), D("0.001"), D("1000")),
    market_lot=Grid(D("0.001"), D("0.001"), D("120")),
    notional=Notional(minimum=D("50"), reduce_only_exempt=True),
    bands={"buy": Band(up=D("1.05")), "sell": Band(down=D("0.95"))},
)
BOOK = BookPrice(D("49999.9"), D("50000.1"), 0.0)
NOW_MS = 1_700_000_000_000
WINDOW = Window(now_ms=NOW_MS, offset_ms=250, send_window_ms=5_000, recv_window_ms=4_000)


def wanted(**changes: Any) -> OrderCtx:
    named: dict[str, Any] = {
        "client_order_id": "ew1-abcdefghijklmnopqrstuvwx",
        "symbol": "BTCUSDT",
        "side": "buy",
        "qty": None,
        "order_type": "market",
        "price": D("43210.10"),
        "tif": "GTC",
        "ts_ms": 1,
        "event_ts_ms": 1,
        "signal_id": "s1",
    }
    return OrderCtx(**{**named, **changes})


def prepared(book: BookPrice = BOOK, size: str = "100", **changes: Any) -> Order:
    order = preparing.prepare(wanted(**changes), RULES, book, WINDOW, order_size_usd=D(size))
    assert isinstance(order, Order), order
    return order


def rejected(book: BookPrice = BOOK, size: str = "100", **changes: Any) -> str:
    order = preparing.prepare(wanted(**changes), RULES, book, WINDOW, order_size_usd=D(size))
    assert isinstance(order, Reject), order
    return order.code


@pytest.mark.parametrize(
    ("side", "price", "qty"), [("buy", "50000.1", "0.001"), ("sell", "49999.9", "0.002")]
)
def test_a_market_order_is_sized_with_the_price_that_it_meets(side: str, price: str, qty: str) -> None:
    order = prepared(side=side)

    assert (order.side, order.order_type, order.price) == (side, "market", None)
    assert order.intent_price == D(price)
    assert order.qty == D(qty)


def test_the_signal_s_own_price_means_nothing_to_a_market_order() -> None:
    assert prepared(price=D("1")) == prepared(price=None)


def test_what_rounding_took_away_is_told_exactly() -> None:
    order = prepared(size="1000", side="sell")

    assert order.rounding_diff is not None
    assert order.qty == D("0.020")
    assert D(order.rounding_diff["qty_diff"]) + order.qty == pytest.approx(D(1000) / D("49999.9"))
    assert order.rounding_diff["price_diff"] == "0"


def test_a_limit_order_takes_the_signal_s_price_and_else_the_book_s() -> None:
    own = prepared(order_type="limit", price=D("49000.04"), size="1000")
    booked = prepared(order_type="limit", price=None)

    assert own.price == D("49000.0")
    assert own.rounding_diff is not None
    assert own.rounding_diff["price_diff"] == "0.04"
    assert (booked.price, booked.intent_price) == (D("50000.1"), D("50000.1"))


def test_a_limit_order_is_worth_no_more_than_its_size_at_either_price() -> None:
    above = prepared(order_type="limit", side="sell", price=D("52000"), size="1000")
    below = prepared(order_type="limit", side="sell", price=D("49000"), size="1000")

    assert above.qty * D("52000") <= 1000
    assert below.qty * BOOK.bid <= 1000


def test_a_quantity_that_was_given_is_kept_and_cut_to_the_step() -> None:
    order = prepared(qty=D("0.0129"))

    assert order.qty == D("0.012")
    assert order.rounding_diff == {"price_diff": "0", "qty_diff": "0.0009"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"size": "49"}, "invalid_quantity"),
        ({"size": "99", "book": BookPrice(D("40000"), D("40000"), 0.0)}, None),
        ({"size": "79", "book": BookPrice(D("40000"), D("40000"), 0.0)}, "min_notional"),
        ({"size": "10000000"}, "invalid_quantity"),
        ({"order_type": "limit", "price": D("60000")}, "percent_price"),
        ({"order_type": "limit", "price": D("1")}, "price_filter"),
        ({"order_type": "limit", "price": D("NaN")}, "price_filter"),
        ({"order_type": "limit", "price": D("-1")}, "price_filter"),
        ({"qty": D(0)}, "invalid_quantity"),
    ],
)
def test_what_the_venue_would_refuse_is_refused_before_it_is_sent(
    changes: dict[str, Any], code: str | None
) -> None:
    if code is None:
        assert prepared(**changes).qty == D("0.002")
    else:
        assert rejected(**changes) == code


def test_an_order_may_be_signed_for_one_window() -> None:
    order = prepared()

    assert order.send_before_ms == NOW_MS + 5_000
    assert order.recv_window_ms == 4_000
    assert not order.reduce_only
    assert order.position_side == "BOTH"


@pytest.mark.parametrize(
    ("life_end_ms", "send_before_ms"),
    [
        (None, NOW_MS + 5_000),
        # The life ends on the host's clock, the window on the venue's, which is 250 ms ahead.
        (NOW_MS + 1_000, NOW_MS + 1_250),
        (NOW_MS + 60_000, NOW_MS + 5_000),
        (NOW_MS - 10_000, NOW_MS - 9_750),
    ],
)
def test_no_window_outlasts_the_signal(life_end_ms: int | None, send_before_ms: int) -> None:
    order = prepared(life_end_ms=life_end_ms)

    assert order.send_before_ms == send_before_ms
    assert preparing.renew(order, WINDOW, life_end_ms) == order


def test_a_renewed_order_has_new_times_and_nothing_else() -> None:
    order = prepared()
    later = Window(now_ms=NOW_MS + 90_000, offset_ms=0, send_window_ms=2_000, recv_window_ms=3_000)

    renewed = preparing.renew(order, later, None)

    assert (renewed.send_before_ms, renewed.recv_window_ms) == (NOW_MS + 92_000, 3_000)
    assert preparing.renew(renewed, WINDOW, None) == order


@given(
    size=st.decimals(min_value="0.01", max_value="1000000", places=2),
    bid=st.decimals(min_value="300", max_value="700000", places=1),
    spread=st.decimals(min_value="0", max_value="1000", places=1),
    side=st.sampled_from(["buy", "sell"]),
    limit=st.none() | st.decimals(min_value="1", max_value="900000", places=3),
    is_limit=st.booleans(),
)
def test_no_order_is_ever_larger_than_wanted_or_off_the_grid(
    size: Decimal, bid: Decimal, spread: Decimal, side: str, limit: Decimal | None, is_limit: bool
) -> None:
    book = BookPrice(bid, bid + spread, 0.0)
    ctx = wanted(side=side, order_type="limit" if is_limit else "market", price=limit)

    order = preparing.prepare(ctx, RULES, book, WINDOW, order_size_usd=size)

    if isinstance(order, Order):
        assert order.intent_price is not None
        assert order.qty * order.intent_price <= size
        assert order.qty % D("0.001") == 0
        assert order.price is None or (order.price - D("261.10")) % D("0.10") == 0
        assert order.qty * (order.price or order.intent_price) >= 50
