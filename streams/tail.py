"""The tail of one symbol's folder: rotating files read as one stream, in order, nothing lost.

Blocking and single-threaded; `streams.jsonl` runs each `pull` in one thread hop. Reading goes in
*rounds*. A round stats its files from the newest to the oldest, then the folder, and then reads them
from the oldest to the newest, each only up to the size that was seen. So when a byte of a later file
is handed on, every earlier file was stat-ed after that byte was seen, and read to that end: a
producer that appends to the old file and then to the new one is never overtaken.

What a round stats: the last 16 files by order, every file that a hint, the sweep or a listing named,
and every file with unread bytes. Colder files rest on hints and on the sweep; a late append to one
of them whose hint was lost may therefore be overtaken by newer files. It is never lost. The same
holds for the first rounds after a start: of the files that were finished before it, the 16 last
named and the 16 last written are stat-ed at once, like every file that was not finished; the colder
ones in the rounds that follow. A tail that ends with its input (`once`) stats all of them at once.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path

from config.seams import Clock
from config.settings import Source as SourceSettings
from streams.burst import Changed, Chunk, LinesEnd, Unreadable, find_lines_end, read_burst
from streams.catalog import IGNORED_REASONS, RESET_REASONS, Catalog
from streams.codec import RAW_BYTES_MAX, decode_lines, malformed
from streams.position import MARKER_BYTES, SourcePosition, marker_of
from streams.segment import SOURCE_KIND, JsonlBatch, Segment, Slice
from streams.signal import Place, Record, Signal
from streams.tailed_file import Skip, TailedFile

# One pull looks at no more than this without giving the event loop a turn.
PULL_BYTES_MAX = 16 * 1_048_576
# What a burst costs at least, in the same currency, so that empty files are counted too.
_BURST_COST_BYTES = 512


class Tail:
    """The files of one symbol, as records. `pull` reads, `take` hands out; never both at a time."""

    def __init__(
        self,
        signals_dir: Path,
        symbol: str,
        positions: Iterable[SourcePosition],
        *,
        settings: SourceSettings,
        clock: Clock,
        once: bool,
    ) -> None:
        self.symbol = symbol
        relative = f"ready/signal/{symbol}"
        own = (position for position in positions if position.source == SOURCE_KIND)
        self.catalog = Catalog(
            str(signals_dir / relative),
            symbol,
            own,
            retry_s=settings.rescan_ms / 1_000,
            may_rest=not once,
        )
        self._place_prefix = f"{relative}/"
        self._settings = settings
        self._quiet_s = settings.quiet_ms / 1_000
        self._clock = clock
        self._once = once
        self._queue: deque[TailedFile] = deque()
        self._segments: deque[Segment] = deque()
        self._taken = 0
        self._budget = 0
        self._file_bytes = 0
        self._held_bytes = 0
        self.ready = 0
        # True when the last pull stopped for its budget: there is more, and no hint will come for it.
        self.unfinished = False

    @property
    def backlog_bytes(self) -> int:
        """Bytes that the last round saw and that were not read, or not all handed out."""
        return max(0, self._file_bytes) + self._held_bytes

    def pull(self, limit: int, hints: Iterable[str] | None = ()) -> None:
        """Read until `limit` records are ready, nothing new is there, or the budget is spent.

        `hints` names files that may have changed, None says that all may. Nothing is lost when the
        caller goes away: what was read stays here until it is taken.
        """
        if hints is None:
            self.catalog.suspect_all()
        else:
            self.catalog.hint(hints)
        self._budget = PULL_BYTES_MAX
        moved = True
        while self.ready < limit and self._budget > 0:
            if not self._queue:
                if self.ready or not moved:
                    break
                moved = False
                self._begin_round()
                if not self._queue:
                    break
            moved = self._advance(self._queue[0]) or moved
        self.unfinished = self._budget <= 0

    def take(self, limit: int) -> JsonlBatch:
        """Up to `limit` of the records that are ready."""
        records: list[Record] = []
        slices: list[Slice] = []
        while self._segments and len(records) < limit:
            segment = self._segments[0]
            part = segment.records[self._taken : self._taken + limit - len(records)]
            slices.append(Slice(len(records), self._taken, segment))
            records += part
            self._taken += len(part)
            if self._taken == len(segment.records):
                self._held_bytes -= len(segment.data)
                self._segments.popleft()
                self._taken = 0
        self.ready -= len(records)
        return JsonlBatch(records, slices)

    def ends(self) -> list[SourcePosition]:
        """Where the whole lines of every file end now; moves nothing."""
        now_s = self._clock.monotonic_s()
        self.catalog.begin_round(now_s)
        self.catalog.rouse(now_s, self.catalog.resting)
        found = ((file.name, find_lines_end(file.path)) for file in self.catalog.order)
        return [self._end_position(name, end) for name, end in found if end is not None]

    def _end_position(self, name: str, end: LinesEnd) -> SourcePosition:
        spot = end.spot
        return SourcePosition(
            symbol=self.symbol,
            source=SOURCE_KIND,
            name=name,
            device=spot.device,
            inode=spot.inode,
            offset=spot.offset,
            marker=spot.marker,
            mtime_ns=end.mtime_ns,
        )

    def _begin_round(self) -> None:
        self._queue = deque(self.catalog.begin_round(self._clock.monotonic_s()))
        self._file_bytes = sum(max(0, file.identity.size - file.offset) for file in self._queue)

    def _abandon_round(self) -> None:
        """What was stat-ed no longer holds: later files must wait for a new look at the earlier ones."""
        self._queue.clear()

    def _advance(self, file: TailedFile) -> bool:
        """Read one chunk of the first file in the queue; True when that got anywhere."""
        outcome = read_burst(
            file.path,
            file.spot,
            until=file.identity.size,
            chunk_bytes=self._settings.chunk_bytes,
            max_line_bytes=self._settings.max_line_bytes,
        )
        self._budget -= _BURST_COST_BYTES
        match outcome:
            case Unreadable(gone=gone):
                if gone:
                    self.catalog.vanished(file)
                    self._abandon_round()
                    return True
                self.catalog.unreadable(file, self._clock.monotonic_s())
                self._queue.popleft()
                return False
            case Changed(reason="replaced"):
                self.catalog.vanished(file)
                self._abandon_round()
                return True
            case Changed(reason=reason):
                self.catalog.reset(file, reason)
                self._abandon_round()
                return True
            case Chunk():
                self._budget -= len(outcome.data)
                file.retry_s = None
                return self._consume(file, outcome)

    def _consume(self, file: TailedFile, chunk: Chunk) -> bool:
        if chunk.size < file.identity.size:
            # It shrank since it was stat-ed; what is left may still be what it was.
            self._abandon_round()
            return True
        if file.inherited:
            at_end = file.offset == chunk.size
            self.catalog.confirm(file, chunk.mtime_ns if at_end else 0)
        if file.skip is not None:
            return self._pass_over(file, file.skip, chunk)
        data = chunk.data
        end = data.rfind(b"\n") + 1
        if end:
            self._emit(file, chunk, self._decode(file, data[:end]), end)
        rest = data[end:]
        reached = file.offset + len(rest) >= file.identity.size
        if len(rest) > self._settings.max_line_bytes and not end:
            return self._begin_skip(file, chunk)
        if not reached:
            return bool(end)
        if not rest:
            self._end_file(file)
            return bool(end)
        return self._meet_unended(file, chunk, end) or bool(end)

    def _decode(self, file: TailedFile, lines: bytes) -> list[Record]:
        return decode_lines(
            lines,
            base_offset=file.offset,
            symbol=self.symbol,
            file=self._place_prefix + file.name,
            max_line_bytes=self._settings.max_line_bytes,
        )

    def _emit(self, file: TailedFile, chunk: Chunk, records: list[Record], end: int) -> None:
        """Make the records ready and move behind `end` bytes of the chunk; the file is at its start."""
        data = chunk.data[:end]
        at_end = file.offset + end == chunk.size
        if records:
            self._segments.append(
                Segment(
                    symbol=self.symbol,
                    name=file.name,
                    device=file.identity.device,
                    inode=file.identity.inode,
                    base=file.offset,
                    before=chunk.before,
                    data=data,
                    mtime_ns=chunk.mtime_ns if at_end else 0,
                    records=records,
                    carried=tuple(self.catalog.carried),
                )
            )
            self.catalog.carried.clear()
            self.ready += len(records)
            self._held_bytes += len(data)
        self._move(file, chunk.before, data)

    def _move(self, file: TailedFile, before: bytes, data: bytes) -> None:
        file.offset += len(data)
        file.marker = marker_of(before + data if len(data) < MARKER_BYTES else data)
        self._file_bytes -= len(data)

    def _end_file(self, file: TailedFile) -> None:
        self.catalog.unended.discard(file)
        self.catalog.done(file)
        self._queue.popleft()

    def _meet_unended(self, file: TailedFile, chunk: Chunk, start: int) -> bool:
        """Decide about a last line without its newline; True when the round got further."""
        now_s = self._clock.monotonic_s()
        is_last = self.catalog.order[-1] is file
        if is_last and not self._once:
            self.catalog.unended.add(file)
            self.catalog.done(file)
            self._queue.popleft()
            return False
        if self._once or now_s >= file.changed_s + self._quiet_s:
            self._take_unended(file, chunk, start)
            return True
        self.catalog.unended.add(file)
        return self._hold(file, now_s)

    def _take_unended(self, file: TailedFile, chunk: Chunk, start: int) -> None:
        """Take the line if it is a signal; else it stays unread until the file changes."""
        rest = chunk.data[start:]
        if file.skip is None and rest:
            records = self._decode(file, rest)
            if len(records) == 1 and isinstance(records[0], Signal):
                before = (chunk.before + chunk.data[:start])[-MARKER_BYTES:]
                self._emit(file, Chunk(before, rest, chunk.size, chunk.mtime_ns), records, len(rest))
        self._end_file(file)

    def _hold(self, file: TailedFile, now_s: float) -> bool:
        """Keep later files waiting for this line, but never longer than the quiet time."""
        if file.hold_offset != file.offset:
            file.hold_offset, file.hold_since_s = file.offset, now_s
        held_until_s = file.hold_since_s + self._quiet_s
        self.catalog.due_at(file.changed_s + self._quiet_s)
        if now_s >= held_until_s:
            self._queue.popleft()
        else:
            self.catalog.due_at(held_until_s)
            self._abandon_round()
        return False

    def _begin_skip(self, file: TailedFile, chunk: Chunk) -> bool:
        """Start to pass over what is longer than a line may be: never more than a chunk is in memory."""
        data = chunk.data
        nul_bytes = len(data) - len(data.lstrip(b"\0"))
        if 0 < nul_bytes < len(data):
            self._move(file, chunk.before, data[:nul_bytes])
            return True
        file.skip = Skip(file.offset, file.marker, data[:RAW_BYTES_MAX], only_nul=nul_bytes > 0)
        return self._scan_on(file, chunk)

    def _pass_over(self, file: TailedFile, skip: Skip, chunk: Chunk) -> bool:
        data = chunk.data
        found = len(data) - len(data.lstrip(b"\0")) if skip.only_nul else data.find(b"\n") + 1
        if skip.only_nul and found < len(data):
            # Bytes follow the run, so it is a scar and not space that the producer has yet to fill.
            file.skip = None
            self._move(file, chunk.before, data[:found])
            return True
        if skip.only_nul or not found:
            return self._scan_on(file, chunk)
        place = Place(self._place_prefix + file.name, skip.start, file.offset + found - 1 - skip.start)
        file.skip = None
        self._emit(file, chunk, [malformed(self.symbol, "line_too_long", place, skip.raw)], found)
        if file.offset >= file.identity.size:
            self._end_file(file)
        return True

    def _scan_on(self, file: TailedFile, chunk: Chunk) -> bool:
        self._move(file, chunk.before, chunk.data)
        if file.offset < file.identity.size:
            return True
        skip = file.skip
        if skip is not None and skip.only_nul:
            # Perhaps space that the producer filled with NUL beforehand: looked at again from its start.
            file.offset, file.marker, file.skip = skip.start, skip.marker, None
        return self._meet_unended(file, chunk, len(chunk.data))


def counts_of(tails: Iterable[Tail]) -> tuple[Counter[str], Counter[str]]:
    """The resets and the ignored files of all tails together; may be asked while a thread pulls."""
    catalogs = [tail.catalog for tail in tails]
    resets = {reason: sum(each.resets[reason] for each in catalogs) for reason in RESET_REASONS}
    ignored = {reason: sum(each.ignored[reason] for each in catalogs) for reason in IGNORED_REASONS}
    return Counter(resets), Counter(ignored)
