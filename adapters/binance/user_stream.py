"""The user stream: one connection that stands, and since when nothing can have been missed.

It is a hint that is quick and sometimes wrong: events come twice, late or never, and a listen key can expire
while the connection stays open. So whoever listens is told of every gap, and asks by REST. A host that has
no stream is served by REST alone, and looked at again now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from adapters.binance.client import Client
from adapters.binance.stream_entry import Ended, Entry, Messages, entry_of
from adapters.binance.transport import StreamClosed, Transport
from adapters.binance.wire_stream import ListenKeyExpired, OrderTradeUpdate, OtherEvent, read_event
from config.seams import Clock

RECONNECT_S_MIN = 0.5
RECONNECT_S_MAX = 60.0
# A host without a stream gets none by being asked often.
UNSERVED_S = 600.0
# A connection that stood for this long was no failure.
STEADY_S = 60.0

# The exchange's words for the end of a stream whose connection is still open.
_ENDS = {
    "eventStreamTerminated": "the exchange ended the subscription",
    "serverShutdown": "the exchange's host is about to shut down",
}


class UserStream:
    """Keeps one connection open while `run` runs. `hear` gets the order events, `gap` each possible loss."""

    def __init__(
        self,
        client: Client,
        transport: Transport,
        clock: Clock,
        *,
        hear: Callable[[OrderTradeUpdate], None],
        gap: Callable[[], None],
    ) -> None:
        self._client = client
        self._transport = transport
        self._clock = clock
        self._hear = hear
        self._gap = gap
        self._since_ms: int | None = None
        self.connections = 0
        self.gaps = 0
        self.unserved = 0
        self.unserved_because: str | None = None
        self.closed_because: str | None = None

    @property
    def stands(self) -> bool:
        """True while the connection is known to be open."""
        return self._since_ms is not None

    @property
    def unbroken_since_ms(self) -> int | None:
        """Since when (exchange clock) no event can have been missed; None while there is no connection."""
        return self._since_ms

    def missed(self) -> None:
        """Something happened that the stream had not told: what came before now is not to be relied on."""
        self.gaps += 1
        if self._since_ms is not None:
            self._since_ms = self._client.exchange_clock.now_ms()

    async def run(self) -> None:
        """Connect, listen, connect again, until cancelled."""
        failures = 0
        while True:
            begun_s = self._clock.monotonic_s()
            ended = await self._connection()
            self._closed(ended)
            steady = self._clock.monotonic_s() - begun_s >= STEADY_S
            failures = 0 if steady else failures + 1
            await self._clock.sleep(self._delay_s(failures, ended))

    def _closed(self, ended: Ended) -> None:
        self.closed_because = ended.why
        if ended.unserved:
            self.unserved += 1
            self.unserved_because = ended.why
        if self._since_ms is not None:
            self._since_ms = None
            self.gaps += 1
            self._gap()

    def _delay_s(self, failures: int, ended: Ended) -> float:
        if ended.unserved:
            return UNSERVED_S
        delay_s = min(RECONNECT_S_MAX, RECONNECT_S_MIN * float(2 ** min(failures, 10)))
        if ended.retry_at_ms is not None:
            delay_s = max(delay_s, min(RECONNECT_S_MAX, (ended.retry_at_ms - self._clock.wall_ms()) / 1_000))
        return delay_s

    async def _connection(self) -> Ended:
        """One connection, to its end."""
        entry = entry_of(self._client, self._transport, self._clock, self._opened)
        messages = await entry.open()
        if isinstance(messages, Ended):
            return messages
        listening = asyncio.create_task(self._listen(entry, messages))
        keeping = asyncio.create_task(entry.keep())
        try:
            await asyncio.wait((listening, keeping), return_when=asyncio.FIRST_COMPLETED)
            return listening.result() if listening.done() else keeping.result()
        finally:
            listening.cancel()
            keeping.cancel()
            # Gathered: when this task is itself told to end while they end, that is not lost among them.
            await asyncio.gather(listening, keeping, return_exceptions=True)

    async def _listen(self, entry: Entry, messages: Messages) -> Ended:
        """Hand on the events; why it ended."""
        try:
            async for message in messages:
                if isinstance(message, StreamClosed):
                    return Ended(message.why, unserved=message.unserved)
                ended = self._take(entry, message)
                if ended is not None:
                    return ended
            return Ended("the stream ended")
        finally:
            # A generator that is left behind would keep its socket until it is collected.
            close = getattr(messages, "aclose", None)
            if close is not None:
                await close()

    def _opened(self) -> None:
        self.connections += 1
        self.closed_because = self.unserved_because = None
        self._since_ms = self._client.exchange_clock.now_ms()
        # What happened before this moment was told to nobody.
        self._gap()

    def _take(self, entry: Entry, message: bytes) -> Ended | None:
        """A reply to the entry, or an event; why the stream is over when either says so."""
        reply = entry.reply(message)
        if reply is False:
            return self._take_event(message)
        return reply if isinstance(reply, Ended) else None

    def _take_event(self, message: bytes) -> Ended | None:
        match read_event(message):
            case OrderTradeUpdate() as event:
                self._hear(event)
            case ListenKeyExpired():
                return Ended("the listen key expired")
            case OtherEvent(kind=kind) if kind in _ENDS:
                return Ended(_ENDS[kind])
            case None:
                self.missed()
                self._gap()
            case _:
                pass
        return None
