"""The status server over real sockets on loopback."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from worker import http_connections
from worker.http import BindError, PortBusyError, Server, bind_socket, holder_of, serve
from worker.http_endpoints import names_loopback
from worker.metrics import Metrics


class Worker:
    """A worker that answers what the test sets."""

    def __init__(self) -> None:
        self.dead: str | None = None
        self.unready: str | None = None
        self.shown: dict[str, object] = {"symbols": ["BTCUSDT"]}

    def alive(self) -> str | None:
        return self.dead

    def ready(self) -> str | None:
        return self.unready

    def status(self) -> dict[str, object]:
        return self.shown


@pytest.fixture
def worker() -> Worker:
    """What the server asks."""
    return Worker()


@pytest.fixture
def metrics() -> Metrics:
    """What the server exposes."""
    return Metrics()


@pytest.fixture
async def server(worker: Worker, metrics: Metrics) -> AsyncIterator[Server]:
    """A server on a free port of loopback."""
    server = await serve(bind_socket("127.0.0.1", 0), metrics=metrics, probe=worker)
    yield server
    await server.close()


async def send(server: Server, request: bytes) -> bytes:
    """The raw answer to a raw request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    await writer.wait_closed()
    return answer


async def get(server: Server, path: str, method: str = "GET", host: str = "localhost") -> tuple[int, bytes]:
    """Status and body."""
    answer = await send(server, f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def test_metrics_are_served_in_the_text_format(server: Server, metrics: Metrics) -> None:
    metrics.results("success", 479)

    status, body = await get(server, "/metrics")

    assert status == 200
    assert b'\nexecution_result_total{status="success"} 479.0\n' in body


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_is_a_status_code_with_the_sentence_that_says_why(
    server: Server, worker: Worker, path: str
) -> None:
    assert await get(server, path) == (200, b"ok\n")

    worker.dead = worker.unready = "lane BTCUSDT is silent since 40 s"

    assert await get(server, path) == (503, b"lane BTCUSDT is silent since 40 s\n")


async def test_the_status_is_json_whatever_it_holds(server: Server, worker: Worker) -> None:
    worker.shown = {"qty": Decimal("0.10"), "lag_ms": math.nan, "store": Path("/a/b"), "text": "ä"}

    status, body = await get(server, "/status")

    assert status == 200
    shown = json.loads(body)
    assert shown.pop("http")["connections"] == 1
    assert shown == {"qty": "0.10", "lag_ms": None, "store": "/a/b", "text": "ä"}


async def test_unknown_paths_and_methods_are_refused_with_what_there_is(server: Server) -> None:
    assert await get(server, "/x") == (404, b"there are /, /metrics, /healthz, /readyz and /status\n")
    assert (await get(server, "/status/../metrics"))[0] == 404
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        assert (await get(server, "/status", method))[0] == 405


async def test_head_is_answered_without_a_body(server: Server) -> None:
    assert await get(server, "/metrics", "HEAD") == (200, b"")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9109", "10.0.0.1", "localhost.evil.example", ""]
)
async def test_a_foreign_host_name_reads_nothing_on_loopback(server: Server, host: str) -> None:
    status, body = await get(server, "/status", host=host)

    assert status == 403
    assert b"BTCUSDT" not in body


@pytest.mark.parametrize(
    ("hosts", "ours"),
    [
        (["localhost"], True),
        (["LOCALHOST:9109"], True),
        (["127.0.0.1:9109"], True),
        (["127.8.8.8"], True),
        (["[::1]:9109"], True),
        (["[::1]"], True),
        ([], False),
        (["localhost", "localhost"], False),
        (["evil.example"], False),
        (["127.0.0.1.evil.example"], False),
        (["192.168.0.1"], False),
        ([":9109"], False),
    ],
)
def test_only_names_of_this_host_are_loopback(hosts: list[str], ours: bool) -> None:
    assert names_loopback(hosts) is ours


