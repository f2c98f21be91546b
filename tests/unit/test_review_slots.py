"""Slots when everybody is told to go at once, as at a stop that has waited long enough."""

from __future__ import annotations

import asyncio

from worker.pace import Slots


async def test_one_who_waits_and_one_who_holds_are_cancelled_together_and_both_end_as_such() -> None:
    slots = Slots(1)

    async def visit() -> None:
        async with slots:
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(visit()) for _ in range(3)]
    for _ in range(3):
        await asyncio.sleep(0)

    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(end) for end in ends] == [asyncio.CancelledError] * 3
    assert not slots.locked()
