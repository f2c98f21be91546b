"""What has to stay fresh while orders are sent: the venue's clock, the symbols' rules, the book prices.

Background tasks that never end by themselves: trouble with the venue is counted and tried again, and a
task that ends all the same has met a bug, which is raised where the adapter is asked next.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from adapters.binance.asking import Trouble
from adapters.binance.client import Client
from adapters.binance.prices import Prices
from adapters.binance.starting import Rules, read_rules
from config.seams import Clock

# Half of what the client lets a clock age before it sends no more by it.
CLOCK_SYNC_S = 120.0
# The next attempt after one that brought nothing, and the pace of attempts that somebody asks for.
CLOCK_RETRY_S = 1.0
RULES_REFRESH_S = 86_400.0
# One rejected order asks for the rules; a hundred of them within a minute ask once.
RULES_RETRY_S = 60.0


class KeptDeadline:
    """Until when the venue wants to hear nothing (its own clock), on its way to the disk."""

    def __init__(self) -> None:
        self.until_ms = 0
        self.changed = asyncio.Event()

    def note(self, until_ms: int) -> None:
        """A later one than before."""
        self.until_ms = until_ms
        self.changed.set()


class Upkeep:
    """Keeps clock, rules and prices of one account fresh; `rules` are the present ones."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        symbols: tuple[str, ...],
        prices: Prices,
        deadline: KeptDeadline,
    ) -> None:
        self.rules = Rules({}, {})
        self.clock_failures = 0
        self.rules_failures = 0
        self._client = client
        self._clock = clock
        self._symbols = symbols
        self._prices = prices
        self._deadline = deadline
        self._clock_due = asyncio.Event()
        self._rules_due = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        client.when_clock_is_doubtful(self.clock_is_due)

    def start(
        self, keep_deadline: Callable[[int], Awaitable[None]], *more: Coroutine[Any, Any, None]
    ) -> None:
        """Begin, inside a running event loop, and with it what else has to run for as long."""
        self._begin(self._prices.run())
        self._begin(self._keep_the_clock())
        self._begin(self._keep_the_rules())
        self._begin(self._keep_the_deadline(keep_deadline))
        for work in more:
            self._begin(work)

    def clock_is_due(self) -> None:
        """Read the venue's clock now."""
        self._clock_due.set()

    def rules_are_due(self) -> None:
        """Read the rules soon: an order was refused for breaking one that we do not know."""
        self._rules_due.set()

    def raise_what_broke(self) -> None:
        """Raise the exception of a task that ended, once; it would never be seen otherwise."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                self._tasks.remove(task)
                task.result()
                return

    async def close(self) -> None:
        """End the tasks; may be repeated. A bug that one of them had met is raised when all have ended."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if not task.cancelled():
                task.result()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _keep_the_clock(self) -> None:
        while True:
            await _either(self._clock_due, CLOCK_SYNC_S)
            self._clock_due.clear()
            if await self._client.sync_clock() is None:
                continue
            self.clock_failures += 1
            self._clock_due.set()
            await self._clock.sleep(CLOCK_RETRY_S)

    async def _keep_the_rules(self) -> None:
        while True:
            await _either(self._rules_due, RULES_REFRESH_S)
            self._rules_due.clear()
            rules = await read_rules(self._client, self._symbols)
            if isinstance(rules, Trouble) or not rules.of:
                # The old ones stay: the venue itself refuses what they let through. In maintenance its list
                # is empty, and what is refused here is refused for good.
                self.rules_failures += 1
                self._rules_due.set()
            else:
                self.rules = rules
            await self._clock.sleep(RULES_RETRY_S)

    async def _keep_the_deadline(self, keep: Callable[[int], Awaitable[None]]) -> None:
        while True:
            await self._deadline.changed.wait()
            self._deadline.changed.clear()
            await keep(self._deadline.until_ms)


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Until the event, or for that long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
