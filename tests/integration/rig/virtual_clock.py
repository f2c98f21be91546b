"""Virtual time: an event loop whose clock jumps to the next timer as soon as nothing else can happen.

Real files and real SQLite work under it unchanged: time stands still while a call in another thread
is outstanding, so a wait of fifteen minutes costs nothing and its order is the same in every run.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from typing import Any

import aiosqlite.core

# Real seconds in which nothing at all happened: the test waits for something that will never come.
DEADLOCK_S = 20.0
START_MS = 1_700_000_000_000


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]  # chosen at run time
    """Instead of waiting for a timer, moves the loop's clock there."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000.0
        self.outstanding = 0

    def select(self, timeout: float | None = None) -> Any:
        """What is ready; with nothing outstanding a wait is a jump."""
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if timeout is None or self.outstanding:
            ready = super().select(DEADLOCK_S)
            if not ready:
                raise RuntimeError("nothing is ready, no timer runs and no thread works: a deadlock")
            return ready
        ready = super().select(0)
        if not ready:
            self.now_s += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time; `time()` starts at 1000 s."""

    def __init__(self) -> None:
        self.selector = _JumpingSelector()
        super().__init__(self.selector)

    def time(self) -> float:
        """Virtual seconds."""
        return self.selector.now_s

    def run_in_executor(  # type: ignore[override]  # the same call, counted
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """As usual; time stands still until the call has returned."""
        return self._counted(super().run_in_executor(executor, func, *args))

    def _counted(self, future: asyncio.Future[Any]) -> asyncio.Future[Any]:
        self.selector.outstanding += 1
        future.add_done_callback(self._returned)
        return future

    def _returned(self, _: asyncio.Future[Any]) -> None:
        self.selector.outstanding -= 1


class VirtualClock:
    """The `Clock` of a virtual loop. `skew_ms` moves the wall clock alone, as an operator would."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self.skew_ms = 0

    def wall_ms(self) -> int:
        """UTC epoch milliseconds; START_MS when the loop was made."""
        return START_MS + round((self._loop.time() - 1_000.0) * 1000) + self.skew_ms

    def monotonic_s(self) -> float:
        """The loop's time."""
        return self._loop.time()

    def boot_s(self) -> float:
        """The loop's time."""
        return self._loop.time()

    async def sleep(self, delay_s: float) -> None:
        """Jump there; a wait too short to move a float still moves time, as it would in the world."""
        await asyncio.sleep(max(delay_s, 1e-6) if delay_s > 0 else 0)  # the seam of virtual time


class ManualClock:
    """A clock that stands still until it is moved, for code without an event loop."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms

    def wall_ms(self) -> int:
        """Where it was put."""
        return self.now_ms

    def monotonic_s(self) -> float:
        """Never moves."""
        return 0.0

    def boot_s(self) -> float:
        """Never moves."""
        return 0.0

    async def sleep(self, delay_s: float) -> None:
        """Gives way once, and moves the wall clock on."""
        self.now_ms += round(delay_s * 1000)
        await asyncio.sleep(0)


def _count_database_calls(loop: VirtualTimeLoop) -> Callable[[], None]:
    """Let calls of aiosqlite, which has threads of its own, hold the time still as well."""
    originals = {name: getattr(aiosqlite.core.Connection, name) for name in ("_connect", "_execute", "close")}

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            loop.selector.outstanding += 1
            try:
                return await original(self, *args, **kwargs)
            finally:
                loop.selector.outstanding -= 1

        return call

    def undo() -> None:
        for name, original in originals.items():
            setattr(aiosqlite.core.Connection, name, original)

    for name, original in originals.items():
        setattr(aiosqlite.core.Connection, name, counted(original))
    return undo


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on a loop of its own in virtual time; fixtures are passed through."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, VirtualTimeLoop)
            undo = _count_database_calls(loop)
            try:
                runner.run(test(*args, **kwargs))
            finally:
                undo()

    return run


def virtual_clock() -> VirtualClock:
    """The clock of the running virtual loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return VirtualClock(loop)


async def until(condition: Callable[[], bool], clock: VirtualClock, *, within_s: float = 3_600.0) -> None:
    """Wait in virtual time until `condition` holds; fails after `within_s` virtual seconds."""
    end_s = clock.monotonic_s() + within_s
    while not condition():
        assert clock.monotonic_s() < end_s, f"nothing of the kind within {within_s} s"
        await clock.sleep(0.001)


async def finish(*tasks: Awaitable[object], within_s: float = 3_600.0) -> None:
    """Wait for all of them; fails after `within_s` virtual seconds."""
    async with asyncio.timeout(within_s):
        await asyncio.gather(*tasks)
