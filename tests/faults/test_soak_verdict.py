"""What a soak objects to, and what it lets pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
from soak.verdict import (
    WARM_UP_MINUTES,
    Sample,
    longest_late_run,
    minutes_of,
    objections,
    slope_bytes_per_hour,
)

MINUTES = 60
SIGNALS_A_LOOK = 100


def steady(minutes: int = MINUTES) -> list[Sample]:
    """An hour of looks, one each five seconds, at which nothing is wrong."""
    return [
        Sample(
            at_s=5.0 * number,
            rss_bytes=80_000_000,
            descriptors=22 + number % 2,
            signals=SIGNALS_A_LOOK * number,
            within_bound=SIGNALS_A_LOOK * number,
            orders=70 * number,
        )
        for number in range(minutes * 12)
    ]


def late_in(samples: list[Sample], minutes: set[int], share: float) -> list[Sample]:
    """The same with a share of the signals of some minutes too late."""
    late, found = 0.0, []
    for sample in samples:
        late += SIGNALS_A_LOOK * share if int(sample.at_s // 60) in minutes else 0
        found.append(replace(sample, within_bound=sample.signals - int(late)))
    return found


def test_a_steady_hour_passes() -> None:
    assert objections(steady(), with_slope=True) == []


def test_a_soak_of_less_than_a_minute_proves_nothing() -> None:
    assert objections(steady()[:6], with_slope=False) == ["there is no whole minute to judge"]


@pytest.mark.parametrize(("mb_an_hour", "objects"), [(0.9, False), (1.1, True), (-3.0, False)])
def test_memory_may_grow_by_less_than_a_megabyte_an_hour(mb_an_hour: float, objects: bool) -> None:
    samples = [
        replace(one, rss_bytes=one.rss_bytes + int(mb_an_hour * 1e6 * one.at_s / 3_600)) for one in steady()
    ]

    found = objections(samples, with_slope=True)

    assert bool(found) is objects
    assert slope_bytes_per_hour(samples, 0) == pytest.approx(mb_an_hour * 1e6, rel=0.01)


def test_what_grows_while_it_warms_up_is_not_held_against_it() -> None:
    warm_s = WARM_UP_MINUTES * 60
    samples = [replace(one, rss_bytes=int(60e6 + 20e6 * min(1.0, one.at_s / warm_s))) for one in steady()]

    assert objections(samples, with_slope=True) == []


def test_one_descriptor_that_is_never_closed_is_found() -> None:
    samples = [replace(one, descriptors=one.descriptors + (one.at_s > 1_800)) for one in steady()]

    assert objections(samples, with_slope=True) == ["open files: between 22 and 23, must stay the same"]


@pytest.mark.parametrize(
    ("minutes", "share", "objects"),
    [({5, 6}, 0.5, False), ({5, 6, 7}, 0.02, True), ({5, 6, 7}, 0.009, False), ({5, 6, 8, 9}, 1.0, False)],
)
def test_three_late_minutes_in_a_row_are_too_many(minutes: set[int], share: float, objects: bool) -> None:
    samples = late_in(steady(), minutes, share)

    assert bool(objections(samples, with_slope=True)) is objects
    assert longest_late_run(minutes_of(samples)) <= len(minutes)
