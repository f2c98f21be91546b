"""The real wire: aiohttp's connections, name lookup, TLS and parser, and a request written by hand.

The session of aiohttp is not asked to send REST requests. It repeats GET, PUT and DELETE by itself when a
kept connection turns out dead, follows redirects, quotes query strings anew, names whole URLs in its errors
and writes a body from a second task. Here one `write` of the caller's exact bytes follows the guard's
answer with nothing awaited in between, and what was written once is never written again.
"""

from __future__ import annotations

import asyncio
import re
import select
import socket
import ssl
import struct
import weakref
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Literal
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.streams import StreamReader
from yarl import URL

from adapters.binance.transport import (
    FirstMessage,
    HttpReply,
    HttpRequest,
    Lost,
    NotConnected,
    StreamClosed,
    WireResult,
)
from adapters.binance.wire_faults import (
    FAULTS,
    NoReplyError,
    RedirectError,
    is_unserved,
    why_lost,
    why_no_stream,
    why_not_connected,
    why_stream_closed,
)
from adapters.contract import Guard
from config.seams import Clock

# The whole list of symbols and filters is about 2 MB; four times that is no reply of an exchange.
BODY_BYTES_MAX = 8_388_608
MESSAGE_BYTES_MAX = 1_048_576
# A name, a TCP and a TLS handshake; longer means that the host is not there.
CONNECT_TIMEOUT_S = 4.0
# Shorter than what load balancers keep (60 s and more), so that it is we who close.
KEEPALIVE_S = 15.0
# Twice the most orders at once (64), so that no question waits behind orders for a connection.
CONNECTIONS_MAX = 128
HEARTBEAT_S = 15.0
# Interim replies (1xx) before the reply itself.
_INTERIM_REPLIES_MAX = 8
_DROP_UNSENT = struct.pack("ii", 1, 0)

_TARGET = re.compile(r"[!-~]+")
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
_HEADER_VALUE = re.compile(r"[ -~]*")
_BODY_METHODS = frozenset({"POST", "PUT", "DELETE"})


