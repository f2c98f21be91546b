"""The strategy mode in virtual time: whole weeks of schedule, days of market, and every way to decide."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.seams import seeded_random
from config.strategy_mode import (
    Combine,
    DayWindow,
    Hysteresis,
    Market,
    Profile,
    Schedule,
    StrategyMode,
    StrategySettings,
)
from worker.strategy import Strategy, Switch

MINUTE_MS = 60_000
# A Wednesday noon in UTC, a full minute.
NOON = datetime(2026, 7, 15, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp()) * 1_000
ACTIVE = Profile(Decimal(100), 4, None)
QUIET = Profile(Decimal(50), 2, 5.0)
ALL_DAYS = frozenset(range(1, 8))
WEEKDAYS = frozenset(range(1, 6))


def schedule(
    *windows: str, zone: tzinfo = UTC, days: frozenset[int] = ALL_DAYS, enabled: bool = True
) -> Schedule:
    """A schedule with windows as people write them."""
    made = []
    for window in windows:
        start, end = (int(time[:2]) * 60 + int(time[3:]) for time in window.split("-"))
        made.append(DayWindow(start, end))
    return Schedule(enabled, zone, days, tuple(made))


def settings(**changes: Any) -> StrategySettings:
    """Auto with neither a window nor a market, but for `changes`."""
    values: dict[str, Any] = {
        "mode": StrategyMode.AUTO,
        "hysteresis": Hysteresis(60, 3, 6),
        "schedule": schedule(),
        "market": Market(enabled=False),
        "combine": Combine.ANY,
        "active": ACTIVE,
        "quiet": QUIET,
    }
    return StrategySettings(**{**values, **changes})


MARKET = settings(schedule=schedule(enabled=False), market=Market())


def strategy(rules: StrategySettings, now_ms: int = NOON_MS) -> Strategy:
    """One that starts at noon."""
    return Strategy(rules, now_ms=now_ms)


def minutes_of(one: Strategy, votes: list[bool], start_ms: int = NOON_MS) -> list[str]:
    """The mode after each minute of a market that is active or not."""
    modes: list[str] = []
    for number, vote in enumerate(votes):
        one.saw(start_ms + number * MINUTE_MS + 30_000, 20 if vote else 3, 20 if vote else 3)
        one.turn(start_ms + (number + 1) * MINUTE_MS)
        modes.append(one.mode)
    return modes


def test_it_starts_as_the_schedule_says() -> None:
    assert strategy(settings(schedule=schedule("11:00-13:00"))).mode == "active"
    assert strategy(settings(schedule=schedule("13:00-14:00"))).mode == "quiet"
    assert strategy(settings(schedule=schedule())).mode == "quiet"
    assert strategy(settings(schedule=schedule("11:00-13:00", days=frozenset()))).mode == "quiet"
    assert (
        strategy(settings(schedule=schedule("11:00-13:00"), market=Market(), combine=Combine.ALL)).mode
        == "quiet"
    )
    assert strategy(MARKET).mode == "quiet"


def test_the_profile_is_that_of_the_mode() -> None:
    one = strategy(settings(schedule=schedule("12:01-12:02")))
    assert one.profile == QUIET

    one.turn(NOON_MS + MINUTE_MS)

    assert one.profile == ACTIVE


def test_the_market_needs_its_windows_in_a_row() -> None:
    up = minutes_of(strategy(MARKET), [True, True, False, True, True, True])
    assert up == ["quiet"] * 5 + ["active"]

    down = minutes_of(strategy(MARKET), [True] * 3 + [False] * 5 + [True] + [False] * 6)
    assert down[2:] == ["active"] * 12 + ["quiet"]


@given(
    votes=st.lists(st.booleans(), max_size=60),
    active_windows=st.integers(1, 5),
    quiet_windows=st.integers(1, 5),
)
def test_the_market_is_what_the_last_full_row_of_votes_said(
    votes: list[bool], active_windows: int, quiet_windows: int
) -> None:
    rules = settings(
        schedule=schedule(enabled=False),
        market=Market(),
        hysteresis=Hysteresis(60, active_windows, quiet_windows),
    )
    expected: list[str] = []
    for end in range(1, len(votes) + 1):
        before = expected[-1] if expected else "quiet"
        if end >= active_windows and all(votes[end - active_windows : end]):
            before = "active"
        if end >= quiet_windows and not any(votes[end - quiet_windows : end]):
            before = "quiet"
        expected.append(before)

    assert minutes_of(strategy(rules), votes) == expected


@pytest.mark.parametrize(
    ("per_min", "active_share", "mode"),
    [(10, 0.5, "active"), (9, 1.0, "quiet"), (100, 0.49, "quiet"), (0, 0.0, "quiet"), (10, 1.0, "active")],
)
def test_an_active_window_has_the_rate_and_the_regimes(per_min: int, active_share: float, mode: str) -> None:
    one = strategy(MARKET)

    for number in range(3):
        one.saw(NOON_MS + number * MINUTE_MS, per_min, round(per_min * active_share))
    one.turn(NOON_MS + 3 * MINUTE_MS)

    assert one.mode == mode


@pytest.mark.parametrize("seed", range(5))
def test_a_market_of_pure_chance_seldom_switches(seed: int) -> None:
    chance = seeded_random(seed)
    votes = [chance.random() < 0.5 for _ in range(1_440)]

    modes = ["quiet", *minutes_of(strategy(MARKET), votes)]

    # Each way round takes 14 windows on the average to get active and 126 to get quiet.
    assert sum(a != b for a, b in pairwise(modes)) <= 40
    steady = minutes_of(strategy(MARKET), [number % 3 != 0 for number in range(1_440)])
    assert set(steady) == {"quiet"}


def test_the_schedule_does_not_wait_for_the_market_and_either_is_enough() -> None:
    rules = settings(schedule=schedule("12:02-12:10"), market=Market())

    modes = minutes_of(strategy(rules), [True] * 5 + [False] * 10)

    # From 12:02 by schedule; at 12:10 the market is active until its sixth quiet minute has ended at 12:11.
    assert modes == ["quiet"] + ["active"] * 9 + ["quiet"] * 5


def test_both_are_needed_where_all_are_combined() -> None:
    rules = settings(schedule=schedule("12:02-12:06"), market=Market(), combine=Combine.ALL)

    modes = minutes_of(strategy(rules), [True] * 10)

    assert modes == ["quiet"] * 2 + ["active"] * 3 + ["quiet"] * 5


def test_a_switch_says_why() -> None:
    one = strategy(settings(schedule=schedule("12:01-13:00", zone=ZoneInfo("UTC")), market=Market()))
    first = one.turn(NOON_MS + MINUTE_MS)
    assert first == Switch(
        "quiet",
        "active",
        "schedule: within 12:01-13:00 UTC; market: not known yet, taken for quiet",
    )
    assert one.turn(NOON_MS + MINUTE_MS) is None

    market = strategy(MARKET)
    minutes_of(market, [True] * 3)
    assert market.why == (
        "market: active for 3 windows of 60 s, in the last one 20 signals a minute, "
        "100 % of them in active regimes"
    )


def test_a_window_seen_in_part_has_no_vote() -> None:
    one = strategy(MARKET, NOON_MS + 1_000)

    assert minutes_of(one, [True] * 4) == ["quiet"] * 3 + ["active"]


def test_a_process_that_slept_saw_no_market() -> None:
    one = strategy(MARKET)
    minutes_of(one, [True] * 3)
    assert one.mode == "active"

    one.saw(NOON_MS + 3 * MINUTE_MS, 50, 50)
    switch = one.turn(NOON_MS + 365 * 1_440 * MINUTE_MS)

    assert switch is not None
    assert switch.after == "quiet"


def test_a_clock_set_back_voids_one_window_and_nothing_else() -> None:
    one = strategy(MARKET)
    minutes_of(one, [True] * 3)

    assert one.turn(NOON_MS - 10 * MINUTE_MS + 1) is None
    modes = minutes_of(one, [False] * 8, NOON_MS - 10 * MINUTE_MS)

    assert modes == ["active"] * 6 + ["quiet"] * 2


@pytest.mark.parametrize(
    ("mode", "name", "quiet_market"),
    [(StrategyMode.FORCE_ACTIVE, "active", False), (StrategyMode.FORCE_QUIET, "quiet", True)],
)
def test_a_forced_mode_holds_whatever_clock_and_market_say(
    mode: StrategyMode, name: str, quiet_market: bool
) -> None:
    rules = settings(mode=mode, schedule=schedule("12:05-12:10"), market=Market())
    one = strategy(rules)

    assert set(minutes_of(one, [True] * 10 + [False] * 10)) == {name}
    assert one.quiet_market is quiet_market
    assert one.why == f"the operator says {mode}"


def test_the_quiet_market_is_the_one_that_was_judged() -> None:
    watched = strategy(settings(schedule=schedule("00:00-24:00"), market=Market()))
    assert (watched.mode, watched.quiet_market) == ("active", True)

    minutes_of(watched, [True] * 3)

    assert watched.quiet_market is False
    assert strategy(settings(schedule=schedule())).quiet_market is False, (
        "a market that is not asked slows nothing"
    )


def test_an_edited_file_forces_at_once_and_lets_go_with_the_market_known() -> None:
    one = strategy(MARKET)
    forced = msgspec.structs.replace(MARKET, mode=StrategyMode.FORCE_ACTIVE)

    switch = one.replaced(forced, NOON_MS)
    assert switch == Switch("quiet", "active", "the operator says force_active")
    assert one.replaced(forced, NOON_MS) is None
    minutes_of(one, [True] * 3)

    assert one.replaced(MARKET, NOON_MS + 3 * MINUTE_MS) is None, "the market became active meanwhile"
    assert one.mode == "active"
    assert one.why == "the operator says force_active"


def test_an_edited_schedule_and_edited_numbers_count_at_once() -> None:
    one = strategy(settings())

    switch = one.replaced(settings(schedule=schedule("11:00-13:00"), active=Profile(Decimal(7), 1)), NOON_MS)
    assert switch is not None
    assert one.profile == Profile(Decimal(7), 1)

    assert (
        one.replaced(settings(schedule=schedule("11:00-13:00"), active=Profile(Decimal(8), 1)), NOON_MS)
        is None
    )
    assert one.profile == Profile(Decimal(8), 1)


def test_the_market_keeps_its_votes_over_an_edit_unless_its_windows_change_length() -> None:
    busier = msgspec.structs.replace(MARKET, market=Market(signals_per_min=15.0))
    kept, void = strategy(MARKET), strategy(MARKET)
    minutes_of(kept, [True] * 2)
    minutes_of(void, [True] * 2)

    assert kept.replaced(busier, NOON_MS + 2 * MINUTE_MS) is None
    void.replaced(msgspec.structs.replace(MARKET, hysteresis=Hysteresis(30, 3, 6)), NOON_MS + 2 * MINUTE_MS)

    assert minutes_of(kept, [True], NOON_MS + 2 * MINUTE_MS) == ["active"]
    assert minutes_of(void, [True], NOON_MS + 2 * MINUTE_MS) == ["quiet"]
