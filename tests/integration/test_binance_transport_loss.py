"""Which half of the way was lost: what provably never left, and what may have; and the guard between them."""

from __future__ import annotations

import asyncio
import gzip
import socket
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from wire_server import Act, WireServer, free_port, reply, self_signed, serving

from adapters.binance.aiohttp_transport import BODY_BYTES_MAX, AiohttpTransport
from adapters.binance.transport import HttpReply, HttpRequest, Lost, NotConnected, WireResult
from config.seams import SystemClock

ORDER = HttpRequest("POST", "/fapi/v1/order", body=b"symbol=BTCUSDT&signature=ab")
HELD = NotConnected("halted by hand", held=True)


@pytest.fixture
async def server() -> AsyncIterator[WireServer]:
    async with serving() as serving_it:
        yield serving_it


@pytest.fixture
async def wire(server: WireServer) -> AsyncIterator[AiohttpTransport]:
    transport = AiohttpTransport(server.url, SystemClock())
    yield transport
    await transport.close()


async def asked_at(url: str, **options: object) -> WireResult:
    transport = AiohttpTransport(url, SystemClock(), **options)  # type: ignore[arg-type]  # passed on
    try:
        return await transport.request(ORDER, timeout_s=5)
    finally:
        await transport.close()


async def test_a_refused_connection_never_left() -> None:
    answer = await asked_at(f"http://127.0.0.1:{free_port()}")

    assert answer == NotConnected("no connection (errno 111)")


async def test_a_name_that_is_not_found_never_left() -> None:
    answer = await asked_at("http://exchange.invalid:80")

    assert answer == NotConnected("the host's name was not found")


