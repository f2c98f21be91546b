"""One symbol's share of a replay that several processes work on, and how shares become one result.

Executions are a symbol's own files already. Trades and dead letters are written aside, each with the time
that the replay had come to, and merged by it: the bytes are those that one process writes.
"""

from __future__ import annotations

import shutil
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from adapters.paper.positions import Position
from config.settings import Execution
from store.projector import hour_name
from worker.replay_input import merged
from worker.replay_output import (
    DEAD_LETTERS,
    EXECUTIONS,
    FILLS,
    HOUR_MS,
    ReplayLines,
    append,
)
from worker.replay_summary import Tally

SHARES: Final = ".shares"
LETTERS: Final = "deadletters.jsonl"
_TIMES: Final = ".times"
_TIME_BYTES: Final = 8
# Of each share so many lines are in memory at a time while they are merged.
LINES_MERGED_MAX: Final = 2_000


@dataclass(frozen=True, slots=True)
class Job:
    """What one process is to replay: `symbol`, one `among` so many. `folder` is the replay's --out."""

    execution: Execution
    signals: Path
    symbol: str
    among: int
    price_file: Path | None
    folder: Path


@dataclass(frozen=True, slots=True)
class Reached:
    """How far one process is: what it has read of its input, and how many records."""

    done: int
    records: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one symbol came to; `position` None: it was never traded."""

    symbol: str
    tally: Tally
    position: Position | None


class _Letter(msgspec.Struct):
    ts_ms: int


class ShareLines(ReplayLines):
    """The lines of one symbol, while others are written by other processes. Raises ReplayOutputError."""

    def __init__(self, folder: Path, symbol: str) -> None:
        super().__init__(folder)
        self._share = self.part / SHARES / symbol
        self._aside: dict[str, tuple[list[bytes], array[int]]] = {
            name: ([], array("q")) for name in (FILLS, LETTERS)
        }
        try:
            self._share.mkdir(parents=True, exist_ok=True)
            for name in self._aside:
                (self._share / name).touch()
                (self._share / (name + _TIMES)).touch()
        except OSError as error:
            raise self.unwritable(error) from None

    def fill(self, line: str) -> None:
        """One trade."""
        self._fills.append(line)
        self._aside[FILLS][1].append(self.latest_ms)

    def _letter(self, ts_ms: int, letter: bytes) -> None:
        letters, times = self._aside[LETTERS]
        letters.append(letter)
        times.append(self.latest_ms)

    def _write(self) -> None:
        lines, _ = self._aside[FILLS]
        lines.append("".join(self._fills).encode())
        self._fills.clear()
        super()._write()
        for name, (lines, times) in self._aside.items():
            append(self._share / name, b"".join(lines))
            append(self._share / (name + _TIMES), times.tobytes())
            lines.clear()
            del times[:]


def join(output: ReplayLines, symbols: Sequence[str]) -> None:
    """Put the trades and dead letters of all shares where they belong. Raises ReplayOutputError.

    `symbols` in the order in which one process would take what is of one time.
    """
    shares = [output.part / SHARES / symbol for symbol in symbols]
    try:
        for timed in merged([_timed_lines(share / FILLS) for share in shares]):
            append(output.part / FILLS, b"".join([line for _, line in timed]))
        for timed in merged([_timed_lines(share / LETTERS) for share in shares]):
            _append_letters(output.part, [line for _, line in timed])
        shutil.rmtree(output.part / SHARES)
    except OSError as error:
        raise output.unwritable(error) from None


def joined(outcomes: Sequence[Outcome]) -> tuple[Tally, dict[str, Position]]:
    """The counts of all symbols, and what is held, by symbol."""
    whole = Tally()
    for outcome in outcomes:
        tally = outcome.tally
        whole.symbols |= tally.symbols
        whole.duplicates += tally.duplicates
        whole.unfinished += tally.unfinished
        whole.malformed.update(tally.malformed)
    return whole, {found.symbol: found.position for found in outcomes if found.position is not None}


def _timed_lines(path: Path) -> Iterator[list[tuple[int, bytes]]]:
    with path.open("rb") as lines, path.with_name(path.name + _TIMES).open("rb") as times:
        while data := times.read(_TIME_BYTES * LINES_MERGED_MAX):
            found = array("q", data)
            yield list(zip(found, islice(lines, len(found)), strict=True))


def _append_letters(part: Path, letters: Sequence[bytes]) -> None:
    hours: dict[int, list[bytes]] = {}
    decode = msgspec.json.Decoder(_Letter).decode
    for letter in letters:
        hours.setdefault(decode(letter).ts_ms // HOUR_MS, []).append(letter)
    for hour, found in hours.items():
        append(part / EXECUTIONS / DEAD_LETTERS / f"{hour_name(hour)}.jsonl", b"".join(found))
