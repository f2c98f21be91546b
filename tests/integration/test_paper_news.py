"""The simulated venue's news at the end of a run: told whatever their moment, and taken before the end."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from rig.virtual_clock import START_MS, VirtualClock, in_virtual_time, virtual_clock

from adapters.contract import OrderUpdate
from adapters.paper.news import FINISH_S_MAX, News

PARTS = tuple(
    OrderUpdate("ew1-a", "partial", Decimal(number), event_ms=START_MS + 400 * number) for number in (1, 2, 3)
)


class Listener:
    """Takes its time over each word."""

    def __init__(self, news: News, clock: VirtualClock, takes_s: float) -> None:
        self.done: list[OrderUpdate] = []
        self._clock = clock
        self._takes_s = takes_s
        self.task = asyncio.create_task(self._listen(news))

    async def _listen(self, news: News) -> None:
        async for update in news.told():
            await self._clock.sleep(self._takes_s)
            self.done.append(update)


@in_virtual_time
async def test_what_is_due_later_is_told_at_once_and_the_end_waits_for_its_listener() -> None:
    clock = virtual_clock()
    news = News(clock)
    listener = Listener(news, clock, takes_s=0.05)
    news.tell_in_time(PARTS)
    await clock.sleep(0.001)

    await news.finish()

    assert listener.done == list(PARTS)
    assert clock.wall_ms() < START_MS + 200
    news.close()
    await listener.task


@in_virtual_time
async def test_each_word_has_its_moment_while_nobody_hurries() -> None:
    clock = virtual_clock()
    news = News(clock)
    listener = Listener(news, clock, takes_s=0)

    news.tell_in_time(PARTS)
    await clock.sleep(0.5)

    assert listener.done == [PARTS[0]]
    news.close()
    await listener.task


@in_virtual_time
async def test_a_listener_that_is_stuck_or_gone_holds_nobody_up_for_long() -> None:
    clock = virtual_clock()
    news = News(clock)
    listener = Listener(news, clock, takes_s=60)
    news.tell(PARTS)
    await clock.sleep(0.001)

    await news.finish()
    waited_s = (clock.wall_ms() - START_MS) / 1000
    listener.task.cancel()
    await asyncio.gather(listener.task, return_exceptions=True)
    await news.finish()

    assert FINISH_S_MAX <= waited_s <= FINISH_S_MAX + 0.1
    news.close()
