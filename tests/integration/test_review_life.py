"""Cancellations and stops at odd moments around waits, resumes and starts: one order, one outcome."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from rig.floor import Worker, drain, signal
from rig.scripted_adapter import ScriptedAdapter, fills, is_not_sent, loses_the_answer, loses_the_order
from rig.virtual_clock import in_virtual_time, virtual_clock

from adapters.contract import NotSent, NotYet, Wait
from config.settings import Execution, RateLimit
from store.records import Halt

A, B, C = (f"BTCUSDT-{number}" for number in range(3))
NARROW = Execution(rate_limit=RateLimit(max_qps=2, max_concurrency=1))


def late(venue, order):
    """The window has passed."""
    return NotSent("window_passed", "too late")


def scripts() -> dict[str, list]:
    """Every kind of answer on the way to the end of three signals."""
    return {A: [is_not_sent, late, late, fills], B: [loses_the_order, fills], C: [loses_the_answer]}


@pytest.mark.parametrize("seed", range(60))
@in_virtual_time
async def test_a_worker_that_is_cancelled_or_stopped_anywhere_sends_each_order_once(
    tmp_path: Path, seed: int
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers=scripts(), latency_s=0.07)
    waits = iter([Wait("price", "no price", clock.wall_ms() + 90)] * (seed % 3))
    venue.wait_for = lambda symbol: next(waits, None)
    asked = 0

    async def past_orders(symbol, since_ms):
        nonlocal asked
        asked += 1
        await clock.sleep(0.03)
        return NotYet(clock.wall_ms() + 40, "busy") if asked % 2 else []

    venue.past_orders = past_orders
    inputs = {"BTCUSDT": [signal(number) for number in range(3)]}
    for turn in range(3):
        async with Worker(tmp_path, clock, venue, inputs, execution=NARROW) as worker:
            await clock.sleep(0.013 * (seed + 1) * (turn + 1) % 3.1)
            if (seed + turn) % 2:
                await asyncio.wait_for(worker.stop(), 60)
    await drain(tmp_path, clock, venue, *inputs["BTCUSDT"], execution=NARROW)
    last = await drain(tmp_path, clock, venue, *inputs["BTCUSDT"], execution=NARROW)

    assert sorted(venue.placed) == [A, B, C]
    assert last.states() == {A: "filled", B: "filled", C: "filled"}


@pytest.mark.parametrize("seed", range(40))
@in_virtual_time
async def test_nothing_that_came_before_a_resume_is_sent_after_it(tmp_path: Path, seed: int) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers=scripts(), latency_s=0.07)
    inputs = {"BTCUSDT": [signal(number) for number in range(3)]}
    async with Worker(tmp_path, clock, venue, inputs, execution=NARROW) as worker:
        await clock.sleep(0.021 * (seed + 1))
        halts = worker.floor.halts
        if seed % 2:
            await halts.halt(Halt("", "odd", "ana", clock.wall_ms()))
            await clock.sleep(0.011 * seed)
            await halts.resume("", who="ana", why="looked at it")
        else:
            end_ms = clock.wall_ms() + 11 * seed + 1
            await halts.halt(Halt("", "odd", "ana", clock.wall_ms(), until_ms=end_ms))
            await clock.sleep((end_ms - clock.wall_ms()) / 1000)
        resumed_s = clock.monotonic_s()
        await asyncio.wait_for(worker.drained(), 600)

    assert [sent for sent in venue.sent if sent.at_s > resumed_s] == []
    assert len(venue.placed) == len(set(venue.placed))