async def test_an_address_of_the_network_takes_any_host_name(worker: Worker, metrics: Metrics) -> None:
    server = await serve(bind_socket("0.0.0.0", 0), metrics=metrics, probe=worker)

    status, _ = await get(server, "/healthz", host="worker.internal:9109")
    await server.close()

    assert status == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 500 + b"\r\n",
    ],
)
async def test_no_answer_tells_versions_and_every_answer_ends_the_connection(
    server: Server, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await send(server, request_bytes)

    assert answer.startswith(b"HTTP/1.")
    assert b"Server: execution-worker\r\n" in answer
    assert b"aiohttp" not in answer
    assert b"Python" not in answer
    assert caplog.records == []


async def test_a_bug_in_the_worker_is_a_500_without_details_and_is_logged(
    server: Server, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    worker.shown = {"half of a pair": "\udc80"}

    status, body = await get(server, "/status")

    assert status == 500
    assert b"Traceback" not in body
    assert [record.name for record in caplog.records] == ["aiohttp.server"]


async def test_a_client_that_never_ends_its_request_is_cut(
    worker: Worker, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connections, "CONNECTION_S_MAX", 0.05)
    server = await serve(bind_socket("127.0.0.1", 0), metrics=metrics, probe=worker)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: lo")

    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await server.close()

    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_closing_frees_the_port_also_with_silent_clients(worker: Worker, metrics: Metrics) -> None:
    server = await serve(bind_socket("127.0.0.1", 0), metrics=metrics, probe=worker)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)

    await asyncio.wait_for(server.close(), 5)
    await asyncio.wait_for(server.close(), 5)

    bind_socket("127.0.0.1", server.port).close()
    assert await reader.read() == b""
    writer.close()


async def test_a_caller_before_the_server_runs_is_answered_late_instead_of_refused(
    worker: Worker, metrics: Metrics
) -> None:
    listener = bind_socket("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")

    server = await serve(listener, metrics=metrics, probe=worker)

    assert (await reader.read()).endswith(b"ok\n")
    writer.close()
    await server.close()


def test_a_busy_port_names_its_holder_and_what_to_do() -> None:
    program = (
        "import socket; s = socket.create_server(('', 0)); print(s.getsockname()[1], flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())

        with pytest.raises(PortBusyError) as caught:
            bind_socket("127.0.0.1", port)

        other.communicate("\n")
    text = str(caught.value)
    assert text.startswith(
        f"http port 127.0.0.1:{port} is in use by pid {other.pid} ({sys.executable} -c import"
    )
    assert text.endswith(
        "stop that process, or set execution.http.port to another one (0 takes any free one)"
    )


def test_a_port_that_is_taken_and_not_served_yet_is_busy_too() -> None:
    with bind_socket("127.0.0.1", 0) as listener, pytest.raises(PortBusyError):
        bind_socket("127.0.0.1", listener.getsockname()[1])


def test_a_holder_that_may_not_be_seen_is_said_to_be_so(tmp_path: Path) -> None:
    assert holder_of(9_109, tmp_path) == "another process, which this user may not see"


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_that_is_not_ours_is_a_sentence(host: str) -> None:
    with pytest.raises(BindError, match=r"execution\.http\.(host|port)"):
        bind_socket(host, 9_109)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
async def test_ipv6_loopback_serves_too(worker: Worker, metrics: Metrics) -> None:
    try:
        listener = bind_socket("::1", 0)
    except BindError:
        pytest.skip("no ::1 on this host")
    server = await serve(listener, metrics=metrics, probe=worker)
    reader, writer = await asyncio.open_connection("::1", server.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: [::1]:9109\r\n\r\n")

    assert (await reader.read()).endswith(b"ok\n")
    writer.close()
    await server.close()


def test_the_door_alone_imports_no_aiohttp() -> None:
    program = "import sys, worker.http; sys.exit('aiohttp' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
