"""Positions at average cost: what was earned, and that no digit of it is lost."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import OrderSide
from adapters.paper.positions import Position

D = Decimal
SIDES: st.SearchStrategy[OrderSide] = st.sampled_from(["buy", "sell"])
AMOUNTS = st.integers(1, 10**9).map(lambda digits: D(digits).scaleb(-5))
TRADES = st.lists(st.tuples(SIDES, AMOUNTS, AMOUNTS), max_size=20)


def after(*trades: tuple[OrderSide, str, str]) -> Position:
    position = Position()
    for side, qty, price in trades:
        position.fill(side, D(qty), D(price), D("0.1"))
    return position


def test_what_is_bought_dearer_raises_the_average() -> None:
    position = after(("buy", "1", "100"), ("buy", "3", "200"))

    assert (position.qty, position.average_cost, position.realised) == (D(4), D(175), D(0))
    assert (position.fees, position.traded, position.fills) == (D("0.2"), D(700), 2)


def test_selling_a_part_earns_against_the_average_which_stays() -> None:
    position = after(("buy", "1", "100"), ("buy", "3", "200"), ("sell", "2", "180"))

    assert (position.qty, position.average_cost, position.realised) == (D(2), D(175), D(10))


def test_a_short_position_earns_when_it_is_bought_back_cheaper() -> None:
    position = after(("sell", "2", "100"), ("buy", "2", "90"))

    assert (position.qty, position.cost, position.realised) == (D(0), D(0), D(20))
    assert position.average_cost is None


def test_one_trade_may_close_a_position_and_open_the_other_way() -> None:
    position = after(("buy", "2", "100"), ("sell", "5", "110"))

    assert (position.qty, position.average_cost, position.realised) == (D(-3), D(110), D(20))


@given(TRADES)
def test_money_and_holdings_always_add_up_to_the_last_digit(
    trades: list[tuple[OrderSide, Decimal, Decimal]],
) -> None:
    position, cash, held = Position(), Fraction(0), Fraction(0)

    for side, qty, price in trades:
        position.fill(side, qty, price, D(0))
        sign = 1 if side == "buy" else -1
        cash -= sign * Fraction(qty) * Fraction(price)
        held += sign * Fraction(qty)

    assert Fraction(position.qty) == held
    assert Fraction(position.realised) - Fraction(position.cost) == cash
    if position.qty:
        assert position.average_cost is not None
        assert position.average_cost > 0
    else:
        assert position.cost == 0
