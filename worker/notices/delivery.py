"""Delivery to one receiver: in order, again with growing pauses, given up in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from config.notify_settings import Notify
from config.seams import Clock
from worker.logs import Log
from worker.notices.waiting import Message, Waiting
from worker.notices.ways import Undelivered, Way
from worker.notices.wording import Body, Wording

FIRST_PAUSE_S = 1.0
PAUSE_S_MAX = 60.0
# Between attempts at the end, when there are two seconds for all of them.
LAST_PAUSE_S = 0.25
NO_TIME = "there was no time left at the end"


class _NotArrivedError(Exception):
    """One attempt that did not succeed."""

    def __init__(self, found: Undelivered) -> None:
        super().__init__(found.why)
        self.found = found


class Receiver:
    """One receiver: what waits for it, and how it is reached. `name` says which, without its address."""

    def __init__(
        self,
        name: str,
        way: Way,
        waiting: Waiting,
        *,
        notify: Notify,
        wording: Wording,
        clock: Clock,
        log: Callable[[], Log | None],
    ) -> None:
        self.name = name
        self.waiting = waiting
        self.delivered = 0
        self.given_up = 0
        self.trouble: str | None = None
        self._way = way
        self._notify = notify
        self._wording = wording
        self._clock = clock
        self._log = log
        self._news = asyncio.Event()

    def put(self, message: Message) -> None:
        """Let it wait; `run` sends it. In the loop's thread, or without a loop."""
        self.waiting.put(message)
        self._news.set()

    async def run(self) -> None:
        """Send what comes, until canceled; what was in hand then waits again."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self.waiting:
                message = self.waiting.take()
                try:
                    await self._deliver(message)
                except asyncio.CancelledError:
                    self.waiting.put_back(message)
                    raise

    async def last_words(self, until_s: float) -> None:
        """Send what is left until then; the end itself first."""
        self.waiting.last_words()
        while self.waiting:
            message = self.waiting.take()
            found = await self._within(message, until_s)
            if found is not None:
                self._gave_up(message, found)

    async def once(self, message: Message) -> Undelivered | None:
        """One attempt, for those who wait for its outcome."""
        return await self._way.send(self._wording.body(message), self._notify.timeout_s)

    async def _within(self, message: Message, until_s: float) -> Undelivered | None:
        """Attempts until it arrived or the time is over."""
        body = self._wording.body(message)
        while (left_s := until_s - self._clock.monotonic_s()) > 0:
            found = await self._way.send(body, min(left_s, self._notify.timeout_s))
            self._note(found)
            if found is None or not found.again:
                return found
            await self._clock.sleep(min(LAST_PAUSE_S, max(0.0, until_s - self._clock.monotonic_s())))
        self.trouble = self.trouble or NO_TIME
        return Undelivered(NO_TIME, again=False)

    async def _deliver(self, message: Message) -> None:
        body, give_up_s = self._wording.body(message), self._clock.monotonic_s() + self._notify.retry_s
        retrying = AsyncRetrying(
            sleep=self._clock.sleep,
            wait=_pause_s,
            stop=lambda _: self._clock.monotonic_s() >= give_up_s,
            retry=retry_if_exception(lambda error: isinstance(error, _NotArrivedError) and error.found.again),
            reraise=True,
        )
        try:
            await retrying(self._attempt, body)
        except _NotArrivedError as error:
            self._gave_up(message, error.found)

    async def _attempt(self, body: Body) -> None:
        found = await self._way.send(body, self._notify.timeout_s)
        self._note(found)
        if found is not None:
            raise _NotArrivedError(found)

    def _note(self, found: Undelivered | None) -> None:
        """Told in the log when it begins and when it ends, not at every attempt."""
        before, self.trouble = self.trouble, None if found is None else found.why
        self.delivered += found is None
        log = self._log()
        if log is None or before == self.trouble:
            return
        if found is None:
            log.event("receiver_reached_again", receiver=self.name)
        else:
            log.warning("receiver_not_reached", receiver=self.name, why=found.why)

    def _gave_up(self, message: Message, found: Undelivered) -> None:
        self.given_up += 1
        log = self._log()
        if log is not None:
            log.warning(
                "notice_given_up", receiver=self.name, about=message.notice.event.value, why=found.why
            )


def _pause_s(state: RetryCallState) -> float:
    """Doubling from a second to a minute; never sooner than the receiver asks for."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked_s = error.found.pause_s if isinstance(error, _NotArrivedError) else 0.0
    return max(asked_s, min(PAUSE_S_MAX, FIRST_PAUSE_S * float(2 ** min(state.attempt_number - 1, 10))))
