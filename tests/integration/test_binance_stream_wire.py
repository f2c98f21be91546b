"""The user stream's web socket: messages as they come, one last word when it ends, never its secret."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import WSCloseCode, web
from rig.socket_host import stream_host
from wire_server import Act, free_port, reply, serving

from adapters.binance.aiohttp_transport import AiohttpTransport
from adapters.binance.transport import StreamClosed
from config.seams import SystemClock

LISTEN_KEY = "canaryListenKey0123456789"
PATH = f"/private/ws?listenKey={LISTEN_KEY}%3A"


async def heard(stream_url: str | None, **options: float) -> list[bytes | StreamClosed]:
    """All that the stream says until it ends."""
    wire = AiohttpTransport(
        "http://127.0.0.1:1",
        SystemClock(),
        stream_url=stream_url,
        **options,  # type: ignore[arg-type]  # passed on
    )
    try:
        async with asyncio.timeout(10):
            return [message async for message in wire.stream(PATH)]
    finally:
        await wire.close()


async def test_messages_come_in_order_and_the_close_is_the_last() -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.send_str('{"e":"ORDER_TRADE_UPDATE"}')
        await socket.send_bytes(b"\xff\x00")
        await socket.close(code=WSCloseCode.GOING_AWAY, message=LISTEN_KEY.encode())

    async with stream_host(talk) as (url, asked):
        messages = await heard(url)

    assert messages == [
        b'{"e":"ORDER_TRADE_UPDATE"}',
        b"\xff\x00",
        StreamClosed("the stream was closed with code 1001"),
    ]
    assert asked == [PATH]


async def test_a_cut_connection_ends_the_stream() -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.send_str("one")
        assert socket._req is not None
        assert socket._req.transport is not None
        socket._req.transport.abort()

    async with stream_host(talk) as (url, _):
        messages = await heard(url)

    assert messages == [b"one", StreamClosed("the stream was closed with code 1006")]


async def test_a_host_that_answers_no_ping_is_gone() -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        await asyncio.Event().wait()

    async with stream_host(talk, autoping=False) as (url, _):
        messages = await heard(url, heartbeat_s=0.1)

    assert [type(message) for message in messages] == [StreamClosed]


async def test_a_message_beyond_the_limit_ends_the_stream() -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.send_str("x" * 2_000)
        await socket.receive()

    async with stream_host(talk) as (url, _):
        messages = await heard(url, message_bytes_max=1_000)

    assert messages == [StreamClosed("the stream broke (WebSocketError)")]


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (Act(reply(LISTEN_KEY.encode(), 403)), "the stream's host answered with HTTP status 403"),
        (Act(reply(b"", 302, f"Location: /{LISTEN_KEY}")), "the stream's host answered with a redirect"),
        (Act(b"nonsense\r\n\r\n"), None),
        (Act(then="reset"), None),
    ],
)
async def test_a_handshake_that_is_refused_is_one_word_without_the_key(act: Act, why: str | None) -> None:
    async with serving() as server:
        server.usual = act
        [message] = await heard(f"ws://127.0.0.1:{server.port}")

    assert isinstance(message, StreamClosed)
    assert why is None or message.why == why
    assert LISTEN_KEY not in message.why


async def test_a_silent_host_is_waited_for_only_so_long() -> None:
    async with serving() as server:
        server.usual = Act()
        messages = await heard(f"ws://127.0.0.1:{server.port}", connect_timeout_s=0.1)

    assert messages == [StreamClosed("no stream: no connection within the time limit")]


async def test_a_refused_connection_and_a_host_without_stream_end_at_once() -> None:
    refused = await heard(f"ws://127.0.0.1:{free_port()}")
    absent = await heard(None)

    assert refused == [StreamClosed("no stream: no connection (errno 111)")]
    assert absent == [StreamClosed("this host has no user stream", unserved=True)]


@pytest.mark.parametrize("accepted", [True, False])
async def test_the_listener_is_told_when_the_stream_stands_and_only_then(accepted: bool) -> None:
    told: list[str] = []

    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.send_str("one")

    async def listen(url: str) -> None:
        wire = AiohttpTransport("http://127.0.0.1:1", SystemClock(), stream_url=url)
        async for message in wire.stream(PATH, lambda: told.append("stands")):
            told.append(type(message).__name__)
        await wire.close()

    async with stream_host(talk) as (url, _), serving() as refusing:
        await listen(url if accepted else f"ws://127.0.0.1:{refusing.port}")

    assert told == (["stands", "bytes", "StreamClosed"] if accepted else ["StreamClosed"])


async def test_closing_the_transport_ends_its_streams() -> None:
    connected = asyncio.Event()

    async def talk(socket: web.WebSocketResponse) -> None:
        connected.set()
        await socket.receive()

    async with stream_host(talk) as (url, _):
        wire = AiohttpTransport("http://127.0.0.1:1", SystemClock(), stream_url=url)
        messages: list[bytes | StreamClosed] = []

        async def listen() -> None:
            messages.extend([message async for message in wire.stream(PATH)])

        listening = asyncio.create_task(listen())
        await connected.wait()
        await wire.close()
        await listening

    assert [type(message) for message in messages] == [StreamClosed]


async def test_a_listener_that_is_canceled_closes_its_socket() -> None:
    ended = asyncio.Event()

    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.send_str("one")
        await socket.receive()
        ended.set()

    async with stream_host(talk) as (url, _):
        wire = AiohttpTransport("http://127.0.0.1:1", SystemClock(), stream_url=url)
        first = asyncio.Event()

        async def listen() -> None:
            async for _ in wire.stream(PATH):
                first.set()

        listening = asyncio.create_task(listen())
        await first.wait()
        listening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening
        async with asyncio.timeout(5):
            await ended.wait()
        await wire.close()
