"""The projector: output files derived from the store, exactly one line per fact after any crash.

Write, fdatasync, then the cursor in the ledger. What a file has beyond its cursor is cut off before
the next write; a file that is shorter is written anew from the table. Trouble with an output never
stops trading and never loses a line: the cursor waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import aiosqlite
import msgspec

from config.seams import Clock, crash_point
from store import statements as sql
from store.following import Follower, Row
from store.output_file import ShorterThanKnownError, append_lines, repair, rewrite, unlink_all
from store.records import ProjectedFile, Share
from store.writer import Writer

# Lines per pass: about 2 MiB in memory.
LINES_MAX = 4_000
# Passes closer together than this are one.
PASS_DELAY_S = 0.05
_NO_LIMIT = 2**62
EVER = -1
HOUR_MS = 3_600_000


class Fact(msgspec.Struct, frozen=True, gc=False):
    """One line of one output file; `seq` orders the facts of a projection."""

    seq: int
    path: str
    symbol: str
    hour: int
    line: bytes


class Projector(Follower):
    """Keeps the hourly execution files, the dead letters and the optional skip file in step."""

    pass_delay_s = PASS_DELAY_S

    def __init__(
        self,
        folder: Path,
        writer: Writer,
        clock: Clock,
        *,
        with_skipped: bool,
        silent_for: Callable[[float], None] = lambda silence_s: None,
    ) -> None:
        super().__init__(folder, writer, clock, silent_for=silent_for)
        self._names = ("executions", "deadletter", *(("skipped",) if with_skipped else ()))
        self._cursors: dict[str, int] = {}
        self._files: dict[str, ProjectedFile] = {}

    async def _start(self) -> None:
        async with self._reader() as reader:
            cursors: dict[str, int] = dict(await self._fetch(reader, sql.PROJECTIONS))
            known = [ProjectedFile(*row) for row in await self._fetch(reader, sql.PROJECTED_FILES)]
        files = [file for file in known if file.name in _FACTS]
        self._files = {file.path: file for file in files}
        begin = cursors.get("executions", 0)
        if "skipped" in self._names and "skipped" not in cursors:
            # The skip file begins where it was switched on; a kill before its first line must not move that.
            await self._commit(Share(symbol="", projected={"skipped": begin}))
        self._cursors = {name: cursors.get(name, begin if name == "skipped" else 0) for name in self._names}
        # One hop for all of them: a year's files would take seconds with one each.
        for file in await self._in_thread(self._repair, files):
            await self._rebuild(file)
        self._started = True

    def _repair(self, files: Sequence[ProjectedFile]) -> list[ProjectedFile]:
        """Cut every file to its cursor; those that are shorter and must be written anew."""
        return [file for file in files if not repair(self._folder / file.path, file.size)]

    async def _rebuild(self, file: ProjectedFile) -> None:
        """Write a file anew from the table, up to its cursor; the bytes are the same as before."""
        lines: list[bytes] = []
        after = file.first_seq - 1
        async with self._reader() as reader:
            while after < file.last_seq:
                facts, after = await self._read(reader, file.name, after, file.last_seq)
                lines += [fact.line for fact in facts if fact.path == file.path]
        size = await self._in_thread(rewrite, self._folder / file.path, b"".join(lines))
        rebuilt = msgspec.structs.replace(file, size=size)
        await self._commit(Share(symbol="", projected_files=[rebuilt]))
        self._files[file.path] = rebuilt

    async def _pass(self) -> None:
        """Write out everything that is committed by now."""
        self._news.clear()
        async with self._reader() as reader:
            for name in self._names:
                while await self._step(reader, name):
                    pass

    async def _step(self, reader: aiosqlite.Connection, name: str) -> bool:
        """Write up to LINES_MAX facts of one projection; False when there are no more."""
        before = self._cursors[name]
        facts, seq = await self._read(reader, name, before, _NO_LIMIT)
        if not facts:
            return False
        crash_point("before_projection")
        changed = [await self._append(name, path, facts) for path in dict.fromkeys(f.path for f in facts)]
        crash_point("after_projection_sync")
        share = Share(symbol="", projected={name: seq}, projected_files=changed)
        await self._commit(share)
        crash_point("after_projection_cursor")
        self._cursors[name] = seq
        self._files.update((file.path, file) for file in changed)
        return len(facts) == LINES_MAX

    async def _append(self, name: str, path: str, facts: Sequence[Fact]) -> ProjectedFile:
        own = [fact for fact in facts if fact.path == path]
        known = self._files.get(path)
        data = b"".join(fact.line for fact in own)
        try:
            size = await self._in_thread(append_lines, self._folder / path, data, known.size if known else 0)
        except ShorterThanKnownError:
            assert known is not None
            await self._rebuild(known)
            return await self._append(name, path, facts)
        return ProjectedFile(
            path=path,
            name=name,
            symbol=own[0].symbol,
            hour=own[0].hour,
            size=size,
            first_seq=known.first_seq if known else own[0].seq,
            last_seq=own[-1].seq,
        )

    async def _read(
        self, reader: aiosqlite.Connection, name: str, after: int, upto: int
    ) -> tuple[list[Fact], int]:
        """The next facts and the sequence number that they reach."""
        statement, make = _FACTS[name]
        facts = [make(row) for row in await self._fetch(reader, statement, after, upto, LINES_MAX)]
        if len(facts) < LINES_MAX and upto != _NO_LIMIT:
            return facts, upto
        return facts, facts[-1].seq if facts else after

    async def prune(self, keep_days: int) -> int:
        """Delete output files older than `keep_days`; the table keeps what they said. How many went."""
        oldest_hour = self._clock.wall_ms() // HOUR_MS - keep_days * 24
        old = [file.path for file in self._files.values() if EVER < file.hour < oldest_hour]
        try:
            await asyncio.to_thread(unlink_all, [self._folder / path for path in old])
        except OSError as error:
            self.trouble = f"old outputs in {self._folder} cannot be deleted ({error}): tried again later"
            return 0
        if old:
            await self._writer.commit(Share(symbol="", forgotten_files=old))
            for path in old:
                del self._files[path]
        return len(old)


def _execution(row: Row) -> Fact:
    seq, symbol, hour, line = row
    path = f"{symbol}/exec_{hour_name(hour)}.jsonl"
    return Fact(seq=seq, path=path, symbol=symbol, hour=hour, line=line.encode() + b"\n")


def _skipped(row: Row) -> Fact:
    seq, _, _, line = row
    return Fact(seq=seq, path="skipped_signals.jsonl", symbol="", hour=EVER, line=line.encode() + b"\n")


def dead_letter(row: Row) -> Fact:
    """The line of a row of statements.DEAD_LETTERS."""
    seq, ts_ms, source, file, offset, reason, raw = row
    where = "offset" if source == "jsonl" else "rowid"
    letter = {"ts_ms": ts_ms, "source": source, "file": file, where: offset, "reason": reason}
    letter["raw"] = raw.decode("utf-8", "backslashreplace")
    hour = ts_ms // HOUR_MS
    path = f"deadletter/{hour_name(hour)}.jsonl"
    return Fact(seq=seq, path=path, symbol="", hour=hour, line=msgspec.json.encode(letter) + b"\n")


_FACTS: dict[str, tuple[str, Callable[[Row], Fact]]] = {
    "executions": (sql.FINAL_RECORDS, _execution),
    "skipped": (sql.FINAL_SKIPS, _skipped),
    "deadletter": (sql.DEAD_LETTERS, dead_letter),
}


@lru_cache(maxsize=64)
def hour_name(hour: int) -> str:
    """`YYYYMMDD_HH` (UTC) of an hour counted from the epoch."""
    return datetime.fromtimestamp(hour * 3600, UTC).strftime("%Y%m%d_%H")
