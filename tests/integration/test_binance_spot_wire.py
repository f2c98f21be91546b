"""The WebSocket API on real sockets: the first message leaves when the connection stands, shown nowhere."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from rig.socket_host import stream_host
from rig.venue import Ear, Memory, free, settings_of, wanted
from wire_server import Act, reply, serving

from adapters.binance.adapter import BinanceAdapter
from adapters.binance.aiohttp_transport import AiohttpTransport
from adapters.binance.connect import open_binance
from adapters.binance.credentials import Credentials
from adapters.binance.transport import FirstMessage, StreamClosed
from adapters.contract import Accepted, Order
from adapters.exchange.engine import Exchange
from adapters.exchange.server import ExchangeServer
from config.seams import SystemClock

CLOCK = SystemClock()

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


@asynccontextmanager
async def adapter_on_loopback(ed25519: bool) -> AsyncIterator[tuple[BinanceAdapter, Exchange, Ear]]:
    """The whole adapter on real sockets, where nothing but the stream tells within the minute."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    exchange = Exchange(
        start_ms=CLOCK.wall_ms(), market="spot", keys={"spot-key": public if ed25519 else "a-secret"}
    )
    server = ExchangeServer(exchange, CLOCK, socket.create_server(("127.0.0.1", 0)))
    await server.start()
    broker = {
        "name": "binance-spot",
        "rest_url": f"http://127.0.0.1:{server.port}",
        "settle_poll_ms": 60_000,
    }
    credentials = Credentials("spot-key", pem if ed25519 else "a-secret", "a test")
    adapter = open_binance(settings_of(broker=broker), credentials, CLOCK)
    try:
        assert await adapter.start(Memory()) is None
        yield adapter, exchange, Ear(adapter)
    finally:
        await adapter.close()
        await server.close()


async def within(seconds: float, condition: Callable[[], bool]) -> None:
    end_s = CLOCK.monotonic_s() + seconds
    while not condition():
        assert CLOCK.monotonic_s() < end_s, f"nothing of the kind within {seconds} s"
        await CLOCK.sleep(0.005)


@pytest.mark.parametrize("ed25519", [False, True])
async def test_fills_are_told_by_the_subscription_of_either_key_and_again_after_a_cut(ed25519: bool) -> None:
    async with adapter_on_loopback(ed25519) as (adapter, exchange, ear):
        stream = adapter.stream
        assert stream is not None
        for connections in (1, 2):
            await within(10, lambda count=connections: stream.connections == count and stream.stands)  # type: ignore[misc]  # bound now
            order = adapter.prepare(wanted(connections))
            assert isinstance(order, Order)
            assert isinstance(await adapter.submit(order, free), Accepted)
            await within(10, ear.has(order.client_order_id, "filled"))
            for account in {key.account for key in exchange._venue.keys.values()}:
                exchange._venue.streams.cut(account)
            await within(5, lambda: not stream.stands)

        assert stream.gaps == 2
        assert adapter.stream_missing is None


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
