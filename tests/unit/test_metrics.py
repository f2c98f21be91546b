"""The metrics: names of the contract, known label sets at 0, batches counted as single values would be."""

from __future__ import annotations

import math
import subprocess
import sys
from random import Random

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from worker import metrics as declared
from worker.metrics import Metrics
from worker.tallies import LABEL_SETS_MAX, BatchHistogram, Family, Tally

OF_A_DRY_RUN = [
    "execution_lag_ms",
    "execution_queue_len",
    "execution_result_total",
    "execution_retry_total",
    "execution_concurrency",
    "execution_success_rate",
    "executor_submit_total",
    "executor_latency_seconds",
    "executor_throttle_total",
    "executor_current_rate_limit",
    "executor_pre_deny_total",
    "execution_unknown",
    "execution_oldest_unresolved_seconds",
    "execution_malformed_total",
    "execution_signals_total",
    "execution_conflicting_duplicate_total",
    "execution_source_ignored",
    "execution_commit_seconds",
    "execution_recovery_seconds",
    "execution_build_info",
]


def scraped(metrics: Metrics) -> dict[str, float]:
    """Every sample of one scrape, as `name{label="value",...}`."""
    text = generate_latest(metrics.registry).decode()
    samples: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


def test_every_name_of_the_contract_is_exposed_before_anything_happened() -> None:
    text = generate_latest(Metrics().registry).decode()

    missing = [name for name in OF_A_DRY_RUN if f"# HELP {name} " not in text]

    assert missing == []


def test_every_declared_family_is_exposed_once_and_says_what_it_is() -> None:
    families = [value for value in vars(declared).values() if isinstance(value, Family)]

    lines = generate_latest(Metrics().registry).decode().splitlines()

    for family in families:
        assert lines.count(f"# HELP {family.name} {family.text}") == 1
        assert lines.count(f"# TYPE {family.name} {family.kind}") == 1


def test_known_label_sets_start_at_zero() -> None:
    samples = scraped(Metrics(symbols=["BTCUSDT"], malformed_reasons=["not_json"]))

    assert samples['execution_result_total{status="skip"}'] == 0
    assert samples['executor_submit_total{reason="none",result="unknown"}'] == 0
    assert samples['executor_latency_seconds_count{result="accepted"}'] == 0
    assert samples['execution_signals_total{symbol="BTCUSDT"}'] == 0
    assert samples['execution_malformed_total{reason="not_json"}'] == 0
    assert samples['execution_source_reset_total{reason="rebuilt"}'] == 0
    assert samples['executor_pre_deny_total{reason="cooldown"}'] == 0
    assert samples["execution_retry_total"] == 0


def test_no_created_series_are_exposed() -> None:
    assert "_created" not in generate_latest(Metrics().registry).decode()


def test_the_process_itself_is_measured_too() -> None:
    assert scraped(Metrics())["process_resident_memory_bytes"] > 1_000_000


def test_two_workers_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()

    first.results("success", 3)

    assert scraped(first)['execution_result_total{status="success"}'] == 3
    assert scraped(second)['execution_result_total{status="success"}'] == 0


def test_what_was_read_shows_under_its_names() -> None:
    metrics = Metrics()
    metrics.signals_read("ETHUSDT", 5)
    metrics.malformed("not_json", 2)
    metrics.dead_letters(2)
    metrics.duplicates(4)
    metrics.conflicting_duplicates(1)
    metrics.source_resets("truncated", 3)
    metrics.late_beyond_lookback(8)
    metrics.set_sources_ignored(1)
    metrics.lags_ms([3.0, 700.0])
    metrics.set_queue_len(9)

    samples = scraped(metrics)

    expected = {
        'execution_signals_total{symbol="ETHUSDT"}': 5,
        'execution_malformed_total{reason="not_json"}': 2,
        "execution_dead_letter_total": 2,
        "execution_duplicate_total": 4,
        "execution_conflicting_duplicate_total": 1,
        'execution_source_reset_total{reason="truncated"}': 3,
        "execution_late_beyond_lookback_total": 8,
        "execution_source_ignored": 1,
        "execution_lag_ms_count": 2,
        "execution_lag_ms_sum": 703,
        'execution_lag_ms_bucket{le="5.0"}': 1,
        'execution_lag_ms_bucket{le="+Inf"}': 2,
        "execution_queue_len": 9,
    }
    assert {key: samples[key] for key in expected} == expected


