"""The exchange's own time and what is due in it.

The host's time is handed in and only goes forward; the exchange's clock (`now_ms`) is that plus the skew of
the fault plan. Everything else in the engine knows the exchange's clock alone.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

Action = Callable[[], None]


class Timeline:
    """A clock that is told the time, and a queue of things to do at their moments."""

    def __init__(self, start_ms: int, skew_ms: Callable[[int], int]) -> None:
        self.host_ms = start_ms
        self._skew_ms = skew_ms
        self._queue: list[tuple[int, int, Action]] = []
        self._count = 0

    @property
    def now_ms(self) -> int:
        """What the exchange takes the time to be."""
        return self.host_ms + self._skew_ms(self.host_ms)

    def after(self, delay_ms: int, action: Action) -> None:
        """Do `action` in `delay_ms`; things of one moment happen in the order of asking."""
        self._count += 1
        heapq.heappush(self._queue, (self.host_ms + max(delay_ms, 0), self._count, action))

    def next_ms(self) -> int | None:
        """When the next thing is due, in the host's time."""
        return self._queue[0][0] if self._queue else None

    def move_to(self, host_ms: int) -> None:
        """Time goes on; never back."""
        self.host_ms = max(self.host_ms, host_ms)

    def run_next(self) -> None:
        """Do the first thing of the queue, at its moment."""
        at_ms, _, action = heapq.heappop(self._queue)
        self.move_to(at_ms)
        action()
