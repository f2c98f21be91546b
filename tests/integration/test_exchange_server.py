"""The practice exchange over real sockets: what the engine decides is what a client gets to see."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSServerHandshakeError

from adapters.exchange.engine import Exchange
from adapters.exchange.faults import FaultPlan, FaultRule
from adapters.exchange.journal_file import JournalFile, JournalTakenError
from adapters.exchange.server import ExchangeServer
from adapters.exchange.sockets import WAITING_MAX, followed, is_wrapped
from config.seams import SystemClock, seeded_random

KEY = "loopback-key"
SECRET = b"loopback-secret"
CLOCK = SystemClock()
# Far longer than anything here takes; a test that hangs fails by it.
PATIENCE_S = 10.0


def listener() -> socket.socket:
    """A socket that listens on a free port of loopback."""
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


class Venue:
    """A running exchange, and the entries that its journal got."""

    def __init__(self, journal: list[dict[str, Any]], *rules: FaultRule) -> None:
        self.journal = journal
        self.exchange = Exchange(
            start_ms=CLOCK.wall_ms(),
            faults=FaultPlan(rules, seeded_random(1)),
            journal=lambda entry: journal.append(dict(entry)),
        )
        self.server = ExchangeServer(self.exchange, CLOCK, listener())

    @property
    def accepted(self) -> list[str]:
        """The client order ids of all accepted orders."""
        return [one["client_order_id"] for one in self.journal if one["kind"] == "accepted"]

    def url(self, path: str) -> str:
        """The address of `path`."""
        return f"http://127.0.0.1:{self.server.port}{path}"

    async def raw(self, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which exactly these bytes were sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        writer.write(request)
        return reader, writer


@asynccontextmanager
async def venue(*rules: FaultRule) -> AsyncIterator[Venue]:
    """A running exchange under a fault plan."""
    running = Venue([], *rules)
    await running.server.start()
    try:
        yield running
    finally:
        await running.server.close()


def order_body(name: str = "one", symbol: str = "BTCUSDT", **more: str) -> bytes:
    """A signed market order as a form."""
    params = {
        "symbol": symbol,
        "side": "BUY",
        "type": "MARKET",
        "quantity": "0.010",
        "newClientOrderId": name,
    }
    text = "&".join(f"{key}={value}" for key, value in (params | more).items())
    text += f"&recvWindow=5000&timestamp={CLOCK.wall_ms()}"
    return f"{text}&signature={hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()}".encode()


def post(body: bytes, target: str = "/fapi/v1/order") -> bytes:
    """A whole POST as bytes."""
    head = (
        f"POST {target} HTTP/1.1\r\nHost: loopback\r\nX-MBX-APIKEY: {KEY}\r\nContent-Length: {len(body)}\r\n"
    )
    return head.encode() + b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" + body


async def until(condition: Callable[[], bool]) -> None:
    """Return when it holds; what it waits for happens on this very loop."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  # what changes it is the loop's own next turns
            await asyncio.sleep(0)


async def reply_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], Any]:
    """One reply, read by hand."""
    async with asyncio.timeout(PATIENCE_S):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
        }
        body = await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers, json.loads(body)


async def test_a_signed_order_is_accepted_and_on_record_before_its_reply() -> None:
    async with venue() as running:
        reader, writer = await running.raw(post(order_body("mine")))

        status, headers, body = await reply_of(reader)
        writer.close()

    assert status == 200
    assert headers["content-type"].startswith("application/json")
    assert body["clientOrderId"] == "mine"
    assert running.accepted == ["mine"]


async def test_the_bytes_that_were_signed_are_the_bytes_that_are_verified() -> None:
    # A URL that tidies up would turn %3A into a colon and the signature into a wrong one.
    text = f"symbol=BTCUSDT&origClientOrderId=a%3Ab&timestamp={CLOCK.wall_ms()}"
    signature = hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()
    head = (
        f"GET /fapi/v1/order?{text}&signature={signature} HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: {KEY}\r\n\r\n"
    )
    async with venue() as running:
        reader, writer = await running.raw(head.encode())

        _, _, body = await reply_of(reader)
        writer.close()

    assert body["code"] == -2013


