"""The practice exchange with one thing added: the moment at which the first byte of each order arrived.

Run as `timed_exchange.py MOMENTS`; prints `exchange_ready {...}` like the exchange itself, with `raw_port`
of a server beside it that answers any request at once: the other end of the raw round trip. On SIGTERM
MOMENTS gets `client order id: nanoseconds`.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from pathlib import Path

from aiohttp.web_protocol import RequestHandler

from adapters.exchange import command
from adapters.exchange.command import ExchangeOptions, serve_exchange
from adapters.exchange.server import ExchangeServer
from config.seams import SystemClock

PLACES_ORDER = b"POST /fapi/v1/order "
ORDER_ID = re.compile(rb"newClientOrderId=([^&]+)")
RAW_REPLY = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 300\r\n\r\n"%s"' % (
    b"x" * 298
)

moments: dict[str, int] = {}
receive = RequestHandler.data_received


def timed_receive(self: RequestHandler, data: bytes) -> None:
    """As in the library, one clock reading later. The worker sends a request in one piece."""
    at_ns = time.monotonic_ns()
    if data.startswith(PLACES_ORDER) and (found := ORDER_ID.search(data)) is not None:
        moments.setdefault(found[1].decode(), at_ns)
    receive(self, data)


class RawServer(asyncio.Protocol):
    """Answers each request with the same bytes; requests come one at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer once head and body are there."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.rpartition(b"Content-Length: ")[2]):
            self._received = b""
            self._transport.write(RAW_REPLY)


class TimedServer(ExchangeServer):
    """The exchange's server with the raw one beside it."""

    async def start(self) -> None:
        """Answer on both ports, and say on which."""
        await super().start()
        raw = await asyncio.get_running_loop().create_server(RawServer, command.HOST, 0)
        sys.stdout.write(f"raw_port {raw.sockets[0].getsockname()[1]}\n")


def run(path: Path) -> int:
    """Serve until SIGTERM, then write the moments down."""
    RequestHandler.data_received = timed_receive  # type: ignore[method-assign]  # the stamp is the point
    command.ExchangeServer = TimedServer  # type: ignore[attr-defined]  # the server that it starts
    try:
        return serve_exchange(ExchangeOptions(), SystemClock())
    finally:
        path.write_text(json.dumps(moments))


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])))
