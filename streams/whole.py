"""Inputs that are read once, from their beginning to their end: what a replay is made of.

The same rules as live: the files of a symbol's folder go through the same tail, single files through the
same decoder. One burst is in memory at a time, however long the input is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from config import settings
from config.seams import Clock
from streams.codec import RAW_BYTES_MAX, decode_lines, malformed
from streams.files import Candidate, candidate_of
from streams.folder import identify, list_names
from streams.signal import Place, Record, Signal
from streams.tail import Tail

RECORDS_MAX = 1_200


class WholeInputError(Exception):
    """The input cannot be read to its end; the message is the whole sentence."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of an input; `name` is relative to what the user named."""

    name: str
    path: Path
    size: int


class Part(Protocol):
    """One run of records in source order, of one symbol or (symbol "") of several."""

    symbol: str
    files: Sequence[InputFile]
    # Records begin here when nothing else tells the time of a malformed one.
    begin_ms: int
    # How much there is, and how much of it was handed out: bytes or rows.
    total: int
    done: int
    # Last lines without an end that are no signals, which live are never taken either.
    unfinished: int

    def bursts(self) -> Iterator[Sequence[Record]]:
        """The records, burst by burst. Raises WholeInputError."""


class FolderPart:
    """The rotating files of one symbol, read by the same tail as live."""

    def __init__(
        self, signals_dir: Path, symbol: str, *, settings: settings.Source, clock: Clock, chunk_bytes: int
    ) -> None:
        self.symbol = symbol
        folder = signals_dir / "ready" / "signal" / symbol
        candidates = _candidates(folder)
        prefix = f"ready/signal/{symbol}/"
        self.files: Sequence[InputFile] = _files_of(folder, prefix, candidates)
        self.begin_ms = next((time for each in candidates if (time := each.time_ms) is not None), 0)
        self.total = sum(file.size for file in self.files)
        self.done = 0
        self.unfinished = 0
        limits = settings.model_copy(update={"chunk_bytes": chunk_bytes})
        self._tail = Tail(signals_dir, symbol, (), settings=limits, clock=clock, once=True)

    def bursts(self) -> Iterator[Sequence[Record]]:
        """See `Part.bursts`."""
        tail = self._tail
        tail.pull(RECORDS_MAX, None)
        while tail.ready or tail.unfinished:
            if tail.ready:
                yield tail.take(RECORDS_MAX).records
                self.done = max(self.done, self.total - tail.backlog_bytes)
            if not tail.ready:
                tail.pull(RECORDS_MAX)
        closed = sorted(file.path for file in tail.catalog.order if file.retry_s is not None)
        if closed:
            raise WholeInputError(f"{closed[0]} cannot be read: let this user read it")
        self.done = self.total
        self.unfinished = sum(file.offset < file.identity.size for file in tail.catalog.order)


def _candidates(folder: Path) -> list[Candidate]:
    found = [each for name, _ in list_names(str(folder)) if (each := candidate_of(name)) is not None]
    return sorted(found, key=lambda each: each.order)


def _files_of(folder: Path, prefix: str, candidates: Sequence[Candidate]) -> list[InputFile]:
    found = []
    for candidate in candidates:
        path = folder / candidate.name
        identity = identify(str(path))
        if identity is not None:
            found.append(InputFile(prefix + candidate.name, path, identity.size))
    return found


class FilePart:
    """One file of lines, each of the symbol that it names."""

    symbol = ""
    begin_ms = 0

    def __init__(self, path: Path, *, settings: settings.Source, chunk_bytes: int) -> None:
        self.files: Sequence[InputFile] = (InputFile(path.name, path, path.stat().st_size),)
        self.total = self.files[0].size
        self.done = 0
        self.unfinished = 0
        self._path = path
        self._chunk_bytes = chunk_bytes
        self._line_bytes_max = settings.max_line_bytes

    def bursts(self) -> Iterator[Sequence[Record]]:
        """See `Part.bursts`."""
        rest = b""
        # Where a line began that is too long to be held, and its first bytes.
        long: tuple[int, bytes] | None = None
        try:
            with self._path.open("rb") as file:
                while chunk := file.read(self._chunk_bytes):
                    start, data = self.done - len(rest), rest + chunk
                    self.done += len(chunk)
                    if long is not None:
                        end = data.find(b"\n") + 1
                        if not end:
                            rest = b""
                            continue
                        yield [self._too_long(*long, start + end - 1)]
                        start, data, long = start + end, data[end:], None
                    end = data.rfind(b"\n") + 1
                    if end:
                        yield self._decode(data[:end], start)
                    rest = data[end:]
                    if len(rest) > self._line_bytes_max and not end:
                        long, rest = (start, rest[:RAW_BYTES_MAX]), b""
        except OSError as error:
            raise WholeInputError(f"{self._path} cannot be read ({error.strerror}): check the disk") from None
        if rest:
            # As live: an unterminated last line counts if it is a signal.
            found = self._decode(rest, self.done - len(rest))
            if len(found) == 1 and isinstance(found[0], Signal):
                yield found
            else:
                self.unfinished = 1

    def _decode(self, lines: bytes, offset: int) -> list[Record]:
        return decode_lines(
            lines,
            base_offset=offset,
            symbol=None,
            file=self._path.name,
            max_line_bytes=self._line_bytes_max,
        )

    def _too_long(self, start: int, raw: bytes, end: int) -> Record:
        return malformed("", "line_too_long", Place(self._path.name, start, end - start), raw)
