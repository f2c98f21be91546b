"""Stopping, halting and losing the store: lanes end at once, send nothing more, and leave nothing behind."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from rig.disk import small_disk
from rig.floor import UNLIMITED, Worker, drain, signal
from rig.rows import rows
from rig.scripted_adapter import (
    ScriptedAdapter,
    is_not_sent,
    loses_the_answer,
    loses_the_order,
)
from rig.virtual_clock import in_virtual_time, until, virtual_clock

from adapters.contract import Found, NotYet
from config.settings import Execution, RateLimit, Staleness
from store.errors import StoreReplacedError
from streams.signal import Malformed, Place
from worker.planning import Eligible

A, B = "BTCUSDT-0", "BTCUSDT-1"
SLOW = UNLIMITED.model_copy(update={"rate_limit": RateLimit(max_qps=0.1, max_concurrency=2)})


def not_yet(venue: ScriptedAdapter, order: object) -> NotYet:
    """No proof for a minute."""
    return NotYet(venue._clock.wall_ms() + 60_000, "the window is still open")


def other_terms(venue: ScriptedAdapter, order: object) -> Found:
    """Somebody else's order under our id."""
    return Found(next(iter(venue.orders.values())), same_terms=False)


WAITS: dict[str, tuple[Execution, dict, dict, dict[str, str]]] = {
    "a permit": (SLOW, {}, {}, {}),
    "the feed": (UNLIMITED, {}, {}, {A: "filled", B: "filled"}),
    "the fate of an order": (UNLIMITED, {A: [loses_the_order]}, {A: [not_yet]}, {A: "unknown"}),
    "a person": (UNLIMITED, {A: [loses_the_answer]}, {A: [other_terms]}, {A: "quarantined"}),
    "the way to be free": (UNLIMITED, {A: [is_not_sent]}, {}, {A: "reserved"}),
}


@pytest.mark.parametrize("what", WAITS)
@in_virtual_time
async def test_a_lane_that_waits_ends_at_once_and_leaves_the_rest_to_the_next_start(
    tmp_path: Path, what: str
) -> None:
    clock = virtual_clock()
    execution, answers, lookups, expected = WAITS[what]
    venue = ScriptedAdapter(clock, answers=answers, lookups=lookups)
    records = [signal(0), signal(1)]

    async with Worker(
        tmp_path, clock, venue, {"BTCUSDT": records}, execution=execution, once=False
    ) as worker:
        await clock.sleep(5.3)
        sent, began_s = len(venue.sent), clock.monotonic_s()
        await worker.stop()
        took_s = clock.monotonic_s() - began_s
        states = worker.states()

    assert took_s < 0.01
    assert len(venue.sent) == sent
    assert states == expected

    if what == "a person":
        return
    recovered = await drain(tmp_path, clock, ScriptedAdapter(clock), *records)
    assert recovered.states() == {A: "filled", B: "filled"}


@in_virtual_time
async def test_an_order_in_flight_is_settled_before_a_lane_ends(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, latency_s=3.0)

    async with Worker(tmp_path, clock, venue, {"BTCUSDT": [signal(0), signal(1)]}, once=False) as worker:
        await clock.sleep(1)
        await worker.stop()

    assert worker.states() == {A: "filled"}
    assert venue.placed == [A]
    assert clock.monotonic_s() - 1_000 == pytest.approx(3.0)


@in_virtual_time
async def test_an_answer_that_is_still_out_when_a_lane_is_cancelled_is_asked_for_at_the_next_start(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, latency_s=60.0)
    async with Worker(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}, once=False) as worker:
        await clock.sleep(1)
    assert worker.states() == {A: "reserved"}
    _, order = worker.floor.rows.order(signal(0), Eligible("long"), clock.wall_ms(), None)
    assert order is not None
    venue.accept(order, "filled", order.qty)

    again = await drain(tmp_path, clock, venue, signal(0))

    assert again.states() == {A: "filled"}
    assert venue.placed == [A]
    assert len(venue.sent) == 1


