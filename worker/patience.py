"""How a lane waits: in a way that a stop ends at once, and that the watchdog knows of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from config.seams import Clock
from worker.pulse import Pulse


class Patience:
    """The waits of one task. `stop` cuts the present one short; later ones are none."""

    def __init__(self, pulse: Pulse, clock: Clock) -> None:
        self.pulse = pulse
        self._clock = clock
        self._stopping = False
        self._idle = False
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """The running task is the one that waits."""
        self._task = asyncio.current_task()

    def stop(self) -> None:
        """End after what is in flight is settled; a task that only waits goes on at once."""
        self._stopping = True
        if self._idle and self._task is not None:
            self._task.cancel()

    def stopping(self) -> bool:
        """True once a stop was asked for."""
        return self._stopping

    async def sleep(self, delay_s: float) -> None:
        """Wait for a time."""
        await self.wait(self._clock.sleep(delay_s), delay_s)

    async def sleep_until(self, until_ms: int, *, least_s: float, most_s: float) -> None:
        """Wait for a moment of the wall clock, which may have been set: never shorter or longer than that."""
        delay_s = (until_ms - self._clock.wall_ms()) / 1000
        await self.sleep(min(most_s, max(least_s, delay_s)))

    async def wait(self, waiting: Awaitable[None], declared_s: float) -> None:
        """Wait for anything, for about `declared_s` seconds."""
        if self._stopping:
            if asyncio.iscoroutine(waiting):
                waiting.close()
            return
        self.pulse.waits(declared_s)
        self._idle = True
        try:
            await waiting
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._idle = False
        self.pulse.turn()
