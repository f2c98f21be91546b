"""The exchange's clock as seen from here: the median of several samples, on a base that nobody sets.

Pure. The base counts seconds since boot, suspended time included: neither a wall clock that is set nor a
host that slept moves it. One crazy sample in five does not either; five that agree do.
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import NamedTuple

from config.seams import Clock

SAMPLES_MIN = 5
# One full round of five outvotes all the older ones, so that a real step of either clock is followed.
SAMPLES_KEPT = 9
# A reply on the way for longer says less about the clock than any order's window allows.
ROUND_TRIP_MS_MAX = 2_000.0


class _Sample(NamedTuple):
    """`offset_ms` is the exchange's time minus ours since boot, as if both ways took equally long."""

    offset_ms: float
    half_trip_ms: float
    received_boot_s: float


class ExchangeClock:
    """The exchange's time; guessed from the host's wall clock until five samples are there."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._samples: deque[_Sample] = deque(maxlen=SAMPLES_KEPT)
        self._offset_ms: float | None = None
        self._uncertainty_ms = 0.0

    def sample(self, sent_boot_s: float, received_boot_s: float, server_ms: int) -> bool:
        """Take in one answer to "what time is it"; False when it took too long to mean anything."""
        trip_ms = (received_boot_s - sent_boot_s) * 1_000
        if not 0 <= trip_ms <= ROUND_TRIP_MS_MAX or server_ms <= 0:
            return False
        middle_ms = (sent_boot_s + received_boot_s) * 500
        # The exchange cuts its time to whole milliseconds: half of one is missing on average.
        self._samples.append(_Sample(server_ms + 0.5 - middle_ms, trip_ms / 2, received_boot_s))
        if len(self._samples) >= SAMPLES_MIN:
            self._offset_ms = offset_ms = median(sample.offset_ms for sample in self._samples)
            # The true offset is within half a trip of every honest sample. Of these bounds the second
            # smallest holds even when one sample lies.
            bounds = sorted(abs(one.offset_ms - offset_ms) + one.half_trip_ms for one in self._samples)
            self._uncertainty_ms = bounds[1] + 0.5
        return True

    def now_ms(self) -> int:
        """The exchange's time in UTC epoch milliseconds; the host's wall clock while not `synced`."""
        if self._offset_ms is None:
            return self._clock.wall_ms()
        return int(self._clock.boot_s() * 1_000 + self._offset_ms)

    def offset_ms(self, wall_ms: int) -> int:
        """The exchange's time minus `wall_ms`, the host's wall clock now; 0 while not `synced`."""
        return 0 if self._offset_ms is None else self.now_ms() - wall_ms

    @property
    def synced(self) -> bool:
        """True once five samples are there."""
        return self._offset_ms is not None

    @property
    def uncertainty_ms(self) -> float:
        """How far `now_ms` may be off when at most one sample lies; 0 while not `synced`."""
        return self._uncertainty_ms

    @property
    def spread_ms(self) -> float:
        """The greatest offset among the kept samples minus the smallest; 0 without samples."""
        offsets = [sample.offset_ms for sample in self._samples]
        return max(offsets) - min(offsets) if offsets else 0.0

    def stale(self, age_s_max: float) -> bool:
        """True when the newest sample is older than that, suspended time counted, or there are too few."""
        return not self.synced or self._clock.boot_s() - self._samples[-1].received_boot_s > age_s_max
