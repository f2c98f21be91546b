"""How fast and how many at once: the token bucket and the slots as lanes see them, first come, first served.

Both may be set anew while lanes wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType

from adapters.pacing import TokenBucket
from config.seams import Clock

# A lane that waits for a permit sees a new rate within this time.
RATE_LOOK_S = 1.0


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
                await self._clock.sleep(min(wait_s, RATE_LOOK_S))
            self._bucket.take(1, self._clock.monotonic_s())

    def give_back(self, count: int) -> None:
        """Return permits of orders that were never sent."""
        self._bucket.give_back(count)

    def set_rate(self, rate_per_s: float | None) -> None:
        """From now on permits come at this rate; None is unlimited."""
        self._bucket.set_rate(rate_per_s, self._clock.monotonic_s())


class Slots:
    """How many orders may be on the wire at one time; an asynchronous context manager holds one.

    A lower limit takes effect as slots are given back.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        """How many there are."""
        return self._limit

    def locked(self) -> bool:
        """Whether one that comes now has to wait."""
        return self._held >= self._limit or bool(self._waiting)

    def set_limit(self, limit: int) -> None:
        """From now on there are so many."""
        self._limit = limit
        self._wake()

    async def __aenter__(self) -> None:
        if not self.locked():
            self._held += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # It was handed over in the moment in which the wait was given up.
                self._give_back()
            elif turn in self._waiting:
                # One that was cancelled may have been passed over already.
                self._waiting.remove(turn)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()

    def _give_back(self) -> None:
        self._held -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._held < self._limit:
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self._held += 1
                turn.set_result(None)
