"""The numbers of the worker: counted per batch in plain integers, turned into Prometheus text on a scrape.

A prometheus_client counter costs 1-2 us per call and its import 35 ms, as much as executing hundreds
of signals; so nothing here touches it until somebody looks. The names below are the contract
(CONTRACTS 6) and stand nowhere else. Known label sets show from the first scrape, at 0.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

# 500 symbols fit with room; beyond it new label sets are summed under `other`, so that a reason that
# turns out not to be a fixed code cannot fill the memory of the worker or of the one who scrapes it.
LABEL_SETS_MAX = 2_000
OTHER = "other"
NO_REASON = "none"

RESULT_STATUSES = ("success", "skip", "failed", "retry")
SUBMIT_RESULTS = ("accepted", "rejected", "not_sent", "unknown")
THROTTLE_REASONS = ("rate", "concurrency")
# The skips that are a denial of what would have been an order.
PRE_DENY_REASONS = ("cooldown", "halted")
RESET_REASONS = ("truncated", "replaced", "inode_reused", "marker", "rebuilt", "rescan")

LAG_MS_BOUNDS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)
SUBMIT_S_BOUNDS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
COMMIT_S_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name, what it is, what it says, and its labels."""

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()


LAG = Family("execution_lag_ms", "histogram", "From the signal's time to its reading, in milliseconds")
QUEUE_LEN = Family("execution_queue_len", "gauge", "Signals read but not yet final")
RESULT = Family("execution_result_total", "counter", "Signals by outcome", ("status",))
RETRY = Family("execution_retry_total", "counter", "Submissions tried again because they were not sent")
CONCURRENCY = Family("execution_concurrency", "gauge", "Orders in flight")
SUCCESS_RATE = Family(
    "execution_success_rate", "gauge", "success / (success + failed), 1 while there is none"
)
SUBMIT = Family("executor_submit_total", "counter", "Submissions by answer", ("result", "reason"))
LATENCY = Family("executor_latency_seconds", "histogram", "From submit to its answer", ("result",))
THROTTLE = Family("executor_throttle_total", "counter", "Waits for a permit", ("reason",))
RATE_LIMIT = Family(
    "executor_current_rate_limit", "gauge", "Orders per second that may leave; +Inf: no limit"
)
PRE_DENY = Family("executor_pre_deny_total", "counter", "Signals denied by a pre-check or limit", ("reason",))
UNKNOWN = Family("execution_unknown", "gauge", "Orders whose fate is unproven")
OLDEST_UNRESOLVED = Family("execution_oldest_unresolved_seconds", "gauge", "Age of the oldest unproven order")
MALFORMED = Family("execution_malformed_total", "counter", "Malformed lines and rows", ("reason",))
SIGNALS = Family("execution_signals_total", "counter", "Signals read", ("symbol",))
CONFLICTING = Family(
    "execution_conflicting_duplicate_total", "counter", "Signals that repeat a key with other content"
)
DUPLICATE = Family("execution_duplicate_total", "counter", "Signals that were recorded before")
SOURCE_IGNORED = Family("execution_source_ignored", "gauge", "Sources with newer data that are not read")
SOURCE_RESET = Family(
    "execution_source_reset_total", "counter", "Sources read again from the start", ("reason",)
)
LATE = Family(
    "execution_late_beyond_lookback_total", "counter", "Rows that became visible later than the look-back"
)
DEAD_LETTER = Family("execution_dead_letter_total", "counter", "Dead letters recorded")
COMMIT = Family("execution_commit_seconds", "histogram", "How long a commit of the store took")
RECOVERY = Family(
    "execution_recovery_seconds", "gauge", "How long the recovery at start took; 0 before its end"
)
PROJECTION_LAG = Family(
    "execution_projection_lag_seconds", "gauge", "Age of the oldest fact not yet in the files"
)
BUILD = Family("execution_build_info", "gauge", "What runs; always 1", ("version", "mode", "adapter"))


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


