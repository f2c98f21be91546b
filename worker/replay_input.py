"""What `--signals` names, as parts that are read once, and their records merged over symbols.

The order is fixed: by time, then by symbol, and within a symbol as its source has them. A late line keeps its
place behind the lines before it, as live; a single file is taken line by line.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from typing import Final, Generic, TypeVar, cast

import msgspec

from config.seams import Clock
from config.settings import Execution
from streams.choice import SIGNAL_FOLDER, resolve_kind
from streams.codec import own_symbol
from streams.parquet import MAGIC as PARQUET_MAGIC
from streams.parquet import ParquetPart
from streams.signal import Malformed, Signal
from streams.sqlite import FILE_NAMES
from streams.sqlite_whole import MAGIC as SQLITE_MAGIC
from streams.sqlite_whole import WholeTable
from streams.whole import FilePart, FolderPart, InputFile, Part, WholeInputError

# What all parts together hold in memory, in bytes of lines, and one read of one of them: what is worked on
# at a time stays in a core's own cache.
HELD_BYTES_MAX = 8 * 2**20
CHUNK_BYTES_MIN, CHUNK_BYTES_MAX = 16 * 2**10, 64 * 2**10
# The kind of an input of lines, in a folder or a file.
LINES: Final = "jsonl"


_time = itemgetter(0)
_SIGNALS_ALONE = {Signal}


class Misread(msgspec.Struct, frozen=True, gc=False):
    """A malformed record, and the time that it takes from its neighbours."""

    found: Malformed
    ts_ms: int


Item = Signal | Misread
T = TypeVar("T")


class Input:
    """All signals of one replay. `symbols` None: all that are found. Raises WholeInputError.

    `among` is how many symbols are read beside each other, here or in other processes.
    """

    def __init__(
        self,
        path: Path,
        symbols: Sequence[str] | None,
        execution: Execution,
        clock: Clock,
        *,
        among: int = 1,
    ) -> None:
        self._closing = ExitStack()
        self._among = among
        self._wanted = None if symbols is None else frozenset(symbols)
        self.kind = ""
        try:
            self.parts = self._open(path, symbols, execution, clock)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise WholeInputError(f"{path} cannot be read ({why}): let this user read it") from None

    @property
    def files(self) -> list[InputFile]:
        """Every file that is read, once, in a fixed order."""
        found = {file.name: file for part in self.parts for file in part.files}
        return [found[name] for name in sorted(found)]

    @property
    def total(self) -> int:
        """How much there is, in bytes or rows."""
        return sum(part.total for part in self.parts)

    @property
    def done(self) -> int:
        """How much of it was handed out."""
        return sum(part.done for part in self.parts)

    @property
    def unfinished(self) -> int:
        """Last lines without an end that are no signals."""
        return sum(part.unfinished for part in self.parts)

    def bursts(self) -> Iterator[list[Item]]:
        """The records in their order. Raises WholeInputError."""
        streams = [_stream(part, None if part.symbol else self._wanted) for part in self.parts]
        yield from streams[0] if len(streams) == 1 else merged_items(streams)

    def close(self) -> None:
        """Let go of the files."""
        self._closing.close()

    def _open(
        self, path: Path, symbols: Sequence[str] | None, execution: Execution, clock: Clock
    ) -> Sequence[Part]:
        if not path.exists():
            raise WholeInputError(f"{path} does not exist: name a folder or a file with signals")
        if path.is_file():
            return self._file(path, symbols, execution)
        kind = resolve_kind(execution.sink.kind, path)
        if kind != LINES:
            self.kind = kind
            if not (path / FILE_NAMES[kind]).is_file():
                raise WholeInputError(f"{path} has no {FILE_NAMES[kind]}: name a folder with signals")
            return self._table(path / FILE_NAMES[kind], symbols)
        self.kind = LINES
        found = symbols if symbols is not None else _symbols_in(path / SIGNAL_FOLDER)
        share = max(HELD_BYTES_MAX // max(len(found), self._among), CHUNK_BYTES_MIN)
        chunk_bytes = min(execution.source.chunk_bytes, share, CHUNK_BYTES_MAX)
        parts = [
            FolderPart(path, symbol, settings=execution.source, clock=clock, chunk_bytes=chunk_bytes)
            for symbol in sorted(found)
        ]
        if not any(part.files for part in parts):
            raise WholeInputError(
                f"{path} has no ready/signal/SYMBOL/*.jsonl, signals.db or signals_v2.db: name another folder"
            )
        return parts

    def _file(self, path: Path, symbols: Sequence[str] | None, execution: Execution) -> Sequence[Part]:
        with path.open("rb") as file:
            begin = file.read(len(SQLITE_MAGIC))
        if begin == SQLITE_MAGIC:
            self.kind = "sqlite"
            return self._table(path, symbols)
        if begin.startswith(PARQUET_MAGIC):
            self.kind = "parquet"
            part = ParquetPart(path)
            self._closing.callback(part.close)
            return (part,)
        self.kind = LINES
        chunk_bytes = min(execution.source.chunk_bytes, CHUNK_BYTES_MAX)
        return (FilePart(path, settings=execution.source, chunk_bytes=chunk_bytes),)

    def _table(self, path: Path, symbols: Sequence[str] | None) -> Sequence[Part]:
        table = WholeTable(path)
        self._closing.callback(table.close)
        parts = table.parts(symbols)
        if not any(part.total for part in parts):
            raise WholeInputError(f"table signals of {path} has no rows to replay: see --symbols")
        return parts


def _symbols_in(folder: Path) -> list[str]:
    """The folders that are named like a symbol, as a worker could be told to read them."""
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if own_symbol(entry.name) == entry.name)


def _stream(part: Part, wanted: frozenset[str] | None) -> Iterator[list[Item]]:
    """The records of one part, without those of symbols that are not wanted.

    A malformed record has no time: it takes that of the signal before it, at the beginning of the one after.
    """
    latest_ms = 0
    for records in part.bursts():
        if not latest_ms:
            latest_ms = next(
                (record.ts_ms for record in records if isinstance(record, Signal)), part.begin_ms
            )
        if wanted is None and set(map(type, records)) == _SIGNALS_ALONE:
            # Nearly always: nothing to leave out and nothing to mark.
            items = cast("list[Item]", records)
            latest_ms = items[-1].ts_ms
            yield items
            continue
        items = []
        for record in records:
            if wanted is not None and record.symbol and record.symbol not in wanted:
                continue
            if isinstance(record, Signal):
                latest_ms = record.ts_ms
                items.append(record)
            else:
                items.append(Misread(record, latest_ms))
        if items:
            yield items


def merged_items(streams: Sequence[Iterator[list[Item]]]) -> Iterator[list[Item]]:
    for timed in merged([_timed(stream) for stream in streams]):
        yield [item for _, item in timed]


def _timed(stream: Iterator[list[Item]]) -> Iterator[list[tuple[int, Item]]]:
    """Each record with the time that it is merged by: a late one keeps its place behind those before it."""
    latest_ms = 0
    for burst in stream:
        timed: list[tuple[int, Item]] = []
        for item in burst:
            if item.ts_ms > latest_ms:
                latest_ms = item.ts_ms
            timed.append((latest_ms, item))
        yield timed


class _Head(Generic[T]):
    """What a stream has handed out and the merge has not."""

    def __init__(self, stream: Iterator[list[tuple[int, T]]]) -> None:
        self._stream = stream
        self.timed: list[tuple[int, T]] = []

    def fill(self) -> None:
        """Have at least one record, unless the stream is at its end."""
        if not self.timed:
            self.timed = next(self._stream, [])

    def take(self, until_ms: int) -> list[tuple[int, T]]:
        """What is not later than that."""
        count = bisect_right(self.timed, until_ms, key=_time)
        taken, self.timed = self.timed[:count], self.timed[count:]
        return taken


def merged(streams: Sequence[Iterator[list[tuple[int, T]]]]) -> Iterator[list[tuple[int, T]]]:
    """What several streams have, by time, then by stream, then as their stream has it.

    In each stream times never go back, and no burst is empty.
    """
    heads = [_Head(stream) for stream in streams]
    while heads:
        for head in heads:
            head.fill()
        heads = [head for head in heads if head.timed]
        if not heads:
            return
        # What a stream has not handed out yet is not earlier than its last record, but may be of that time.
        until_ms = min(head.timed[-1][0] for head in heads)
        bound = next(number for number, head in enumerate(heads) if head.timed[-1][0] == until_ms)
        ready = [
            timed
            for number, head in enumerate(heads)
            for timed in head.take(until_ms if number <= bound else until_ms - 1)
        ]
        # Stable: equal times stay in the order of the streams, and within one as they were read.
        ready.sort(key=_time)
        yield ready
