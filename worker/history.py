"""The last hour of lag and rate, for the page's chart: one sample per five seconds, in memory alone.

A ring of fixed length, 60 KB when it is full. A restart begins it anew; Prometheus remembers longer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from config.seams import Clock
from worker.metrics import LAG_MS_BOUNDS, Metrics
from worker.pulse import Pulse

SAMPLE_S = 5.0
SAMPLES_MAX = 720
LAG_QUANTILE = 0.95


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """What came through since the sample before; no lag where no signal came."""

    at_ms: int
    lag_p95_ms: float | None
    signals_per_s: float
    orders_per_s: float
    queue_len: int


class History:
    """One task of the daemon."""

    def __init__(self, metrics: Metrics, queue_len: Callable[[], int], clock: Clock, pulse: Pulse) -> None:
        self.samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self._metrics = metrics
        self._queue_len = queue_len
        self._clock = clock
        self._pulse = pulse
        self._before = self._counts()

    async def run(self) -> None:
        """Until canceled."""
        while True:
            self._pulse.waits(SAMPLE_S)
            await self._clock.sleep(SAMPLE_S)
            self._pulse.turn()
            self.sample()

    def sample(self) -> None:
        """Take one sample; the oldest one goes when there are too many."""
        before, self._before = self._before, self._counts()
        at_s, signals, orders, lags = self._before
        took_s = max(at_s - before[0], 0.001)
        self.samples.append(
            Sample(
                at_ms=self._clock.wall_ms(),
                lag_p95_ms=quantile_of([now - then for now, then in zip(lags, before[3], strict=True)]),
                signals_per_s=round((signals - before[1]) / took_s, 2),
                orders_per_s=round((orders - before[2]) / took_s, 2),
                queue_len=self._queue_len(),
            )
        )

    def _counts(self) -> tuple[float, int, int, Sequence[int]]:
        totals = self._metrics.totals()
        orders = totals["success_count"] + totals["fail_count"]
        return self._clock.monotonic_s(), totals["signal_count"], orders, self._metrics.lag_counts()


def quantile_of(counts: Sequence[int]) -> float | None:
    """The lag that LAG_QUANTILE of the values stay below, by the buckets they fell into; None: no values.

    `counts` holds how many values are at most each of LAG_MS_BOUNDS, then how many there are. Beyond the last
    bound there is nothing to measure by: the answer is the bound.
    """
    *below, count = counts
    if count <= 0:
        return None
    wanted = LAG_QUANTILE * count
    low_ms, low_count = 0.0, 0
    for bound_ms, up_to in zip(LAG_MS_BOUNDS, below, strict=True):
        if up_to >= wanted:
            share = (wanted - low_count) / (up_to - low_count)
            return round(low_ms + share * (bound_ms - low_ms), 1)
        low_ms, low_count = float(bound_ms), up_to
    return low_ms