@pytest.mark.parametrize(("kind", "accepted"), [("reset_before", []), ("reset_after", ["one"])])
async def test_a_reset_is_a_reset(kind: Any, accepted: list[str]) -> None:
    async with venue(FaultRule(kind=kind)) as running:
        reader, writer = await running.raw(post(order_body()))

        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.close()

    assert running.accepted == accepted


async def test_after_silence_the_connection_stays_open_until_the_client_gives_up() -> None:
    async with venue(FaultRule(kind="silence_after")) as running:
        reader, writer = await running.raw(post(order_body()))
        await until(lambda: bool(running.accepted))

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        at_end = reader.at_eof()
        writer.close()
        await writer.wait_closed()

    assert not at_end


async def test_a_truncated_reply_ends_in_the_middle_of_its_body() -> None:
    async with venue(FaultRule(kind="truncated")) as running:
        reader, writer = await running.raw(post(order_body()))

        received = await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.close()

    head, _, body = received.partition(b"\r\n\r\n")
    promised = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"ontent-" in line and b"ngth" in line
    )
    assert 0 < len(body) < promised
    assert running.accepted == ["one"]


async def test_a_slow_reply_comes_late_and_the_order_does_not() -> None:
    async with venue(FaultRule(kind="slow", delay_ms=300)) as running:
        began_s = CLOCK.monotonic_s()
        reader, writer = await running.raw(post(order_body()))
        await until(lambda: bool(running.accepted))
        accepted_s = CLOCK.monotonic_s()

        status, _, _ = await reply_of(reader)
        took_s = CLOCK.monotonic_s() - began_s
        writer.close()

    assert status == 200
    assert accepted_s - began_s < took_s
    assert took_s >= 0.3


async def test_what_is_due_happens_without_a_request() -> None:
    async with venue(FaultRule(kind="late", delay_ms=100)) as running:
        _, writer = await running.raw(post(order_body()))

        await until(lambda: running.accepted == ["one"])
        writer.close()


async def test_a_web_page_cannot_control_the_exchange() -> None:
    async with venue() as running, ClientSession() as session:
        url = running.url("/control/state")
        async with session.get(url) as reply:
            allowed = reply.status
        async with session.get(url, headers={"Origin": "http://evil.example"}) as reply:
            forbidden = reply.status

    assert (allowed, forbidden) == (200, 403)


async def listen_key(session: ClientSession, running: Venue) -> str:
    """The account's listen key."""
    async with session.post(running.url("/fapi/v1/listenKey"), headers={"X-MBX-APIKEY": KEY}) as reply:
        key: str = (await reply.json())["listenKey"]
    return key


async def heard(stream: ClientWebSocketResponse) -> dict[str, Any]:
    """The next message."""
    found: dict[str, Any] = await stream.receive_json(timeout=PATIENCE_S)
    return found


@pytest.mark.parametrize(
    ("path", "wrapped"),
    [
        ("/ws/KEY", False),
        ("/private/ws/KEY", False),
        ("/private/ws?listenKey=KEY", False),
        ("/stream?streams=KEY", True),
        ("/private/stream?streams=KEY", True),
    ],
)
async def test_the_user_stream_tells_of_the_order_at_every_address(path: str, wrapped: bool) -> None:
    async with venue() as running, ClientSession() as session:
        key = await listen_key(session, running)
        async with session.ws_connect(running.url(path.replace("KEY", key))) as stream:
            _, writer = await running.raw(post(order_body()))
            messages = [await heard(stream)]
            while not any("FILLED" in json.dumps(one) for one in messages):
                messages.append(await heard(stream))
            writer.close()

    if wrapped:
        assert {one["stream"] for one in messages} == {key}
    events = [one["data"] if wrapped else one for one in messages]
    assert any(one["e"] == "ORDER_TRADE_UPDATE" and one["o"]["c"] == "one" for one in events)


