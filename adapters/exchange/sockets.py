"""Web sockets of the exchange: the user streams by listen key, and the WebSocket API for spot.

A connection follows one or several listen keys, raw (`/ws/KEY`, `/private/ws?listenKey=KEY`) or with the
stream's name around each message (`/stream?streams=KEY`, or `SUBSCRIBE` later). A client that does not read
is cut when `WAITING_MAX` messages wait for it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from urllib.parse import parse_qs

import msgspec
from aiohttp import ClientConnectionResetError, WSMsgType, web

from adapters.exchange.engine import Exchange
from adapters.exchange.messages import Push
from config.seams import Clock

WAITING_MAX = 1_000
MESSAGE_BYTES_MAX = 1 << 16
KEYS_MAX = 200
# The exchange pings every three minutes and drops who does not answer.
HEARTBEAT_S = 180.0
API_PATHS = ("/ws-api/v3", "/ws-fapi/v1")


class _Command(msgspec.Struct):
    """`SUBSCRIBE` and its kind, as a client sends them over an open connection."""

    method: str
    params: list[str] | None = None
    id: int | str | None = None


def cut(transport: asyncio.BaseTransport | None) -> None:
    """Cut a connection the hard way: what waits is thrown away and the peer sees a reset."""
    if not isinstance(transport, asyncio.WriteTransport) or transport.is_closing():
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        # Without lingering a close is a reset.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class _Connection:
    """One open web socket and the messages that wait for it."""

    def __init__(self, request: web.Request, keys: list[str], *, wrapped: bool) -> None:
        self.socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MESSAGE_BYTES_MAX)
        self.keys = set(keys[:KEYS_MAX])
        self._wrapped = wrapped
        self._transport = request.transport
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(WAITING_MAX)

    def push(self, key: str, message: bytes) -> None:
        """Queue one message of `key`."""
        if self._wrapped:
            message = b'{"stream":%s,"data":%s}' % (msgspec.json.encode(key), message)
        self.say(message)

    def say(self, message: bytes) -> None:
        """Queue these very bytes; a client that is too far behind is cut."""
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            self.cut()

    async def write(self) -> None:
        """Send what waits, until cancelled or gone."""
        with suppress(ClientConnectionResetError):
            while True:
                message = await self._waiting.get()
                await self.socket.send_str(message.decode())

    def cut(self) -> None:
        """End it without a goodbye."""
        cut(self._transport)


class Sockets:
    """Every open web socket, found by the key that it follows."""

    def __init__(self, exchange: Exchange, clock: Clock, *, after: Callable[[], None]) -> None:
        self._exchange = exchange
        self._clock = clock
        self._after = after
        self._followers: defaultdict[str, set[_Connection]] = defaultdict(set)
        self._opened = 0

    @staticmethod
    def wants(request: web.Request) -> bool:
        """Whether the request asks for a web socket."""
        return request.headers.get("Upgrade", "").lower() == "websocket"

    async def serve(self, request: web.Request, path: str, query: str) -> web.StreamResponse:
        """Speak on one web socket until either side ends it."""
        if path in API_PATHS:
            return await self._serve_api(request)
        keys = followed(path, query)
        if keys is None:
            return web.Response(
                status=404, text="no stream there: /ws/KEY, /private/ws or /stream?streams=KEY\n"
            )
        now_ms = self._clock.wall_ms()
        if not all(self._exchange.open_stream(key, now_ms) for key in keys):
            return web.Response(status=400, text="the listen key does not exist or has expired\n")
        connection = _Connection(request, keys, wrapped=is_wrapped(path))
        return await self._speak(request, connection, self._obey)

    async def _serve_api(self, request: web.Request) -> web.StreamResponse:
        self._opened += 1
        name = f"connection-{self._opened}"
        connection = _Connection(request, [name], wrapped=False)

        def ask(connection: _Connection, message: bytes) -> None:
            connection.say(self._exchange.handle_socket(name, message, self._clock.wall_ms()))
            self._after()

        try:
            return await self._speak(request, connection, ask)
        finally:
            self._exchange.close_socket(name)

    async def _speak(
        self, request: web.Request, connection: _Connection, hear: Callable[[_Connection, bytes], None]
    ) -> web.StreamResponse:
        await connection.socket.prepare(request)
        self._follow(connection, connection.keys)
        writer = asyncio.create_task(connection.write(), name="stream writer")
        try:
            async for message in connection.socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    data = message.data
                    hear(connection, data.encode() if isinstance(data, str) else data)
        finally:
            self._forget(connection, connection.keys)
            writer.cancel()
            with suppress(asyncio.CancelledError):
                await writer
        return connection.socket

    def _obey(self, connection: _Connection, message: bytes) -> None:
        try:
            command = msgspec.json.decode(message, type=_Command)
        except (msgspec.DecodeError, UnicodeDecodeError):
            connection.say(_error(None, 3, "Invalid JSON"))
            return
        keys = set((command.params or [])[:KEYS_MAX])
        match command.method:
            case "SUBSCRIBE":
                connection.keys |= keys
                self._follow(connection, keys)
                result: list[str] | None = None
            case "UNSUBSCRIBE":
                self._forget(connection, keys)
                connection.keys -= keys
                result = None
            case "LIST_SUBSCRIPTIONS":
                result = sorted(connection.keys)
            case _:
                connection.say(_error(command.id, 2, f"Invalid request: unknown method {command.method}"))
                return
        connection.say(msgspec.json.encode({"result": result, "id": command.id}))

    def send(self, pushes: Iterable[Push]) -> None:
        """Hand each message to the connections of its key; one for nobody is gone, as at the real one."""
        for push in pushes:
            for connection in tuple(self._followers.get(push.listen_key, ())):
                if push.close:
                    connection.cut()
                else:
                    connection.push(push.listen_key, push.message)

    def close(self) -> None:
        """Cut every connection."""
        for connection in {one for each in self._followers.values() for one in each}:
            connection.cut()

    def _follow(self, connection: _Connection, keys: Iterable[str]) -> None:
        for key in keys:
            self._followers[key].add(connection)

    def _forget(self, connection: _Connection, keys: Iterable[str]) -> None:
        for key in keys:
            self._followers[key].discard(connection)
            if not self._followers[key]:
                del self._followers[key]


def followed(path: str, query: str) -> list[str] | None:
    """The listen keys that a web socket's address names; None: there is no stream at that path."""
    routed = path.removeprefix("/private").removeprefix("/public").removeprefix("/market")
    given = parse_qs(query)
    if routed.startswith("/ws/") and routed.count("/") == 2:
        return [routed.removeprefix("/ws/")]
    if routed == "/ws":
        return given.get("listenKey", [])
    if routed == "/stream":
        streams = [key for names in given.get("streams", []) for key in names.split("/") if key]
        return streams + given.get("listenKey", [])
    return None


def is_wrapped(path: str) -> bool:
    """Whether each message comes with its stream's name around it."""
    return path.endswith("/stream")


def _error(request_id: int | str | None, code: int, text: str) -> bytes:
    return msgspec.json.encode({"error": {"code": code, "msg": text}, "id": request_id})
