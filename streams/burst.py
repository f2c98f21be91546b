"""One read burst: what a file holds after a position, if it is still the file the position speaks of.

Everything is judged from bytes read through one descriptor, which is closed before the burst ends,
so that a rename or a truncation between two looks cannot mix two files.
"""

from __future__ import annotations

import os
import stat
from typing import Literal

import msgspec

from streams.position import MARKER_BYTES, marker_of

EMPTY_MARKER = marker_of(b"")

# Nothing is written back to the folder and no FIFO can block the reader.
_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

_STEP_BACK_BYTES = 65_536


class Spot(msgspec.Struct, frozen=True):
    """Where to read on: a file by device and inode, a byte offset, and the marker before it."""

    device: int
    inode: int
    offset: int
    marker: str


class Chunk(msgspec.Struct, frozen=True):
    """Bytes from an offset on. `before` are the <= 64 bytes before them; size and mtime are of the fstat."""

    before: bytes
    data: bytes
    size: int
    mtime_ns: int


class Changed(msgspec.Struct, frozen=True):
    """The file is no longer the one the position speaks of."""

    reason: Literal["truncated", "replaced", "marker"]


class Unreadable(msgspec.Struct, frozen=True):
    """The file cannot be read now; `gone` when its name no longer exists."""

    gone: bool


def read_burst(
    path: str, spot: Spot, *, until: int, chunk_bytes: int, max_line_bytes: int
) -> Chunk | Changed | Unreadable:
    """Up to `chunk_bytes` of `path` from the spot on, never beyond `until`, checked against the marker.

    Reads on to `max_line_bytes` + 1 when the chunk holds no whole line, so that a chunk without a
    newline is either all there is or longer than a line may be.
    """
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except OSError as error:
        return Unreadable(gone=isinstance(error, FileNotFoundError))
    try:
        return _read_checked(descriptor, spot, until, chunk_bytes, max_line_bytes)
    except OSError:
        return Unreadable(gone=False)
    finally:
        os.close(descriptor)


def _read_checked(
    descriptor: int, spot: Spot, until: int, chunk_bytes: int, max_line_bytes: int
) -> Chunk | Changed | Unreadable:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return Unreadable(gone=False)
    if (status.st_dev, status.st_ino) != (spot.device, spot.inode):
        return Changed("replaced")
    if status.st_size < spot.offset:
        return Changed("truncated")
    before_bytes = min(MARKER_BYTES, spot.offset)
    wanted = min(chunk_bytes, max(0, until - spot.offset))
    # One call for both: the marker and the bytes behind it are of the same moment.
    read = os.pread(descriptor, before_bytes + wanted, spot.offset - before_bytes)
    before, data = read[:before_bytes], read[before_bytes:]
    if len(before) < before_bytes:
        return Changed("truncated")
    if marker_of(before) != spot.marker:
        return Changed("marker")
    end = spot.offset + len(data)
    if end < until and len(data) <= max_line_bytes and b"\n" not in data:
        data += os.pread(descriptor, min(max_line_bytes + 1 - len(data), until - end), end)
    return Chunk(before, data, status.st_size, status.st_mtime_ns)


class LinesEnd(msgspec.Struct, frozen=True):
    """Where the whole lines of a file end, and the marker there; mtime only when nothing follows."""

    spot: Spot
    mtime_ns: int


def find_lines_end(path: str) -> LinesEnd | None:
    """The end of the last whole line of `path`, None when it cannot be read."""
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        offset = _last_newline_end(descriptor, status.st_size)
        before_bytes = min(MARKER_BYTES, offset)
        before = os.pread(descriptor, before_bytes, offset - before_bytes)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    spot = Spot(status.st_dev, status.st_ino, offset, marker_of(before))
    return LinesEnd(spot, status.st_mtime_ns if offset == status.st_size else 0)


def _last_newline_end(descriptor: int, size: int) -> int:
    end = size
    while end > 0:
        start = max(0, end - _STEP_BACK_BYTES)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
