"""The wire to the exchange in the box without sockets: the whole adapter runs against it in virtual time.

What left the client arrives, whatever becomes of the client: a request is handed to the host in the same
moment in which the guard lets it go. Time on the exchange's side is the loop's, so a wall clock that is set
moves the worker's clock alone.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from urllib.parse import parse_qs, urlsplit

from adapters.binance.market import SOCKET_API_PATH
from adapters.binance.transport import (
    FirstMessage,
    HttpReply,
    HttpRequest,
    Lost,
    NotConnected,
    StreamClosed,
    WireResult,
)
from adapters.contract import Guard
from adapters.exchange.engine import Exchange
from adapters.exchange.messages import Incoming, Push, Reply
from config.seams import Clock

Latency = Callable[[], float]
_Inbox = asyncio.Queue[tuple[float, bytes | StreamClosed]]


def at_once() -> float:
    """A wire without length."""
    return 0.0


class ExchangeHost:
    """Runs one exchange on the running loop for as many transports as there are lives of the worker."""

    def __init__(self, exchange: Exchange, clock: Clock, *, start_ms: int) -> None:
        self.exchange = exchange
        self.refusing = False
        self.has_socket_api = True
        self.socket_replies = True
        self._clock = clock
        self._start_ms = start_ms
        self._start_s = clock.monotonic_s()
        self._stirred = asyncio.Event()
        self._on_the_way: set[asyncio.Task[None]] = set()
        self._inboxes: defaultdict[str, list[tuple[_Inbox, Latency]]] = defaultdict(list)
        self._sockets = 0
        self._turning = asyncio.create_task(self._turn())

    def now_ms(self) -> int:
        """The time on the exchange's host; nobody sets it."""
        return self._start_ms + round((self._clock.monotonic_s() - self._start_s) * 1_000)

    def deliver(self, incoming: Incoming, latency: Latency, replied: asyncio.Future[WireResult]) -> None:
        """The bytes are on the way, from now on whatever happens to the sender."""
        task = asyncio.create_task(self._serve(incoming, latency, replied))
        self._on_the_way.add(task)
        task.add_done_callback(self._on_the_way.discard)

    async def _serve(self, incoming: Incoming, latency: Latency, replied: asyncio.Future[WireResult]) -> None:
        sent_ms = self._clock.wall_ms()
        await self._clock.sleep(latency())
        reply = self.exchange.handle(incoming, self.now_ms())
        self.stir()
        if reply.delay_s > 0:
            await self._clock.sleep(reply.delay_s)
        await self._clock.sleep(latency())
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

    def open_socket(self, latency: Latency) -> tuple[str, _Inbox] | None:
        """A connection of the WebSocket API with its name; None when the host has none."""
        if self.refusing or not self.has_socket_api:
            return None
        self._sockets += 1
        name = f"connection-{self._sockets}"
        inbox: _Inbox = asyncio.Queue()
        self._inboxes[name].append((inbox, latency))
        return name, inbox

    async def say(self, name: str, message: bytes, inbox: _Inbox, latency: Latency) -> None:
        """A message of the client is on the way; its answer comes back as the others do."""
        await self._clock.sleep(latency())
        if self.socket_replies:
            reply = self.exchange.handle_socket(name, message, self.now_ms())
            inbox.put_nowait((self._clock.monotonic_s() + latency(), reply))
        self.stir()

    def close_socket(self, name: str, inbox: _Inbox) -> None:
        """The client has gone, and its subscription with it."""
        self.close_stream(name, inbox)
        self.exchange.close_socket(name)

    def cut_streams(self) -> None:
        """Every stream connection breaks now."""
        for listen_key in list(self._inboxes):
            self._push(Push(listen_key, close=True))

    def tell(self, message: bytes) -> None:
        """Every stream connection gets this message."""
        for listen_key in list(self._inboxes):
            self._push(Push(listen_key, message))

    def stir(self) -> None:
        """Something happened: its messages leave, and what is due next may be due earlier."""
        for push in self.exchange.take_pushes():
            self._push(push)
        self._stirred.set()

    def _push(self, push: Push) -> None:
        message = StreamClosed("the stream was cut") if push.close else push.message
        for inbox, latency in self._inboxes[push.listen_key]:
            inbox.put_nowait((self._clock.monotonic_s() + latency(), message))
        if push.close:
            self._inboxes.pop(push.listen_key, None)

    async def _turn(self) -> None:
        """Let things happen when they are due."""
        while True:
            self._stirred.clear()
            self.exchange.advance(self.now_ms())
            for push in self.exchange.take_pushes():
                self._push(push)
            due_ms = self.exchange.next_event_ms()
            waits = [asyncio.create_task(self._stirred.wait())]
            if due_ms is not None:
                rest_s = max(0.001, (due_ms - self.now_ms()) / 1_000)
                waits.append(asyncio.create_task(self._rest(rest_s)))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
                await asyncio.gather(*waits, return_exceptions=True)

    async def _rest(self, delay_s: float) -> bool:
        await self._clock.sleep(delay_s)
        return True

    async def close(self) -> None:
        """The exchange's host stops; what is on the way is lost."""
        tasks = [self._turning, *self._on_the_way]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


