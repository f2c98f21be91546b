"""What a scrape shows of a running worker: as of that moment, by the part that is meant."""

from __future__ import annotations

import math
from pathlib import Path

from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from rig.floor import drain, signal
from rig.process import Process
from rig.scripted_adapter import ScriptedAdapter
from rig.virtual_clock import START_MS, in_virtual_time, virtual_clock

from adapters.binance import verdicts
from adapters.contract import Reject, WindowUsage
from config.settings import Risk
from worker.gauges import put_limits
from worker.metric_labels import REJECT_REASONS
from worker.metrics import Metrics


def scraped(metrics: Metrics) -> dict[str, float]:
    """Each sample as `name{labels}`, as Prometheus reads it."""
    text = generate_latest(metrics.registry).decode()
    return {
        sample.name + (str(sorted(sample.labels.values())) if sample.labels else ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@in_virtual_time
async def test_a_scrape_shows_the_worker_as_it_is_at_that_moment(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as process:
        metrics = process.worker.metrics
        await clock.sleep(1.5)
        before = scraped(metrics)

        venue.deadline_ms = clock.wall_ms() + 90_000
        venue.usage = [WindowUsage("orders", 10_000, 270, 300, 0)]
        venue.denied = "the key was withdrawn"
        after = scraped(metrics)

    assert before["execution_ready"] == 1
    assert before["execution_lane_blocked['BTCUSDT']"] == 0
    assert before["execution_last_signal_timestamp_seconds['BTCUSDT']"] == START_MS / 1000
    assert before["execution_exchange_deadline_seconds"] == 0
    assert before["execution_trouble['account']"] == 0
    assert after["execution_exchange_deadline_seconds"] == 90
    assert after["execution_exchange_budget_used['10', 'orders']"] == 270
    assert after["execution_exchange_budget_limit['10', 'orders']"] == 300
    assert after["execution_trouble['account']"] == 1


@in_virtual_time
async def test_the_room_on_the_disk_is_not_known_before_it_was_looked_at(tmp_path: Path) -> None:
    clock = virtual_clock()
    async with Process(tmp_path, clock, ScriptedAdapter(clock), {"BTCUSDT": [signal(0)]}) as process:
        before = scraped(process.worker.metrics)
        await clock.sleep(20)
        after = scraped(process.worker.metrics)

    assert math.isnan(before["execution_disk_free_bytes"])
    assert after["execution_disk_free_bytes"] > 0
    assert after["execution_store_bytes"] > 0
    assert after["execution_orders_last_minute"] == 1


@in_virtual_time
async def test_refusals_and_skips_are_counted_by_their_reason(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    venue.refuses["BTCUSDT-1"] = Reject("price_filter", "off the grid")

    worker = await drain(tmp_path, clock, venue, signal(0), signal(1), signal(2, score=0.1))

    found = scraped(worker.metrics)
    assert found["execution_rejected_total['price_filter']"] == 1
    assert found["execution_skipped_total['below_threshold']"] == 1
    assert sum(value for name, value in found.items() if name.startswith("execution_rejected_total")) == 1


def test_a_limit_that_is_not_set_shows_as_infinity() -> None:
    metrics = Metrics()

    put_limits(metrics, Risk(max_orders_per_minute=30))

    found = scraped(metrics)
    assert found["execution_risk_limit['orders_per_minute']"] == 30
    assert found["execution_risk_limit['position_usd']"] == math.inf


def test_every_word_of_the_exchange_for_a_refusal_shows_from_the_first_scrape() -> None:
    said = {reason for codes in verdicts.REJECTED.values() for reason in codes.values()}
    said |= {reason for _, reason in verdicts._PHRASES}

    assert said <= set(REJECT_REASONS)
