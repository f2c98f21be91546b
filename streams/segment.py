"""Records of one file chunk, and batches of them that know which positions each prefix reaches.

Pure. A position is made only when it is asked for: one hash per file and batch, none per record.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from streams.position import MARKER_BYTES, SourcePosition, marker_of
from streams.signal import Record

SOURCE_KIND = "jsonl"


class Segment(msgspec.Struct, frozen=True):
    """The records of `data`, whole lines of one file that start at `base`.

    `before` holds the at most 64 bytes before `base`; `mtime_ns` is set only when the file ended
    where `data` ends. `carried` are positions that earlier renames owe, due with the first record.
    """

    symbol: str
    name: str
    device: int
    inode: int
    base: int
    before: bytes
    data: bytes
    mtime_ns: int
    records: list[Record]
    carried: tuple[SourcePosition, ...] = ()

    def position_after(self, index: int) -> SourcePosition:
        """The position once `records[index]` is committed; the last one covers the blank lines behind it."""
        if index == len(self.records) - 1:
            return self._position_at(len(self.data), self.mtime_ns)
        place = self.records[index].place
        newline = self.data.find(b"\n", place.offset + place.length - self.base)
        assert newline >= 0, "only the last line of a segment may be unterminated"
        return self._position_at(newline + 1, 0)

    def _position_at(self, cut: int, mtime_ns: int) -> SourcePosition:
        window = self.data[max(0, cut - MARKER_BYTES) : cut]
        if cut < MARKER_BYTES:
            window = self.before + window
        return SourcePosition(
            symbol=self.symbol,
            source=SOURCE_KIND,
            name=self.name,
            device=self.device,
            inode=self.inode,
            offset=self.base + cut,
            marker=marker_of(window),
            mtime_ns=mtime_ns,
        )


class Slice(msgspec.Struct, frozen=True):
    """A run of a segment's records inside a batch: from `start` in the batch, `first` in the segment."""

    start: int
    first: int
    segment: Segment


class JsonlBatch:
    """Records in source order over as many files as it takes."""

    def __init__(self, records: Sequence[Record], slices: Sequence[Slice]) -> None:
        self.records: Sequence[Record] = records
        self._slices = slices
        self._starts = [part.start for part in slices]

    def positions(self, start: int, end: int) -> Sequence[SourcePosition]:
        """One position for each file that `records[start:end]` touches, the furthest; see `Batch`."""
        assert 0 <= start <= end <= len(self.records), (start, end)
        found: dict[str, SourcePosition] = {}
        if start == end:
            return ()
        first = bisect_right(self._starts, start) - 1
        stop = bisect_right(self._starts, end - 1)
        # Backwards, so that the furthest position of a file is the one that is made and kept.
        for part in reversed(self._slices[first:stop]):
            name = part.segment.name
            if name not in found:
                found[name] = part.segment.position_after(part.first + self._last_of(part, end) - part.start)
            for carried in part.segment.carried:
                found.setdefault(carried.name, carried)
        return tuple(reversed(found.values()))

    def _last_of(self, part: Slice, end: int) -> int:
        following = bisect_right(self._starts, part.start)
        part_end = self._starts[following] if following < len(self._starts) else len(self.records)
        return min(end, part_end) - 1
