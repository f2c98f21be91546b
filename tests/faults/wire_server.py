"""A server that is nothing but sockets: it keeps every byte it got, and answers with the bytes it was given.

No HTTP library takes part, so that what is seen here is what left the client.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Act:
    """What happens after a request has come: these bytes, then the connection's fate."""

    reply: bytes = b""
    then: Literal["keep", "close", "reset"] = "keep"


def reply(body: bytes = b"{}", status: int = 200, *headers: str) -> bytes:
    """A whole reply with its length."""
    lines = (f"HTTP/1.1 {status} Word", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join(lines).encode("ascii") + HEAD_END + body


@dataclass
class WireServer:
    """`script` is consumed request by request; when it is empty, `usual` happens. `heard`: bytes came."""

    usual: Act = field(default_factory=lambda: Act(reply()))
    script: deque[Act] = field(default_factory=deque)
    requests: list[bytes] = field(default_factory=list)
    connections: list[_Connection] = field(default_factory=list)
    answer: Callable[[bytes], Act] | None = None
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        """The base URL."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def act_on(self, request: bytes) -> Act:
        """The next act of the script."""
        self.requests.append(request)
        if self.answer is not None:
            return self.answer(request)
        return self.script.popleft() if self.script else self.usual


class _Connection(asyncio.Protocol):
    def __init__(self, server: WireServer) -> None:
        self._server = server
        self._buffer = b""
        self.got = b""
        self.way: asyncio.Transport | None = None
        self.gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.way = transport
        self._server.connections.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.got += data
        self._server.heard.set()
        self._buffer += data
        while (request := self._whole_request()) is not None:
            self.do(self._server.act_on(request))

    def do(self, act: Act) -> None:
        """Say it, unasked too."""
        assert self.way is not None
        if act.reply:
            self.way.write(act.reply)
        if act.then == "close":
            self.way.close()
        elif act.then == "reset":
            kept: socket.socket = self.way.get_extra_info("socket")
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.way.abort()

    def _whole_request(self) -> bytes | None:
        head, end, rest = self._buffer.partition(HEAD_END)
        if not end:
            return None
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if len(rest) < length:
            return None
        self._buffer = rest[length:]
        return head + end + rest[:length]


@asynccontextmanager
async def serving(
    server: WireServer | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[WireServer]:
    """Serve on a free loopback port until the block ends; with `tls` over TLS."""
    serving_it = server or WireServer()
    serving_it.scheme = "https" if tls is not None else "http"
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: _Connection(serving_it), "127.0.0.1", 0, ssl=tls)
    serving_it.port = listener.sockets[0].getsockname()[1]
    try:
        yield serving_it
    finally:
        listener.close()
        for connection in serving_it.connections:
            if connection.way is not None:
                connection.way.abort()
        await asyncio.gather(*(connection.gone for connection in serving_it.connections))


def free_port() -> int:
    """A loopback port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def self_signed(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's TLS context for `name` (a host name or 127.0.0.1), and a client's that trusts it alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    alternative: x509.GeneralName = x509.DNSName(name)
    if name[0].isdigit():
        alternative = x509.IPAddress(ipaddress.ip_address(name))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(day)
        .not_valid_after(day.replace(year=2126))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{name}.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    serving_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving_context.load_cert_chain(pem)
    trusting = ssl.create_default_context(cafile=str(pem))
    return serving_context, trusting
