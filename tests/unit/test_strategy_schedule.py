"""The schedule in virtual time: whole weeks about midnight, and both changes of the clocks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from worker.strategy import Strategy

ALL_DAYS = frozenset(range(1, 8))
WEEKDAYS = frozenset(range(1, 6))


def scheduled(*windows: str, zone: tzinfo, days: frozenset[int] = ALL_DAYS) -> StrategySettings:
    """A strategy that follows these windows, written as people write them, and nothing else."""
    made = []
    for window in windows:
        start, end = (int(time[:2]) * 60 + int(time[3:]) for time in window.split("-"))
        made.append(DayWindow(start, end))
    return StrategySettings(
        mode=StrategyMode.AUTO,
        hysteresis=Hysteresis(60, 3, 6),
        schedule=Schedule(True, zone, days, tuple(made)),
        market=Market(enabled=False),
        combine=Combine.ANY,
        active=Profile(Decimal(100), 4),
        quiet=Profile(Decimal(50), 2),
    )


def switches_of(
    rules: StrategySettings, start: datetime, *, minutes: int, step_s: int = 60
) -> list[tuple[datetime, str]]:
    """When the mode switched (UTC), and to what; the mode at the start first."""
    start_ms = int(start.timestamp()) * 1_000
    one = Strategy(rules, now_ms=start_ms)
    found: list[tuple[datetime, str]] = [(start, one.mode)]
    for second in range(step_s, minutes * 60 + 1, step_s):
        switch = one.turn(start_ms + second * 1_000)
        if switch is not None:
            assert (switch.before, switch.after) == (found[-1][1], one.mode)
            found.append((start + timedelta(seconds=second), switch.after))
    return found


def spans_of(
    windows: list[tuple[str, str]], days: frozenset[int], first: datetime, count: int
) -> list[tuple[datetime, datetime]]:
    """Every window as a span of the wall calendar, from the day before `first` on."""
    spans = []
    for number in range(-1, count + 1):
        day = first + timedelta(days=number)
        if day.isoweekday() not in days:
            continue
        for start, end in windows:
            begin = day + timedelta(hours=int(start[:2]), minutes=int(start[3:]))
            over = day + timedelta(hours=int(end[:2]), minutes=int(end[3:]))
            spans.append((begin, over if over > begin else over + timedelta(days=1)))
    return spans


def oracle(
    windows: list[str],
    days: frozenset[int],
    offset_h: Callable[[datetime], int],
    start: datetime,
    minutes: int,
) -> list[tuple[datetime, str]]:
    """The same, minute by minute, from spans of the wall calendar and an offset table written by hand."""
    wall_midnight = (start + timedelta(hours=offset_h(start))).replace(hour=0, minute=0, tzinfo=None)
    pairs = [(window[:5], window[6:]) for window in windows]
    spans = spans_of(pairs, days, wall_midnight, minutes // 1_440 + 2)
    found: list[tuple[datetime, str]] = []
    for number in range(minutes + 1):
        moment = start + timedelta(minutes=number)
        wall = moment.replace(tzinfo=None) + timedelta(hours=offset_h(moment))
        mode = "active" if any(begin <= wall < over for begin, over in spans) else "quiet"
        if not found or found[-1][1] != mode:
            found.append((moment, mode))
    return found


def hong_kong(_: datetime) -> int:
    """No daylight saving since 1979."""
    return 8


def new_york(moment: datetime) -> int:
    """2026: daylight saving from March 8, 2:00 (7:00 UTC) to November 1, 2:00 (6:00 UTC)."""
    summer = datetime(2026, 3, 8, 7, tzinfo=UTC) <= moment < datetime(2026, 11, 1, 6, tzinfo=UTC)
    return -4 if summer else -5


MIDNIGHT = ["09:00-12:00", "21:30-02:00"]
EARLY = ["23:30-00:30", "01:15-01:45", "02:10-02:50", "22:00-24:00"]


@pytest.mark.parametrize(
    ("zone", "offset_h", "monday", "windows", "days", "switches"),
    [
        # Five days with two windows each; the Friday one ends on Saturday.
        ("Asia/Hong_Kong", hong_kong, (2026, 7, 13), MIDNIGHT, WEEKDAYS, 20),
        # Seven days with two windows each.
        ("Asia/Hong_Kong", hong_kong, (2026, 7, 13), MIDNIGHT, ALL_DAYS, 28),
        ("America/New_York", new_york, (2026, 7, 13), MIDNIGHT, WEEKDAYS, 20),
        # Two windows begin on a Saturday: one ends on it, the other on Sunday morning.
        ("Asia/Hong_Kong", hong_kong, (2026, 7, 13), MIDNIGHT, frozenset({6}), 4),
        # A week with three windows a day (22:00-24:00 and 23:30-00:30 are one) has 42 switches, two more
        # where the window at 1:15 comes twice, two less where the one at 2:10 never comes.
        ("America/New_York", new_york, (2026, 7, 13), EARLY, ALL_DAYS, 42),
        ("America/New_York", new_york, (2026, 10, 26), EARLY, ALL_DAYS, 44),
        ("America/New_York", new_york, (2026, 3, 2), EARLY, ALL_DAYS, 40),
        ("America/New_York", new_york, (2026, 10, 26), MIDNIGHT, WEEKDAYS, 20),
        ("America/New_York", new_york, (2026, 3, 2), MIDNIGHT, frozenset({6, 7}), 8),
    ],
)
def test_a_week_of_schedule_switches_when_the_calendar_says(
    zone: str,
    offset_h: Callable[[datetime], int],
    monday: tuple[int, int, int],
    windows: list[str],
    days: frozenset[int],
    switches: int,
) -> None:
    # Monday 04:00: whatever begins on Sunday is over then, a week later too, with an hour more or less.
    local = datetime(*monday, 4, tzinfo=UTC)
    start = local - timedelta(hours=offset_h(local))
    rules = scheduled(*windows, zone=ZoneInfo(zone), days=days)

    found = switches_of(rules, start, minutes=7 * 1_440)

    assert found == oracle(windows, days, offset_h, start, 7 * 1_440)
    assert len(found) - 1 == switches


@given(
    edges=st.lists(st.tuples(st.integers(0, 1_439), st.integers(1, 1_440)), max_size=4),
    days=st.frozensets(st.integers(1, 7)),
    minute=st.integers(-3 * 1_440, 3 * 1_440),
    change=st.sampled_from([datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)]),
)
def test_any_minute_about_a_change_of_the_clocks_is_judged_by_the_wall(
    edges: list[tuple[int, int]], days: frozenset[int], minute: int, change: datetime
) -> None:
    windows = [DayWindow(start, end) for start, end in edges if start != end]
    plan = Schedule(True, ZoneInfo("America/New_York"), days, tuple(windows))
    moment = change + timedelta(minutes=minute)

    found = plan.window_at(int(moment.timestamp()) * 1_000) is not None

    assert found == (oracle([str(window) for window in windows], days, new_york, moment, 0)[0][1] == "active")


def test_a_day_second_by_second_switches_at_the_second() -> None:
    kolkata = timezone(timedelta(hours=5, minutes=30))
    rules = scheduled("21:30-02:00", "03:00-03:01", zone=kolkata)
    start = datetime(2026, 7, 15, 20, tzinfo=kolkata).astimezone(UTC)

    found = switches_of(rules, start, minutes=10 * 60, step_s=1)

    assert [(moment.astimezone(kolkata).strftime("%d %H:%M:%S"), mode) for moment, mode in found] == [
        ("15 20:00:00", "quiet"),
        ("15 21:30:00", "active"),
        ("16 02:00:00", "quiet"),
        ("16 03:00:00", "active"),
        ("16 03:01:00", "quiet"),
    ]
