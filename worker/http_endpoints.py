"""The status server: the page, /metrics, /healthz, /readyz and /status, read only.

One request per connection, a few seconds per connection, a bounded number of connections: whoever
opens many or speaks slowly costs the worker nothing. On loopback the Host header must name loopback,
so that a web page cannot read the worker through a name that it controls (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address

import msgspec
from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from worker.http import CONNECTIONS_MAX, Probe
from worker.metrics import Metrics
from worker.page.answers import PATHS as PAGE_PATHS
from worker.page.answers import Page
from worker.page.sights import Sights

# From connecting to the last byte of the answer.
CONNECTION_S_MAX = 10.0
CLOSE_S_MAX = 1.0
HEADER_BYTES_MAX = 4_096
HEADERS_MAX = 64
HEADERS = {
    "Server": "execution-worker",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: execution-worker\r\nConnection: close\r\n"
    b"Content-Length: 21\r\n\r\ntoo many connections\n"
)


class Endpoints:
    """What is answered."""

    def __init__(self, metrics: Metrics, probe: Probe, page: Page, *, loopback: bool) -> None:
        self._probe = probe
        self._page = page
        self._loopback = loopback
        self._metrics = make_aiohttp_handler(metrics.registry)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response to any request."""
        response = await self._respond(request)
        response.headers.update(HEADERS)
        response.force_close()
        return response

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._loopback and not names_loopback(request.headers.getall("Host", [])):
            return _text(403, "the Host header must name this host: localhost, 127.0.0.1 or [::1]")
        if request.method not in ("GET", "HEAD"):
            response = _text(405, "only GET and HEAD are answered")
            response.headers["Allow"] = "GET, HEAD"
            return response
        if request.path in PAGE_PATHS:
            return await self._page.answer(request)
        match request.path:
            case "/metrics":
                # The library's handler wants the routed kind of request and uses what all kinds have.
                return await self._metrics(request)  # type: ignore[arg-type]  # see above
            case "/healthz":
                return _verdict(self._probe.alive())
            case "/readyz":
                return _verdict(self._probe.ready())
            case "/status":
                return _json(self._probe.status())
            case _:
                return _text(404, "there are /, /metrics, /healthz, /readyz and /status")


def names_loopback(hosts: list[str]) -> bool:
    """Whether the Host header (one, with or without a port) names this host's loopback."""
    if len(hosts) != 1:
        return False
    name, _, port = hosts[0].rpartition(":")
    if not name or not port.isdigit():
        name = hosts[0]
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


class _Connection(web.RequestHandler):
    """One bounded connection."""

    __slots__ = ("_deadline", "_open", "_refused")

    def __init__(self, server: web.Server, connections: set[_Connection]) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # the library's own way to say "none"
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            max_headers=HEADERS_MAX,
            lingering_time=0,
        )
        self._open = connections
        self._deadline: asyncio.TimerHandle | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or refuse when there are too many."""
        assert isinstance(transport, asyncio.Transport)
        if len(self._open) >= CONNECTIONS_MAX:
            self._refused = True
            transport.write(REFUSAL)
            transport.close()
            return
        self._open.add(self)
        self._deadline = asyncio.get_running_loop().call_later(CONNECTION_S_MAX, transport.abort)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room."""
        if self._refused:
            return
        self._open.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to our own bugs, which are logged, and to what is no HTTP: that anybody may send."""
        if status >= 500 or request.writer.output_size:
            response = super().handle_error(request, status, exc, message)
        else:
            response = _text(status, "this is no request that is answered here")
            response.force_close()
        response.headers.update(HEADERS)
        return response


class RunningServer:
    """A listening server and its connections."""

    def __init__(self, listener: asyncio.Server, server: web.Server, port: int) -> None:
        self.port = port
        self._listener = listener
        self._server = server

    async def close(self) -> None:
        """Stop listening, give running answers a second, cut the rest; may be repeated."""
        self._listener.close()
        self._server.pre_shutdown()
        await self._server.shutdown(CLOSE_S_MAX)
        await self._listener.wait_closed()


async def start(
    sock: socket.socket, metrics: Metrics, probe: Probe, sights: Sights | None = None
) -> RunningServer:
    """Answer on `sock`."""
    host, port = sock.getsockname()[:2]
    endpoints = Endpoints(metrics, probe, Page(probe, sights), loopback=ip_address(host).is_loopback)
    server = web.Server(endpoints.answer)
    connections: set[_Connection] = set()
    listener = await asyncio.get_running_loop().create_server(
        lambda: _Connection(server, connections), sock=sock, backlog=CONNECTIONS_MAX
    )
    return RunningServer(listener, server, port)


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text + "\n")


def _verdict(complaint: str | None) -> web.Response:
    return _text(200, "ok") if complaint is None else _text(503, complaint)


def _json(status: dict[str, object]) -> web.Response:
    # Decimals, paths and the like show as text, numbers that are not finite as null.
    body = msgspec.json.format(msgspec.json.encode(status, enc_hook=str), indent=2)
    return web.Response(body=body + b"\n", content_type="application/json", charset="utf-8")