def _seen(reply: Reply, sent_ms: int, received_ms: int) -> WireResult | None:
    """What the client gets to see; None for silence."""
    match reply.wire:
        case "whole":
            headers = {name.lower(): value for name, value in reply.headers}
            return HttpReply(reply.status, headers, reply.body, sent_ms, received_ms)
        case "reset":
            return Lost("the connection was closed before a reply")
        case "truncated":
            return Lost("the body was cut short or badly framed")
        case "silence":
            return None


class InProcessTransport:
    """The adapter's `Transport` to an `ExchangeHost`; `latency` is asked for each way of each message."""

    def __init__(self, host: ExchangeHost, clock: Clock, latency: Latency = at_once) -> None:
        self._host = host
        self._clock = clock
        self._latency = latency
        self._waiting: set[asyncio.Future[WireResult]] = set()
        self._open: list[_Inbox] = []
        self.requests: list[HttpRequest] = []
        self.said: list[bytes] = []
        # Bodies by path that come in place of the exchange's own.
        self.instead: dict[str, bytes] = {}

    async def request(
        self, request: HttpRequest, *, timeout_s: float, guard: Guard | None = None
    ) -> WireResult:
        """Send once; Lost when the reply is, or has not come within `timeout_s`."""
        # A connection takes a turn of the loop, so what the guard sees may have changed since the call.
        await asyncio.sleep(0)  # the seam of virtual time
        if self._host.refusing:
            return NotConnected("no connection (errno 111)")
        if guard is not None and (reason := guard()) is not None:
            return NotConnected(reason, held=True)
        self.requests.append(request)
        if request.path in self.instead:
            return HttpReply(200, {}, self.instead[request.path])
        replied: asyncio.Future[WireResult] = asyncio.get_running_loop().create_future()
        self._host.deliver(_incoming(request), self._latency, replied)
        self._waiting.add(replied)
        try:
            async with asyncio.timeout(timeout_s):
                return await replied
        except TimeoutError:
            return Lost("no whole reply within the time limit")
        finally:
            self._waiting.discard(replied)

    def stream(
        self,
        path: str,
        opened: Callable[[], None] | None = None,
        *,
        first: FirstMessage | None = None,
    ) -> AsyncIterator[bytes | StreamClosed]:
        """The messages of the user stream, by listen key or through the WebSocket API."""
        if path == SOCKET_API_PATH:
            assert first is not None
            assert opened is None
            return self._socket(first)
        return self._listen(path, opened)

    async def _listen(
        self, path: str, opened: Callable[[], None] | None
    ) -> AsyncIterator[bytes | StreamClosed]:
        listen_key = parse_qs(urlsplit(path).query).get("listenKey", [""])[0]
        await self._clock.sleep(self._latency())
        inbox = self._host.open_stream(listen_key, self._latency)
        if inbox is None:
            yield StreamClosed("the stream's host answered with HTTP status 400")
            return
        try:
            if opened is not None:
                opened()
            async with aclosing(self._messages(inbox)) as messages:
                async for message in messages:
                    yield message
        finally:
            self._host.close_stream(listen_key, inbox)

    async def _socket(self, first: FirstMessage) -> AsyncIterator[bytes | StreamClosed]:
        await self._clock.sleep(self._latency())
        connection = self._host.open_socket(self._latency)
        if connection is None:
            yield StreamClosed("the stream's host answered with HTTP status 404", unserved=True)
            return
        name, inbox = connection
        try:
            message = first()
            if message is None:
                yield StreamClosed("nothing may be sent now")
                return
            self.said.append(message)
            await self._host.say(name, message, inbox, self._latency)
            async with aclosing(self._messages(inbox)) as messages:
                async for one in messages:
                    yield one
        finally:
            self._host.close_socket(name, inbox)

    async def _messages(self, inbox: _Inbox) -> AsyncGenerator[bytes | StreamClosed, None]:
        self._open.append(inbox)
        try:
            while True:
                due_s, message = await inbox.get()
                await self._clock.sleep(max(0.0, due_s - self._clock.monotonic_s()))
                yield message
                if isinstance(message, StreamClosed):
                    return
        finally:
            self._open.remove(inbox)

    async def close(self) -> None:
        """Requests in flight end as Lost, streams as StreamClosed."""
        for replied in self._waiting:
            if not replied.done():
                replied.set_result(Lost("the connection broke"))
        for inbox in self._open:
            inbox.put_nowait((0.0, StreamClosed("the transport was closed")))


def _incoming(request: HttpRequest) -> Incoming:
    return Incoming(
        method=request.method,
        path=request.path,
        query=request.query,
        body=request.body,
        headers={name.lower(): value for name, value in request.headers},
    )
