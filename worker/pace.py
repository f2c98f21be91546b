"""Permits: the token bucket as the lanes see it, first come, first served."""

from __future__ import annotations

import asyncio

from adapters.pacing import TokenBucket
from config.seams import Clock


class Permits:
    """Orders that may leave now. A lane that waits is served before one that comes later."""

    def __init__(self, bucket: TokenBucket, clock: Clock) -> None:
        self._bucket = bucket
        self._clock = clock
        self._turn = asyncio.Lock()

    def take(self, wanted: int) -> int:
        """Take up to `wanted` permits now, 0 when there are none or others wait."""
        now_s = self._clock.monotonic_s()
        available = self._bucket.available(now_s)
        if available is None:
            return wanted
        if self._turn.locked():
            return 0
        taken = min(wanted, available)
        self._bucket.take(taken, now_s)
        return taken

    async def take_one(self) -> None:
        """Take one permit, waiting for it in turn; cancelling takes none."""
        async with self._turn:
            while (wait_s := self._bucket.wait_s(self._clock.monotonic_s())) > 0:
                await self._clock.sleep(wait_s)
            self._bucket.take(1, self._clock.monotonic_s())

    def give_back(self, count: int) -> None:
        """Return permits of orders that were never sent."""
        self._bucket.give_back(count)