class Metrics:
    """Everything the worker counts. Called on the event loop, per batch; nothing per signal.

    Any counting call with a count of 0 declares its label set, so that it shows at 0.
    """

    def __init__(self, symbols: Iterable[str] = (), malformed_reasons: Iterable[str] = ()) -> None:
        self._signals = Tally(SIGNALS, [(symbol,) for symbol in symbols])
        self._malformed = Tally(MALFORMED, [(reason,) for reason in malformed_reasons])
        self._dead_letters = Tally(DEAD_LETTER)
        self._duplicates = Tally(DUPLICATE)
        self._conflicting = Tally(CONFLICTING)
        self._resets = Tally(SOURCE_RESET, [(reason,) for reason in RESET_REASONS])
        self._late = Tally(LATE)
        self._ignored = Tally(SOURCE_IGNORED)
        self._lag = BatchHistogram(LAG, LAG_MS_BOUNDS)
        self._queue_len = Tally(QUEUE_LEN)
        self._pre_denied = Tally(PRE_DENY, [(reason,) for reason in PRE_DENY_REASONS])
        self._throttled = Tally(THROTTLE, [(reason,) for reason in THROTTLE_REASONS])
        self._rate_limit = Tally(RATE_LIMIT)
        self._in_flight = Tally(CONCURRENCY)
        self._submitted = Tally(SUBMIT, [(result, NO_REASON) for result in SUBMIT_RESULTS])
        self._latency = BatchHistogram(LATENCY, SUBMIT_S_BOUNDS, [(result,) for result in SUBMIT_RESULTS])
        self._retried = Tally(RETRY)
        self._results = Tally(RESULT, [(status,) for status in RESULT_STATUSES])
        self._success_rate = Tally(SUCCESS_RATE)
        self._unknown = Tally(UNKNOWN)
        self._oldest = Tally(OLDEST_UNRESOLVED)
        self._commit = BatchHistogram(COMMIT, COMMIT_S_BOUNDS)
        self._recovery = Tally(RECOVERY)
        self._projection_lag = Tally(PROJECTION_LAG)
        self._build = Tally(BUILD)
        self._registry: CollectorRegistry | None = None

    def signals_read(self, symbol: str, count: int) -> None:
        """`count` well-formed signals of `symbol` were read."""
        self._signals.add(count, symbol)

    def malformed(self, reason: str, count: int = 1) -> None:
        """`count` lines or rows broke the rule `reason`, a fixed code."""
        self._malformed.add(count, reason)

    def dead_letters(self, count: int) -> None:
        """`count` dead letters were committed."""
        self._dead_letters.add(count)

    def duplicates(self, count: int) -> None:
        """`count` signals had a row already."""
        self._duplicates.add(count)

    def conflicting_duplicates(self, count: int) -> None:
        """`count` signals repeat a key with other content."""
        self._conflicting.add(count)

    def source_resets(self, reason: str, total: int) -> None:
        """Sources were read again from the start `total` times since start, for `reason`."""
        self._resets.put(total, reason)

    def late_beyond_lookback(self, total: int) -> None:
        """`total` rows since start became visible later than the look-back."""
        self._late.put(total)

    def set_sources_ignored(self, count: int) -> None:
        """`count` sources have newer data and are not read."""
        self._ignored.put(count)

    def lags_ms(self, values: Sequence[float]) -> None:
        """From signal time to reading, one value per signal of a batch."""
        self._lag.observe_many(values)

    def set_queue_len(self, count: int) -> None:
        """`count` signals are read and not yet final."""
        self._queue_len.put(count)

    def pre_denied(self, reason: str, count: int = 1) -> None:
        """A pre-check or limit denied `count` signals."""
        self._pre_denied.add(count, reason)

    def throttled(self, reason: str, count: int = 1) -> None:
        """A lane waited for a permit: `rate` or `concurrency`."""
        self._throttled.add(count, reason)

    def set_rate_limit(self, qps: float | None) -> None:
        """Orders per second that may leave now; None means no limit."""
        self._rate_limit.put(math.inf if qps is None else qps)

    def set_in_flight(self, count: int) -> None:
        """`count` orders are in flight."""
        self._in_flight.put(count)

    def submitted(self, result: str, reason: str = NO_REASON, count: int = 1) -> None:
        """`count` submissions came to `result`, one of SUBMIT_RESULTS; `reason` is a fixed code."""
        self._submitted.add(count, result, reason or NO_REASON)

    def submit_latencies_s(self, result: str, values: Sequence[float]) -> None:
        """From submit to answer, one value per submission."""
        self._latency.observe_many(values, (result,))

    def retried(self, count: int = 1) -> None:
        """`count` submissions are tried again."""
        self._retried.add(count)

    def results(self, status: str, count: int) -> None:
        """`count` signals came to `status`: success, skip, failed or retry."""
        self._results.add(count, status)

    def set_unknown(self, count: int, oldest_age_s: float) -> None:
        """`count` orders are of unproven fate, the oldest since `oldest_age_s` seconds (0 with none)."""
        self._unknown.put(count)
        self._oldest.put(oldest_age_s)

    def commit_took_s(self, took_s: float) -> None:
        """One commit returned after `took_s`."""
        self._commit.observe(took_s)

    def recovery_took_s(self, took_s: float) -> None:
        """The recovery at start ended after `took_s`."""
        self._recovery.put(took_s)

    def set_projection_lag_s(self, lag_s: float) -> None:
        """The oldest fact that is not yet in the files is `lag_s` old."""
        self._projection_lag.put(lag_s)

    def set_build(self, *, version: str, mode: str, adapter: str) -> None:
        """Say what runs."""
        self._build.put(1, version, mode, adapter)

    def totals(self) -> dict[str, int]:
        """The counts since start that heartbeats and /status show; cheap."""
        outcome = self._results.values
        return {
            "success_count": int(outcome["success",]),
            "fail_count": int(outcome["failed",]),
            "retry_count": self._retried.total(),
            "skip_count": int(outcome["skip",]),
            "signal_count": self._signals.total(),
            "malformed_count": self._malformed.total(),
        }

    @property
    def success_rate(self) -> float:
        """success / (success + failed), 1 while there is none."""
        success, failed = self._results.values["success",], self._results.values["failed",]
        return success / (success + failed) if success + failed else 1.0

    @property
    def registry(self) -> CollectorRegistry:
        """Our own registry, with the process metrics; made on first use, which imports prometheus_client."""
        if self._registry is None:
            from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics

            disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped
            self._registry = CollectorRegistry(auto_describe=True)
            self._registry.register(self)
            ProcessCollector(registry=self._registry)
        return self._registry

    def collect(self) -> Iterator[Metric]:
        """The families as prometheus_client wants them; called per scrape."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        self._success_rate.put(self.success_rate)
        for counted in vars(self).values():
            if isinstance(counted, BatchHistogram):
                yield _histogram(counted)
            elif isinstance(counted, Tally):
                family = counted.family
                kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
                metric = kind(family.name, family.text, labels=family.labels)
                for labels, value in counted.values.items():
                    metric.add_metric(labels, value)
                yield metric


def _histogram(counted: BatchHistogram) -> Metric:
    from prometheus_client.metrics_core import HistogramMetricFamily

    metric = HistogramMetricFamily(counted.family.name, counted.family.text, labels=counted.family.labels)
    for labels, buckets in counted.series.items():
        steps = [
            (str(float(bound)), float(n)) for bound, n in zip(counted.bounds, buckets.below, strict=True)
        ]
        metric.add_metric(labels, [*steps, ("+Inf", float(buckets.count))], buckets.total)
    return metric