class AiohttpTransport:
    """One pooled way to one host, and the web sockets beside it; made inside a running event loop.

    `stream_url` None: the host has no user stream. `trust_env`: https goes through the proxy that the
    environment names. `ssl_context` (tests: a private authority) must verify certificates and names.
    """

    def __init__(
        self,
        rest_url: str,
        clock: Clock,
        *,
        stream_url: str | None = None,
        trust_env: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        keepalive_s: float = KEEPALIVE_S,
        body_bytes_max: int = BODY_BYTES_MAX,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
        heartbeat_s: float = HEARTBEAT_S,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        if ssl_context is not None and not (
            ssl_context.check_hostname and ssl_context.verify_mode == ssl.CERT_REQUIRED
        ):
            raise ValueError("the TLS context must verify certificates and host names")
        self._clock = clock
        self._url = URL(rest_url)
        self._stream_url = stream_url
        self._prefix = self._url.raw_path.rstrip("/")
        self._connect_timeout_s = connect_timeout_s
        self._body_bytes_max = body_bytes_max
        self._message_bytes_max = message_bytes_max
        self._heartbeat_s = heartbeat_s
        self._connections_max = connections_max
        self._timeouts = _within(connect_timeout_s)
        self._connector = aiohttp.TCPConnector(
            ssl=ssl_context if ssl_context is not None else True,
            limit=connections_max,
            keepalive_timeout=keepalive_s,
            timeout_ceil_threshold=3_600,
        )
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeouts,
            auto_decompress=False,
            middlewares=(_refuse_redirects,),
        )
        self._proxy = _proxy_of(self._url) if trust_env else None
        self._destination = _destination(self._url, self._session, self._proxy)
        self._fixed_head = (
            f" HTTP/1.1\r\nHost: {self._destination.headers['Host']}\r\n"
            "User-Agent: execution-worker\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\n"
        )
        self._seen: weakref.WeakSet[ResponseHandler] = weakref.WeakSet()

    async def request(
        self, request: HttpRequest, *, timeout_s: float, guard: Guard | None = None
    ) -> WireResult:
        """Send once; never repeated, whatever becomes of it. `timeout_s` covers all of it, the body too."""
        wire = self._bytes_of(request)
        if wire is None:
            return NotConnected("the request holds characters that HTTP does not carry")
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        sent_ms: int | None = None
        connection: Connection | None = None
        expiry: asyncio.TimerHandle | None = None
        try:
            connection, protocol, way = await self._connection(timeout_s)
            if loop.time() >= end_s:
                raise TimeoutError
            if guard is not None and (reason := guard()) is not None:
                connection.release()
                return NotConnected(reason, held=True)
            sent_ms = self._clock.wall_ms()
            way.write(wire)
            expiry = loop.call_at(end_s, way.abort)
            reply = await self._reply(protocol, sent_ms)
            connection.release()
        except FAULTS as fault:
            _cut(connection)
            if sent_ms is None:
                return NotConnected(why_not_connected(fault))
            return Lost(why_lost(TimeoutError() if loop.time() >= end_s else fault))
        except asyncio.CancelledError:
            _cut(connection)
            if connection is None and self._connector.closed and not _is_canceled():
                # It waited for a connection or a name; closing cancels such waits.
                return NotConnected("the transport was closed")
            raise
        except BaseException:
            # The guard itself is broken.
            _cut(connection)
            raise
        finally:
            if expiry is not None:
                expiry.cancel()
        return reply

    def _bytes_of(self, request: HttpRequest) -> bytes | None:
        """The request as it leaves, in one piece; None when it would end a line early or is not ASCII."""
        target = f"{self._prefix}{request.path}"
        if request.query:
            target = f"{target}?{request.query}"
        lines = [request.method, " ", target, self._fixed_head]
        sound = _TARGET.fullmatch(target) and _HEADER_NAME.fullmatch(request.method)
        for name, value in request.headers:
            sound = sound and _HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)
            lines += (name, ": ", value, "\r\n")
        if not sound:
            return None
        if request.body:
            if not any(name.lower() == "content-type" for name, _ in request.headers):
                lines.append("Content-Type: application/x-www-form-urlencoded\r\n")
            lines.append(f"Content-Length: {len(request.body)}\r\n")
        elif request.method in _BODY_METHODS:
            lines.append("Content-Length: 0\r\n")
        lines.append("\r\n")
        return "".join(lines).encode("ascii") + request.body

    async def _connection(self, timeout_s: float) -> tuple[Connection, ResponseHandler, asyncio.Transport]:
        """A connection on which nothing is on the way; for one from the pool nothing is awaited.

        A kept connection with anything to read was closed by the other side, or holds a reply that nobody
        asked for (a 408 for idleness), which would pass for the reply to the next request.
        """
        limits = self._timeouts if timeout_s >= self._connect_timeout_s else _within(timeout_s)
        for _ in range(self._connections_max + 1):
            connection = await self._connector.connect(self._destination, traces=[], timeout=limits)
            protocol, way = connection.protocol, connection.transport
            if protocol is not None and way is not None and not way.is_closing():
                if protocol not in self._seen:
                    self._seen.add(protocol)
                    return connection, protocol, way
                if not protocol.should_close and not _has_news(way):
                    return connection, protocol, way
            connection.close()
        raise NoReplyError("every kept connection was closed by the other side")

    async def _reply(self, protocol: ResponseHandler, sent_ms: int) -> HttpReply:
        protocol.set_response_params(read_until_eof=True, auto_decompress=False)
        for _ in range(_INTERIM_REPLIES_MAX):
            message, payload = await protocol.read()
            if message.code >= 200 or message.code == 101:
                break
        else:
            raise NoReplyError("too many interim replies")
        if message.code < 200:
            raise NoReplyError("an upgrade that nobody asked for")
        body = await self._body(payload)
        if body and not message.chunked and "Content-Length" not in message.headers:
            # Such a body ends where the connection ends: nobody can tell a whole one from a cut one.
            raise NoReplyError("a body without a length")
        if len(protocol):
            raise NoReplyError("more than one reply")
        if message.compression is not None:
            body = self._unpacked(body, message.compression)
        headers: dict[str, str] = {}
        for name, value in message.headers.items():
            headers.setdefault(name.lower(), value)
        return HttpReply(message.code, headers, body, sent_ms, self._clock.wall_ms())

    async def _body(self, payload: StreamReader) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while True:
            piece = await payload.readany()
            size += len(piece)
            if size > self._body_bytes_max:
                raise NoReplyError(f"a body of more than {self._body_bytes_max} bytes")
            pieces.append(piece)
            if payload.at_eof():
                return b"".join(pieces) if len(pieces) > 1 else piece

    def _unpacked(self, body: bytes, encoding: str) -> bytes:
        """The body unpacked, never more than its limit in memory; only gzip was asked for."""
        if encoding != "gzip":
            raise NoReplyError("a body in an encoding that was not asked for")
        inflator = zlib.decompressobj(wbits=31)
        plain = inflator.decompress(body, self._body_bytes_max + 1)
        if len(plain) > self._body_bytes_max:
            raise NoReplyError(f"a body of more than {self._body_bytes_max} bytes")
        if not inflator.eof or inflator.unused_data:
            raise NoReplyError("a packed body that is cut short or over-long")
        return plain

    async def stream(
        self,
        path: str,
        opened: Callable[[], None] | None = None,
        *,
        first: FirstMessage | None = None,
    ) -> AsyncIterator[bytes | StreamClosed]:
        """The messages of a web socket, StreamClosed the last; `path` may hold a secret, no text does."""
        if self._stream_url is None:
            yield StreamClosed("this host has no user stream", unserved=True)
            return
        try:
            async with asyncio.timeout(2 * self._connect_timeout_s):
                channel = await self._session.ws_connect(
                    URL(self._stream_url.rstrip("/") + path, encoded=True),
                    heartbeat=self._heartbeat_s,
                    max_msg_size=self._message_bytes_max,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                    decode_text=False,
                    proxy=self._proxy,
                )
        except (*FAULTS, ValueError, RuntimeError) as fault:
            yield StreamClosed(why_no_stream(fault), unserved=is_unserved(fault))
            return
        try:
            if opened is not None:
                opened()
            if first is not None and (why := await _say(channel, first)) is not None:
                yield StreamClosed(why)
                return
            while True:
                message = await channel.receive()
                if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    yield message.data
                    continue
                yield StreamClosed(why_stream_closed(channel.close_code, message.data))
                return
        finally:
            await channel.close()

    async def close(self) -> None:
        """Close every connection; requests in flight end as Lost, streams as StreamClosed."""
        await self._session.close()


