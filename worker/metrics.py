"""The numbers of the worker: counted per batch in plain integers, turned into Prometheus text on a scrape.

A prometheus_client counter costs 1-2 us per call and its import 35 ms, as much as executing hundreds
of signals; so nothing here touches it until somebody looks. The names below are the contract
(CONTRACTS 6) and stand nowhere else. Known label sets show from the first scrape, at 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from worker.metric_labels import (
    REJECT_REASONS,
    RESET_REASONS,
    RESULT_STATUSES,
    RISK_LIMITS,
    SUBMIT_RESULTS,
    THROTTLE_REASONS,
    TROUBLE_PARTS,
    UNSETTLED_STATES,
)
from worker.planning import SKIP_CODES
from worker.precheck import PRE_DENY_CODES
from worker.tallies import BatchHistogram, Family, Tally, family_of, histogram_of

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

NO_REASON = "none"

SHADOW_RESULTS = ("alike", "different", "dropped", "not_compared")
# The skips that are a denial of what would have been an order.
PRE_DENY_REASONS = (
    *PRE_DENY_CODES,
    "cooldown",
    "halted",
    "risk_order_usd",
    "risk_rate",
    "risk_position_usd",
    "risk_check_failed",
)

LAG_MS_BOUNDS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)
SUBMIT_S_BOUNDS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
COMMIT_S_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

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
THROTTLE = Family("executor_throttle_total", "counter", "Waits, and signals left out of a crowd", ("reason",))
RATE_LIMIT = Family(
    "executor_current_rate_limit", "gauge", "Orders per second that may leave; +Inf: no limit"
)
PRE_DENY = Family("executor_pre_deny_total", "counter", "Signals denied by a pre-check or limit", ("reason",))
UNKNOWN = Family("execution_unknown", "gauge", "Orders whose fate is unproven")
QUARANTINED = Family("execution_quarantined", "gauge", "Orders that wait for a person")
HALTED = Family("execution_halted", "gauge", "Halts in force")
LATE_FILL = Family("execution_late_fill_total", "counter", "Fills of orders that were over")
WEIGHT_USED = Family(
    "execution_exchange_weight_used", "gauge", "Request weight spent in the exchange's present window"
)
CLOCK_OFFSET = Family("execution_clock_offset_seconds", "gauge", "The exchange's clock minus the host's")
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
SHADOW_PARITY = Family(
    "executor_shadow_parity_ratio", "gauge", "Like pairs among the last compared ones, 1 while there is none"
)
SHADOW_PAIRS = Family(
    "execution_shadow_pairs_total", "counter", "Orders copied to the shadow venue by verdict", ("result",)
)
BUILD = Family("execution_build_info", "gauge", "What runs; always 1", ("version", "mode", "adapter"))
REJECTED = Family("execution_rejected_total", "counter", "Orders refused, by us or the venue", ("reason",))
SKIPPED = Family("execution_skipped_total", "counter", "Signals that became no order", ("reason",))
STARTS = Family("execution_starts_total", "counter", "Starts of a worker on this store, over all its life")
READY = Family(
    "execution_ready", "gauge", "1 while it trades: recovered, the store commits, input is readable"
)
TROUBLE = Family("execution_trouble", "gauge", "1 while this part is in trouble", ("part",))
BACKLOG = Family(
    "execution_backlog", "gauge", "Input known to be unread: bytes of files or rows of a table", ("symbol",)
)
LAST_READ = Family(
    "execution_last_read_timestamp_seconds",
    "gauge",
    "When input of the symbol was read last; the start before that",
    ("symbol",),
)
LAST_SIGNAL = Family(
    "execution_last_signal_timestamp_seconds", "gauge", "Time of the last recorded signal", ("symbol",)
)
BLOCKED = Family("execution_lane_blocked", "gauge", "1 while something holds the symbol back", ("symbol",))
INPUT_MISSING = Family(
    "execution_input_missing", "gauge", "1 while the symbol's source is not there yet", ("symbol",)
)
INPUT_FAULT = Family(
    "execution_input_fault", "gauge", "1 while the symbol's source is there and cannot be read", ("symbol",)
)
UNSETTLED = Family("execution_unsettled", "gauge", "Orders that are not final", ("state",))
DEADLINE = Family(
    "execution_exchange_deadline_seconds", "gauge", "For how long the exchange still wants to hear nothing"
)
BUDGET_USED = Family(
    "execution_exchange_budget_used",
    "gauge",
    "Spent of a limit of the exchange in its present window, of so many seconds",
    ("kind", "window"),
)
BUDGET_LIMIT = Family(
    "execution_exchange_budget_limit", "gauge", "What that limit allows in a window", ("kind", "window")
)
RISK_LIMIT = Family("execution_risk_limit", "gauge", "A hard limit; +Inf: none", ("limit",))
ORDERS_LAST_MINUTE = Family(
    "execution_orders_last_minute", "gauge", "Orders reserved in the last 60 s, as the hard limit counts them"
)
POSITION = Family(
    "execution_position",
    "gauge",
    "The position that all final orders add up to, in base units, as last known",
    ("symbol",),
)
DISK_FREE = Family("execution_disk_free_bytes", "gauge", "Room left on the disk of the store")
STORE_SIZE = Family("execution_store_bytes", "gauge", "Size of the store with its write-ahead log")
# What is looked at and set, not counted: with the label sets that show from the first scrape.
LOOKED_AT: dict[Family, Sequence[tuple[str, ...]]] = {
    READY: (),
    TROUBLE: [(part,) for part in TROUBLE_PARTS],
    STARTS: (),
    BACKLOG: (),
    LAST_READ: (),
    LAST_SIGNAL: (),
    BLOCKED: (),
    INPUT_MISSING: (),
    INPUT_FAULT: (),
    UNSETTLED: [(state,) for state in UNSETTLED_STATES],
    DEADLINE: (),
    BUDGET_USED: (),
    BUDGET_LIMIT: (),
    RISK_LIMIT: [(limit,) for limit in RISK_LIMITS],
    ORDERS_LAST_MINUTE: (),
    POSITION: (),
    DISK_FREE: (),
    STORE_SIZE: (),
}


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
        self._quarantined = Tally(QUARANTINED)
        self._halted = Tally(HALTED)
        self._late_fills = Tally(LATE_FILL)
        self._weight_used = Tally(WEIGHT_USED)
        self._clock_offset = Tally(CLOCK_OFFSET)
        self._commit = BatchHistogram(COMMIT, COMMIT_S_BOUNDS)
        self._recovery = Tally(RECOVERY)
        self._projection_lag = Tally(PROJECTION_LAG)
        self._build = Tally(BUILD)
        self._shadow_pairs = Tally(SHADOW_PAIRS, [(result,) for result in SHADOW_RESULTS])
        self._shadow_parity = Tally(SHADOW_PARITY)
        self._shadow_parity.put(1.0)
        self._rejected = Tally(REJECTED, [(reason,) for reason in REJECT_REASONS])
        self._skipped = Tally(SKIPPED, [(reason,) for reason in SKIP_CODES])
        self._looked_at = {family: Tally(family, known) for family, known in LOOKED_AT.items()}
        # Called before each scrape: what is looked at is as of then.
        self.look: Callable[[], None] = lambda: None
        self._registry: CollectorRegistry | None = None

    def put(self, family: Family, value: float, *labels: str) -> None:
        """What was seen just now of one of LOOKED_AT."""
        self._looked_at[family].put(value, *labels)

    def rejected(self, reason: str | None, count: int = 1) -> None:
        """`count` orders were refused for `reason`, a fixed code."""
        self._rejected.add(count, reason or NO_REASON)

    def skipped(self, reason: str, count: int = 1) -> None:
        """`count` signals became no order for `reason`, one of SKIP_CODES."""
        self._skipped.add(count, reason)

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
        """A lane waited for a permit or the venue, or a signal was left out of a crowd."""
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

    def set_unknown(self, count: int, oldest_age_s: float, *, quarantined: int = 0) -> None:
        """`count` orders are of unproven fate, the oldest since `oldest_age_s` seconds (0 with none).

        `quarantined` of them wait for a person.
        """
        self._unknown.put(count)
        self._oldest.put(oldest_age_s)
        self._quarantined.put(quarantined)

    def set_halts(self, count: int) -> None:
        """`count` halts are in force."""
        self._halted.put(count)

    def late_fill(self) -> None:
        """An order that was over has filled."""
        self._late_fills.add(1)

    def set_venue(self, *, weight_used: int, clock_offset_s: float) -> None:
        """What the exchange counts, and how far its clock is from ours."""
        self._weight_used.put(weight_used)
        self._clock_offset.put(clock_offset_s)

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

    def shadow_pairs(self, result: str, count: int) -> None:
        """`count` copied orders came to `result`, one of SHADOW_RESULTS."""
        self._shadow_pairs.add(count, result)

    def set_shadow_parity(self, ratio: float) -> None:
        """So many of the last pairs are alike."""
        self._shadow_parity.put(ratio)

    def lag_counts(self) -> Sequence[int]:
        """How many lags were at most each of LAG_MS_BOUNDS, then how many there were; cheap."""
        lags = self._lag.series[()]
        return (*lags.below, lags.count)

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
        self.look()
        self._success_rate.put(self.success_rate)
        for counted in vars(self).values():
            if isinstance(counted, BatchHistogram):
                yield histogram_of(counted)
            elif isinstance(counted, Tally):
                yield family_of(counted)
        for looked_at in self._looked_at.values():
            yield family_of(looked_at)
