"""Positions of files that are not there under a name at the moment: durable ones, and vanished ones.

Pure. A file is recognised by device and inode, whatever it is called now; the caller still has to
check the marker, because inodes are used again.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from streams.position import SourcePosition

# Vanished files that are remembered for a rename still to be seen; durable positions come on top.
VANISHED_MAX = 4_096

FileKey = tuple[int, int]


class Known(msgspec.Struct, frozen=True):
    """How far the file with this device and inode was read, and the name it had; mtime as in a position."""

    name: str
    key: FileKey
    offset: int
    marker: str
    mtime_ns: int


class KnownFiles:
    """What is remembered, by name and by identity."""

    def __init__(self, positions: Iterable[SourcePosition]) -> None:
        self._by_name: dict[str, Known] = {}
        self._by_key: dict[FileKey, Known] = {}
        for position in positions:
            key = (position.device, position.inode)
            self.remember(Known(position.name, key, position.offset, position.marker, position.mtime_ns))
        self._known_max = VANISHED_MAX + len(self._by_name)

    def remember(self, known: Known) -> None:
        """Keep a position until its file turns up again; the oldest are forgotten beyond a bound."""
        self._by_name[known.name] = known
        # The further position wins where one file has two: the other name was left behind by a rename.
        other = self._by_key.get(known.key)
        if other is None or other.name == known.name or other.offset < known.offset:
            self._by_key[known.key] = known

    def trim(self) -> None:
        """Forget the oldest beyond the bound."""
        while len(self._by_name) > self._known_max:
            oldest = self._by_name.pop(next(iter(self._by_name)))
            if self._by_key.get(oldest.key) is oldest:
                del self._by_key[oldest.key]

    def claim(self, name: str, key: FileKey) -> Known | None:
        """The position of the file `key` now called `name`: the one under that name, else another's."""
        named = self._by_name.get(name)
        by_key = self._by_key.pop(key, None)
        if named is not None and named.key == key:
            return self._by_name.pop(name)
        return by_key

    def was_replaced(self, name: str) -> bool:
        """Whether another file had this name, and has not turned up under a new one; asked once."""
        named = self._by_name.pop(name, None)
        return named is not None and named.offset > 0 and self._by_key.get(named.key) is named
