"""The second venue in the background: reached when it can be, sent the copies, listened to.

Whatever it does stays here: a call that raises or never returns costs a copy its verdict and nobody anything
else. While it cannot be reached it is tried again now and then, and copies end without a verdict.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, assert_never

from adapters.contract import (
    Accepted,
    ExecutionAdapter,
    NotSent,
    OrderCtx,
    Reject,
    Rejected,
    StartRefusal,
    Unknown,
)
from adapters.shadow_copies import STEP_S_MAX, Copies, Copy, News
from adapters.shadow_pairs import Outcome, outcome_of_answer
from config.seams import Clock

RETRY_S = 30.0
# A start insists for a while on a venue that does not answer, and waits out a pause that it asks for.
START_S_MAX = 180.0
STOP_S_MAX = 1.0
# Copies on the wire at one time: one that gets no answer must not hold up the others.
SENDERS = 4
WAIT_S_MAX = 1.0
WAIT_S_MIN = 0.005
NOT_SENT_PAUSE_S = 0.25
# An order whose answer was lost is asked about until it is found, in the loop that the main side needs, too.
LOST_MAX = 100
# What takes too long is looked for no more often than this.
TICK_S_MIN = 0.25
KEEP_S = 5.0
RAISED = "it raised"
NO_COPIES = "the shadow venue takes no copies: "

OpenSecond = Callable[[], ExecutionAdapter]
# Writes the news, in a thread; the sentence of why it could not, else None.
Keep = Callable[[News], str | None]


class NothingKnown:
    """The `LedgerView` of a venue whose orders are in no store.

    What is kept lasts until the process ends. An attempt must know of the pause that the one before it was
    told: whoever asks on has the address banned, which may be the main side's, too.
    """

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    async def known(self, client_order_ids: Collection[str]) -> frozenset[str]:
        """None of them."""
        return frozenset()

    async def expected_position(self, symbol: str, apart_from: str) -> None:
        """Nobody keeps count."""

    async def sends_since(self, since_ms: int) -> Sequence[int]:
        """None that is known of."""
        return ()

    async def kept(self, key: str) -> str | None:
        """What an attempt of this process has kept."""
        return self._kept.get(key)

    async def keep(self, key: str, value: str) -> None:
        """In memory alone."""
        self._kept[key] = value


class SecondVenue:
    """Sends `copies` to whatever `open_second` opens, and has what comes of them kept."""

    def __init__(self, open_second: OpenSecond, copies: Copies, clock: Clock, keep: Keep) -> None:
        self.keep_trouble: str | None = None
        self._open_second = open_second
        self._copies = copies
        self._clock = clock
        self._keep = keep
        self._view = NothingKnown()
        self._second: ExecutionAdapter | None = None
        self._why: str | None = None
        self._fault: str | None = None
        self._lost = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self._left_alone: set[asyncio.Task[Any]] = set()

    @property
    def trouble(self) -> str | None:
        """Why the second venue takes no copies now; None: it does."""
        denied = None if self._second is None else self._second.denied
        return self._why or denied or self._fault

    def start(self) -> None:
        """Begin, inside a running event loop; returns at once."""
        for work in (self._stay_connected(), self._look_for_late(), self._keep_now_and_then()):
            self._tasks.append(asyncio.create_task(work))

    async def close(self) -> None:
        """End everything within STOP_S_MAX; what is not compared by then is dropped and counted."""
        self._copies.drop()
        last = asyncio.create_task(self._keep_news())
        for task in self._tasks:
            self._leave_alone(task)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S_MAX):
                # A session that ends has its venue closed by one more task.
                while busy := [task for task in (last, *self._left_alone) if not task.done()]:
                    await asyncio.wait(busy)
        self._leave_alone(last)

    async def _stay_connected(self) -> None:
        while True:
            why = await self._attempted(self._session(), None)
            self._why = f"{NO_COPIES}{why}"
            self._second = None
            await self._clock.sleep(RETRY_S)

    async def _attempted(self, work: Coroutine[Any, Any, Any], limit_s: float | None) -> Any:
        """What `work` returns, or a sentence of how it failed or that it took too long."""
        task = asyncio.create_task(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=limit_s)
        finally:
            if not task.done():
                self._leave_alone(task)
        if not done:
            return f"no answer within {limit_s:.0f} s"
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            return f"{RAISED} {error!r}"
        return task.result()

    def _leave_alone(self, task: asyncio.Task[Any]) -> None:
        """End it without waiting for it: it may be one that never ends."""
        task.cancel()
        self._left_alone.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._left_alone.discard(task)
        if not task.cancelled():
            task.exception()

    async def _session(self) -> str:
        """One connection to the second venue, to its end; why it ended."""
        second = self._open_second()
        try:
            refusal = await self._attempted(second.start(self._view), START_S_MAX)
            if refusal is not None:
                return refusal.text if isinstance(refusal, StartRefusal) else str(refusal)
            self._second, self._why, self._lost = second, None, 0
            works: list[Coroutine[Any, Any, str]] = [self._send_copies(second) for _ in range(SENDERS)]
            works += [self._listen(second), self._cancel_copies(second)]
            return await self._first_end([asyncio.create_task(work) for work in works])
        finally:
            closing = asyncio.create_task(second.close())
            await asyncio.wait({closing}, timeout=STOP_S_MAX)
            self._leave_alone(closing)

    async def _first_end(self, tasks: list[asyncio.Task[str]]) -> str:
        """None of them ends by itself while all is well."""
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            first = next(iter(done))
            error = first.exception()
            return first.result() if error is None else f"{RAISED} {error!r}"
        finally:
            for task in tasks:
                self._leave_alone(task)

    async def _send_copies(self, second: ExecutionAdapter) -> str:
        while self._lost < LOST_MAX:
            copy = self._copies.next()
            if copy is None:
                await self._stirred()
                continue
            try:
                failed = await self._attempted(self._send(second, copy), STEP_S_MAX)
            except asyncio.CancelledError:
                self._copies.give_up(copy, "unknown")
                raise
            self._fault = None
            if failed is not None:
                # Perhaps the connection or a part of the adapter is broken for good: a new one is not.
                self._lost += copy.left or failed.startswith(RAISED)
            if failed is not None and failed.startswith(RAISED):
                self._fault = f"the shadow adapter failed: {failed}"
                self._copies.give_up(copy, "fault")
            elif failed is not None:
                self._fault = NO_COPIES + failed
                self._copies.give_up(copy, "no_answer" if copy.left else "too_late")
        return f"{self._lost} answers were lost"

    async def _stirred(self) -> None:
        self._copies.stirred.clear()
        await self._copies.stirred.wait()

    async def _send(self, second: ExecutionAdapter, copy: Copy) -> None:
        """Send one copy; what provably did not leave is tried again, for as long as the caller lets it."""
        while not copy.over:
            wait = second.wait_for(copy.order.symbol)
            if wait is not None:
                await self._pause_until(wait.until_ms)
                continue
            prepared = second.prepare(self._context(copy))
            if isinstance(prepared, Reject):
                self._copies.answered(copy, Outcome("rejected", prepared.code))
                return
            copy.left = True
            result = await second.submit(prepared, lambda: None)
            match result:
                case NotSent(retry_at_ms=retry_at_ms):
                    copy.left = False
                    pause_ms = round(NOT_SENT_PAUSE_S * 1000)
                    await self._pause_until(retry_at_ms or self._clock.wall_ms() + pause_ms)
                case Unknown():
                    self._lost += 1
                    second.watch(prepared)
                    self._copies.answered(copy, None)
                    return
                case Accepted() | Rejected():
                    self._copies.answered(copy, outcome_of_answer(result))
                    return
                case _:
                    assert_never(result)

    async def _pause_until(self, until_ms: int) -> None:
        rest_s = (until_ms - self._clock.wall_ms()) / 1000
        await self._clock.sleep(min(WAIT_S_MAX, max(WAIT_S_MIN, rest_s)))

    def _context(self, copy: Copy) -> OrderCtx:
        """The main order's side and quantity, and a limit order's price; all else is the second venue's."""
        order, now_ms = copy.order, self._clock.wall_ms()
        return OrderCtx(
            client_order_id=copy.shadow_order_id,
            symbol=order.symbol,
            side=order.side,
            qty=order.qty,
            order_type=order.order_type,
            price=order.price,
            tif=order.tif,
            ts_ms=now_ms,
            event_ts_ms=now_ms,
            signal_id=order.signal_id,
        )

    async def _listen(self, second: ExecutionAdapter) -> str:
        async for update in second.updates():
            self._copies.learn_from_shadow(update)
        # One that fills at once has no later news.
        await asyncio.Event().wait()
        return "it has no more news"

    async def _cancel_copies(self, second: ExecutionAdapter) -> str:
        """Copies of limit orders that nobody needs any more; best effort, each tried once."""
        cancels = self._copies.cancels
        while True:
            if not cancels:
                await self._stirred()
                continue
            copy = cancels.popleft()
            await self._attempted(second.cancel(copy.shadow_order_id, copy.order.symbol), STEP_S_MAX)

    async def _look_for_late(self) -> None:
        while True:
            due_s = self._copies.next_due_s()
            if due_s is None:
                await self._stirred()
                continue
            await self._clock.sleep(min(STEP_S_MAX, max(TICK_S_MIN, due_s - self._clock.monotonic_s())))
            self._copies.expire()

    async def _keep_now_and_then(self) -> None:
        while True:
            await self._clock.sleep(KEEP_S)
            await self._keep_news()

    async def _keep_news(self) -> None:
        """Written in a thread, because a disk may be slow and orders do not wait for it."""
        news = self._copies.take_news()
        if news is not None:
            self.keep_trouble = await asyncio.to_thread(self._keep, news)
            if self.keep_trouble is not None:
                self._copies.put_back(news)
