"""Realised profit at average cost, against a brute-force account in fractions that shares nothing with it."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.look_pnl import DAY_MS, Book, Filled
from worker.look_spread import OverTime, Spread

_SIDES = st.sampled_from(["buy", "sell"])
_AMOUNTS = st.decimals(min_value="0.001", max_value="1000", places=3)
_FEES = st.decimals(min_value="-1", max_value="5", places=4)
_ORDERS = st.lists(st.tuples(_SIDES, _AMOUNTS, _AMOUNTS, _FEES), max_size=30)


def filled(
    number: int, side: str, qty: str | Decimal, price: str | Decimal | None, **changes: object
) -> Filled:
    """Order `number` of a symbol, one each second."""
    values: dict[str, object] = {
        "at_ms": number * 1_000,
        "symbol": "BTCUSDT",
        "side": side,
        "qty": Decimal(qty),
        "price": None if price is None else Decimal(price),
        "fee": Decimal(0),
        "fee_assumed": False,
    }
    return Filled(**{**values, **changes})


class Account:
    """Average cost as a textbook says it: one unit after the other, in fractions."""

    def __init__(self) -> None:
        self.qty = self.average = self.realised = Fraction(0)
        self.closings = self.won = 0

    def take(self, side: str, qty: Fraction, price: Fraction, fee: Fraction) -> None:
        change = qty if side == "buy" else -qty
        if self.qty * change < 0:
            closed = min(abs(change), abs(self.qty))
            earned = closed * (price - self.average) * (1 if self.qty > 0 else -1)
            self.realised += earned
            self.closings += 1
            self.won += earned > fee
        if self.qty * change >= 0:
            self.average = (self.qty * self.average + change * price) / (self.qty + change)
        elif abs(change) > abs(self.qty):
            self.average = price
        self.qty += change


@settings(max_examples=50, deadline=None)
@given(_ORDERS)
def test_profit_is_what_a_textbook_account_says_through_every_flip(
    orders: list[tuple[str, Decimal, Decimal, Decimal]],
) -> None:
    book, account = Book(), Account()

    for number, (side, qty, price, fee) in enumerate(orders):
        book.take(filled(number, side, qty, price, fee=fee))
        account.take(side, Fraction(qty), Fraction(price), Fraction(fee))

    if not orders:
        assert book.by_symbol == {}
        return
    earned, position = book.by_symbol["BTCUSDT"], book.positions["BTCUSDT"]
    assert Fraction(position.qty) == account.qty
    # Each partial closing is cut to 18 digits; nothing else is ever rounded.
    assert abs(Fraction(earned.realised) - account.realised) <= Fraction(1, 10**9)
    assert earned.closings == account.closings
    # The cash that went in and out is the profit less the cost of what is held, to the last digit.
    cash = sum((Fraction(q) * Fraction(p) * (-1 if s == "buy" else 1) for s, q, p, _ in orders), Fraction(0))
    assert cash == Fraction(earned.realised) - Fraction(position.cost)
    assert Fraction(earned.fees) == sum((Fraction(fee) for *_, fee in orders), Fraction(0))


def test_a_long_that_becomes_a_short_realises_the_long_alone() -> None:
    book = Book()
    book.take(filled(1, "buy", "2", "100"))

    earned = book.take(filled(2, "sell", "3", "110"))

    assert earned == 20
    assert (book.positions["BTCUSDT"].qty, book.positions["BTCUSDT"].average_cost) == (-1, 110)
    assert book.take(filled(3, "buy", "1", "100")) == 10


def test_orders_before_the_time_build_the_position_and_are_not_counted() -> None:
    book = Book(since_ms=DAY_MS)
    book.take(filled(1, "buy", "1", "100", fee=Decimal(1)))

    book.take(filled(2, "sell", "1", "130", fee=Decimal(2), at_ms=DAY_MS + 5))

    [(key, earned)] = book.by_day.items()
    assert key == (1, "BTCUSDT")
    assert (earned.filled, earned.realised, earned.fees, earned.net) == (1, 30, 2, 28)
    assert earned.win_rate == 1.0


def test_a_closing_that_earns_less_than_its_fee_is_not_won() -> None:
    book = Book()
    book.take(filled(1, "sell", "1", "100"))

    book.take(filled(2, "buy", "1", "99.5", fee=Decimal(1)))

    assert (book.by_symbol["BTCUSDT"].realised, book.by_symbol["BTCUSDT"].won) == (Decimal("0.5"), 0)


def test_an_order_without_a_price_is_counted_and_earns_nothing() -> None:
    book = Book()

    assert book.take(filled(1, "buy", "1", None)) is None

    assert (book.by_symbol["BTCUSDT"].unpriced, book.by_symbol["BTCUSDT"].traded) == (1, 0)
    assert book.positions["BTCUSDT"].qty == 0


@pytest.mark.parametrize(("side", "bps"), [("buy", 100.0), ("sell", -100.0)])
def test_slippage_is_above_zero_where_it_is_worse_for_us(side: str, bps: float) -> None:
    book = Book()

    book.take(filled(1, side, "2", "101", intent=Decimal(100)))

    assert book.by_symbol["BTCUSDT"].slippage_bps == pytest.approx(bps)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(min_value=0.001, max_value=1e6), min_size=1, max_size=100),
    st.sampled_from([0.25, 0.5, 0.75, 1.0]),
)
def test_a_quantile_is_off_by_a_hundredth_at_most(values: list[float], share: float) -> None:
    spread = Spread()
    for value in values:
        spread.add(value)

    exact = sorted(values)[ceil(share * len(values)) - 1]

    assert spread.quantile(share) == pytest.approx(exact, rel=0.0101)


def test_bars_hold_every_value_once() -> None:
    spread = Spread()
    for value in (0.0, 0.5, 7.0, 70.0, 9_000.0):
        spread.add(value)

    assert spread.bars((1, 10, 100)) == [2, 1, 1, 1]
    assert Spread().quantile(0.5) is None


def test_pieces_of_time_cover_the_first_and_the_last_moment() -> None:
    over = OverTime(1_000, 1_999, 10)
    over.add(1_000, 1.0)
    over.add(1_999, 3.0)

    assert [piece for piece, _ in sorted(over.spreads.items())] == [0, 9]
    assert [at_ms for at_ms, _ in over.points(0.5)] == [1_050, 1_950]
