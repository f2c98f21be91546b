"""Calls that block, in threads that nobody waits for.

The loop's own threads are joined when it ends: a name server or a library that hangs would hold the stop of
the worker up. These are left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

Result = TypeVar("Result")
# What a library raises when the world or its own code is at fault.
FAULTS = (OSError, ValueError, TypeError, RuntimeError, LookupError, AttributeError, ImportError)


async def aside(call: Callable[[], Result], what: str) -> Result:
    """What `call` returns; raises OSError, with no word of what was raised there, when it fails."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Result] = loop.create_future()

    def done(results: list[Result]) -> None:
        if found.done():
            return
        if results:
            found.set_result(results[0])
        else:
            found.set_exception(OSError(f"{what} did not succeed"))

    def run() -> None:
        results: list[Result] = []
        with contextlib.suppress(*FAULTS):
            results.append(call())
        # The loop may be gone by now, and with it everybody who would listen.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(done, results)

    threading.Thread(target=run, name=what, daemon=True).start()
    return await found


class Names:
    """Looks names of hosts up aside; aiohttp's resolver."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host."""
        found = await aside(
            lambda: socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM), "name lookup"
        )
        return [_result(host, each) for each in found]

    async def close(self) -> None:
        """Nothing is held."""


def _result(host: str, found: tuple[Any, ...]) -> ResolveResult:
    family, _, protocol, _, address = found
    return {
        "hostname": host,
        "host": address[0],
        "port": address[1],
        "family": family,
        "proto": protocol,
        "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    }
