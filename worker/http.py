"""The status server's door: the port is taken at start, the server behind it comes when there is time.

`bind_socket` listens before anything else happens, so a busy port ends the start with a sentence and
early callers wait instead of being refused. aiohttp costs 140 ms to import; `serve` imports it in a
thread, after the first signals are on their way.
"""

from __future__ import annotations

import asyncio
import errno
import importlib
import os
import socket
from pathlib import Path
from typing import Protocol

from worker.http_desk import Desk
from worker.metrics import Metrics
from worker.page.sights import Sights

# Prometheus, a probe and a few people; what exceeds it is refused.
CONNECTIONS_MAX = 64
# Those that wait in the kernel until they are taken: half a second of them.
WAITING_MAX = 512
COMMAND_CHARACTERS_MAX = 80
LISTENING = "0A"
REMEDY = "set execution.http.port to another one (0 takes any free one)"


class BindError(Exception):
    """The status server cannot have its address."""


class PortBusyError(BindError):
    """Another process listens there."""


class Probe(Protocol):
    """What the status server asks the worker; every call is cheap and never blocks."""

    def alive(self) -> str | None:
        """None while every task turns, else the sentence that says which does not."""

    def ready(self) -> str | None:
        """None while recovery is done, the store commits and input is read, else what is missing."""

    def status(self) -> dict[str, object]:
        """Everything /status shows, without secrets."""


class Server(Protocol):
    """A running status server."""

    @property
    def port(self) -> int:
        """The port it listens on."""

    async def close(self) -> None:
        """Stop listening, give running answers a second, cut the rest; may be repeated."""


def bind_socket(host: str, port: int) -> socket.socket:
    """A socket that listens on `host`:`port` already; port 0 takes any free one.

    Raises PortBusyError, naming the holder where the kernel tells, and BindError for all else.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BindError(f"http host {host!r} means no address ({error}): set execution.http.host") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Two sockets with SO_REUSEADDR may bind one port as long as neither listens.
        listener.listen(WAITING_MAX)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortBusyError(
                f"http port {host}:{port} is in use by {holder_of(port)}: stop that process, or {REMEDY}"
            ) from error
        why = (error.strerror or str(error)).lower()
        raise BindError(f"http port {host}:{port} cannot be taken ({why}): {REMEDY}") from error
    return listener


async def serve(
    sock: socket.socket,
    *,
    metrics: Metrics,
    probe: Probe,
    sights: Sights | None = None,
    desk: Desk | None = None,
) -> Server:
    """Answer on `sock`, which the server owns from now on.

    `sights` is what its page looks at, `desk` takes halts and resumes.
    """
    endpoints = await asyncio.to_thread(importlib.import_module, "worker.http_endpoints")
    server: Server = await endpoints.start(sock, metrics, probe, sights, desk)
    return server


def holder_of(port: int, proc: Path = Path("/proc")) -> str:
    """`pid 4121 (python -m worker)` for whoever listens on `port`, as far as /proc may be read."""
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port, proc)}
    for folder in proc.glob("[0-9]*") if wanted else ():
        if _holds(folder / "fd", wanted):
            return f"pid {folder.name} ({_command(folder)})"
    return "another process, which this user may not see"


def _listening_inodes(port: int, proc: Path) -> set[str]:
    inodes: set[str] = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / name).read_text("ascii").splitlines()[1:]
        except (OSError, ValueError):
            continue
        for fields in map(str.split, lines):
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes


def _holds(descriptors: Path, wanted: set[str]) -> bool:
    try:
        names = os.listdir(descriptors)
    except OSError:
        # Ended meanwhile, or of another user.
        return False
    return any(_target(descriptors / name) in wanted for name in names)


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return "closed meanwhile"


def _command(folder: Path) -> str:
    try:
        words = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return "ended meanwhile"
    text = " ".join(words).strip()[:COMMAND_CHARACTERS_MAX]
    return "".join(c if c.isprintable() else "?" for c in text) or "no command line"
