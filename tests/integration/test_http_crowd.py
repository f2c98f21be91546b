"""Crowds at the status server: idle, slow, greedy and garbled clients, and a probe that gets through."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from rig.raw_http import code_of, send

from worker import http_connections
from worker.http import CONNECTIONS_MAX, Server, bind_socket, serve
from worker.http_connections import BURST_S, Pace
from worker.metrics import Metrics

PROBE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Quiet:
    """A worker that has nothing to tell."""

    def alive(self) -> str | None:
        return None

    def ready(self) -> str | None:
        return None

    def status(self) -> dict[str, object]:
        return {}


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a server on loopback."""
    server: Server = await serve(bind_socket("127.0.0.1", 0), metrics=Metrics(), probe=Quiet())
    yield server.port
    await server.close()


async def crowd(port: int, says: bytes, count: int = CONNECTIONS_MAX) -> list[Wire]:
    """So many connections that say this and no more."""
    wires = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(count)))
    for _, writer in wires:
        writer.write(says)
    return list(wires)


async def last_words(wire: Wire) -> bytes:
    """What it heard until its end."""
    return await asyncio.wait_for(wire[0].read(), 20)


async def first_words(wires: list[Wire]) -> bytes:
    """What the first of them heard that was told to go."""
    hearing = [asyncio.create_task(last_words(wire)) for wire in wires]
    done, waiting = await asyncio.wait(hearing, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return done.pop().result()


async def release(wires: list[Wire]) -> None:
    """Hang up."""
    for _, writer in wires:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in wires), return_exceptions=True)


@pytest.mark.parametrize("says", [b"", b"GET /healthz HTTP/1.1\r\nHost: local", b"POST /halt HTTP/1.1\r\n"])
async def test_a_probe_gets_through_although_silent_or_slow_clients_hold_every_place(
    port: int, says: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connections, "GRACE_S", 0.0)
    held = await crowd(port, says)

    codes = [await code_of(port, PROBE) for _ in range(3)]
    status = await send(port, b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")

    told = await first_words(held)
    await release(held)

    assert codes == [200, 200, 200]
    # The place that one had to leave served one probe after the other.
    assert b'"dropped": 1' in status
    assert told.startswith(b"HTTP/1.1 503 ")


async def test_who_has_just_come_is_not_dropped_and_the_next_one_waits_for_a_place(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connections, "GRACE_S", 60.0)
    held = await crowd(port, b"")

    waiting = asyncio.create_task(code_of(port, PROBE))
    await asyncio.wait({waiting}, timeout=0.1)
    waited = not waiting.done()
    held[0][1].write(PROBE)
    answered, code = await last_words(held[0]), await waiting
    await release(held)

    assert waited
    assert answered.startswith(b"HTTP/1.1 200 ")
    assert code == 200


async def test_a_thousand_idle_connections_leave_the_descriptors_bounded(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The pace is another test's: here the thousand shall be through soon.
    monkeypatch.setattr(http_connections, "ACCEPT_S", 0.0)
    monkeypatch.setattr(http_connections, "GRACE_S", 0.0)
    before = len(os.listdir("/proc/self/fd"))
    most = 0

    for _ in range(10):
        held = await crowd(port, b"", 100)
        most = max(most, len(os.listdir("/proc/self/fd")) - before - 100)
        assert await code_of(port, PROBE) == 200
        await release(held)

    assert most <= CONNECTIONS_MAX + 2


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (PROBE + PROBE + PROBE, 200),
        (b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.0\r\n\r\n", 403),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        (b"GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        (b"GET /%2e%2e/status HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /healthz HTTP/9.9\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /" + b"a" * 8_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (
            b"POST /halt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n", 405),
        (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"\x00" * 1_000 + b"\r\n\r\n", 400),
    ],
)
async def test_odd_requests_get_one_plain_answer_and_the_end(
    port: int, request_bytes: bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await send(port, request_bytes)

    assert int(answer.split()[1]) == code
    assert answer.count(b"HTTP/1.") == 1
    assert caplog.records == []
    assert await code_of(port, PROBE) == 200


def test_the_pace_lets_a_burst_pass_and_then_so_many_a_second() -> None:
    pace, now_s, taken = Pace(), 100.0, 0
    while pace.wait_s(now_s) == 0:
        pace.charge(now_s, 0.01)
        taken += 1

    assert taken in (round(BURST_S / 0.01), round(BURST_S / 0.01) + 1)
    assert 0 < pace.wait_s(now_s) <= 0.011
    assert pace.wait_s(now_s + 0.02) == 0
