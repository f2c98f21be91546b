"""How one connection of the user stream is opened and kept: a listen key on futures, a subscription on spot.

An entry is made for one connection and thrown away with it. It says when the stream stands, which is the
moment from which on the exchange tells everything; and it ends when the connection has to be replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import msgspec

from adapters.binance.asking import judged, listens_again_ms
from adapters.binance.client import Client
from adapters.binance.market import SOCKET_API_PATH, Market, stream_path
from adapters.binance.questions import Doubt, Questions
from adapters.binance.transport import StreamClosed, Transport
from adapters.binance.verdicts import Backoff, Denied, Ok, Refused
from adapters.binance.wire_socket import SUBSCRIPTION, read_reply
from config.seams import Clock

# A listen key lives 60 minutes from its last extension.
EXTEND_S = 1_800.0
EXTEND_RETRY_S = 60.0
EXTEND_TRIES_MAX = 10
# The exchange ends a connection after 24 hours, at a moment of its own choosing.
CONNECTION_S_MAX = 82_800.0
# A subscription that is not answered by then never stood.
SUBSCRIBE_S_MAX = 10.0

Messages = AsyncIterator[bytes | StreamClosed]


class Ended(msgspec.Struct, frozen=True):
    """Why a connection is over. `retry_at_ms` (host's wall clock) when it is known.

    `unserved`: the host has no such stream, or not for this key; nothing is lost by asking seldom.
    """

    why: str
    retry_at_ms: int | None = None
    unserved: bool = False


class Entry(Protocol):
    """The way into one connection."""

    async def open(self) -> Messages | Ended:
        """The messages of a new connection, or why there can be none."""

    def reply(self, message: bytes) -> Ended | bool:
        """False for an event; True for a reply to the entry itself, `Ended` when it is a no."""

    async def keep(self) -> Ended:
        """Do what keeps the stream alive, until it cannot be kept or has grown old."""


def entry_of(client: Client, transport: Transport, clock: Clock, stands: Callable[[], None]) -> Entry:
    """The market's own; `stands` is called once, when the stream stands."""
    if client.market is Market.FUTURES:
        return ListenKeyEntry(client, transport, clock, stands)
    return SubscriptionEntry(client, transport, clock, stands)


class ListenKeyEntry:
    """Futures: a key that is asked for by REST, stands in the path, and lives while it is extended."""

    def __init__(
        self, client: Client, transport: Transport, clock: Clock, stands: Callable[[], None]
    ) -> None:
        self._questions = Questions(client, client.market, urgent=True)
        self._transport = transport
        self._clock = clock
        self._stands = stands

    async def open(self) -> Messages | Ended:
        """Whoever has the key hears everything from the first moment of the connection."""
        key = await self._questions.create_listen_key()
        if isinstance(key, Doubt):
            return Ended(key.why, key.retry_at_ms)
        return self._transport.stream(stream_path(key), self._stands)

    def reply(self, message: bytes) -> Ended | bool:
        """Nothing is asked on this connection."""
        return False

    async def keep(self) -> Ended:
        """Extend the key until it cannot be extended, or the connection has grown old."""
        end_s = self._clock.monotonic_s() + CONNECTION_S_MAX
        while (left_s := end_s - self._clock.monotonic_s()) > 0:
            await self._clock.sleep(min(EXTEND_S, left_s))
            if not await self._extended():
                return Ended("the listen key could not be extended")
        return Ended("the connection is nearly a day old")

    async def _extended(self) -> bool:
        for _ in range(EXTEND_TRIES_MAX):
            doubt = await self._questions.extend_listen_key()
            if doubt is None:
                return True
            if doubt.refused:
                return False
            await self._clock.sleep(EXTEND_RETRY_S)
        return False


class SubscriptionEntry:
    """Spot: one signed message on a connection of the WebSocket API; its answer begins the stream."""

    def __init__(
        self, client: Client, transport: Transport, clock: Clock, stands: Callable[[], None]
    ) -> None:
        self._client = client
        self._transport = transport
        self._clock = clock
        self._stands = stands
        self._answered = asyncio.Event()

    async def open(self) -> Messages | Ended:
        """The clock is read first where it is in doubt: the message carries a time stamp."""
        client = self._client
        if client.clock_doubtful or not client.exchange_clock.synced:
            await client.sync_clock()
        obstacle = client.obstacle(SUBSCRIPTION, urgent=True)
        if obstacle is not None:
            return Ended(f"the subscription: {obstacle.text}", obstacle.retry_at_ms)
        return self._transport.stream(SOCKET_API_PATH, first=client.subscribe)

    def reply(self, message: bytes) -> Ended | bool:
        """The answer to the subscription, the one thing that is asked here."""
        told = read_reply(message)
        if told is None:
            return False
        said = judged(self._client, self._client.subscribed(told), placing=False)
        match said:
            case Ok():
                if not self._answered.is_set():
                    self._answered.set()
                    self._stands()
                return True
            case Denied(text=text) | Refused(text=text):
                return Ended(f"the subscription was refused: {text}", unserved=True)
            case Backoff(text=text):
                return Ended(f"the subscription: {text}", listens_again_ms(self._client))
            case _:
                return Ended(f"the subscription was answered with status {told.status}")

    async def keep(self) -> Ended:
        """Nothing has to be kept but the day: the exchange's pings are answered by the wire."""
        waiting = asyncio.create_task(self._clock.sleep(SUBSCRIBE_S_MAX))
        answered = asyncio.create_task(self._answered.wait())
        try:
            await asyncio.wait((waiting, answered), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (waiting, answered):
                task.cancel()
            await asyncio.gather(waiting, answered, return_exceptions=True)
        if not self._answered.is_set():
            return Ended(f"the subscription was not answered within {SUBSCRIBE_S_MAX:.0f} s")
        await self._clock.sleep(CONNECTION_S_MAX)
        return Ended("the connection is nearly a day old")