def test_what_was_sent_and_recorded_shows_under_its_names() -> None:
    metrics = Metrics()
    metrics.pre_denied("halted", 2)
    metrics.throttled("rate", 6)
    metrics.set_rate_limit(10)
    metrics.set_in_flight(2)
    metrics.submitted("rejected", "filter", 2)
    metrics.submit_latencies_s("accepted", [0.003])
    metrics.retried(7)
    metrics.set_unknown(1, 12.5)
    metrics.commit_took_s(0.004)
    metrics.recovery_took_s(0.2)
    metrics.set_projection_lag_s(1.5)
    metrics.set_build(version="1", mode="dry_run", adapter="dry_run")

    samples = scraped(metrics)

    expected = {
        'executor_pre_deny_total{reason="halted"}': 2,
        'executor_throttle_total{reason="rate"}': 6,
        "executor_current_rate_limit": 10,
        "execution_concurrency": 2,
        'executor_submit_total{reason="filter",result="rejected"}': 2,
        'executor_latency_seconds_count{result="accepted"}': 1,
        "execution_retry_total": 7,
        "execution_unknown": 1,
        "execution_oldest_unresolved_seconds": 12.5,
        'execution_commit_seconds_bucket{le="0.005"}': 1,
        "execution_recovery_seconds": 0.2,
        "execution_projection_lag_seconds": 1.5,
        'execution_build_info{adapter="dry_run",mode="dry_run",version="1"}': 1,
    }
    assert {key: samples[key] for key in expected} == expected


def test_no_rate_limit_shows_as_infinity() -> None:
    metrics = Metrics()

    metrics.set_rate_limit(None)

    assert scraped(metrics)["executor_current_rate_limit"] == math.inf


def test_the_success_rate_is_one_while_nothing_was_executed_and_ignores_skips() -> None:
    metrics = Metrics()
    metrics.results("skip", 10)
    assert metrics.success_rate == 1.0

    metrics.results("success", 3)
    metrics.results("failed", 1)

    assert scraped(metrics)["execution_success_rate"] == 0.75


def test_totals_mirror_the_counters_as_plain_integers() -> None:
    metrics = Metrics()
    metrics.results("success", 479)
    metrics.results("skip", 121)
    metrics.results("failed", 2)
    metrics.retried(5)
    metrics.signals_read("BTCUSDT", 300)
    metrics.signals_read("ETHUSDT", 302)

    totals = metrics.totals()

    assert totals == {
        "success_count": 479,
        "fail_count": 2,
        "retry_count": 5,
        "skip_count": 121,
        "signal_count": 602,
        "malformed_count": 0,
    }
    assert all(type(value) is int for value in totals.values())


def test_a_batch_is_counted_as_its_values_one_by_one_would_be() -> None:
    chance = Random(7)
    values = [chance.uniform(0, 12) for _ in range(500)] + [1.0, 2.0, 5.0, 10.0]
    family = Family("a", "histogram", "b")
    batch, single = BatchHistogram(family, (1, 2, 5, 10)), BatchHistogram(family, (1, 2, 5, 10))

    batch.observe_many(values)
    for value in values:
        single.observe(value)

    assert batch.series[()].below == single.series[()].below
    assert batch.series[()].below == [sum(v <= bound for v in values) for bound in (1, 2, 5, 10)]
    assert batch.series[()].count == len(values)
    assert batch.series[()].total == pytest.approx(sum(values))


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_never_poisons_the_sum(odd: float) -> None:
    histogram = BatchHistogram(Family("a", "histogram", "b"), (1, 2))

    histogram.observe_many([0.5, odd, 1.5])
    histogram.observe(odd)

    assert (histogram.series[()].count, histogram.series[()].total) == (2, 2.0)


def test_a_lag_from_the_future_counts_as_none_so_that_the_sum_never_falls() -> None:
    histogram = BatchHistogram(Family("a", "histogram", "b"), (1, 2))

    histogram.observe_many([-5.0, 1.5])
    histogram.observe(-3.0, count=2)

    assert (histogram.series[()].below, histogram.series[()].total) == ([3, 4], 1.5)


def test_label_sets_without_end_are_summed_under_other() -> None:
    tally = Tally(Family("a", "counter", "b", ("reason",)))

    for index in range(LABEL_SETS_MAX + 50):
        tally.add(1, f"code {index}")

    assert len(tally.values) == LABEL_SETS_MAX + 1
    assert tally.values["other",] == 50


def test_counting_needs_no_prometheus_client_until_somebody_scrapes() -> None:
    program = """
import sys
from worker.metrics import Metrics
metrics = Metrics(["BTCUSDT"])
metrics.results("success", 1)
metrics.lags_ms([1.0])
assert metrics.totals()["success_count"] == 1
sys.exit("prometheus_client" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