@in_virtual_time
async def test_a_halt_that_comes_between_reservation_and_send_skips_the_order(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    venue.holds[A] = asyncio.Event()
    execution = UNLIMITED.model_copy(update={"rate_limit": RateLimit(max_qps=None, max_concurrency=1)})
    inputs = {"BTCUSDT": [signal(0), signal(1)], "ETHUSDT": [signal(0, "ETHUSDT"), signal(1, "ETHUSDT")]}

    async with Worker(tmp_path, clock, venue, inputs, execution=execution) as worker:
        await until(lambda: len(worker.states()) == 2, clock)
        (tmp_path / "HALT").touch()
        venue.holds[A].set()
        await worker.drained()

    assert venue.placed == [A]
    assert worker.codes() == {A: None, "ETHUSDT-0": "halted", B: "halted", "ETHUSDT-1": "halted"}
    assert rows(tmp_path, "side, order_id", "executions WHERE signal_id = 'ETHUSDT-0'") == [("skip", None)]


@in_virtual_time
async def test_an_order_that_grows_too_old_while_it_waits_for_a_slot_is_skipped(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    venue.holds[A] = asyncio.Event()
    execution = UNLIMITED.model_copy(
        update={
            "rate_limit": RateLimit(max_qps=None, max_concurrency=1),
            "staleness": Staleness(max_age_ms=5_000),
        }
    )
    inputs = {"BTCUSDT": [signal(0)], "ETHUSDT": [signal(0, "ETHUSDT")]}

    async with Worker(tmp_path, clock, venue, inputs, execution=execution) as worker:
        await until(lambda: len(worker.states()) == 2, clock)
        await clock.sleep(6)
        venue.holds[A].set()
        await worker.drained()

    assert venue.placed == [A]
    assert worker.codes()["ETHUSDT-0"] == "expired"


@in_virtual_time
async def test_signals_that_grow_too_old_while_they_wait_for_a_permit_are_skipped(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    execution = UNLIMITED.model_copy(
        update={
            "rate_limit": RateLimit(max_qps=0.5, max_concurrency=1),
            "staleness": Staleness(max_age_ms=5_000),
        }
    )

    worker = await drain(
        tmp_path, clock, venue, *(signal(number) for number in range(10)), execution=execution
    )

    assert venue.placed == [A, B]
    assert set(list(worker.codes().values())[2:]) == {"expired"}
    assert len(worker.codes()) == 10


@in_virtual_time
async def test_what_expired_while_its_symbol_was_blocked_is_skipped_and_the_fresh_ones_go(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(
        clock, answers={A: [loses_the_answer]}, lookups={A: [not_yet, not_yet, lambda v, o: _truth(v, o)]}
    )
    execution = UNLIMITED.model_copy(update={"staleness": Staleness(max_age_ms=60_000)})
    records = [signal(0), signal(1), signal(119_000)]

    async with Worker(tmp_path, clock, venue, {"BTCUSDT": records}, execution=execution) as worker:
        await worker.drained()

    assert worker.states() == {A: "filled", B: "skipped", "BTCUSDT-119000": "filled"}


def _truth(venue: ScriptedAdapter, order: object) -> Found:
    return Found(next(iter(venue.orders.values())))


@pytest.mark.parametrize("victim", ["executions.db", "executions.db-wal", "the folder"])
@in_virtual_time
async def test_nothing_is_sent_once_the_store_was_removed_not_even_what_waited_for_a_slot(
    tmp_path: Path, victim: str
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    # Whichever lane comes first holds the only slot.
    either = {A: asyncio.Event(), signal(0, "ETHUSDT").signal_id: asyncio.Event()}
    venue.holds.update(either)
    execution = UNLIMITED.model_copy(update={"rate_limit": RateLimit(max_qps=None, max_concurrency=1)})
    inputs = {"BTCUSDT": [signal(0)], "ETHUSDT": [signal(0, "ETHUSDT")]}
    folder = tmp_path / "store"

    async with Worker(folder, clock, venue, inputs, execution=execution) as worker:
        await until(lambda: len(worker.states()) == 2 and len(venue.sent) == 1, clock)
        if victim == "the folder":
            shutil.move(folder, tmp_path / "moved")
        else:
            (folder / victim).unlink()
        for hold in either.values():
            hold.set()
        results = await asyncio.gather(*worker.tasks.values(), return_exceptions=True)

    assert [type(result) for result in results] == [StoreReplacedError, StoreReplacedError]
    assert len(venue.sent) == 1


@in_virtual_time
async def test_while_the_disk_is_full_nothing_is_sent_and_all_of_it_goes_out_once_there_is_room(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    with small_disk(tmp_path / "disk", "32m") as disk:
        inputs = {symbol: [signal(n, symbol) for n in range(200)] for symbol in ("BTCUSDT", "ETHUSDT")}
        worker = Worker(disk.path / "store", clock, venue, inputs)
        ballast = disk.fill()
        async with worker:
            await clock.sleep(120)
            while_full = (len(venue.sent), worker.writer.trouble)
            ballast.unlink()
            await worker.drained()
            trouble_after = worker.writer.trouble
            states = worker.states()

    assert while_full[0] <= 40
    assert "full" in (while_full[1] or "")
    assert trouble_after is None
    assert len(venue.placed) == len(set(venue.placed)) == 400
    assert set(states.values()) == {"filled"}


@in_virtual_time
async def test_malformed_lines_are_set_aside_in_their_place_and_stop_nothing(tmp_path: Path) -> None:
    bad = Malformed("BTCUSDT", "not_json", Place("ready/signal/BTCUSDT/a.jsonl", 7, 3), b"{\xff}")
    venue = ScriptedAdapter(virtual_clock())

    worker = await drain(tmp_path, virtual_clock(), venue, bad, signal(0), bad, signal(1), bad)

    assert venue.placed == [A, B]
    assert rows(tmp_path, "offset, reason, raw", "dead_letters") == [(7, "not_json", b"{\xff}")]
    assert worker.ledger is not None


@in_virtual_time
async def test_a_lost_hint_delays_a_signal_and_loses_none(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    records = [signal(0)]

    async with Worker(tmp_path, clock, venue, {"BTCUSDT": records}, once=False) as worker:
        await until(lambda: len(venue.sent) == 1, clock)
        records.append(signal(1))  # without a hint
        await clock.sleep(20)
        await worker.stop()

    assert venue.placed == [A, B]
