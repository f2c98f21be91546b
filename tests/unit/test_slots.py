"""Slots and permits may be set anew while lanes wait for them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.virtual_clock import in_virtual_time, virtual_clock

from adapters.pacing import TokenBucket
from worker.pace import Permits, Slots


async def hold(slots: Slots, held: list[int], number: int, until: asyncio.Event) -> None:
    async with slots:
        held.append(number)
        await until.wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_slots_are_given_first_come_first_served_and_never_more_than_there_are() -> None:
    slots, held, until = Slots(2), [], asyncio.Event()
    tasks = [asyncio.create_task(hold(slots, held, number, until)) for number in range(5)]
    await settled()

    assert held == [0, 1]
    assert slots.locked()
    until.set()
    await asyncio.gather(*tasks)
    assert held == [0, 1, 2, 3, 4]
    assert not slots.locked()


async def test_a_higher_limit_lets_those_in_who_wait() -> None:
    slots, held, until = Slots(1), [], asyncio.Event()
    tasks = [asyncio.create_task(hold(slots, held, number, until)) for number in range(5)]
    await settled()

    slots.set_limit(4)
    await settled()

    assert held == [0, 1, 2, 3]
    until.set()
    await asyncio.gather(*tasks)


async def test_a_lower_limit_takes_effect_as_slots_are_given_back() -> None:
    slots, held = Slots(3), []
    ends = [asyncio.Event() for _ in range(5)]
    tasks = [asyncio.create_task(hold(slots, held, number, ends[number])) for number in range(5)]
    await settled()
    slots.set_limit(1)

    ends[0].set()
    ends[1].set()
    await settled()
    assert held == [0, 1, 2]
    ends[2].set()
    await settled()
    assert held == [0, 1, 2, 3]
    for end in ends:
        end.set()
    await asyncio.gather(*tasks)


@given(steps=st.lists(st.tuples(st.sampled_from("sec+-"), st.integers(0, 7)), max_size=40))
def test_whatever_is_cancelled_and_set_no_slot_is_lost_and_none_is_given_twice(
    steps: list[tuple[str, int]],
) -> None:
    async def play() -> None:
        slots, limit_max, inside = Slots(2), 2, 0
        ends: list[asyncio.Event] = []
        tasks: list[asyncio.Task[None]] = []

        async def visit(end: asyncio.Event) -> None:
            nonlocal inside
            async with slots:
                inside += 1
                try:
                    await end.wait()
                finally:
                    inside -= 1

        for what, number in steps:
            if what == "s":
                ends.append(asyncio.Event())
                tasks.append(asyncio.create_task(visit(ends[-1])))
            elif what == "e" and ends:
                ends[number % len(ends)].set()
            elif what == "c" and tasks:
                tasks[number % len(tasks)].cancel()
            elif what in "+-":
                slots.set_limit(number % 4 + 1)
                limit_max = max(limit_max, slots.limit)
            if number % 2:
                await settled()
            assert inside <= limit_max
        for end in ends:
            end.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert inside == 0
        assert not slots.locked()
        async with asyncio.timeout(1), slots:
            pass

    asyncio.run(play())


@in_virtual_time
async def test_a_lane_that_waits_for_a_permit_follows_a_new_rate() -> None:
    clock = virtual_clock()
    permits = Permits(TokenBucket(0.01, now_s=clock.monotonic_s()), clock)
    began_s = clock.monotonic_s()
    waiting = asyncio.create_task(permits.take_one())
    await asyncio.sleep(0)

    permits.set_rate(10.0)
    await waiting

    assert clock.monotonic_s() - began_s <= 1.2


@pytest.mark.parametrize("rates", [(1.0, 100.0), (100.0, 1.0), (5.0, None, 5.0)])
def test_a_new_rate_gives_no_permits_for_the_past(rates: tuple[float | None, ...]) -> None:
    bucket = TokenBucket(rates[0], now_s=0.0)
    for second, rate in enumerate(rates[1:], start=1):
        before = bucket.available(float(second))
        bucket.set_rate(rate, float(second))
        after = bucket.available(float(second))
        if before is not None and after is not None:
            assert after <= before
