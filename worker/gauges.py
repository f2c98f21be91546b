"""The gauges: what the worker is now, looked at when somebody asks and never on the way of a signal.

`look` takes every number from what lies in memory already: it waits for nothing, so that a store or a
disk that hangs is seen too. What has to be read is read seldom, by `look_at_disk`.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from config.seams import Clock
from config.settings import Risk
from store.ledger import Ledger
from store.lifecycle import State
from store.paths import DATABASE
from streams.source import Source
from worker import metrics as m
from worker.floor import Floor
from worker.lane import Lane
from worker.metric_labels import UNSETTLED_STATES
from worker.metrics import Metrics
from worker.outputs import Outputs

# Orders that are not final, as the ledger sums them up: symbol, state, rows, time of the oldest.
Unsettled = Sequence[tuple[str, State, int, int]]
# An order that the venue has and works on is in no doubt, however old it is.
DOUBTFUL_STATES = (State.RESERVED, State.UNKNOWN, State.QUARANTINED)


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
        self._started_ms = clock.wall_ms()
        metrics.put(m.DISK_FREE, math.nan)
        metrics.put(m.STORE_SIZE, math.nan)

    def look(self, unsettled: Unsettled, *, ready: bool, troubles: dict[str, str | None]) -> None:
        """Bring all of them up to date; `troubles`: each of TROUBLE_PARTS, with its sentence or None."""
        put = self._metrics.put
        put(m.READY, ready)
        for part, sentence in troubles.items():
            put(m.TROUBLE, sentence is not None, part)
        self._count_unsettled(unsettled)
        self._count_venue()
        self._count_source()
        for lane in self._lanes:
            self._count_lane(lane)
        self._metrics.set_queue_len(sum(lane.queue_len for lane in self._lanes))
        self._metrics.set_in_flight(self._floor.report.in_flight)
        self._metrics.set_projection_lag_s(self._age_s(self._outputs.behind_since_ms))

    def _count_unsettled(self, unsettled: Unsettled) -> None:
        counts: Counter[State] = Counter()
        for _, state, rows, _ in unsettled:
            counts[state] += rows
        for name in UNSETTLED_STATES:
            self._metrics.put(m.UNSETTLED, counts[State(name)], name)
        oldest_ms = min((row[3] for row in unsettled if row[1] in DOUBTFUL_STATES), default=None)
        quarantined = counts[State.QUARANTINED]
        self._metrics.set_unknown(
            counts[State.UNKNOWN] + quarantined, self._age_s(oldest_ms), quarantined=quarantined
        )

    def _count_venue(self) -> None:
        adapter, put = self._floor.adapter, self._metrics.put
        offset_ms = adapter.clock_offset_ms
        self._metrics.set_venue(weight_used=adapter.weight_used, clock_offset_s=offset_ms / 1000)
        put(m.DEADLINE, max(0, adapter.deadline_ms - self._clock.wall_ms() - offset_ms) / 1000)
        for window in adapter.usage:
            labels = window.kind, str(window.length_ms // 1000)
            put(m.BUDGET_USED, window.used, *labels)
            put(m.BUDGET_LIMIT, window.limit, *labels)
        self._metrics.set_halts(len(self._floor.halts.in_force()))

    def _count_source(self) -> None:
        counters = self._source.counters
        for reason, total in counters.resets.items():
            self._metrics.source_resets(reason, total)
        self._metrics.late_beyond_lookback(counters.late_beyond_lookback)

    def _count_lane(self, lane: Lane) -> None:
        put, state = self._metrics.put, lane.feed.state()
        put(m.BACKLOG, state.backlog_bytes, lane.symbol)
        put(m.LAST_READ, (state.last_read_ms or self._started_ms) / 1000, lane.symbol)
        put(m.BLOCKED, lane.blocked_by is not None, lane.symbol)
        put(m.INPUT_FAULT, state.fault is not None, lane.symbol)
        put(m.INPUT_MISSING, state.fault is None and state.waiting_for is not None, lane.symbol)

    def _age_s(self, since_ms: int | None) -> float:
        return 0.0 if since_ms is None else max(0.0, (self._clock.wall_ms() - since_ms) / 1000)

    async def look_at_disk(self, ledger: Ledger) -> None:
        """What takes a read of the disk or of the store; the latter one symbol at a time, orders go first."""
        folder, call = ledger.folder, self._floor.writer.call
        self._metrics.put(m.DISK_FREE, await asyncio.to_thread(_bytes_free, folder))
        self._metrics.put(m.STORE_SIZE, await asyncio.to_thread(_bytes_used, folder))
        if self._floor.adapter.batch_max > 1:
            return
        orders = await call(lambda: ledger.orders_in_last_minute(self._clock.wall_ms()))
        self._metrics.put(m.ORDERS_LAST_MINUTE, orders)
        for lane in self._lanes:
            position = await call(partial(ledger.expected_position, lane.symbol))
            if position is not None:
                self._metrics.put(m.POSITION, float(position), lane.symbol)


def put_limits(metrics: Metrics, risk: Risk) -> None:
    """The hard limits, which stay as they are while a worker runs."""
    limits = {
        "order_usd": risk.max_order_usd,
        "orders_per_minute": risk.max_orders_per_minute,
        "position_usd": risk.max_position_usd,
    }
    for name, limit in limits.items():
        metrics.put(m.RISK_LIMIT, math.inf if limit is None else float(limit), name)


def _bytes_free(folder: Path) -> float:
    """What may still be written; NaN while the disk does not tell."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return math.nan
    return disk.f_bavail * disk.f_frsize


def _bytes_used(folder: Path) -> float:
    """Of the database and its write-ahead log; NaN while the disk does not tell."""
    try:
        return sum(os.stat(folder / name).st_size for name in (DATABASE, f"{DATABASE}-wal"))
    except OSError:
        return math.nan
