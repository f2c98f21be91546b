"""The wire as the client sees it: one request, one reply, or which half of the way was lost.

Pure words and a protocol. Two wires speak it: aiohttp, and the exchange of the tests in virtual time.
What carries keys, signatures or listen keys shows none of them in its repr.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

import msgspec

from adapters.contract import Guard


class HttpRequest(msgspec.Struct, frozen=True):
    """The exact bytes that leave. `query` and `body` are percent-encoded already and not touched again.

    `path` begins with a slash. No wire ever repeats a request by itself.
    """

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        """Method and path alone: the query is signed, the headers hold the key."""
        return f"HttpRequest({self.method} {self.path})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """The same for tracebacks that print local variables."""
        return [("method", self.method), ("path", self.path)]


class HttpReply(msgspec.Struct, frozen=True):
    """A whole reply; header names in lower case. `sent_ms`, `received_ms`: host's wall clock."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_ms: int = 0
    received_ms: int = 0

    def __repr__(self) -> str:
        """Status and size alone: a body may be a listen key."""
        return f"HttpReply({self.status}, {len(self.body)} bytes)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """The same for tracebacks that print local variables."""
        return [("status", self.status), ("body_bytes", len(self.body))]


class NotConnected(msgspec.Struct, frozen=True):
    """Provably nothing left: refused, name not found, TLS failed, or the guard's reason (`held`)."""

    why: str
    held: bool = False


class Lost(msgspec.Struct, frozen=True):
    """The first byte may have left and no whole reply came: reset, silence, a cut or over-long body."""

    why: str


WireResult = HttpReply | NotConnected | Lost


class StreamClosed(msgspec.Struct, frozen=True):
    """The stream ended; what happened since is only known by REST. `unserved`: the host has none there."""

    why: str
    unserved: bool = False


# What is sent first on a web socket, made when it stands; None: nothing may leave now. It may be signed.
FirstMessage = Callable[[], bytes | None]


class Transport(Protocol):
    """One pooled way to one host. Calls may overlap. Never raises for the world's faults."""

    async def request(
        self, request: HttpRequest, *, timeout_s: float, guard: Guard | None = None
    ) -> WireResult:
        """Send once; `guard` is asked right before the first byte, with nothing awaited in between."""

    def stream(
        self,
        path: str,
        opened: Callable[[], None] | None = None,
        *,
        first: FirstMessage | None = None,
    ) -> AsyncIterator[bytes | StreamClosed]:
        """The messages of a web socket at `path` (from the host's root); ends with StreamClosed.

        `opened` is called when the connection stands: what happens from then on is told. What `first` makes
        is sent right then.
        """

    async def close(self) -> None:
        """Release the connections."""
