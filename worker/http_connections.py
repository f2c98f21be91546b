"""The connections of the status server: few at a time, paced, and each with a bounded life.

Whoever opens many, says nothing, speaks slowly or asks without end costs the worker a small share of
its time: they are taken one per turn of the loop and answered in paced order, the others wait in the
kernel. When all places are taken, the oldest that has not asked yet makes room, so that a probe of this
host still gets through.
"""

from __future__ import annotations

import asyncio
import gc
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import web

from worker.http import CONNECTIONS_MAX

# From connecting to the last byte of the answer.
CONNECTION_S_MAX = 10.0
CLOSE_S_MAX = 1.0
HEADER_BYTES_MAX = 4_096
HEADERS_MAX = 64
# Who has come is given this long to ask while others wait; what it waited in the kernel comes on top.
GRACE_S = 0.05
# What one that comes and one that asks are reckoned at, and how much may come at once: 1 000 connections
# and 100 requests a second. Each costs the loop about a tenth of that; a long answer counts for several.
ACCEPT_S, REQUEST_S, BURST_S = 0.001, 0.01, 0.1
ANSWER_BYTES = 16_384
# All places are taken, or no descriptors are left: it is no use to look at once.
FULL_S, REST_S = 0.02, 0.5
# A closed connection leaves some thirty objects that refer to each other. The worker's collector looks every
# 50 000 only, which in a crowd are 20 MiB; the youngest alone are looked through in less than a millisecond.
CLEARED_EVERY = 64
HEADERS = {
    "Server": "execution-worker",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def _plain(status: str, text: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\nServer: execution-worker\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode()


TOO_MANY = _plain("503 Service Unavailable", "too many connections\n")
TOO_SLOW = _plain("408 Request Timeout", "the request did not come in time\n")


class Pace:
    """When the next connection may be taken."""

    def __init__(self) -> None:
        self._due_s = 0.0

    def charge(self, now_s: float, cost_s: float) -> None:
        """Reckon something that was done; what was saved up is at most BURST_S."""
        self._due_s = max(self._due_s, now_s - BURST_S) + cost_s

    def wait_s(self, now_s: float) -> float:
        """How long to wait before the next."""
        return max(0.0, self._due_s - now_s)


class Connections:
    """Takes connections from a listening socket and bounds them.

    One that has come waits as a bare socket until it says something; only then, and in paced order, it
    becomes a connection that understands HTTP.
    """

    def __init__(self, listener: socket.socket, answer: Answer) -> None:
        self.taken = self.dropped = self.too_slow = 0
        self._listener = listener
        self._answer = answer
        self._loop = asyncio.get_running_loop()
        self._server = web.Server(self._respond)
        self._pace_coming, self._pace_asking = Pace(), Pace()
        # Who has said nothing yet, the oldest first, with the time of its coming; then who waits its turn.
        self._silent: dict[socket.socket, float] = {}
        self._asking: deque[tuple[socket.socket, float]] = deque()
        self._open: set[Connection] = set()
        # Those whose request is not complete, the oldest first.
        self._slow: dict[Connection, float] = {}
        self._opening: set[asyncio.Task[object]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._closed = False
        self._left = 0

    def listen(self) -> None:
        """Take connections from now on."""
        if not self._closed:
            self._loop.add_reader(self._listener, self._take)

    def status(self) -> dict[str, object]:
        """What /status shows of them."""
        return {
            "connections": self._held(),
            "taken": self.taken,
            "dropped": self.dropped,
            "too_slow": self.too_slow,
        }

    def _held(self) -> int:
        return len(self._silent) + len(self._asking) + len(self._open)

    def _later(self, name: str, delay_s: float, call: Callable[[], None]) -> None:
        """One timer of each name."""
        if name not in self._timers and not self._closed:
            self._timers[name] = self._loop.call_later(delay_s, self._now, name, call)

    def _now(self, name: str, call: Callable[[], None]) -> None:
        del self._timers[name]
        call()

    def _take(self) -> None:
        """One connection, then everybody else's turn."""
        now_s = self._loop.time()
        if not self._has_room(now_s):
            # It waits in the kernel: being turned away would only make it come again at once.
            self._rest(FULL_S)
            return
        try:
            peer, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError:
            self._rest(REST_S)
            return
        self.taken += 1
        peer.setblocking(False)
        self._silent[peer] = now_s
        self._loop.add_reader(peer, self._spoke, peer)
        self._later("sweep", CONNECTION_S_MAX, self._sweep)
        self._pace_coming.charge(now_s, ACCEPT_S)
        wait_s = self._pace_coming.wait_s(now_s)
        if wait_s:
            self._rest(wait_s)

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._later("listen", seconds, self.listen)

    def _has_room(self, now_s: float) -> bool:
        """Whether there is a place; the oldest that has not asked leaves its own."""
        if self._held() < CONNECTIONS_MAX:
            return True
        silent, slow = next(iter(self._silent), None), next(iter(self._slow), None)
        if silent is not None and now_s - self._silent[silent] >= GRACE_S:
            self._hang_up(silent, TOO_MANY)
        elif slow is not None and now_s - self._slow[slow] >= GRACE_S:
            self.leave(slow)
            slow.end(TOO_MANY)
        else:
            return False
        self.dropped += 1
        return True

    def _hang_up(self, peer: socket.socket, last_words: bytes) -> None:
        self._loop.remove_reader(peer)
        del self._silent[peer]
        _turn_away(peer, last_words)

    def _sweep(self) -> None:
        """End what has been silent for too long; the others are asked when the next one's time is over."""
        oldest_s = self._loop.time() - CONNECTION_S_MAX
        while (peer := next(iter(self._silent), None)) is not None:
            left_s = self._silent[peer] - oldest_s
            if left_s > 0:
                self._later("sweep", left_s, self._sweep)
                return
            self.too_slow += 1
            self._hang_up(peer, TOO_SLOW)

    def _spoke(self, peer: socket.socket) -> None:
        """It says something, or has gone."""
        self._loop.remove_reader(peer)
        came_s = self._silent.pop(peer)
        try:
            gone = not peer.recv(1, socket.MSG_PEEK)
        except OSError:
            gone = True
        if gone:
            peer.close()
            return
        self._asking.append((peer, came_s))
        self._open_next()

    def _open_next(self) -> None:
        now_s = self._loop.time()
        while self._asking and not self._closed:
            wait_s = self._pace_asking.wait_s(now_s)
            if wait_s:
                self._later("open", wait_s, self._open_next)
                return
            self._pace_asking.charge(now_s, REQUEST_S)
            peer, came_s = self._asking.popleft()
            connection = Connection(self._server, self)
            self._open.add(connection)
            self._slow[connection] = came_s
            self._start(peer, connection)

    def _start(self, peer: socket.socket, connection: Connection) -> None:
        task = self._loop.create_task(self._loop.connect_accepted_socket(lambda: connection, peer))
        self._opening.add(task)
        task.add_done_callback(lambda done: self._opened(done, connection))

    def _opened(self, task: asyncio.Task[object], connection: Connection) -> None:
        self._opening.discard(task)
        if task.cancelled() or task.exception() is not None:
            # Gone before it could be looked after.
            self.leave(connection)

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        self.asked(connection)
        response = await self._answer(request)
        length = response.content_length if isinstance(response, web.Response) else None
        self._pace_asking.charge(self._loop.time(), REQUEST_S * (length or 0) / ANSWER_BYTES)
        return response

    def asked(self, connection: Connection) -> None:
        """Its request is complete."""
        self._slow.pop(connection, None)

    def leave(self, connection: Connection) -> None:
        """Make room."""
        self._open.discard(connection)
        self._slow.pop(connection, None)
        self._left += 1
        if self._left % CLEARED_EVERY == 0:
            gc.collect(0)

    def overdue(self, connection: Connection) -> None:
        """Its time is over."""
        self.too_slow += 1
        if connection in self._slow:
            connection.end(TOO_SLOW)
        else:
            connection.abort()

    async def close(self) -> None:
        """Stop listening, give running answers a second, cut the rest; may be repeated."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._listener)
            self._listener.close()
            for timer in self._timers.values():
                timer.cancel()
            for peer in list(self._silent):
                self._hang_up(peer, b"")
            while self._asking:
                self._asking.popleft()[0].close()
        await asyncio.gather(*self._opening, return_exceptions=True)
        self._server.pre_shutdown()
        await self._server.shutdown(CLOSE_S_MAX)


def _turn_away(peer: socket.socket, last_words: bytes) -> None:
    """Say so and close, without making a connection of it."""
    with suppress(OSError):
        peer.send(last_words)
    with suppress(OSError):
        # What is left unread would reach the peer as a reset, before the sentence.
        peer.recv(65_536)
    peer.close()


class Connection(web.RequestHandler):
    """One bounded connection."""

    __slots__ = ("_connections", "_deadline", "_wire")

    def __init__(self, server: web.Server, connections: Connections) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # the library's own way to say "none"
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            max_headers=HEADERS_MAX,
            lingering_time=0,
            # A small body must not become a large one.
            auto_decompress=False,
        )
        self._connections = connections
        self._deadline: asyncio.TimerHandle | None = None
        self._wire: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the time for everything starts now."""
        assert isinstance(transport, asyncio.Transport)
        self._wire = transport
        self._deadline = asyncio.get_running_loop().call_later(
            CONNECTION_S_MAX, self._connections.overdue, self
        )
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room."""
        self._connections.leave(self)
        self._wire = None
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def end(self, last_words: bytes) -> None:
        """Close it, with a whole answer that was not asked for."""
        if self._wire is not None:
            self._wire.write(last_words)
            self.force_close()

    def abort(self) -> None:
        """Cut it."""
        if self._wire is not None:
            self._wire.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to our own bugs, which are logged, and to what is no HTTP: that anybody may send."""
        self._connections.asked(self)
        if status >= 500 or request.writer.output_size:
            response = super().handle_error(request, status, exc, message)
        else:
            response = web.Response(status=status, text="this is no request that is answered here\n")
            response.force_close()
        response.headers.update(HEADERS)
        return response
