"""The exchange's clock: a median that one liar does not move, on a base that nobody sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.binance.exchange_clock import SAMPLES_MIN, ExchangeClock

SERVER_MS = 1_800_000_000_000


class HandClock:
    """A host whose wall clock and time since boot are moved by hand."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000_000
        self.boot = 500.0

    def wall_ms(self) -> int:
        return self.wall

    def monotonic_s(self) -> float:
        return self.boot

    def boot_s(self) -> float:
        return self.boot

    async def sleep(self, delay_s: float) -> None:
        raise AssertionError("nothing here waits")

    def passes(self, seconds: float) -> None:
        """Time as it passes when nobody meddles."""
        self.boot += seconds
        self.wall += round(seconds * 1_000)


def ask(
    exchange: ExchangeClock, clock: HandClock, *, offset_ms: float, there_s: float, back_s: float
) -> bool:
    """One question to an exchange whose clock is `offset_ms` ahead of seconds since boot."""
    sent = clock.boot
    server_ms = int((sent + there_s) * 1_000 + offset_ms)
    clock.passes(there_s + back_s)
    return exchange.sample(sent, clock.boot, server_ms)


def synced(clock: HandClock, offset_ms: float = SERVER_MS) -> ExchangeClock:
    exchange = ExchangeClock(clock)
    for _ in range(SAMPLES_MIN):
        assert ask(exchange, clock, offset_ms=offset_ms, there_s=0.01, back_s=0.01)
    return exchange


def error_ms(exchange: ExchangeClock, clock: HandClock, offset_ms: float = SERVER_MS) -> float:
    return abs(exchange.now_ms() - (clock.boot * 1_000 + offset_ms))


def test_four_samples_are_not_enough_and_the_wall_clock_stands_in() -> None:
    clock = HandClock()
    exchange = ExchangeClock(clock)

    for _ in range(SAMPLES_MIN - 1):
        ask(exchange, clock, offset_ms=SERVER_MS, there_s=0.01, back_s=0.01)

    assert not exchange.synced
    assert exchange.stale(1e9)
    assert exchange.now_ms() == clock.wall_ms()
    assert exchange.offset_ms(clock.wall_ms()) == 0
    assert exchange.uncertainty_ms == 0


def test_five_samples_tell_the_time_of_the_exchange() -> None:
    clock = HandClock()

    exchange = synced(clock)

    assert exchange.synced
    assert error_ms(exchange, clock) <= 1
    assert exchange.uncertainty_ms == pytest.approx(10, abs=1.5)


@pytest.mark.parametrize("jump_ms", [-86_400_000, -1, 1, 7_200_000])
def test_a_wall_clock_that_is_set_changes_nothing_but_the_offset_to_it(jump_ms: int) -> None:
    clock = HandClock()
    exchange = synced(clock)
    before = exchange.offset_ms(clock.wall_ms())

    clock.wall += jump_ms

    assert error_ms(exchange, clock) <= 1
    assert exchange.offset_ms(clock.wall_ms()) == before - jump_ms


def test_a_suspended_night_is_counted_and_makes_the_clock_stale() -> None:
    clock = HandClock()
    exchange = synced(clock)
    assert not exchange.stale(60)

    clock.boot += 8 * 3_600

    assert error_ms(exchange, clock) <= 1
    assert exchange.stale(60)


@pytest.mark.parametrize("lie_ms", [-10_000_000, -5_000, 5_000, 10_000_000])
def test_one_crazy_sample_moves_nothing(lie_ms: int) -> None:
    clock = HandClock()
    exchange = synced(clock)
    before = exchange.now_ms() - clock.boot * 1_000

    ask(exchange, clock, offset_ms=SERVER_MS + lie_ms, there_s=0.001, back_s=0.001)

    assert abs(exchange.now_ms() - clock.boot * 1_000 - before) <= 1
    assert exchange.uncertainty_ms <= 12
    assert exchange.spread_ms >= abs(lie_ms) - 1


def test_a_crazy_sample_among_the_first_five_is_outvoted_as_well() -> None:
    clock = HandClock()
    exchange = ExchangeClock(clock)

    for lie_ms in (0, 0, 9_000_000, 0, 0):
        ask(exchange, clock, offset_ms=SERVER_MS + lie_ms, there_s=0.01, back_s=0.01)

    assert error_ms(exchange, clock) <= 1
    assert exchange.uncertainty_ms <= 12


def test_a_full_round_that_agrees_is_believed_against_everything_older() -> None:
    clock = HandClock()
    exchange = synced(clock)
    for _ in range(20):
        ask(exchange, clock, offset_ms=SERVER_MS, there_s=0.01, back_s=0.01)

    for _ in range(SAMPLES_MIN):
        ask(exchange, clock, offset_ms=SERVER_MS + 3_000, there_s=0.01, back_s=0.01)

    assert error_ms(exchange, clock, SERVER_MS + 3_000) <= 1


@pytest.mark.parametrize(
    ("trip_s", "server_ms"), [(2.5, SERVER_MS), (-0.1, SERVER_MS), (0.01, 0), (0.01, -5)]
)
def test_a_sample_that_says_nothing_is_refused(trip_s: float, server_ms: int) -> None:
    clock = HandClock()
    exchange = synced(clock)
    before = exchange.now_ms()

    taken = exchange.sample(clock.boot, clock.boot + trip_s, server_ms)

    assert not taken
    assert exchange.now_ms() == before


@given(
    offset_ms=st.floats(-1e12, 1e12),
    trips=st.lists(
        st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)), min_size=SAMPLES_MIN, max_size=3 * SAMPLES_MIN
    ),
    liar=st.integers(0, 14),
    lie_ms=st.floats(-1e6, 1e6),
)
def test_the_uncertainty_holds_for_any_delays_and_one_liar(
    offset_ms: float, trips: list[tuple[float, float]], liar: int, lie_ms: float
) -> None:
    clock = HandClock()
    exchange = ExchangeClock(clock)
    offset_ms += 2e12

    for number, (there_s, back_s) in enumerate(trips):
        lie = lie_ms if number == liar else 0.0
        ask(exchange, clock, offset_ms=offset_ms + lie, there_s=there_s, back_s=back_s)

    assert error_ms(exchange, clock, offset_ms) <= exchange.uncertainty_ms + 1.5
