"""The daemon while its past is open: a recovery that takes long can be watched from outside."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rig.floor import signal
from rig.process import Process
from rig.scripted_adapter import ScriptedAdapter, loses_the_answer
from rig.virtual_clock import in_virtual_time, until, virtual_clock

from adapters.contract import NotYet
from worker.probe import WorkerProbe

A = "BTCUSDT-0"


@in_virtual_time
async def test_the_server_answers_while_recovery_still_waits_for_proof(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(
        clock,
        answers={A: [loses_the_answer]},
        lookups={A: [lambda v, o: NotYet(v._clock.wall_ms() + 1_000, "not yet")]},
    )
    inputs = {"BTCUSDT": [signal(0)]}
    async with Process(tmp_path, clock, venue, inputs) as process:
        await until(lambda: process.worker.states() == {A: "unknown"}, clock)

    process = Process(tmp_path, clock, venue, inputs)
    answers: list[str | None] = []

    async def serve() -> None:
        answers.append(WorkerProbe(process.daemon).ready())
        await asyncio.Event().wait()

    process.task = asyncio.create_task(process.daemon.run(serve))
    await clock.sleep(60)
    await process.__aexit__()

    assert answers == ["recovery is not done for BTCUSDT"]


@in_virtual_time
async def test_a_deadline_that_a_clock_set_back_has_moved_far_away_is_not_waited_for(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(
        clock,
        answers={A: [loses_the_answer]},
        lookups={A: [lambda v, o: NotYet(v._clock.wall_ms() + 86_400_000, "not yet")]},
    )

    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as process:
        await clock.sleep(1_000)
        states = process.worker.states()

    assert states == {A: "quarantined"}
