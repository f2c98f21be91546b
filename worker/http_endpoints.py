"""The status server: the page, /metrics, /healthz, /readyz and /status, and control for those with a token.

One request per connection; `http_connections` bounds them. On loopback the Host header must name
loopback, so that a web page cannot read the worker through a name that it controls (DNS rebinding).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address

import msgspec
from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from worker.http import Probe
from worker.http_connections import HEADERS, Connections
from worker.http_control import PATHS as CONTROL_PATHS
from worker.http_control import Control
from worker.http_desk import Desk
from worker.metrics import Metrics
from worker.page.answers import PATHS as PAGE_PATHS
from worker.page.answers import Page
from worker.page.sights import Sights


class Endpoints:
    """What is answered."""

    # What the connections tell of themselves.
    seen: Callable[[], dict[str, object]] = dict

    def __init__(
        self, metrics: Metrics, probe: Probe, page: Page, desk: Desk | None, *, loopback: bool
    ) -> None:
        self._probe = probe
        self._page = page
        self._loopback = loopback
        self._control = Control(desk, loopback=loopback)
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
        if request.path in CONTROL_PATHS:
            return await self._control.answer(request)
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
                seen = {**self.seen(), "control": self._control.status()}
                return _json({**self._probe.status(), "http": seen})
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


class RunningServer:
    """A listening server and its connections."""

    def __init__(self, connections: Connections, port: int) -> None:
        self.port = port
        self._connections = connections

    async def close(self) -> None:
        """Stop listening, give running answers a second, cut the rest; may be repeated."""
        await self._connections.close()


async def start(
    sock: socket.socket, metrics: Metrics, probe: Probe, sights: Sights | None, desk: Desk | None
) -> RunningServer:
    """Answer on `sock`."""
    host, port = sock.getsockname()[:2]
    page = Page(probe, sights)
    endpoints = Endpoints(metrics, probe, page, desk, loopback=ip_address(host).is_loopback)
    connections = Connections(sock, endpoints.answer)
    endpoints.seen = connections.status
    connections.listen()
    return RunningServer(connections, port)


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text + "\n")


def _verdict(complaint: str | None) -> web.Response:
    return _text(200, "ok") if complaint is None else _text(503, complaint)


def _json(status: dict[str, object]) -> web.Response:
    # Decimals, paths and the like show as text, numbers that are not finite as null.
    body = msgspec.json.format(msgspec.json.encode(status, enc_hook=str), indent=2)
    return web.Response(body=body + b"\n", content_type="application/json", charset="utf-8")
