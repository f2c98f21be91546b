"""No second send: what the venue tells and what a resume means hold for orders that are reserved already."""

from __future__ import annotations

from pathlib import Path

import pytest
from rig.floor import Worker, signal
from rig.process import Process
from rig.scripted_adapter import ScriptedAdapter, fills, loses_the_order
from rig.virtual_clock import in_virtual_time, until, virtual_clock

from adapters.contract import NotSent, ProvenAbsent, Unknown
from config.settings import Execution, RateLimit
from store.records import Halt
from worker.planning import client_order_id

A, B = "BTCUSDT-0", "BTCUSDT-1"
KEY = client_order_id("BTCUSDT", A)
SLOW = Execution(rate_limit=RateLimit(max_qps=0.1, max_concurrency=4))


def takes_it_and_says_otherwise(venue, order):
    """The venue has filled the order and says that it was too busy; its stream tells the truth."""
    venue.tell(venue.accept(order, "filled", order.qty))
    return NotSent("rate_limited", "too many requests", venue._clock.wall_ms() + 5_000)


@in_virtual_time
async def test_an_order_that_the_stream_has_told_of_is_not_sent_again_after_a_refusal(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [takes_it_and_says_otherwise, fills]})
    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0), signal(1)]}) as process:
        await until(lambda: process.worker.states().get(B) == "filled", clock, within_s=60)
        states = process.worker.states()

    assert venue.placed == [A, B]
    assert states == {A: "filled", B: "filled"}


@in_virtual_time
async def test_an_order_that_turns_up_after_its_absence_was_proven_is_not_sent_again(tmp_path: Path) -> None:
    clock = virtual_clock()
    proven: list[float] = []

    def absent(venue, order):
        proven.append(clock.monotonic_s())
        return ProvenAbsent()

    venue = ScriptedAdapter(clock, answers={A: [loses_the_order, fills]}, lookups={A: [absent, None]})
    venue._lookups[A][1] = _truth
    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}, execution=SLOW) as process:
        await until(lambda: bool(proven), clock, within_s=60)
        await clock.sleep(2)
        # The second send waits for its permit; the first one is shown only now.
        assert len(venue.sent) == 1
        order = _sent_order(process)
        venue.tell(venue.accept(order, "filled", order.qty))
        await clock.sleep(30)
        states = process.worker.states()

    assert len(venue.sent) == 1
    assert states == {A: "filled"}


def _truth(venue, order):
    from rig.scripted_adapter import tells_the_truth

    return tells_the_truth(venue, order)


def _sent_order(process):
    import msgspec
    from rig.rows import rows

    from adapters.contract import Order

    return msgspec.json.decode(rows(process.worker.folder, "order_json", order="id")[0][0], type=Order)


@in_virtual_time
async def test_an_order_that_waits_for_another_try_during_a_halt_is_not_sent_after_the_resume(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    refused = lambda venue, order: NotSent("rate_limited", "busy", clock.wall_ms() + 20_000)  # noqa: E731  # a script
    venue = ScriptedAdapter(clock, answers={A: [refused, fills]})
    async with Worker(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as worker:
        await until(lambda: len(venue.sent) == 1, clock)
        await clock.sleep(1)
        await worker.floor.halts.halt(Halt("", "a person", "ana", clock.wall_ms()))
        await clock.sleep(1)
        await worker.floor.halts.resume("", who="ana", why="looked at it")
        await worker.drained()

    assert len(venue.sent) == 1
    assert worker.codes() == {A: "halted"}


@in_virtual_time
async def test_a_proven_absence_that_outlasts_a_halt_is_not_sent_after_the_resume(tmp_path: Path) -> None:
    clock = virtual_clock()
    halted: list[bool] = []

    def absent(venue, order):
        from adapters.contract import NotYet

        return ProvenAbsent() if halted else NotYet(clock.wall_ms() + 100, "not yet")

    venue = ScriptedAdapter(clock, answers={A: [loses_the_order, fills]}, lookups={A: [absent]})
    async with Worker(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as worker:
        await until(lambda: len(venue.sent) == 1, clock)
        await clock.sleep(1)
        await worker.floor.halts.halt(Halt("BTCUSDT", "a person", "ana", clock.wall_ms()))
        await clock.sleep(1)
        await worker.floor.halts.resume("BTCUSDT", who="ana", why="looked at it")
        halted.append(True)
        await worker.drained()

    assert len(venue.sent) == 1
    assert worker.codes() == {A: "halted"}


@pytest.mark.parametrize("state", ["open", "filled"])
@in_virtual_time
async def test_a_reply_that_is_lost_after_the_stream_was_quicker_sends_nothing(
    tmp_path: Path, state: str
) -> None:
    clock = virtual_clock()

    def told_and_lost(venue, order):
        venue.tell(venue.accept(order, state, order.qty if state == "filled" else order.qty * 0))
        return Unknown("read timed out")

    venue = ScriptedAdapter(clock, answers={A: [told_and_lost]})
    venue.latency_s = 5.0
    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as process:
        await clock.sleep(60)
        states = process.worker.states()

    assert venue.placed == [A]
    assert states == {A: state}