async def _say(channel: aiohttp.ClientWebSocketResponse[Literal[False]], first: FirstMessage) -> str | None:
    """Make the first message and send it at once; why it did not leave."""
    message = first()
    if message is None:
        return "nothing may be sent now"
    try:
        await channel.send_str(message.decode("ascii"))
    except (*FAULTS, RuntimeError) as fault:
        return why_stream_closed(channel.close_code, fault)
    return None


async def _refuse_redirects(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """A redirect would carry the listen key to another host."""
    response = await handler(request)
    if 300 <= response.status < 400:
        response.close()
        raise RedirectError("redirected")
    return response


def _within(connect_timeout_s: float) -> aiohttp.ClientTimeout:
    """Time limits for making a connection, to the millisecond; those of a reply are kept by the caller."""
    return aiohttp.ClientTimeout(
        total=None, connect=connect_timeout_s, sock_connect=connect_timeout_s, ceil_threshold=3_600
    )


def _destination(url: URL, session: aiohttp.ClientSession, proxy: URL | None) -> aiohttp.ClientRequest:
    """Where connections of this transport lead: the one request object that the connector is asked with."""
    headers: dict[str, str] | None = None
    if proxy is not None and proxy.user is not None:
        login = aiohttp.encode_basic_auth(proxy.user, proxy.password or "")
        # The host too: the connector adds it otherwise, and the key of its pool with it.
        headers = {"Proxy-Authorization": login, "Host": url.host_port_subcomponent or ""}
        proxy = proxy.with_user(None)
    return aiohttp.ClientRequest(
        "GET",
        url.origin(),
        loop=asyncio.get_running_loop(),
        session=session,
        proxy=proxy,
        proxy_headers=headers,
    )


def _cut(connection: Connection | None) -> None:
    """Close at once: what the kernel still holds of the request is dropped instead of sent later on."""
    if connection is None:
        return
    if (way := connection.transport) is not None and (kept := way.get_extra_info("socket")) is not None:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP_UNSENT)
        way.abort()
    connection.close()


def _proxy_of(url: URL) -> URL | None:
    """The environment's proxy for an https host; what is not https stays on this host and needs none."""
    if url.scheme != "https" or url.host is None or proxy_bypass(url.host):
        return None
    named = getproxies().get("https")
    return URL(named) if named else None


def _is_canceled() -> bool:
    """True when somebody canceled the running task, rather than something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _has_news(way: asyncio.Transport) -> bool:
    """True when the kernel holds bytes, an end or an error that the event loop has not seen yet."""
    poll = select.poll()
    poll.register(way.get_extra_info("socket").fileno(), select.POLLIN | select.POLLPRI)
    return bool(poll.poll(0))
