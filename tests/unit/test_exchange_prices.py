"""The price feeds of the exchange: fixed, walking, listed; the same every time."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.box import START_MS, Box

from adapters.exchange.prices import FixedPrices, ListedPrices, PriceListError, RandomWalk, listed_prices
from config.seams import seeded_random

STARTS = {"BTCUSDT": Decimal(60_000), "ETHUSDT": Decimal(3_000)}


def walk(seed: int = 7, **given: int) -> RandomWalk:
    return RandomWalk(STARTS, seeded_random(seed), start_ms=START_MS, **given)


def test_a_fixed_price_stands_until_it_is_set() -> None:
    feed = FixedPrices(STARTS)

    assert (feed.advance(START_MS + 10**9), feed.next_change_ms()) == (False, None)
    feed.set_price("BTCUSDT", Decimal(1))
    assert (feed.price("BTCUSDT"), feed.price("XXXUSDT")) == (Decimal(1), None)


@given(st.lists(st.integers(0, 20_000), max_size=20))
def test_a_walk_takes_the_same_way_however_often_it_is_asked(moments: list[int]) -> None:
    often, once = walk(), walk()
    last = max(moments, default=0)

    for moment in sorted(moments):
        often.advance(START_MS + moment)
    once.advance(START_MS + last)

    assert [often.price(name) for name in STARTS] == [once.price(name) for name in STARTS]


def test_a_walk_moves_by_its_steps_and_no_further() -> None:
    feed = walk(step_ms=100, step_bps=5)

    assert feed.next_change_ms() == START_MS + 100
    for step in range(1, 200):
        before = feed.price("BTCUSDT") or Decimal(0)
        assert feed.advance(START_MS + 100 * step)
        after = feed.price("BTCUSDT") or Decimal(0)
        assert abs(after / before - 1) <= Decimal("0.00050001")


def test_a_walk_goes_on_from_a_price_that_was_set() -> None:
    feed = walk()
    feed.set_price("BTCUSDT", Decimal(100))

    feed.advance(START_MS + 1_000)

    assert Decimal("99.9") < (feed.price("BTCUSDT") or 0) < Decimal("100.1")


def test_a_list_is_followed_to_its_end() -> None:
    rows = listed_prices(
        "# offset,symbol,price\n0,BTCUSDT,100\n\n500, BTCUSDT, 200 # up\n300,ETHUSDT,3\n", START_MS
    )
    feed = ListedPrices(STARTS, rows)

    seen = []
    while (due_ms := feed.next_change_ms()) is not None:
        feed.advance(due_ms)
        seen.append((due_ms - START_MS, feed.price("BTCUSDT"), feed.price("ETHUSDT")))

    assert seen == [(0, 100, 3_000), (300, 100, 3), (500, 200, 3)]
    assert feed.advance(START_MS + 10**6) is False


@pytest.mark.parametrize(
    "line", ["0,BTCUSDT", "x,BTCUSDT,1", "0,BTCUSDT,dear", "0,BTCUSDT,NaN", "0,BTCUSDT,-1"]
)
def test_a_list_that_cannot_be_read_names_its_line(line: str) -> None:
    with pytest.raises(PriceListError, match="line 2"):
        listed_prices(f"0,BTCUSDT,1\n{line}\n", START_MS)


def test_a_walking_price_fills_resting_orders_at_its_moment() -> None:
    box = Box(prices=walk(step_ms=100, step_bps=20))
    box.place("a", price="59700")

    waited_ms = 0
    while box.query("a").body["status"] == "NEW" and waited_ms < 100_000:
        box.wait(100)
        waited_ms += 100

    leap = Box(prices=walk(step_ms=100, step_bps=20))
    leap.place("a", price="59700")
    leap.wait(waited_ms)
    assert box.query("a").body["status"] == "FILLED"
    assert leap.journal == box.journal
