"""Room in the WAL: its file is as long as it gets before the first order waits for a commit.

A commit that makes the file longer also waits for the file system's own journal, which it shares with
everybody else on the disk; one that writes over bytes that are there already waits for its own alone. That
takes half the time or less. SQLite keeps the file's length when it begins again at its front, and ends its
reading at the first frame that is none, as zeros are.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from store.connection import WAL_CHECKPOINT_PAGES

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
# The commit that passes the mark is written whole, and a checkpoint may have to wait for a reader.
_SPARE_PAGES = 400


def make_room(connection: sqlite3.Connection, path: Path) -> str | None:
    """Lengthen the WAL of the database at `path` with zeros; why not, or None. May be repeated.

    In the thread that owns `connection`, outside of a transaction. Without room nothing is lost but time.
    """
    try:
        page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
        wanted = _HEADER_BYTES + (WAL_CHECKPOINT_PAGES + _SPARE_PAGES) * (_FRAME_HEADER_BYTES + page_bytes)
        # The write lock: nobody adds a frame or begins the WAL anew where the zeros go.
        connection.execute("BEGIN IMMEDIATE")
        try:
            _lengthen(Path(f"{path}-wal"), wanted)
        finally:
            connection.execute("ROLLBACK")
    except (sqlite3.Error, OSError) as error:
        return f"the WAL of {path} could not be lengthened ({error})"
    return None


def _lengthen(path: Path, wanted: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor).st_size
        if found >= wanted:
            return
        try:
            _write_zeros(descriptor, found, wanted - found)
            os.fsync(descriptor)
        except OSError:
            # A full disk has better uses for what was written so far.
            os.ftruncate(descriptor, found)
            raise
    finally:
        os.close(descriptor)


def _write_zeros(descriptor: int, offset: int, count: int) -> None:
    zeros = bytes(count)
    done = 0
    while done < count:
        done += os.pwrite(descriptor, memoryview(zeros)[done:], offset + done)
