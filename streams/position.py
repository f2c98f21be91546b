"""Source positions: how far a source was read, and how to know that it is still the same source.

Pure. A position is trusted only together with its marker; when either no longer matches, reading
starts over, which the keys make harmless.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

MARKER_BYTES = 64


class SourcePosition(msgspec.Struct, frozen=True, gc=False):
    """The durable position of one symbol in one file or table; one row per (symbol, source, name).

    JSONL: `offset` is the byte after the last committed line, `marker` the hash of the <= 64 bytes
    before it, `mtime_ns` the file's when `offset` was its size (0 otherwise). SQLite: `offset` is the
    rowid (or ts_ms for WITHOUT ROWID tables), `marker` the identity of the row there, `detail` a JSON
    object with what else the cursor needs.
    """

    symbol: str
    source: str
    name: str
    device: int
    inode: int
    offset: int
    marker: str
    mtime_ns: int = 0
    detail: str = ""


def marker_of(before: bytes) -> str:
    """The marker for the bytes that end at an offset; only the last 64 count."""
    return blake2b(before[-MARKER_BYTES:], digest_size=16).hexdigest()
