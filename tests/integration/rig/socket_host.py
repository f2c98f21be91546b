"""A host that accepts every web socket, for the wire's own tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from aiohttp import web

Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


@asynccontextmanager
async def stream_host(talk: Talk, *, autoping: bool = True) -> AsyncIterator[tuple[str, list[str]]]:
    """A host that accepts every web socket and then talks as told; its URL, and the targets asked for."""
    asked: list[str] = []

    async def accept(request: web.Request) -> web.WebSocketResponse:
        asked.append(request.raw_path)
        socket = web.WebSocketResponse(autoping=autoping)
        await socket.prepare(request)
        with suppress(ConnectionError):
            await talk(socket)
        return socket

    application = web.Application()
    application.router.add_get("/{any:.*}", accept)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()
