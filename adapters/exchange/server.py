"""The exchange on sockets: HTTP and web sockets around the pure engine, on loopback.

The engine decides what a client gets to see of a reply; here it happens for real: a reset is a reset,
silence keeps the connection open, a truncated body ends in the middle. An order is in the journal before
the first byte of its reply leaves.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from aiohttp import web

from adapters.exchange.control import PREFIX as CONTROL
from adapters.exchange.engine import Exchange
from adapters.exchange.journal_file import JournalFileError
from adapters.exchange.messages import Incoming, Reply
from adapters.exchange.sockets import Sockets, cut
from config.seams import Clock

BODY_BYTES_MAX = 1 << 20
# A stop waits so long for replies that are on their way; silent ones never end by themselves.
SHUTDOWN_S = 0.2
CONTENT_TYPE = "application/json;charset=UTF-8"


class ExchangeServer:
    """An exchange that listens on `sock`, which it owns from `start` on."""

    def __init__(self, exchange: Exchange, clock: Clock, sock: socket.socket) -> None:
        self._exchange = exchange
        self._clock = clock
        self._sock = sock
        self._sockets = Sockets(exchange, clock, after=self._after)
        self._stirred = asyncio.Event()
        self._stopping = asyncio.Event()
        self._fault: JournalFileError | None = None
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_route("*", "/{path:.*}", self._answer)
        # A handler whose client has gone is cancelled: that ends the silences.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S
        )
        self._turning: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._sock.getsockname()[1])

    async def start(self) -> None:
        """Answer from now on."""
        await self._runner.setup()
        await web.SockSite(self._runner, self._sock).start()
        self._turning = asyncio.create_task(self._turn(), name="exchange events")

    def stop(self) -> None:
        """End `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`; raises JournalFileError when the journal cannot be written any more."""
        await self._stopping.wait()
        if self._fault is not None:
            raise self._fault

    async def close(self) -> None:
        """Cut what is open and stop listening; may be repeated."""
        if self._turning is not None:
            self._turning.cancel()
            with suppress(asyncio.CancelledError):
                await self._turning
            self._turning = None
        self._sockets.close()
        await self._runner.cleanup()
        self._sock.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        # The raw target: what was signed must not pass through a URL that tidies up.
        path, _, query = request.raw_path.partition("?")
        if path.startswith(CONTROL) and "Origin" in request.headers:
            return web.Response(status=403, text="a web page may not control the exchange\n")
        if self._sockets.wants(request):
            return await self._sockets.serve(request, path, query)
        incoming = Incoming(
            method=request.method,
            path=path,
            query=query,
            body=await request.read(),
            headers={name.lower(): value for name, value in request.headers.items()},
            peer=request.remote or "",
        )
        try:
            reply = self._exchange.handle(incoming, self._clock.wall_ms())
            self._after()
        except JournalFileError as error:
            # What is not on record has not happened for anybody.
            self._give_up(error)
            return _reset(request)
        return await self._send(request, reply)

    async def _send(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        if reply.delay_s > 0:
            await self._clock.sleep(reply.delay_s)
        match reply.wire:
            case "whole":
                return web.Response(status=reply.status, body=reply.body, headers=_headers(reply))
            case "reset":
                return _reset(request)
            case "silence":
                await asyncio.Event().wait()
                return _reset(request)
            case "truncated":
                return await _truncated(request, reply)

    def _after(self) -> None:
        """Something happened: its messages leave, and what is due next may be due earlier."""
        self._sockets.send(self._exchange.take_pushes())
        self._stirred.set()

    def _give_up(self, error: JournalFileError) -> None:
        self._fault = error
        self._stopping.set()

    async def _turn(self) -> None:
        """Let things happen when they are due."""
        while True:
            self._stirred.clear()
            try:
                self._exchange.advance(self._clock.wall_ms())
            except JournalFileError as error:
                self._give_up(error)
                return
            self._sockets.send(self._exchange.take_pushes())
            due_ms = self._exchange.next_event_ms()
            if due_ms is None:
                await self._stirred.wait()
                continue
            rest = asyncio.create_task(
                self._clock.sleep(max(0.001, (due_ms - self._clock.wall_ms()) / 1_000))
            )
            stirred = asyncio.create_task(self._stirred.wait())
            try:
                await asyncio.wait((rest, stirred), return_when=asyncio.FIRST_COMPLETED)
            finally:
                rest.cancel()
                stirred.cancel()


def _headers(reply: Reply) -> list[tuple[str, str]]:
    headers = list(reply.headers)
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", CONTENT_TYPE))
    return headers


def _reset(request: web.Request) -> web.StreamResponse:
    """Cut the connection; the response is for the library alone, nobody receives it."""
    cut(request.transport)
    return web.Response(status=500)


async def _truncated(request: web.Request, reply: Reply) -> web.StreamResponse:
    """The headers of the whole reply, half of its body, and then the end of the connection."""
    response = web.StreamResponse(status=reply.status, headers=_headers(reply))
    response.content_length = len(reply.body)
    await response.prepare(request)
    await response.write(reply.body[: len(reply.body) // 2])
    if request.transport is not None:
        # What was written leaves first.
        request.transport.close()
    return response
