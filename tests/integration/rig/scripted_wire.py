"""A wire without a network, for the client in virtual time."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from urllib.parse import parse_qsl

from adapters.binance.transport import (
    FirstMessage,
    HttpReply,
    HttpRequest,
    NotConnected,
    StreamClosed,
    WireResult,
)
from adapters.contract import Guard
from config.seams import Clock

SKEW_MS = 2_500


class ScriptedWire:
    """A wire without a network: tells the time, and else answers as scripted; a whole 200 when it is not."""

    def __init__(
        self, clock: Clock, script: list[WireResult] | None = None, *, connect_s: float = 0.0
    ) -> None:
        self.clock = clock
        self.skew_ms = SKEW_MS
        self.script = deque(script or [])
        self.connect_s = connect_s
        self.sent: list[HttpRequest] = []
        self.trip_s = 0.002

    async def request(
        self, request: HttpRequest, *, timeout_s: float, guard: Guard | None = None
    ) -> WireResult:
        await self.clock.sleep(self.connect_s)
        if self.script and isinstance(self.script[0], NotConnected):
            return self.script.popleft()
        if guard is not None and (reason := guard()) is not None:
            return NotConnected(reason, held=True)
        self.sent.append(request)
        await self.clock.sleep(self.trip_s)
        if request.path == "/fapi/v1/time" and not self.script:
            body = b'{"serverTime":%d}' % (self.clock.wall_ms() + self.skew_ms)
            await self.clock.sleep(self.trip_s)
            return HttpReply(200, {}, body)
        return self.script.popleft() if self.script else HttpReply(200, {}, b"{}")

    async def stream(
        self,
        path: str,
        opened: Callable[[], None] | None = None,
        *,
        first: FirstMessage | None = None,
    ) -> AsyncIterator[bytes | StreamClosed]:
        yield StreamClosed("none here")

    async def close(self) -> None:
        """Nothing to close."""

    def params(self, number: int = -1) -> dict[str, str]:
        """What a sent request said, from the query and the body."""
        request = self.sent[number]
        return dict(parse_qsl(request.query or request.body.decode()))
