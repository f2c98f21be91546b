"""What the simulated venue has to tell of orders that it accepted, each word at its time.

Words are cumulative, so when nobody listens for long, the last one of each order is enough.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence

from adapters.contract import OrderUpdate
from config.seams import Clock

# Beyond this, only the last word of each order is kept.
WAITING_MAX = 10_000
DELAY_MS_MAX = 1_000
# A listener that is stuck with its disk hears the rest after the next start.
FINISH_S_MAX = 2.0


class News:
    """Words for one listener. Nothing is told after `close`: a next start is asked to tell it again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: deque[OrderUpdate] = deque()
        self._changed = asyncio.Event()
        self._telling: set[asyncio.Task[None]] = set()
        self._closed = False
        self._listened = False
        self._taken = asyncio.Event()
        self._hurry = asyncio.Event()

    def tell(self, updates: Iterable[OrderUpdate]) -> None:
        """Hand them on now."""
        self._waiting.extend(updates)
        if self._waiting:
            self._taken.clear()
        if len(self._waiting) > WAITING_MAX:
            self._waiting = deque({update.client_order_id: update for update in self._waiting}.values())
        self._changed.set()

    def tell_in_time(self, updates: Sequence[OrderUpdate]) -> None:
        """Hand each on when the venue's clock has reached its moment; they are in order of time."""
        if updates and not self._closed:
            task = asyncio.create_task(self._tell_in_time(updates), name="paper news")
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell_in_time(self, updates: Sequence[OrderUpdate]) -> None:
        for update in updates:
            # A clock that was set meanwhile holds nothing back for long.
            delay_ms = min((update.event_ms or 0) - self._clock.wall_ms(), DELAY_MS_MAX)
            if delay_ms > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay_ms / 1000):
                        await self._hurry.wait()
            self.tell((update,))

    async def told(self) -> AsyncIterator[OrderUpdate]:
        """Each word as it comes; ends at `close`."""
        self._listened = True
        try:
            while True:
                while self._waiting:
                    yield self._waiting.popleft()
                # Whoever asks for more is done with what was told before.
                self._taken.set()
                if self._closed:
                    return
                self._changed.clear()
                await self._changed.wait()
        finally:
            self._listened = False
            self._taken.set()

    async def finish(self) -> None:
        """Tell all that is known, whatever its moment, and wait until the listener is done with it."""
        self._hurry.set()
        await asyncio.gather(*self._telling)
        if self._listened:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FINISH_S_MAX):
                    await self._taken.wait()

    def close(self) -> None:
        """End `told`, and with it what was still to be told."""
        self._closed = True
        for task in self._telling:
            task.cancel()
        self._changed.set()
