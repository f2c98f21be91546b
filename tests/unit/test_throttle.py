"""The adaptive throttle: it follows the denied share and the market, and does not flutter."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import settings
from config.seams import seeded_random
from worker.throttle import Throttle

BASE = 10.0
START_S = 1_000.0


def throttle(**changes: Any) -> Throttle:
    """A throttle with the defaults, but for `changes`."""
    return Throttle(settings.Throttle(**changes))


def noted(denied: int, of: int, **changes: Any) -> Throttle:
    """One that has just seen so many signals, so many of them denied."""
    one = throttle(**changes)
    one.note(START_S, of - denied, denied)
    return one


def play(
    one: Throttle,
    share_at: Callable[[int], float],
    *,
    seconds: int,
    per_s: float,
    seed: int = 1,
    quiet_at: Callable[[int], bool] = lambda _: False,
) -> list[float]:
    """The rate in force at each second of a feed whose signals are denied with probability `share_at`."""
    chance = seeded_random(seed)
    rates = []
    for second in range(seconds):
        now_s = START_S + second
        count = int(per_s) + (chance.random() < per_s % 1)
        denied = sum(chance.random() < share_at(second) for _ in range(count))
        one.note(now_s, count - denied, denied)
        rates.append(one.rate(BASE, now_s, quiet=quiet_at(second)))
    return rates


def changes_in(rates: list[float]) -> int:
    """How often the rate moved."""
    return sum(before != after for before, after in pairwise(rates))


@pytest.mark.parametrize(
    ("denied", "of", "factor"),
    [
        (0, 100, 1.0),
        (20, 100, 1.0),
        (30, 100, 0.875),
        (40, 100, 0.75),
        (60, 100, 0.5),
        (100, 100, 0.5),
        (19, 19, 1.0),
        (20, 20, 0.5),
    ],
)
def test_the_factor_falls_in_a_straight_line_between_the_shares(denied: int, of: int, factor: float) -> None:
    one = noted(denied, of)

    assert one.target(BASE, START_S, quiet=False) == pytest.approx(BASE * factor)
    assert one.target(BASE, START_S, quiet=True) == pytest.approx(BASE * factor * 0.5)


def test_the_sentence_names_the_share_the_market_and_the_bound() -> None:
    one = noted(48, 120)
    assert one.why == "no rate was asked for yet"

    one.rate(BASE, START_S, quiet=True)
    assert one.why == "40 % of 120 signals denied: x 0.75; quiet market: x 0.5"

    one.rate(2.0, START_S, quiet=True)
    assert one.why.endswith("quiet market: x 0.5; held at the least, 1 a second")

    one.rate(BASE, START_S + 61, quiet=False)
    assert one.why == "nothing slows it down"


def test_the_bounds_hold_and_never_lift_a_base_below_them() -> None:
    one = noted(100, 100, qps_min=4.0, qps_max=6.0)

    assert one.target(100.0, START_S, quiet=False) == 6.0
    assert one.target(10.0, START_S, quiet=True) == 4.0
    assert one.target(3.0, START_S, quiet=True) == 3.0


def test_equal_shares_are_a_step_and_no_denials_never_slow() -> None:
    assert noted(30, 100, denied_share_low=0.3, denied_share_high=0.3).target(10, START_S, quiet=False) == 5.0
    assert (
        noted(29, 100, denied_share_low=0.3, denied_share_high=0.3).target(10, START_S, quiet=False) == 10.0
    )
    assert noted(0, 100, denied_share_low=0.0, denied_share_high=0.0).target(10, START_S, quiet=False) == 10.0


def test_what_left_the_window_no_longer_counts() -> None:
    one = noted(100, 100)

    assert one.target(BASE, START_S + 58, quiet=False) == 5.0
    assert one.target(BASE, START_S + 61, quiet=False) == 10.0
    one.note(START_S + 10_000_000, 100, 0)
    assert one.target(BASE, START_S + 10_000_000, quiet=False) == 10.0


def test_a_clock_that_stands_still_or_goes_back_loses_nothing() -> None:
    one = noted(50, 100)

    one.note(START_S - 30, 0, 50)

    assert one.target(BASE, START_S - 30, quiet=False) == 5.0


@given(
    base=st.floats(0.1, 1_000),
    seen=st.lists(st.tuples(st.floats(0, 20), st.integers(0, 50), st.integers(0, 50)), max_size=40),
    quiet=st.booleans(),
)
def test_the_rate_stays_within_its_bounds_and_never_compounds(
    base: float, seen: list[tuple[float, int, int]], quiet: bool
) -> None:
    rules = settings.Throttle()
    one, twin = Throttle(rules), Throttle(rules)
    now_s = START_S
    for wait_s, eligible, denied in seen:
        now_s += wait_s
        one.note(now_s, eligible, denied)
        twin.note(now_s, eligible, denied)
        rate = one.rate(base, now_s, quiet=quiet)

        assert min(rules.qps_min, base) <= rate <= base
        # Asked a thousand times or once, the window asks for the same.
        assert one.target(base, now_s, quiet=quiet) == twin.target(base, now_s, quiet=quiet)


def test_a_change_counts_when_it_has_lasted() -> None:
    one = throttle()
    assert one.rate(BASE, START_S, quiet=False) == 10.0

    assert one.rate(BASE, START_S + 1, quiet=True) == 10.0
    assert one.rate(BASE, START_S + 5.9, quiet=True) == 10.0
    assert one.rate(BASE, START_S + 6, quiet=True) == 5.0


def test_a_change_back_in_the_meantime_cancels_it() -> None:
    one = throttle()
    one.rate(BASE, START_S, quiet=False)

    for second in range(1, 60):
        assert one.rate(BASE, START_S + second, quiet=second % 5 != 0) == 10.0


def test_a_small_change_is_none_but_the_last_step_to_the_full_rate_is_taken() -> None:
    one = noted(22, 100)  # asks for 9.75
    assert one.rate(BASE, START_S, quiet=False) == pytest.approx(9.75)

    one.note(START_S + 1, 0, 2)  # 24 of 102: 9.56
    assert one.rate(BASE, START_S + 1, quiet=False) == pytest.approx(9.75)
    assert one.rate(BASE, START_S + 30, quiet=False) == pytest.approx(9.75)

    one.note(START_S + 31, 100, 0)
    one.rate(BASE, START_S + 31, quiet=False)
    assert one.rate(BASE, START_S + 36, quiet=False) == 10.0


def test_what_may_be_chance_moves_nothing() -> None:
    one = noted(60, 100)
    one.rate(BASE, START_S, quiet=False)
    one.note(START_S + 30, 65, 0)  # 36 % of 165, and 60 % are no chance any more
    one.rate(BASE, START_S + 30, quiet=False)
    assert one.rate(BASE, START_S + 35, quiet=False) == pytest.approx(7.955, abs=0.001)

    one.note(START_S + 36, 0, 20)  # 43 % of 185 may still be 36 %
    one.rate(BASE, START_S + 36, quiet=False)
    one.rate(BASE, START_S + 45, quiet=False)
    assert one.rate(BASE, START_S + 50, quiet=False) == pytest.approx(7.955, abs=0.001)

    one.note(START_S + 51, 0, 40)  # 53 % of 225 is not
    one.rate(BASE, START_S + 51, quiet=False)
    assert one.rate(BASE, START_S + 56, quiet=False) == pytest.approx(5.833, abs=0.001)


def test_a_new_base_counts_at_once() -> None:
    one = throttle()
    one.rate(BASE, START_S, quiet=False)
    one.rate(BASE, START_S + 1, quiet=True)

    assert one.rate(4.0, START_S + 2, quiet=True) == 2.0
    assert one.rate(BASE, START_S + 3, quiet=False) == 10.0


def rising_and_falling(second: int) -> float:
    """0 for 2 minutes, up to 0.8 in 5, there for 5, back to 0 in 5, then 0."""
    if second < 120:
        return 0.0
    if second < 420:
        return 0.8 * (second - 120) / 300
    if second < 720:
        return 0.8
    return max(0.0, 0.8 * (1_020 - second) / 300)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("per_s", [1, 3, 30])
def test_the_rate_follows_a_share_that_rises_and_falls(per_s: int, seed: int) -> None:
    rates = play(throttle(), rising_and_falling, seconds=1_200, per_s=per_s, seed=seed)

    assert set(rates[:120]) == {10.0}
    assert set(rates[500:720]) == {5.0}, "the share is far above the high mark"
    assert set(rates[1_100:]) == {10.0}, "and back in full"
    down, up = rates[:600], rates[600:]
    assert changes_in(down) <= 7
    assert changes_in(up) <= 7
    if per_s == 30:
        assert down == sorted(down, reverse=True)
        assert up == sorted(up)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("per_s", [1, 3])
@pytest.mark.parametrize("share", [0.2, 0.6])
def test_noise_about_a_share_mark_moves_the_rate_a_few_times_an_hour_at_most(
    share: float, per_s: int, seed: int
) -> None:
    rates = play(throttle(), lambda _: share, seconds=3_600, per_s=per_s, seed=seed)

    assert changes_in(rates) <= 8


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("per_s", [20 / 60, 1, 3])
@pytest.mark.parametrize("share", [0.3, 0.4, 0.5])
def test_a_steady_share_of_few_signals_moves_the_rate_every_few_minutes_at_most(
    share: float, per_s: float, seed: int
) -> None:
    rates = play(throttle(), lambda _: share, seconds=3_600, per_s=per_s, seed=seed)

    assert changes_in(rates) <= 12


@pytest.mark.parametrize("seed", range(4))
def test_noise_about_the_least_number_of_signals_does_not_switch_the_factor(seed: int) -> None:
    rates = play(throttle(), lambda _: 0.9, seconds=3_600, per_s=20 / 60, seed=seed)

    assert changes_in(rates) <= 5


def test_a_feed_that_ends_gets_its_rate_back_after_a_while() -> None:
    one = noted(100, 100)
    assert one.rate(BASE, START_S, quiet=False) == 5.0

    rates = [one.rate(BASE, START_S + second, quiet=False) for second in range(1, 300)]

    assert rates[:200] == [5.0] * 200, "three windows with too few signals, after the last one with enough"
    assert rates[-1] == 10.0
    assert changes_in(rates) == 1


def test_noise_in_the_market_of_less_than_the_hold_moves_nothing() -> None:
    chance = seeded_random(3)
    flutter = [chance.random() < 0.5 for _ in range(3_600)]
    held = throttle(hold_ms=20_000)

    rates = play(held, lambda _: 0.0, seconds=3_600, per_s=1, quiet_at=flutter.__getitem__)

    assert changes_in(rates) == 0


def test_memory_and_time_stay_the_same_whatever_the_number_of_signals() -> None:
    one = throttle(window_ms=3_600_000)
    for second in range(20_000):
        one.note(START_S + second, 1_000_000, 1_000_000)

    assert one.target(BASE, START_S + 20_000, quiet=False) == pytest.approx(6.25)
    assert all(len(kept) == 60 for kept in vars(one).values() if isinstance(kept, list))
