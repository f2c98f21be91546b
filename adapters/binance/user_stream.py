"""The user stream: its listen key, its connection, and since when nothing can have been missed.

It is a hint that is quick and sometimes wrong: events come twice, late or never, and a key can expire while
the connection stays open. So whoever listens is told of every gap, and asks by REST.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from adapters.binance.client import Client
from adapters.binance.market import stream_path
from adapters.binance.questions import Doubt, Questions
from adapters.binance.transport import StreamClosed, Transport
from adapters.binance.wire_stream import ListenKeyExpired, OrderTradeUpdate, read_event
from config.seams import Clock

# A listen key lives 60 minutes from its last extension.
EXTEND_S = 1_800.0
EXTEND_RETRY_S = 60.0
EXTEND_TRIES_MAX = 10
# The exchange ends a connection after 24 hours, at a moment of its own choosing.
CONNECTION_S_MAX = 82_800.0
RECONNECT_S_MIN = 0.5
RECONNECT_S_MAX = 60.0
# A connection that stood for this long was no failure.
STEADY_S = 60.0


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
        self._questions = Questions(client, client.market, urgent=True)
        self._transport = transport
        self._clock = clock
        self._hear = hear
        self._gap = gap
        self._since_ms: int | None = None
        self.connections = 0
        self.gaps = 0
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
            retry_at_ms = await self._connection()
            if self._since_ms is not None:
                self._since_ms = None
                self.gaps += 1
                self._gap()
            steady = self._clock.monotonic_s() - begun_s >= STEADY_S
            failures = 0 if steady else failures + 1
            await self._clock.sleep(self._delay_s(failures, retry_at_ms))

    def _delay_s(self, failures: int, retry_at_ms: int | None) -> float:
        delay_s = min(RECONNECT_S_MAX, RECONNECT_S_MIN * float(2 ** min(failures, 10)))
        if retry_at_ms is not None:
            delay_s = max(delay_s, min(RECONNECT_S_MAX, (retry_at_ms - self._clock.wall_ms()) / 1_000))
        return delay_s

    async def _connection(self) -> int | None:
        """One key and one connection, to its end; when to try again (wall clock), if that is known."""
        key = await self._questions.create_listen_key()
        if isinstance(key, Doubt):
            self.closed_because = key.why
            return key.retry_at_ms
        messages = self._transport.stream(stream_path(key), self._opened)
        listening = asyncio.create_task(self._listen(messages))
        keeping = asyncio.create_task(self._keep())
        try:
            await asyncio.wait((listening, keeping), return_when=asyncio.FIRST_COMPLETED)
            ended = listening if listening.done() else keeping
            self.closed_because = ended.result()
        finally:
            for task in (listening, keeping):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        return None

    async def _listen(self, messages: AsyncIterator[bytes | StreamClosed]) -> str:
        """Hand on the events; why it ended."""
        try:
            async for message in messages:
                if isinstance(message, StreamClosed):
                    return message.why
                if self._is_end(message):
                    return "the listen key expired"
            return "the stream ended"
        finally:
            # A generator that is left behind would keep its socket until it is collected.
            close = getattr(messages, "aclose", None)
            if close is not None:
                await close()

    def _opened(self) -> None:
        self.connections += 1
        self.closed_because = None
        self._since_ms = self._client.exchange_clock.now_ms()
        # What happened before this moment was told to nobody.
        self._gap()

    def _is_end(self, message: bytes) -> bool:
        match read_event(message):
            case OrderTradeUpdate() as event:
                self._hear(event)
            case ListenKeyExpired():
                return True
            case None:
                self.missed()
                self._gap()
            case _:
                pass
        return False

    async def _keep(self) -> str:
        """Extend the key until it cannot be extended, or the connection has grown old; why it has to end."""
        end_s = self._clock.monotonic_s() + CONNECTION_S_MAX
        while (left_s := end_s - self._clock.monotonic_s()) > 0:
            await self._clock.sleep(min(EXTEND_S, left_s))
            if not await self._extended():
                return "the listen key could not be extended"
        return "the connection is nearly a day old"

    async def _extended(self) -> bool:
        for _ in range(EXTEND_TRIES_MAX):
            doubt = await self._questions.extend_listen_key()
            if doubt is None:
                return True
            if doubt.refused:
                return False
            await self._clock.sleep(EXTEND_RETRY_S)
        return False