async def test_a_host_that_does_not_speak_tls_never_got_the_order(server: WireServer) -> None:
    async with asyncio.timeout(5):
        answering = asyncio.create_task(asked_at(f"https://127.0.0.1:{server.port}"))
        await server.heard.wait()
        server.connections[0].do(Act(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        answer = await answering

    assert answer == NotConnected("the TLS handshake did not succeed")
    assert b"symbol" not in server.connections[0].got


async def test_a_connection_that_takes_too_long_never_left() -> None:
    async with serving() as silent:
        answer = await asked_at(f"https://127.0.0.1:{silent.port}", connect_timeout_s=0.1)

    assert answer == NotConnected("no connection within the time limit")


async def test_the_time_limit_of_the_whole_counts_before_the_first_byte_too(server: WireServer) -> None:
    transport = AiohttpTransport(f"https://127.0.0.1:{server.port}", SystemClock())

    answer = await transport.request(ORDER, timeout_s=0.1)
    await transport.close()

    assert answer == NotConnected("no connection within the time limit")


async def test_after_close_nothing_leaves_and_nothing_raises(
    server: WireServer, wire: AiohttpTransport
) -> None:
    await wire.close()

    assert isinstance(await wire.request(ORDER, timeout_s=5), NotConnected)
    assert server.requests == []


LOSSES = {
    "reset": (Act(then="reset"), "the connection broke (errno 104)"),
    "closed": (Act(then="close"), "the connection was closed before a reply"),
    "silence": (Act(), "no whole reply within the time limit"),
    "half a head": (Act(b"HTTP/1.1 200 OK\r\nContent-", "close"), "the connection was closed before a reply"),
    "garbage": (Act(b"\x00\xffnonsense\r\n\r\n"), "the reply is not HTTP"),
    "cut body": (Act(reply(b"{}" * 40)[:-3], "close"), "the body was cut short or badly framed"),
    "cut body, reset": (Act(reply(b"{}" * 40)[:-3], "reset"), None),
    "stalled body": (Act(reply(b"{}" * 40)[:-3]), "no whole reply within the time limit"),
    "over-long body": (Act(reply() + b"more"), "the reply is not HTTP"),
    "two replies": (Act(reply() + reply(b"{}", 408)), "more than one reply"),
    "no length": (Act(b"HTTP/1.1 200 OK\r\n\r\n{}", "close"), "a body without a length"),
    "bad chunk": (Act(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"), None),
    "cut chunks": (
        Act(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "close"),
        "the body was cut short or badly framed",
    ),
    "length and chunks": (
        Act(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}"),
        "the reply is not HTTP",
    ),
    "long header": (Act(reply(b"{}", 200, "X: " + "y" * 20_000)), "the reply is not HTTP"),
    "many interim replies": (Act(b"HTTP/1.1 102 Wait\r\n\r\n" * 20), "too many interim replies"),
    "upgrade": (
        Act(b"HTTP/1.1 101 Switch\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
        "an upgrade that nobody asked for",
    ),
    "too long": (
        Act(reply(b" " * (BODY_BYTES_MAX + 1))),
        f"a body of more than {BODY_BYTES_MAX} bytes",
    ),
    "cut gzip": (
        Act(reply(gzip.compress(b"{}" * 900)[:-9], 200, "Content-Encoding: gzip")),
        "a packed body that is cut short or over-long",
    ),
    "bad gzip": (Act(reply(b"no gzip", 200, "Content-Encoding: gzip")), "the packed body is damaged"),
    "deflate": (
        Act(reply(zlib.compress(b"{}"), 200, "Content-Encoding: deflate")),
        "a body in an encoding that was not asked for",
    ),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kept", [False, True])
async def test_without_one_whole_reply_the_request_is_lost_and_its_connection_is_not_used_again(
    server: WireServer, wire: AiohttpTransport, name: str, kept: bool
) -> None:
    act, why = LOSSES[name]
    if kept:
        await wire.request(ORDER, timeout_s=5)
    server.script.append(act)

    lost = await wire.request(ORDER, timeout_s=0.2 if "time limit" in (why or "") else 5)
    after = await wire.request(ORDER, timeout_s=5)

    assert isinstance(lost, Lost)
    assert why is None or lost.why == why
    assert isinstance(after, HttpReply)
    assert (after.status, after.body) == (200, b"{}")
    assert len(server.requests) == 2 + kept


async def test_an_interim_reply_is_not_the_reply(server: WireServer, wire: AiohttpTransport) -> None:
    server.script.append(Act(b"HTTP/1.1 103 Hints\r\n\r\n" + reply(b'{"a":1}')))

    answer = await wire.request(ORDER, timeout_s=5)

    assert isinstance(answer, HttpReply)
    assert (answer.status, answer.body) == (200, b'{"a":1}')


async def test_a_packed_or_chunked_reply_is_unpacked(server: WireServer, wire: AiohttpTransport) -> None:
    text = b'{"symbols":[]}' * 5_000
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{  \r\n1\r\n}\r\n0\r\n\r\n"
    server.script.append(Act(reply(gzip.compress(text), 200, "Content-Encoding: gzip")))
    server.script.append(Act(chunked))

    packed = await wire.request(ORDER, timeout_s=5)
    in_chunks = await wire.request(ORDER, timeout_s=5)

    assert isinstance(packed, HttpReply)
    assert packed.body == text
    assert isinstance(in_chunks, HttpReply)
    assert in_chunks.body == b"{  }"


async def test_a_small_reply_that_unpacks_to_many_times_its_limit_costs_no_memory(
    server: WireServer, wire: AiohttpTransport
) -> None:
    packer = zlib.compressobj(wbits=31)
    million = bytes(1_000_000)
    bomb = b"".join(packer.compress(million) for _ in range(200)) + packer.flush()
    server.script.append(Act(reply(bomb, 200, "Content-Encoding: gzip")))
    tracemalloc.start()

    answer = await wire.request(ORDER, timeout_s=20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert answer == Lost(f"a body of more than {BODY_BYTES_MAX} bytes")
    assert peak < 5 * BODY_BYTES_MAX


async def test_a_canceled_request_leaves_no_answer_behind_for_the_next(
    server: WireServer, wire: AiohttpTransport
) -> None:
    server.script.append(Act())
    waiting = asyncio.create_task(wire.request(ORDER, timeout_s=5))
    await server.heard.wait()

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    answer = await wire.request(ORDER, timeout_s=5)

    assert isinstance(answer, HttpReply)
    assert len(server.connections) == 2


async def test_close_ends_what_is_in_flight_as_lost(server: WireServer, wire: AiohttpTransport) -> None:
    server.script.append(Act())
    waiting = asyncio.create_task(wire.request(ORDER, timeout_s=5))
    await server.heard.wait()

    await wire.close()

    assert isinstance(await waiting, Lost)


@pytest.mark.parametrize("canceled", [False, True])
async def test_who_waits_for_a_connection_when_it_closes_never_left(
    server: WireServer, canceled: bool
) -> None:
    server.usual = Act()
    wire = AiohttpTransport(server.url, SystemClock(), connections_max=1)
    first = asyncio.create_task(wire.request(ORDER, timeout_s=5))
    await server.heard.wait()
    second = asyncio.create_task(wire.request(ORDER, timeout_s=5))
    await asyncio.sleep(0)

    if canceled:
        second.cancel()
    await wire.close()
    answers = await asyncio.gather(first, second, return_exceptions=True)

    assert isinstance(answers[0], Lost)
    if canceled:
        assert isinstance(answers[1], asyncio.CancelledError)
    else:
        assert answers[1] == NotConnected("the transport was closed")
    assert len(server.requests) == 1


async def test_the_guard_holds_the_order_back_and_the_connection_stays_good(
    server: WireServer, wire: AiohttpTransport
) -> None:
    held = await wire.request(ORDER, timeout_s=5, guard=lambda: "halted by hand")
    sent = await wire.request(ORDER, timeout_s=5, guard=lambda: None)

    assert held == HELD
    assert isinstance(sent, HttpReply)
    assert (len(server.connections), len(server.requests)) == (1, 1)


async def test_the_guard_is_asked_after_a_slow_connect_and_not_before_it(tmp_path: Path) -> None:
    serving_tls, trusting = self_signed(tmp_path, "127.0.0.1")
    halted: list[str] = []
    asked: list[int] = []

    def guard() -> str | None:
        asked.append(1)
        return halted[0] if halted else None

    async with serving(tls=serving_tls) as server, _gate(server.port) as (port, opened, knocked):
        wire = AiohttpTransport(f"https://127.0.0.1:{port}", SystemClock(), ssl_context=trusting)
        sending = asyncio.create_task(wire.request(ORDER, timeout_s=5, guard=guard))
        await knocked.wait()
        asked_while_connecting = len(asked)
        halted.append("halted by hand")
        opened.set()
        answer = await sending
        await wire.close()

    assert answer == HELD
    assert (asked_while_connecting, len(asked)) == (0, 1)
    assert server.requests == []


@pytest.mark.parametrize("kept", [False, True])
async def test_nothing_is_awaited_between_the_guard_and_the_first_byte(kept: bool) -> None:
    """The first turn of the loop after the guard's answer finds all bytes at the other side."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[bytes] = loop.create_future()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        wire = AiohttpTransport(f"http://127.0.0.1:{listener.getsockname()[1]}", SystemClock())
        if kept:
            first = asyncio.create_task(wire.request(ORDER, timeout_s=5))
            peer, _ = await loop.sock_accept(listener)
            await loop.sock_recv(peer, 65_536)
            await loop.sock_sendall(peer, reply())
            await first

        def guard() -> str | None:
            side = peer if kept else listener.accept()[0]
            side.setblocking(False)
            peers.append(side)
            loop.call_soon(look, side)
            return None

        def look(side: socket.socket) -> None:
            try:
                found.set_result(side.recv(65_536))
            except BlockingIOError:
                found.set_result(b"nothing yet")

        peers: list[socket.socket] = []
        second = asyncio.create_task(wire.request(ORDER, timeout_s=5, guard=guard))
        async with asyncio.timeout(5):
            bytes_found = await found
        await loop.sock_sendall(peers[0], reply())
        answer = await second
        await wire.close()
        peers[0].close()

    assert isinstance(answer, HttpReply)
    assert bytes_found.startswith(b"POST /fapi/v1/order HTTP/1.1\r\n")
    assert bytes_found.endswith(ORDER.body)


async def test_a_guard_that_breaks_lets_nothing_out(server: WireServer, wire: AiohttpTransport) -> None:
    def broken() -> str | None:
        raise LookupError("the check itself is broken")

    with pytest.raises(LookupError):
        await wire.request(ORDER, timeout_s=5, guard=broken)
    after = await wire.request(ORDER, timeout_s=5)

    assert isinstance(after, HttpReply)
    assert len(server.requests) == 1


class _gate:
    """A door before `port`: `knocked` when someone connects, nothing passes until `opened` is set."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.opened = asyncio.Event()
        self.knocked = asyncio.Event()

    async def __aenter__(self) -> tuple[int, asyncio.Event, asyncio.Event]:
        self._listener = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        return self._listener.sockets[0].getsockname()[1], self.opened, self.knocked

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.knocked.set()
        await self.opened.wait()
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
