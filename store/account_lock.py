"""One worker per account key on this host, whatever store it writes: two would trade one account twice.

On Linux an abstract Unix socket, which has no file that could be removed and ends with the process; the
kernel tells its holder's pid. It reaches as far as the network namespace, so containers do not see each
other's. Elsewhere an flock on a file in the folder for temporary files.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import struct
import sys
import tempfile
from pathlib import Path

from store.errors import AccountHeldError, StoreError

_FINGERPRINT = re.compile(r"[A-Za-z0-9_-]{4,64}")
_NAME = "execution-worker-account-"
# Everyone who was refused stays in the queue, because nobody accepts; only their pid question needs room.
_BACKLOG = 4_096
_CREDENTIALS = struct.Struct("3i")


def account_holder(fingerprint: str, *, by_socket: bool = sys.platform == "linux") -> str | None:
    """The sentence of who trades this account on this host; None while nobody does. Takes nothing."""
    assert _FINGERPRINT.fullmatch(fingerprint), fingerprint
    held, pid = _asked_socket(fingerprint) if by_socket else _asked_file(fingerprint)
    return _held_sentence(fingerprint, pid) if held else None


class AccountLock:
    """Held until `release` or the end of the process."""

    def __init__(self, held: socket.socket | int) -> None:
        self._held = held

    @classmethod
    def acquire(cls, fingerprint: str, *, by_socket: bool = sys.platform == "linux") -> AccountLock:
        """Take the account whose key has this fingerprint.

        Raises AccountHeldError naming the holder, StoreError when this host cannot lock.
        """
        assert _FINGERPRINT.fullmatch(fingerprint), fingerprint
        return cls(_by_socket(fingerprint) if by_socket else _by_file(fingerprint))

    def release(self) -> None:
        """Give the account free."""
        if isinstance(self._held, int):
            os.close(self._held)
        else:
            self._held.close()


def _by_socket(fingerprint: str) -> socket.socket:
    name = f"\0{_NAME}{fingerprint}"
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        lock.bind(name)
        lock.listen(_BACKLOG)
    except OSError as error:
        lock.close()
        if error.errno != errno.EADDRINUSE:
            raise StoreError(
                f"account {fingerprint} cannot be locked on this host ({error.strerror})"
            ) from None
        raise AccountHeldError(_held_sentence(fingerprint, _listener(name))) from None
    return lock


def _listener(name: str) -> int | None:
    """The process that listens at a socket; None when it is not told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as question:
        question.setblocking(False)
        try:
            question.connect(name)
            told = question.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return None
    pid: int = _CREDENTIALS.unpack(told)[0]
    return pid or None


def _asked_socket(fingerprint: str) -> tuple[bool, int | None]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as question:
        question.setblocking(False)
        try:
            question.connect(f"\0{_NAME}{fingerprint}")
            told = question.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except ConnectionRefusedError:
            return False, None
        except OSError:
            return True, None
    return True, _CREDENTIALS.unpack(told)[0] or None


def _asked_file(fingerprint: str) -> tuple[bool, int | None]:
    path = Path(tempfile.gettempdir()) / f"{_NAME}{fingerprint}.lock"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False, None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        said = os.read(descriptor, 20)
        return True, int(said) if said.isdigit() else None
    finally:
        os.close(descriptor)
    return False, None


def _by_file(fingerprint: str) -> int:
    path = Path(tempfile.gettempdir()) / f"{_NAME}{fingerprint}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"account {fingerprint} cannot be locked by {path} ({error.strerror}): "
            "remove that file, or run as the user it belongs to"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        said = os.read(descriptor, 20)
        os.close(descriptor)
        raise AccountHeldError(_held_sentence(fingerprint, int(said) if said.isdigit() else None)) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _held_sentence(fingerprint: str, pid: int | None) -> str:
    who = f"pid {pid}" if pid is not None else "another process"
    return (
        f"the account of key {fingerprint} is traded by {who} on this host: "
        "stop that worker, or give this one another account"
    )
