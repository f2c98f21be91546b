"""What an hour of steady work has to look like. Pure: samples of a process in, objections out.

Source of the bounds: nothing lost, nothing doubled, memory that grows by less than 1 MB an hour, descriptors
that stay, and no three minutes running in which more than 1 % of the signals lag more than 250 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

LAG_BOUND_MS = 250
LATE_SHARE_MAX = 0.01
LATE_MINUTES_MAX = 2
SLOPE_BYTES_PER_HOUR_MAX = 1_000_000
# The longest of the worker's bounded memories is full after 16 384 orders: 20 minutes at this pace.
WARM_UP_MINUTES = 25
MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: seconds since the start, the process's memory and descriptors, the lag histogram's totals."""

    at_s: float
    rss_bytes: int
    descriptors: int
    signals: int
    within_bound: int
    orders: int


@dataclass(frozen=True, slots=True)
class Minute:
    """What came through within one minute, and the least descriptors that were open in it."""

    number: int
    signals: int
    late: int
    descriptors: int
    rss_bytes: int

    @property
    def is_late(self) -> bool:
        """More than 1 % later than the bound: the 99th percentile is above it."""
        return self.late > LATE_SHARE_MAX * self.signals


def minutes_of(samples: Sequence[Sample]) -> list[Minute]:
    """The whole minutes of a run; the counts are differences between the last looks of two minutes."""
    last = {int(sample.at_s // MINUTE_S): sample for sample in samples}
    least = {}
    for sample in samples:
        number = int(sample.at_s // MINUTE_S)
        least[number] = min(sample.descriptors, least.get(number, sample.descriptors))
    found = []
    for before, after in pairwise(sorted(last)):
        first, second = last[before], last[after]
        signals = second.signals - first.signals
        late = signals - (second.within_bound - first.within_bound)
        found.append(Minute(after, signals, late, least[after], second.rss_bytes))
    return found


def slope_bytes_per_hour(samples: Sequence[Sample], after_s: float) -> float:
    """The straight line through the memory of all samples later than `after_s`; 0 with fewer than two."""
    points = [(sample.at_s, sample.rss_bytes) for sample in samples if sample.at_s >= after_s]
    if len(points) < 2:
        return 0.0
    mean_s = sum(at_s for at_s, _ in points) / len(points)
    mean_bytes = sum(size for _, size in points) / len(points)
    spread = sum((at_s - mean_s) ** 2 for at_s, _ in points)
    if not spread:
        return 0.0
    return 3_600 * sum((at_s - mean_s) * (size - mean_bytes) for at_s, size in points) / spread


def longest_late_run(minutes: Sequence[Minute]) -> int:
    """How many minutes in a row were late at most."""
    longest = running = 0
    for minute in minutes:
        running = running + 1 if minute.is_late else 0
        longest = max(longest, running)
    return longest


def objections(samples: Sequence[Sample], *, with_slope: bool) -> list[str]:
    """Every bound that was missed, in a sentence."""
    found = []
    minutes = minutes_of(samples)
    if not minutes:
        return ["there is no whole minute to judge"]
    late = longest_late_run(minutes)
    if late > LATE_MINUTES_MAX:
        found.append(f"lag: its 99th percentile was above {LAG_BOUND_MS} ms in {late} minutes running")
    warm = [minute for minute in minutes if not with_slope or minute.number >= WARM_UP_MINUTES]
    counts = sorted({minute.descriptors for minute in warm})
    if len(counts) > 1:
        found.append(f"open files: between {counts[0]} and {counts[-1]}, must stay the same")
    slope = slope_bytes_per_hour(samples, WARM_UP_MINUTES * MINUTE_S)
    if with_slope and slope >= SLOPE_BYTES_PER_HOUR_MAX:
        found.append(f"memory: grew by {slope / 1e6:.2f} MB an hour, must be less than 1")
    return found
