"""The WebSocket API on real sockets: the first message leaves when the connection stands, shown nowhere."""

from __future__ import annotations

import asyncio
import logging

import pytest
from aiohttp import web
from rig.socket_host import stream_host
from wire_server import Act, reply, serving

from adapters.binance.aiohttp_transport import AiohttpTransport
from adapters.binance.transport import FirstMessage, StreamClosed
from config.seams import SystemClock

SIGNED = b'{"id":"ew1","params":{"signature":"canarySignature0123456789"}}'
PATH = "/ws-api/v3"


async def heard(url: str, first: FirstMessage, **options: float) -> list[bytes | StreamClosed]:
    """All that is said until it ends."""
    wire = AiohttpTransport(
        "http://127.0.0.1:1",
        SystemClock(),
        stream_url=url,
        **options,  # type: ignore[arg-type]  # passed on
    )
    try:
        async with asyncio.timeout(10):
            return [message async for message in wire.stream(PATH, first=first)]
    finally:
        await wire.close()


async def test_the_first_message_is_made_once_the_connection_stands_and_is_heard_as_text() -> None:
    heard_there: list[object] = []
    made: list[int] = []

    async def talk(socket: web.WebSocketResponse) -> None:
        made.append(len(made))
        message = await socket.receive()
        heard_there.append((message.type.name, message.data))
        await socket.send_str("answer")
        await socket.close()

    def first() -> bytes:
        made.append(len(made))
        return SIGNED

    async with stream_host(talk) as (url, asked):
        messages = await heard(url, first)

    assert heard_there == [("TEXT", SIGNED.decode())]
    assert messages == [b"answer", StreamClosed("the stream was closed with code 1000")]
    assert (asked, len(made)) == ([PATH], 2)


async def test_nothing_leaves_when_there_is_no_first_message() -> None:
    heard_there: list[str] = []

    async def talk(socket: web.WebSocketResponse) -> None:
        heard_there.append((await socket.receive()).type.name)

    async with stream_host(talk) as (url, _):
        messages = await heard(url, lambda: None)

    assert messages == [StreamClosed("nothing may be sent now")]
    assert heard_there in ([], ["CLOSE"])


@pytest.mark.parametrize(("status", "unserved"), [(404, True), (405, True), (410, True), (503, False)])
async def test_a_host_that_has_none_is_told_from_one_that_cannot_now(status: int, unserved: bool) -> None:
    made: list[bytes] = []

    def first() -> bytes:
        made.append(SIGNED)
        return SIGNED

    async with serving() as server:
        server.usual = Act(reply(b"", status))
        [message] = await heard(f"ws://127.0.0.1:{server.port}", first)

    assert message == StreamClosed(f"the stream's host answered with HTTP status {status}", unserved=unserved)
    assert made == []


async def test_no_end_of_a_connection_shows_what_was_signed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    messages: list[bytes | StreamClosed] = []

    async def echo(socket: web.WebSocketResponse) -> None:
        said = (await socket.receive()).data
        await socket.close(code=1008, message=said.encode()[:100])

    async def cut(socket: web.WebSocketResponse) -> None:
        assert socket._req is not None
        assert socket._req.transport is not None
        socket._req.transport.abort()

    for talk in (echo, cut):
        async with stream_host(talk) as (url, _):
            messages += await heard(url, lambda: SIGNED)

    assert len(messages) == 2
    assert "canary" not in repr(messages) + caplog.text
