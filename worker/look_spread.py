"""Many numbers in little memory: a histogram with quantiles, and values over time in so many pieces.

Pure. Counters only, so that millions of orders take no more room than ten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import ceil, exp, floor, log

# Each step is 2 % wider than the one before: a quantile is off by 1 % at most.
_STEP = log(1.02)
# Below a microsecond nothing is told apart.
_SMALLEST = 0.001


class Spread:
    """A distribution of values from 0 up, such as milliseconds."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0
        self.largest = 0.0

    def add(self, value: float) -> None:
        """One more; below 0 counts as 0."""
        self._counts[floor(log(max(value, _SMALLEST) / _SMALLEST) / _STEP)] += 1
        self.count += 1
        self.largest = max(self.largest, value)

    def quantile(self, share: float) -> float | None:
        """The value that this share of all is not above, to 1 %; None while there is nothing."""
        if not self.count:
            return None
        left = ceil(share * self.count)
        for step in sorted(self._counts):
            left -= self._counts[step]
            if left <= 0:
                return min(_SMALLEST * exp((step + 0.5) * _STEP), self.largest)
        return self.largest

    def bars(self, edges: Sequence[float]) -> list[int]:
        """How many are up to each edge and above the one before; the last counts what is above all."""
        found = [0] * (len(edges) + 1)
        for step, count in self._counts.items():
            middle = _SMALLEST * exp((step + 0.5) * _STEP)
            found[sum(edge < middle for edge in edges)] += count
        return found


class OverTime:
    """Values between two times, in `pieces` pieces of equal length, each with its own spread."""

    def __init__(self, first_ms: int, last_ms: int, pieces: int) -> None:
        self.first_ms = first_ms
        self.width_ms = max(1, -(-(last_ms + 1 - first_ms) // pieces))
        self.spreads: dict[int, Spread] = {}

    def piece_of(self, at_ms: int) -> int:
        """The number of the piece that holds a time."""
        return (at_ms - self.first_ms) // self.width_ms

    def add(self, at_ms: int, value: float) -> None:
        """One more value."""
        self.spreads.setdefault(self.piece_of(at_ms), Spread()).add(value)

    def points(self, share: float) -> list[tuple[int, float]]:
        """(middle of the piece, quantile) of every piece with a value."""
        return [
            (self.first_ms + piece * self.width_ms + self.width_ms // 2, value)
            for piece, spread in sorted(self.spreads.items())
            if (value := spread.quantile(share)) is not None
        ]