async def test_a_stream_can_be_subscribed_to_later_and_left_again() -> None:
    async with venue() as running, ClientSession() as session:
        key = await listen_key(session, running)
        async with session.ws_connect(running.url("/private/stream")) as stream:
            await stream.send_json({"method": "SUBSCRIBE", "params": [key], "id": 1})
            subscribed = await heard(stream)
            await stream.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 2})
            listed = await heard(stream)
            await stream.send_json({"method": "DANCE", "id": 3})
            refused = await heard(stream)
            await stream.send_str("{")
            unread = await heard(stream)
            await stream.send_json({"method": "UNSUBSCRIBE", "params": [key], "id": 4})
            left = await heard(stream)

    assert subscribed == {"result": None, "id": 1}
    assert listed == {"result": [key], "id": 2}
    assert refused["error"]["code"] == 2
    assert unread["error"]["code"] == 3
    assert left == {"result": None, "id": 4}


@pytest.mark.parametrize(("path", "status"), [("/private/ws/stranger", 400), ("/nowhere", 404)])
async def test_a_socket_for_nothing_is_refused(path: str, status: int) -> None:
    async with venue() as running, ClientSession() as session:
        with pytest.raises(WSServerHandshakeError) as refusal:
            await session.ws_connect(running.url(path))

    assert refusal.value.status == status


async def test_an_end_waits_neither_for_silent_replies_nor_for_open_streams() -> None:
    running = Venue([], FaultRule(kind="silence_after"))
    await running.server.start()
    async with ClientSession() as session:
        key = await listen_key(session, running)
        stream = await session.ws_connect(running.url(f"/private/ws/{key}"))
        reader, writer = await running.raw(post(order_body()))
        await until(lambda: bool(running.accepted))

        async with asyncio.timeout(5):
            await running.server.close()
        rest = await asyncio.gather(reader.read(), return_exceptions=True)
        writer.close()
        await stream.close()

    assert rest == [b""] or isinstance(rest[0], ConnectionResetError)


async def test_a_client_that_does_not_read_is_cut_and_the_others_are_served() -> None:
    async with venue() as running, ClientSession() as session:
        key = await listen_key(session, running)
        async with session.ws_connect(running.url(f"/private/ws/{key}")) as stream:
            connection = next(iter(running.server._sockets._followers[key]))
            for _ in range(WAITING_MAX + 1):
                connection.say(b"{}")

            await until(lambda: key not in running.server._sockets._followers)
            async with session.get(running.url("/fapi/v1/time")) as reply:
                answered = reply.status
            await stream.close()

    assert answered == 200


async def test_a_journal_brings_orders_back_and_has_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"

    async def life(act: Callable[[ExchangeServer], Awaitable[None]]) -> None:
        journal = JournalFile(path)
        exchange = Exchange(start_ms=CLOCK.wall_ms(), journal=journal.append)
        exchange.restore(journal.entries())
        server = ExchangeServer(exchange, CLOCK, listener())
        await server.start()
        try:
            with pytest.raises(JournalTakenError):
                JournalFile(path)
            await act(server)
        finally:
            await server.close()
            journal.close()

    async def place(server: ExchangeServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(post(order_body("kept", type="LIMIT", timeInForce="GTC", price="58000.0")))
        assert (await reply_of(reader))[0] == 200
        writer.close()

    async def find(server: ExchangeServer) -> None:
        text = f"symbol=BTCUSDT&origClientOrderId=kept&timestamp={CLOCK.wall_ms()}"
        signature = hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()
        async with (
            ClientSession(headers={"X-MBX-APIKEY": KEY}) as session,
            session.get(
                f"http://127.0.0.1:{server.port}/fapi/v1/order?{text}&signature={signature}"
            ) as reply,
        ):
            found.append((await reply.json())["status"])

    found: list[str] = []
    await life(place)
    # A power cut in the middle of a line: nobody was told of that order.
    with path.open("ab") as file:
        file.write(b'{"kind":"accepted","client_ord')
    await life(find)

    assert found == ["NEW"]


def test_addresses_of_streams() -> None:
    assert followed("/private/ws", "listenKey=a&events=ORDER_TRADE_UPDATE") == ["a"]
    assert followed("/stream", "streams=a/b") == ["a", "b"]
    assert followed("/ws", "") == []
    assert followed("/api/v3/order", "") is None
    assert is_wrapped("/private/stream")
    assert not is_wrapped("/private/ws/stream-of-that-name")
