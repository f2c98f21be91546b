"""One worker per account and host (draft)."""

from __future__ import annotations

import socket
import struct

from store.errors import StoreHeldError


class AccountLock:
    """Held for the life of the process."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    @classmethod
    def acquire(cls, fingerprint: str) -> AccountLock:
        """Raises StoreHeldError."""
        name = f"\0execution-worker-account-{fingerprint}"
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(name)
            sock.listen(8)
        except OSError:
            sock.close()
            raise StoreHeldError(f"the account is held by pid {_holder(name)}: stop that worker") from None
        return cls(sock)

    def release(self) -> None:
        """Give it free."""
        self._sock.close()


def _holder(name: str) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(1)
        sock.connect(name)
        return int(struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])
