"""Slippage is signed: above 0 is worse for us, and what rounding cost is part of it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Order, OrderSide
from adapters.slippage import intended_price, slippage_bps

D = Decimal
PRICES = st.integers(1, 10**12).map(lambda digits: D(digits).scaleb(-4))


def order(*, price: str | None, intent: str | None = None, diff: str | None = None) -> Order:
    return Order(
        client_order_id="ew1-a",
        symbol="BTCUSDT",
        side="buy",
        order_type="market" if price is None else "limit",
        tif="GTC",
        qty=D(1),
        price=None if price is None else D(price),
        signal_id="a",
        intent_price=None if intent is None else D(intent),
        rounding_diff=None if diff is None else {"price_diff": diff, "qty_diff": "0"},
    )


@pytest.mark.parametrize(
    ("side", "intent", "fill", "bps"),
    [
        ("buy", "100", "100.01", "1"),
        ("buy", "100", "99.99", "-1"),
        ("sell", "100", "99.99", "1"),
        ("sell", "100", "100.01", "-1"),
        ("buy", "43210.1", "43210.1", "0"),
        ("buy", "3", "3.0001", "0.333333333333333333"),
        ("sell", "3", "3.0001", "-0.333333333333333333"),
    ],
)
def test_a_worse_fill_is_above_zero_and_a_better_one_below(
    side: OrderSide, intent: str, fill: str, bps: str
) -> None:
    found = slippage_bps(side, D(intent), D(fill))

    assert str(found) == bps


@given(PRICES, PRICES)
def test_what_a_buyer_loses_a_seller_gains(intent: Decimal, fill: Decimal) -> None:
    assert slippage_bps("buy", intent, fill) == -slippage_bps("sell", intent, fill)
    assert (slippage_bps("buy", intent, fill) > 0) == (fill > intent)


def test_a_market_order_was_meant_to_trade_at_the_price_it_was_sized_with() -> None:
    assert intended_price(order(price=None, intent="43210.1")) == D("43210.1")


def test_a_limit_order_was_meant_to_trade_at_its_price_before_rounding() -> None:
    rounded = order(price="43210.1", intent="43000", diff="0.04")

    assert intended_price(rounded) == D("43210.14")
    assert intended_price(order(price="43210.1", intent="43000")) == D("43210.1")


def test_an_order_without_prices_was_meant_for_none() -> None:
    assert intended_price(order(price=None)) is None


def test_rounding_to_a_tick_counts_as_slippage() -> None:
    rounded = order(price="100.1", diff="-0.05")
    intent = intended_price(rounded)
    assert intent is not None
    assert rounded.price is not None

    assert str(slippage_bps("buy", intent, rounded.price)) == "4.99750124937531234"
