"""The gauges: what the worker is now, looked at once a second and never on the way of a signal.

Every number comes from what lies in memory already; nothing here waits, decides or raises.
"""

from __future__ import annotations

from collections.abc import Sequence

from config.seams import Clock
from store.lifecycle import State
from streams.source import Source
from worker.floor import Floor
from worker.lane import Lane
from worker.metrics import Metrics
from worker.outputs import Outputs

# Orders that are not final, as the ledger sums them up: symbol, state, rows, time of the oldest.
Unsettled = Sequence[tuple[str, State, int, int]]


class Gauges:
    """Looks at the parts of one worker and puts what it sees into the metrics."""

    def __init__(
        self,
        *,
        floor: Floor,
        lanes: Sequence[Lane],
        source: Source,
        outputs: Outputs,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._floor = floor
        self._lanes = lanes
        self._source = source
        self._outputs = outputs
        self._metrics = metrics
        self._clock = clock

    def look(self, unsettled: Unsettled) -> None:
        """Bring all of them up to date."""
        self._count_unsettled(unsettled)
        self._count_venue()
        self._count_source()
        self._metrics.set_queue_len(sum(lane.queue_len for lane in self._lanes))
        self._metrics.set_in_flight(self._floor.report.in_flight)
        self._metrics.set_projection_lag_s(self._age_s(self._outputs.behind_since_ms))

    def _count_unsettled(self, unsettled: Unsettled) -> None:
        doubtful = [row for row in unsettled if row[1] in (State.UNKNOWN, State.QUARANTINED)]
        oldest_ms = min((row[3] for row in unsettled), default=None)
        quarantined = sum(row[2] for row in doubtful if row[1] is State.QUARANTINED)
        self._metrics.set_unknown(
            sum(row[2] for row in doubtful), self._age_s(oldest_ms), quarantined=quarantined
        )

    def _count_venue(self) -> None:
        adapter = self._floor.adapter
        self._metrics.set_venue(
            weight_used=adapter.weight_used, clock_offset_s=adapter.clock_offset_ms / 1000
        )
        self._metrics.set_halts(len(self._floor.halts.in_force()))

    def _count_source(self) -> None:
        counters = self._source.counters
        for reason, total in counters.resets.items():
            self._metrics.source_resets(reason, total)
        self._metrics.late_beyond_lookback(counters.late_beyond_lookback)

    def _age_s(self, since_ms: int | None) -> float:
        return 0.0 if since_ms is None else max(0.0, (self._clock.wall_ms() - since_ms) / 1000)
