"""The pairs that differ, in a file a day, with what was counted: beside the orders, never in their way.

A line is a pair, or the counts since the line of counts before it; their sum is the running count. Best
effort: what cannot be written is tried again for a while, and nobody waits for the disk.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from adapters.shadow_copies import News
from adapters.shadow_pairs import Count, Pair, kind_of
from config.seams import Clock

FOLDER = "shadow"
DAY_MS = 86_400_000
# A line of ours has some 500 bytes.
LINE_BYTES_MAX = 65_536
_NAME = re.compile(r"pairs_[0-9]{8}\.jsonl")


class PairLine(Pair, frozen=True, tag_field="line", tag="pair"):
    """One pair that differs, as it is written."""


class CountLine(msgspec.Struct, frozen=True, tag_field="line", tag="counts", omit_defaults=True):
    """What was counted since the line of counts before; `why_not`: why pairs have no verdict."""

    at_ms: int
    counts: dict[Count, int]
    why_not: dict[str, int] = {}


class Kept(msgspec.Struct):
    """What the files say: the first pairs that differ, how often each kind of them came, and the counts."""

    counts: Counter[Count]
    why_not: Counter[str]
    kinds: Counter[str]
    pairs: list[Pair]
    unreadable: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(PairLine | CountLine).decode


class PairFiles:
    """Appends to `folder`/pairs_YYYYMMDD.jsonl (UTC); files older than `keep_days` go, None: none does."""

    def __init__(self, folder: Path, clock: Clock, *, keep_days: int | None) -> None:
        self._folder = folder
        self._clock = clock
        self._keep_days = keep_days
        self._today = ""

    def keep(self, news: News) -> str | None:
        """Write it whole or not at all; the sentence of why not, else None."""
        now_ms = self._clock.wall_ms()
        lines = [_encode(PairLine(**msgspec.structs.asdict(pair))) for pair in news.pairs]
        counts = {what: count for what, count in news.counts.items() if count}
        lines.append(_encode(CountLine(now_ms, counts, dict(news.why_not))))
        name = _name_of(now_ms)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if name != self._today:
                self._today = name
                # Before anything is written: what is refused comes back with the next.
                if (refusal := self._prune(now_ms)) is not None:
                    return refusal
            _append(self._folder / name, b"\n".join(lines) + b"\n")
        except OSError as error:
            return (
                f"{self._folder / name} cannot be written ({os.strerror(error.errno or 0)}): make room there"
            )
        return None

    def _prune(self, now_ms: int) -> str | None:
        if self._keep_days is None:
            return None
        oldest = _name_of(now_ms - self._keep_days * DAY_MS)
        for name in os.listdir(self._folder):
            if _NAME.fullmatch(name) and name < oldest:
                try:
                    (self._folder / name).unlink(missing_ok=True)
                except OSError as error:
                    why = os.strerror(error.errno or 0)
                    return f"{self._folder / name} cannot be removed ({why}): remove it by hand"
        return None


def read_pairs(folder: Path, *, since_ms: int, pairs_max: int) -> Kept:
    """What was kept since then, nothing where no folder is. Raises OSError when it cannot be read."""
    kept = Kept(Counter(), Counter(), Counter(), [])
    first = _name_of(since_ms)
    names: list[str] = []
    with suppress(FileNotFoundError):
        names = sorted(name for name in os.listdir(folder) if _NAME.fullmatch(name))
    for name in names:
        if name < first:
            continue
        for text in _lines(folder / name):
            _take(kept, text, since_ms, pairs_max)
    return kept


def _lines(path: Path) -> Iterator[bytes]:
    # Pruned meanwhile.
    with suppress(FileNotFoundError), path.open("rb") as file:
        while text := file.readline(LINE_BYTES_MAX):
            if text.strip():
                yield text


def _take(kept: Kept, text: bytes, since_ms: int, pairs_max: int) -> None:
    try:
        line = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        kept.unreadable += 1
        return
    if line.at_ms < since_ms:
        return
    if isinstance(line, CountLine):
        kept.counts.update(line.counts)
        kept.why_not.update(line.why_not)
        return
    kept.kinds[kind_of(line)] += 1
    if len(kept.pairs) < pairs_max:
        kept.pairs.append(line)


def _append(path: Path, data: bytes) -> None:
    """All of it or nothing, after a line that a crash may have torn."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            data = b"\n" + data
        try:
            written = 0
            while written < len(data):
                written += os.write(descriptor, data[written:])
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def _name_of(at_ms: int) -> str:
    return f"pairs_{datetime.fromtimestamp(max(at_ms, 0) / 1000, UTC):%Y%m%d}.jsonl"
