"""The exchange's host without sockets or tasks: what left a client arrives, whatever becomes of the client.

The same face as the rig's `ExchangeHost`, so that the rig's transport speaks to it; everything happens in
callbacks that belong to no life.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from crash.stepping import LifeClock, SteppingLoop
from rig.exchange_transport import Latency, _Inbox, _seen

from adapters.binance.transport import StreamClosed, WireResult
from adapters.exchange.engine import Exchange
from adapters.exchange.messages import Incoming, Push, Reply


class CallbackHost:
    """Runs one exchange for as many lives as there are. Make it where LIFE is not set."""

    def __init__(self, exchange: Exchange, clock: LifeClock, loop: SteppingLoop) -> None:
        self.exchange = exchange
        self.refusing = False
        # How often each HTTP status was answered.
        self.statuses: Counter[int] = Counter()
        self.on_departure: Callable[[Incoming], None] = lambda incoming: None
        self._clock = clock
        self._loop = loop
        self._world = copy_context()
        self._inboxes: defaultdict[str, list[tuple[_Inbox, Latency]]] = defaultdict(list)
        self._next: asyncio.TimerHandle | None = None

    def now_ms(self) -> int:
        """The time on the exchange's host; nobody sets it."""
        return self._clock.true_ms()

    def later(self, delay_s: float, callback: Any, *args: Any) -> None:
        """In the world's own time, whoever lives then."""
        self._loop.call_later(delay_s, callback, *args, context=self._world)

    def deliver(self, incoming: Incoming, latency: Latency, replied: asyncio.Future[WireResult]) -> None:
        """The bytes are on the way."""
        self.on_departure(incoming)
        self.later(latency(), self._arrive, incoming, latency, replied, self._clock.wall_ms())

    def _arrive(
        self, incoming: Incoming, latency: Latency, replied: asyncio.Future[WireResult], sent_ms: int
    ) -> None:
        reply = self.exchange.handle(incoming, self.now_ms())
        self.statuses[reply.status] += 1
        self.stir()
        self.later(reply.delay_s + latency(), self._answer, reply, replied, sent_ms)

    def _answer(self, reply: Reply, replied: asyncio.Future[WireResult], sent_ms: int) -> None:
        result = _seen(reply, sent_ms, self._clock.wall_ms())
        if result is not None and not replied.done():
            replied.set_result(result)

    def open_stream(self, listen_key: str, latency: Latency) -> _Inbox | None:
        """A connection for the listen key; None when the exchange refuses it."""
        if self.refusing or not self.exchange.open_stream(listen_key, self.now_ms()):
            return None
        inbox: _Inbox = asyncio.Queue()
        self._inboxes[listen_key].append((inbox, latency))
        return inbox

    def close_stream(self, listen_key: str, inbox: _Inbox) -> None:
        """The client has gone."""
        self._inboxes[listen_key] = [one for one in self._inboxes[listen_key] if one[0] is not inbox]

    def cut_streams(self) -> None:
        """Every connection breaks now."""
        for listen_key in list(self._inboxes):
            self._push(Push(listen_key, close=True))

    def stir(self) -> None:
        """Something happened, or time has passed unseen: what is due happens, its messages leave."""
        self.exchange.advance(self.now_ms())
        for push in self.exchange.take_pushes():
            self._push(push)
        due_ms = self.exchange.next_event_ms()
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if due_ms is not None:
            rest_s = max(0.001, (due_ms - self.now_ms()) / 1_000)
            self._next = self._loop.call_later(rest_s, self.stir, context=self._world)

    def _push(self, push: Push) -> None:
        message = StreamClosed("the stream was cut") if push.close else push.message
        for inbox, latency in self._inboxes[push.listen_key]:
            inbox.put_nowait((self._clock.monotonic_s() + latency(), message))
        if push.close:
            self._inboxes.pop(push.listen_key, None)
