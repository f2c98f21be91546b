"""Counters, gauges and histograms as plain integers, filled per batch; what a scrape makes of them.

Nothing here touches prometheus_client until somebody looks.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

# 500 symbols fit with room; beyond it new label sets are summed under `other`, so that a reason that
# turns out not to be a fixed code cannot fill the memory of the worker or of the one who scrapes it.
LABEL_SETS_MAX = 2_000
OTHER = "other"

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name, what it is, what it says, and its labels."""

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()


class Tally:
    """The values of one counter or gauge by label values; an unlabelled one has the key ()."""

    __slots__ = ("family", "values")

    def __init__(self, family: Family, known: Iterable[tuple[str, ...]] = ()) -> None:
        self.family = family
        self.values: dict[tuple[str, ...], float] = dict.fromkeys(known if family.labels else [()], 0)

    def add(self, count: float, *labels: str) -> None:
        """Add `count`; 0 declares the label set."""
        key = labels if labels in self.values else self._room(labels)
        self.values[key] = self.values.get(key, 0) + count

    def put(self, value: float, *labels: str) -> None:
        """Set the value."""
        self.values[labels if labels in self.values else self._room(labels)] = value

    def total(self) -> int:
        """The sum over all label sets."""
        return int(sum(self.values.values()))

    def _room(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        return labels if len(self.values) < LABEL_SETS_MAX else (OTHER,) * len(labels)


class _Buckets:
    """One label set of a histogram."""

    __slots__ = ("below", "count", "total")

    def __init__(self, bounds: int) -> None:
        self.below = [0] * bounds
        self.count = 0
        self.total = 0.0


class BatchHistogram:
    """A histogram that takes whole batches: one sort and one bisect per bucket, 20-60 ns per value.

    Negative values (a clock that was set) count as 0, so that the sum never falls; values that are
    not finite are left out.
    """

    __slots__ = ("bounds", "family", "series")

    def __init__(
        self, family: Family, bounds: Sequence[float], known: Iterable[tuple[str, ...]] = ()
    ) -> None:
        self.family = family
        self.bounds = tuple(bounds)
        self.series = {labels: _Buckets(len(bounds)) for labels in (known if family.labels else [()])}

    def observe(self, value: float, count: int = 1, labels: tuple[str, ...] = ()) -> None:
        """Count `value` `count` times."""
        if not math.isfinite(value) or count < 1:
            return
        buckets = self._buckets(labels)
        value = max(value, 0.0)
        for index in range(len(self.bounds) - 1, -1, -1):
            if value > self.bounds[index]:
                break
            buckets.below[index] += count
        buckets.count += count
        buckets.total += value * count

    def observe_many(self, values: Sequence[float], labels: tuple[str, ...] = ()) -> None:
        """Count each of `values`."""
        total = sum(values)
        if not math.isfinite(total):
            values = [value for value in values if math.isfinite(value)]
            total = sum(values)
        if not values:
            return
        ordered = sorted(values)
        if ordered[0] < 0:
            ordered = sorted(max(value, 0.0) for value in ordered)
            total = sum(ordered)
        buckets = self._buckets(labels)
        for index, bound in enumerate(self.bounds):
            buckets.below[index] += bisect_right(ordered, bound)
        buckets.count += len(ordered)
        buckets.total += total

    def _buckets(self, labels: tuple[str, ...]) -> _Buckets:
        if labels not in self.series:
            if len(self.series) >= LABEL_SETS_MAX:
                labels = (OTHER,) * len(labels)
            self.series.setdefault(labels, _Buckets(len(self.bounds)))
        return self.series[labels]


def family_of(tally: Tally) -> Metric:
    """A counter or gauge as prometheus_client wants it."""
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    family = tally.family
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.text, labels=family.labels)
    for labels, value in tally.values.items():
        metric.add_metric(labels, value)
    return metric


def histogram_of(counted: BatchHistogram) -> Metric:
    """The family as prometheus_client wants it."""
    from prometheus_client.metrics_core import HistogramMetricFamily

    metric = HistogramMetricFamily(counted.family.name, counted.family.text, labels=counted.family.labels)
    for labels, buckets in counted.series.items():
        steps = [
            (str(float(bound)), float(n)) for bound, n in zip(counted.bounds, buckets.below, strict=True)
        ]
        metric.add_metric(labels, [*steps, ("+Inf", float(buckets.count))], buckets.total)
    return metric
