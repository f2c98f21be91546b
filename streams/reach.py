"""Reach: what the producer's sinks may still deliver of a symbol, so that nobody forgets it too early.

A time in a file's name bounds what stands in it, as a rule; every line is looked at all the same, because
what was read once may have to be read again from the beginning. Blocking: for a person's command.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from streams.choice import SIGNAL_FOLDER, SOURCE_KINDS, SourceKind
from streams.files import candidate_of
from streams.folder import list_names
from streams.sqlite import FILE_NAMES
from streams.sqlite_oldest import oldest_in_table

HOUR_MS = 3_600_000
CHUNK_BYTES = 1 << 20
# Single times before the bound that are remembered; when there are more, the bound is theirs.
ODD_MAX = 1_000
_TIME = re.compile(rb'"ts_ms"\s*:\s*(\d{1,18})(?!\d)')


class Reachable(NamedTuple):
    """Everything since a time, and single times before it."""

    since_ms: int
    odd: frozenset[int]


class _Line(msgspec.Struct, gc=False):
    ts_ms: int


_decode = msgspec.json.Decoder(_Line).decode


def reachable(signals_dir: Path, symbol: str, *, read_kind: str) -> Reachable | str:
    """What any sink below `signals_dir` may still deliver; why that cannot be told, as a sentence.

    `read_kind` is the sink that is read: it has to be there. Another one counts where it is there.
    """
    found: list[Reachable] = []
    for kind in SOURCE_KINDS:
        one = _in_sink(signals_dir, symbol, kind)
        if isinstance(one, str):
            return one
        if one is not None:
            found.append(one)
        elif kind == read_kind:
            return f"nothing of {symbol} is in the source {kind} now, which proves nothing"
    return _merged(found)


def _in_sink(signals_dir: Path, symbol: str, kind: SourceKind) -> Reachable | str | None:
    if kind == "jsonl":
        return _in_files(signals_dir, symbol)
    oldest = oldest_in_table(signals_dir / FILE_NAMES[kind], symbol)
    return Reachable(oldest, frozenset()) if isinstance(oldest, int) else oldest


def _merged(found: Iterable[Reachable]) -> Reachable:
    parts = list(found)
    since_ms = min(part.since_ms for part in parts)
    odd = frozenset(time for part in parts for time in part.odd if time < since_ms)
    if len(odd) > ODD_MAX:
        return Reachable(min(odd), frozenset())
    return Reachable(since_ms, odd)


def _in_files(signals_dir: Path, symbol: str) -> Reachable | str | None:
    folder = signals_dir / SIGNAL_FOLDER / symbol
    found = [each for name, _ in list_names(str(folder)) if (each := candidate_of(name)) is not None]
    if not found:
        return None
    times = [each.time_ms for each in found]
    known = [time for time in times if time is not None]
    if len(known) < len(times):
        return f"a file of {symbol} has no time in its name, so what it may bring cannot be told"
    since_ms = min(known) - HOUR_MS
    odd: set[int] = set()
    try:
        for each in found:
            odd.update(time for time in _times_in(folder / each.name) if time < since_ms)
            if len(odd) > ODD_MAX:
                since_ms = min(odd)
                odd.clear()
    except OSError as error:
        return f"{error.filename or folder} cannot be read ({error.strerror})"
    return Reachable(since_ms, frozenset(odd))


def _times_in(path: Path) -> Iterator[int]:
    """The time of every line; more than those where a line says `ts_ms` twice."""
    rest = b""
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            data = rest + chunk
            end = data.rfind(b"\n") + 1
            yield from _times_of(data[:end])
            rest = data[end:]
    yield from _times_of(rest)


def _times_of(lines: bytes) -> Iterator[int]:
    found = _TIME.findall(lines)
    yield from map(int, found)
    if len(found) < lines.count(b"\n"):
        # A name that is written with escapes is the same name.
        yield from (
            time for line in lines.splitlines() if b"\\u" in line and (time := _time_of(line)) is not None
        )


def _time_of(line: bytes) -> int | None:
    try:
        return _decode(line).ts_ms
    except (msgspec.MsgspecError, RecursionError):
        return None
