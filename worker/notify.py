"""What systemd is told: ready, status, stopping, still alive (sd_notify(3), Type=notify).

One datagram per word to the socket in $NOTIFY_SOCKET. Without that variable every call does nothing.
A word that cannot be delivered is dropped and counted: the worker never waits for its supervisor.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

STATUS_CHARACTERS_MAX = 500


class Notifier:
    """A line to the service manager. No call raises or blocks; each says whether its word was delivered."""

    def __init__(self, address: str | None, watchdog_s: float | None) -> None:
        self.watchdog_s = watchdog_s
        self.undelivered = 0
        self._address = address
        self._socket: socket.socket | None = None
        self._status = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], pid: int | None = None) -> Notifier:
        """The notifier that NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID describe.

        `watchdog_s` is the longest time between two watchdog() calls, None when nobody watches this process.
        """
        address = environ.get("NOTIFY_SOCKET", "")
        if address.startswith("@"):
            address = "\0" + address[1:]
        elif not address.startswith("/"):
            return cls(None, None)
        return cls(address, _watchdog_s(environ, os.getpid() if pid is None else pid))

    def ready(self) -> bool:
        """The worker holds its lock and its store: units that wait for it may start."""
        return self._send("READY=1")

    def status(self, text: str) -> bool:
        """One line for `systemctl status`; sent only when it changed."""
        line = " ".join(text.split())[:STATUS_CHARACTERS_MAX]
        if line == self._status:
            return True
        self._status = line
        return self._send(f"STATUS={line}")

    def watchdog(self) -> bool:
        """Every task turns."""
        return self._send("WATCHDOG=1") if self.watchdog_s is not None else False

    def stopping(self) -> bool:
        """The worker has begun to stop."""
        return self._send("STOPPING=1")

    def close(self) -> None:
        """Release the socket; later calls open it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, word: str) -> bool:
        if self._address is None:
            return False
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.setblocking(False)
            self._socket.sendto(word.encode("utf-8", "replace"), self._address)
        except OSError:
            self.undelivered += 1
            return False
        return True


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    usec, owner = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not usec.isascii() or not usec.isdigit() or int(usec) == 0:
        return None
    if owner and owner != str(pid):
        return None
    return int(usec) / 1_000_000
