"""One worker per store: an exclusive flock on the folder itself, so that there is no lock file to remove."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from store import statements as sql
from store.errors import StoreError, StoreHeldError
from store.paths import DATABASE, read_only_uri


class FolderLock:
    """Held until `release` or the end of the process; `intact` tells whether it still guards the path."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self._folder = str(folder)
        self._descriptor = descriptor
        held = os.fstat(descriptor)
        self._identity = (held.st_dev, held.st_ino)

    @classmethod
    def acquire(cls, folder: Path) -> FolderLock:
        """Lock `folder`, creating it when missing.

        Raises StoreHeldError naming the holder, StoreError when the folder cannot be made or opened.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StoreError(
                f"store folder {folder} cannot be used ({error.strerror}): make it writable for this user, "
                "or give the worker another --output"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sentence = _held_sentence(folder, descriptor)
            os.close(descriptor)
            raise StoreHeldError(sentence) from None
        return cls(folder, descriptor)

    def intact(self) -> bool:
        """Whether the path still leads to the folder that is locked."""
        try:
            now = os.stat(self._folder)
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == self._identity

    def release(self) -> None:
        """Give the folder free."""
        os.close(self._descriptor)


def _held_sentence(folder: Path, descriptor: int) -> str:
    pid = holder_pid(descriptor)
    since = _holder_since(folder, pid)
    who = f"pid {pid}" if pid is not None else "another process"
    when = f" since {since}" if since else ""
    return (
        f"store {folder / DATABASE} is held by {who}{when}: "
        "stop that worker, or give this one its own --output"
    )


def holder_pid(descriptor: int) -> int | None:
    """The process that holds an flock on the descriptor's file, by /proc/locks; None when it is not told."""
    status = os.fstat(descriptor)
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if len(fields) >= 6 and fields[1] == "FLOCK" and fields[5] == wanted and int(fields[4]) > 0:
            return int(fields[4])
    return None


def lock_holder(folder: Path) -> int | None:
    """The process that holds the store in `folder`; None when nobody does."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return holder_pid(descriptor)
    finally:
        os.close(descriptor)


def _holder_since(folder: Path, pid: int | None) -> str | None:
    try:
        with closing(sqlite3.connect(read_only_uri(folder / DATABASE), uri=True)) as connection:
            row = connection.execute(sql.OWNER).fetchone()
    except sqlite3.Error:
        return None
    if row is None or row[0] != pid:
        return None
    return datetime.fromtimestamp(row[1] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
