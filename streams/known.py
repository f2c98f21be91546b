"""Positions of files that are not there under a name at the moment: durable ones, and vanished ones.

Pure. A file is recognised by device and inode, whatever it is called now; the caller still has to
check the marker, because inodes are used again.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest
from operator import attrgetter

from streams.position import SourcePosition

# Vanished files that are remembered for a rename still to be seen; durable positions come on top.
VANISHED_MAX = 4_096

FileKey = tuple[int, int]

_name_of = attrgetter("name")
_mtime_of = attrgetter("mtime_ns")


class KnownFiles:
    """What is remembered, by name and by identity."""

    def __init__(self, positions: Iterable[SourcePosition]) -> None:
        self._by_name: dict[str, SourcePosition] = {}
        self._by_key: dict[FileKey, SourcePosition] = {}
        for position in positions:
            self.remember(position)
        self._known_max = VANISHED_MAX + len(self._by_name)

    def remember(self, known: SourcePosition) -> None:
        """Keep a position until its file turns up again; the oldest are forgotten beyond a bound."""
        self._by_name[known.name] = known
        # The further position wins where one file has two: the other name was left behind by a rename.
        other = self._by_key.setdefault((known.device, known.inode), known)
        if other is not known and (other.name == known.name or other.offset < known.offset):
            self._by_key[_key_of(known)] = known

    def trim(self) -> None:
        """Forget the oldest beyond the bound."""
        while len(self._by_name) > self._known_max:
            oldest = self._by_name.pop(next(iter(self._by_name)))
            if self._by_key.get(_key_of(oldest)) is oldest:
                del self._by_key[_key_of(oldest)]

    def cold(self, names: Iterable[tuple[str, int]], device: int, hot_files: int) -> dict[str, int]:
        """Of the files called so, with their inodes: those that need no look soon, the last named first.

        They were read to their ends, and are neither among the `hot_files` last named nor among the
        last written of such files: a producer goes on with what it named or wrote last.
        """
        by_name = self._by_name
        finished = [
            known
            for name, inode in names
            if (known := by_name.get(name)) is not None
            and known.mtime_ns
            and known.inode == inode
            and known.device == device
        ]
        finished.sort(key=_name_of, reverse=True)
        hot = set(nlargest(hot_files, map(_mtime_of, finished)))
        return {known.name: known.inode for known in finished[hot_files:] if known.mtime_ns not in hot}

    def claim(self, name: str, key: FileKey) -> SourcePosition | None:
        """The position of the file `key` now called `name`: the one under that name, else another's."""
        named = self._by_name.get(name)
        by_key = self._by_key.pop(key, None)
        if named is not None and _key_of(named) == key:
            return self._by_name.pop(name)
        return by_key

    def was_replaced(self, name: str) -> bool:
        """Whether another file had this name, and has not turned up under a new one; asked once."""
        named = self._by_name.pop(name, None)
        return named is not None and named.offset > 0 and self._by_key.get(_key_of(named)) is named


def _key_of(known: SourcePosition) -> FileKey:
    return (known.device, known.inode)
