"""The token bucket: never more than the rate and a burst, never starving, starting empty."""

from __future__ import annotations

import asyncio
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.virtual_clock import in_virtual_time, virtual_clock

from adapters.pacing import TokenBucket
from worker.pace import Permits

RATES = st.floats(0.1, 10_000, allow_nan=False)
STEPS = st.lists(st.tuples(st.floats(0, 5, allow_nan=False), st.integers(1, 50)), min_size=1, max_size=60)


@given(rate=RATES, burst_s=st.floats(0.01, 3), steps=STEPS)
def test_no_window_ever_holds_more_than_the_rate_and_one_burst(
    rate: float, burst_s: float, steps: list[tuple[float, int]]
) -> None:
    bucket = TokenBucket(rate, now_s=100.0, burst_s=burst_s)
    now_s, given_out = 100.0, []
    for wait_s, wanted in steps:
        now_s += wait_s
        available = bucket.available(now_s)
        assert available is not None
        taken = min(wanted, available)
        bucket.take(taken, now_s)
        given_out.append((now_s, taken))

    capacity = max(1.0, rate * burst_s)
    for first in range(len(given_out)):
        total = 0
        for at_s, taken in given_out[first:]:
            total += taken
            span_s = at_s - given_out[first][0]
            assert total <= rate * span_s + capacity + 1e-6 * (1 + rate)


@given(rate=RATES, steps=STEPS)
def test_nothing_is_given_out_before_it_was_earned(rate: float, steps: list[tuple[float, int]]) -> None:
    bucket = TokenBucket(rate, now_s=0.0)
    now_s, total = 0.0, 0
    for wait_s, wanted in steps:
        now_s += wait_s
        taken = min(wanted, bucket.available(now_s) or 0)
        bucket.take(taken, now_s)
        total += taken

        assert total <= rate * now_s + 1e-6


def test_it_starts_empty() -> None:
    bucket = TokenBucket(10, now_s=5.0)

    assert bucket.available(5.0) == 0
    assert bucket.wait_s(5.0) == pytest.approx(0.1)


@given(rate=RATES, drained=st.integers(0, 200))
def test_who_waits_as_long_as_told_is_served(rate: float, drained: int) -> None:
    bucket = TokenBucket(rate, now_s=0.0)
    now_s = 0.0
    for _ in range(drained % 7 + 1):
        now_s += bucket.wait_s(now_s)
        assert bucket.wait_s(now_s) <= 1e-6 / rate + 1e-9
        bucket.take(1, now_s + 1e-9)


def test_over_an_hour_the_rate_is_met_exactly() -> None:
    bucket = TokenBucket(7.3, now_s=0.0)
    served, now_s = 0, 0.0
    while True:
        now_s += bucket.wait_s(now_s)
        if now_s > 3_600:
            break
        bucket.take(1, now_s)
        served += 1

    assert served == math.floor(Fraction("7.3") * 3_600)


@given(rate=RATES, back=st.integers(0, 100_000))
def test_what_is_given_back_never_exceeds_the_burst(rate: float, back: int) -> None:
    bucket = TokenBucket(rate, now_s=0.0)

    bucket.give_back(back)

    assert (bucket.available(0.0) or 0) <= max(1.0, rate)
    assert (bucket.available(0.0) or 0) == min(back, int(max(1.0, rate) + 1e-9))


def test_a_permit_given_back_is_there_at_once() -> None:
    bucket = TokenBucket(2, now_s=0.0)
    bucket.take(1, 0.5)
    assert bucket.available(0.5) == 0

    bucket.give_back(1)

    assert bucket.available(0.5) == 1


def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing() -> None:
    bucket = TokenBucket(10, now_s=100.0)
    assert bucket.available(100.5) == 5

    assert bucket.available(0.0) == 5
    assert bucket.available(100.5) == 5
    assert bucket.available(100.6) == 6


@given(slow=st.floats(0.1, 0.99))
def test_a_rate_below_one_a_second_still_saves_up_one_whole_permit(slow: float) -> None:
    bucket = TokenBucket(slow, now_s=0.0)

    assert bucket.available(1_000.0) == 1


def test_without_a_rate_there_is_neither_a_count_nor_a_wait() -> None:
    bucket = TokenBucket(None, now_s=0.0)
    bucket.take(10**9, 0.0)
    bucket.give_back(1)

    assert bucket.available(0.0) is None
    assert bucket.wait_s(0.0) == 0.0


@in_virtual_time
async def test_who_waits_for_a_permit_is_served_before_who_comes_later() -> None:
    clock = virtual_clock()
    permits = Permits(TokenBucket(1, now_s=clock.monotonic_s()), clock)
    taken: list[int] = []
    # At the very moment at which the permit is there, somebody else asks first.
    asyncio.get_running_loop().call_at(clock.monotonic_s() + 1.0, lambda: taken.append(permits.take(1)))

    await permits.take_one()

    assert taken == [0]
    assert clock.monotonic_s() == pytest.approx(1_001.0, abs=1e-3)


@in_virtual_time
async def test_who_gives_up_waiting_takes_no_permit_and_lets_the_next_one_in() -> None:
    clock = virtual_clock()
    permits = Permits(TokenBucket(1, now_s=clock.monotonic_s()), clock)
    first, second = asyncio.create_task(permits.take_one()), asyncio.create_task(permits.take_one())
    await clock.sleep(0.5)

    first.cancel()
    await second

    assert clock.monotonic_s() == pytest.approx(1_001.0, abs=1e-3)
    assert permits.take(1) == 0
