"""An event loop in virtual time that counts what a life of the worker does, and can end or freeze it there.

A life is everything that runs in a context in which LIFE is its number; the exchange and the harness are no
life. A step is one callback of a life: between two of them lies every await, every call in the store's thread
and every timer, so a process that is killed stops after some step. Nothing here has a thread or a socket: one
seed always leads to the same steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from functools import partial
from heapq import heappop, heappush
from typing import Any

import aiosqlite.core
from rig.virtual_clock import START_MS

LIFE: ContextVar[int] = ContextVar("life", default=0)
BEGIN_S = 1_000.0


class StandstillError(Exception):
    """Nothing is ready and no timer runs: whoever waits would wait for ever."""


class SteppingLoop(asyncio.SelectorEventLoop):
    """The turns of the usual loop without its selector, which alone costs as much as most steps.

    `alive` is the life that may run, `steps` how many steps it has done; others stand still for ever.
    `at_step` holds what happens before a step is done; whoever kills the life there takes the step from it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_s = BEGIN_S
        self.alive = 0
        self.steps = 0
        self.at_step: dict[int, Callable[[], None]] = {}
        self._parked: list[tuple[Context, Callable[..., Any], tuple[Any, ...]]] | None = None
        self._ghosts: list[object] = []
        self.set_exception_handler(lambda loop, context: None)

    def time(self) -> float:
        """Virtual seconds."""
        return self.now_s

    def begin(self, life: int) -> Context:
        """The context of a new life, which is the one that may run from now on."""
        context = copy_context()
        context.run(LIFE.set, life)
        self.alive, self.steps, self._parked = life, 0, None
        return context

    def kill(self) -> None:
        """The present life does nothing any more, not even what would tidy up after it."""
        self.alive = -1
        self._parked = None
        self.at_step.clear()
        # Kept: a coroutine that is collected would still run its `finally`.
        self._ghosts.extend(asyncio.all_tasks(self))

    def forget(self) -> None:
        """The run is over: what was left of killed lives may be collected."""
        self._ghosts.clear()

    def freeze(self) -> None:
        """The process is stopped: its steps wait, time and everybody else go on."""
        self._parked = []

    def thaw(self) -> None:
        """It goes on, with everything at once that was due meanwhile."""
        parked, self._parked = self._parked or [], None
        for context, callback, args in parked:
            self.call_soon(callback, *args, context=context)

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:
        """As usual, through the count."""
        handle = asyncio.Handle(self._step, (callback, args), self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As usual, through the count."""
        timer = asyncio.TimerHandle(when, self._step, (callback, args), self, context)
        heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def _run_once(self) -> None:
        """One turn. There is nothing outside to wait for, so a wait is a jump."""
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heappop(scheduled)._scheduled = False
        if not ready and not self._stopping:
            if not scheduled:
                raise StandstillError("nothing is ready and no timer runs")
            self.now_s = max(self.now_s, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self.now_s:
            timer = heappop(scheduled)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def run_in_executor(  # type: ignore[override]  # without a thread
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """One step does the work and a later one is told of it: a kill may come before, between and after."""
        future = self.create_future()
        self.call_soon(self._work, future, func, args)
        return future

    @staticmethod
    def _work(future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            result = func(*args)
        except Exception as error:  # handed on to whoever waits
            if future.done():
                raise
            future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)

    def _step(self, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        life = LIFE.get()
        if life:
            if life != self.alive:
                return
            if self._parked is None:
                self.steps += 1
                happens = self.at_step.pop(self.steps, None)
                if happens is not None:
                    happens()
                    if life != self.alive:
                        return
            if self._parked is not None:
                self._parked.append((copy_context(), callback, args))
                return
        callback(*args)


class LifeClock:
    """The worker's clocks: `skew_ms` sets the wall clock alone, `suspended_s` is sleep unfelt."""

    def __init__(self, loop: SteppingLoop) -> None:
        self._loop = loop
        self.skew_ms = 0
        self.suspended_s = 0.0

    def wall_ms(self) -> int:
        """UTC epoch milliseconds as somebody has set them."""
        return self.true_ms() + self.skew_ms

    def true_ms(self) -> int:
        """UTC epoch milliseconds; nobody sets them."""
        return START_MS + round((self._loop.time() - BEGIN_S + self.suspended_s) * 1_000)

    def monotonic_s(self) -> float:
        """The loop's time; it stands still in a suspended host."""
        return self._loop.time()

    def boot_s(self) -> float:
        """The loop's time and the sleep."""
        return self._loop.time() + self.suspended_s

    async def sleep(self, delay_s: float) -> None:
        """Jump there; a wait too short to move a float still moves time, as it would in the world."""
        await asyncio.sleep(max(delay_s, 1e-6) if delay_s > 0 else 0)


async def _connect(self: Any) -> Any:
    self._connection = await asyncio.get_running_loop().run_in_executor(None, self._connector)
    return self


async def _execute(self: Any, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
    if not self._connection:
        raise ValueError("Connection closed")
    return await asyncio.get_running_loop().run_in_executor(None, partial(function, *args, **named))


async def _close(self: Any) -> None:
    if self._connection is not None:
        self._connection.close()
        self._connection = None


@contextmanager
def without_threads() -> Iterator[None]:
    """Connections of aiosqlite do their work as steps instead of in a thread of each."""
    new = {
        "_connect": _connect,
        "_execute": _execute,
        "close": _close,
        "__await__": lambda self: _connect(self).__await__(),
        "__del__": lambda self: None,
    }
    old = {name: getattr(aiosqlite.core.Connection, name) for name in new}
    for name, function in new.items():
        setattr(aiosqlite.core.Connection, name, function)
    try:
        yield
    finally:
        for name, function in old.items():
            setattr(aiosqlite.core.Connection, name, function)
