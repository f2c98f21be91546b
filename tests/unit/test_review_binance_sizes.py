"""Sizes of market orders in books that say little about what the asset is worth."""

from __future__ import annotations

from decimal import Decimal

import pytest

from adapters.binance import preparing
from adapters.binance.preparing import Window
from adapters.binance.prices import BookPrice
from adapters.contract import Order, OrderCtx, OrderSide, Reject
from adapters.filters import Notional, SymbolRules
from adapters.grid import Grid

D = Decimal
RULES = SymbolRules(
    symbol="BTCUSDT",
    lot=Grid(D("0.00001"), D("0.00001"), D("9000")),
    market_lot=Grid(D("0"), D("0"), D("120")),
    notional=Notional(minimum=D("5")),
)
WINDOW = Window(now_ms=1_700_000_000_000, offset_ms=0, send_window_ms=5_000, recv_window_ms=5_000)


def prepared(side: OrderSide, bid: str, ask: str) -> Order | Reject:
    ctx = OrderCtx(
        client_order_id="ew1-a",
        symbol="BTCUSDT",
        side=side,
        qty=None,
        order_type="market",
        price=None,
        tif="GTC",
        ts_ms=1,
        event_ts_ms=1,
        signal_id="s",
    )
    book = BookPrice(D(bid), D(ask), 0.0)
    return preparing.prepare(ctx, RULES, book, WINDOW, order_size_usd=D(100))


@pytest.mark.parametrize("bid", ["0.01", "1", "600", "30000", "55000"])
def test_a_sale_into_a_book_that_is_nearly_empty_is_no_multiple_of_what_was_meant(bid: str) -> None:
    order = prepared("sell", bid, "60000")

    assert isinstance(order, Reject) or order.qty * 60_000 <= 106


@pytest.mark.parametrize(("side", "qty"), [("buy", "0.00166"), ("sell", "0.00168")])
def test_in_a_usual_book_each_side_is_sized_with_the_price_that_it_meets(side: OrderSide, qty: str) -> None:
    order = prepared(side, "59500", "60000")

    assert isinstance(order, Order)
    assert order.qty == D(qty)
