"""What comes in at the exchange's door and what goes out: plain values, so that the engine has no I/O.

The server turns sockets into these; tests in virtual time hand them over directly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec


class Incoming(msgspec.Struct, frozen=True):
    """One request as received; `query` and `body` raw, header names in lower case, `peer` for IP limits."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = {}
    peer: str = "127.0.0.1"


class Reply(msgspec.Struct, frozen=True):
    """The reply that is due; `wire` says what the client gets to see of it, after `delay_s`.

    `whole`: all of it · `reset`: the connection is cut instead · `silence`: nothing, the connection stays
    open · `truncated`: headers and half of the body, then the connection is cut.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    wire: Literal["whole", "reset", "silence", "truncated"] = "whole"
    delay_s: float = 0.0


class Push(msgspec.Struct, frozen=True):
    """One user-stream message for the connections of `listen_key`; `close` cuts them instead."""

    listen_key: str
    message: bytes = b""
    close: bool = False
