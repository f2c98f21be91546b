"""The execution log in minute files: one line for each event in the life of an order, once after any crash.

Written in spool/ (write, fdatasync, then the cursor), published in ready/ when the minute is over and nothing
more can come for it, and at a stop. Rename first, cursor second. A minute that goes on after that starts with
its published bytes: a reader only ever sees whole files, and the next of a name begins with the one before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import aiosqlite
import msgspec

from config.seams import Clock, crash_point
from store import statements as sql
from store.execlog_files import MINUTE_MS, Files, Minute, PartState, minute_of
from store.execlog_line import Fact, line_of
from store.following import Follower
from store.output_file import ShorterThanKnownError
from store.records import ProjectedFile, Share
from store.writer import Writer

NAME = "execlog"
# Lines per pass: about 2 MiB in memory.
LINES_MAX = 4_000
# Nobody sees a line before its minute is over, so that many orders may share one sync.
PASS_DELAY_S = 1.0
# A file is published after this time also where a clock that was set back keeps its minute from ending.
OPEN_S_MAX = 60.0
# A day of minutes that nobody lets us publish is looked at whole each time.
TROUBLE_DELAY_S_MAX = 5.0
MINUTES_A_DAY = 1_440


class ExecLogProjector(Follower):
    """Keeps the minute files below `output` in step with the store in `folder`."""

    pass_delay_s = PASS_DELAY_S
    trouble_delay_s_max = TROUBLE_DELAY_S_MAX
    what = "execution log files"

    def __init__(
        self,
        folder: Path,
        writer: Writer,
        clock: Clock,
        *,
        output: Path,
        silent_for: Callable[[float], None] = lambda silence_s: None,
    ) -> None:
        super().__init__(folder, writer, clock, silent_for=silent_for)
        self._disk = Files(output)
        self._cursor = 0
        # The last minute that has a line. A minute before it is over for good: events never go back in time.
        self._newest = 0
        self._files: dict[Minute, ProjectedFile] = {}
        self._opened_s: dict[Minute, float] = {}
        self._publishing = False

    async def drain(self, limit_s: float | None = None) -> None:
        """The last lines, and every file that is still open is published."""
        if self._publishing:
            # A publication was cut short: what it has done is in the store and on the disk, not in here.
            self._started = False
        await super().drain(limit_s)

    async def _start(self) -> None:
        if self._publishing:
            # What was on its way to the store has landed when this has.
            await self._commit(Share(symbol=""))
        async with self._reader() as reader:
            cursors: dict[str, int] = dict(await self._fetch(reader, sql.PROJECTIONS))
            known = [ProjectedFile(*row) for row in await self._fetch(reader, sql.PROJECTED_FILES)]
        self._cursor = cursors.get(NAME, 0)
        self._files = {minute_of(file.path): file for file in known if file.name == NAME}
        self._newest = max((minute.minute for minute in self._files), default=0)
        self._opened_s = dict.fromkeys(self._open(), self._clock.monotonic_s())
        await self._in_thread(self._disk.sweep, self._open())
        await self._repair(self._open())
        self._publishing = False
        self._started = True

    async def _repair(self, minutes: Sequence[Minute]) -> list[Minute]:
        """Give open files the bytes that they are known to have; those that are not published already."""
        # One hop for all of them: where nothing can be published they become thousands.
        sizes = {minute: self._files[minute].size for minute in minutes}
        found = await self._in_thread(self._disk.repair_all, sizes)
        await self._note_published(
            [minute for minute, state in found.items() if state is PartState.PUBLISHED]
        )
        still_open = [minute for minute, state in found.items() if state is not PartState.PUBLISHED]
        for minute in still_open:
            if found[minute] is PartState.SHORTER:
                await self._rebuild(minute)
        return still_open

    def _open(self) -> list[Minute]:
        """The files that are being written, oldest first."""
        return sorted(minute for minute, file in self._files.items() if file.path == minute.part)

    async def _pass(self) -> None:
        """Write out everything that is committed by now; publish what is over."""
        self._news.clear()
        await self._write_all()
        due = self._due()
        if due:
            # A commit takes its time when it begins: after one that begins now, none can come that is older.
            await self._commit(Share(symbol=""))
            await self._write_all()
            await self._publish(due)

    async def _last_pass(self) -> None:
        await self._write_all()
        await self._publish(self._open())

    async def _write_all(self) -> None:
        async with self._reader() as reader:
            while await self._step(reader):
                pass

    async def _step(self, reader: aiosqlite.Connection) -> bool:
        """Write up to LINES_MAX lines; False when there are no more."""
        [(last,)] = await self._fetch(reader, sql.LAST_EVENT_SEQ)
        facts = await self._read(reader, self._cursor, last)
        reached = facts[-1].seq if len(facts) == LINES_MAX else last
        if not facts:
            # Nothing but skips: the next life looks at them once more.
            self._cursor = reached
            return False
        crash_point("before_projection")
        # A stable sort: the lines of each file stay in the order of their events.
        by_minute = groupby(sorted(facts, key=_minute), key=_minute)
        changed = {minute: await self._append(minute, list(own)) for minute, own in by_minute}
        crash_point("after_projection_sync")
        reopened = [minute.ready for minute in changed if self._is_published(minute)]
        newest = max(self._newest, *(minute.minute for minute in changed))
        over = self._over(newest)
        await self._commit(
            Share(
                symbol="",
                projected={NAME: reached},
                projected_files=list(changed.values()),
                forgotten_files=reopened + [minute.ready for minute in over],
            )
        )
        crash_point("after_projection_cursor")
        self._cursor, self._newest = reached, newest
        self._forget(over)
        self._files.update(changed)
        for minute in changed:
            self._opened_s.setdefault(minute, self._clock.monotonic_s())
        return len(facts) == LINES_MAX

    async def _read(self, reader: aiosqlite.Connection, after: int, upto: int) -> list[Fact]:
        return [Fact(*row) for row in await self._fetch(reader, sql.EXECLOG_FACTS, after, upto, LINES_MAX)]

    def _is_published(self, minute: Minute) -> bool:
        known = self._files.get(minute)
        return known is not None and known.path == minute.ready

    def _over(self, newest: int) -> list[Minute]:
        """The published files that need not be known any more: nothing can come for them."""
        return [minute for minute in self._files if minute.minute < newest and self._is_published(minute)]

    def _forget(self, minutes: Sequence[Minute]) -> None:
        for minute in minutes:
            del self._files[minute]

    async def _append(self, minute: Minute, facts: Sequence[Fact]) -> ProjectedFile:
        known = self._files.get(minute)
        try:
            size = await self._in_thread(self._append_lines, minute, facts, known)
        except ShorterThanKnownError:
            await self._rebuild(minute)
            return await self._append(minute, facts)
        return ProjectedFile(
            path=minute.part,
            name=NAME,
            symbol=minute.symbol,
            hour=minute.minute // 60,
            size=size,
            first_seq=known.first_seq if known else facts[0].seq,
            last_seq=facts[-1].seq,
        )

    def _append_lines(self, minute: Minute, facts: Sequence[Fact], known: ProjectedFile | None) -> int:
        data = b"".join(map(line_of, facts))
        if known is None:
            return self._disk.append(minute, data, 0)
        if known.path == minute.ready:
            self._disk.reopen(minute, known.size)
        return self._disk.append(minute, data, known.size)

    async def _rebuild(self, minute: Minute) -> None:
        """Write a file anew from the table, up to its cursor; the bytes are the same as before."""
        known = self._files[minute]
        await self._in_thread(self._disk.empty, minute)
        size, after = 0, known.first_seq - 1
        async with self._reader() as reader:
            while after < known.last_seq:
                facts = await self._read(reader, after, known.last_seq)
                after = facts[-1].seq if len(facts) == LINES_MAX else known.last_seq
                data = b"".join(line_of(fact) for fact in facts if _minute(fact) == minute)
                size = await self._in_thread(self._disk.append, minute, data, size)
        rebuilt = msgspec.structs.replace(known, path=minute.part, size=size)
        forgotten = [minute.ready] if known.path == minute.ready else []
        await self._commit(Share(symbol="", projected_files=[rebuilt], forgotten_files=forgotten))
        self._files[minute] = rebuilt
        self._opened_s.setdefault(minute, self._clock.monotonic_s())

    def _due(self) -> list[Minute]:
        """The open files whose minute is over, or that have been open for long enough."""
        return [
            minute for minute in self._open() if minute.minute < self._newest or self._due_in_s(minute) <= 0
        ]

    def _due_in_s(self, minute: Minute) -> float:
        open_s = self._clock.monotonic_s() - self._opened_s[minute]
        return min((minute.end_ms - self._clock.wall_ms()) / 1000, OPEN_S_MAX - open_s)

    async def _publish(self, minutes: Sequence[Minute]) -> None:
        """Put files where readers look. Raises OSError for one that could not be, after the others."""
        if not minutes:
            return
        whole = await self._repair(minutes)
        crash_point("before_projection")
        self._publishing = True
        published, fault = await self._in_thread(self._disk.publish, whole)
        crash_point("after_projection_sync")
        await self._note_published(published)
        crash_point("after_projection_cursor")
        self._publishing = False
        if fault is not None:
            raise fault

    async def _note_published(self, minutes: Sequence[Minute]) -> None:
        """Rename first, cursor second. A minute that may go on is remembered, with the size that it has."""
        if not minutes:
            return
        kept = {
            minute: msgspec.structs.replace(self._files[minute], path=minute.ready)
            for minute in minutes
            if minute.minute >= self._newest
        }
        parts = [minute.part for minute in minutes]
        await self._commit(Share(symbol="", projected_files=list(kept.values()), forgotten_files=parts))
        self._forget(minutes)
        self._files.update(kept)
        for minute in minutes:
            self._opened_s.pop(minute, None)

    async def _idle(self) -> None:
        """Return on news, or when a file is due."""
        waits: set[asyncio.Future[Any]] = {asyncio.ensure_future(self._news.wait())}
        delays_s = [self._due_in_s(minute) for minute in self._open()]
        if delays_s:
            waits.add(asyncio.ensure_future(self._clock.sleep(max(0.0, min(delays_s)))))
        try:
            await self._in_silence(asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED))
        finally:
            for wait in waits:
                wait.cancel()

    async def prune(self, keep_days: int) -> int:
        """Delete published files older than `keep_days`; the table keeps what they said. How many went."""
        before = self._clock.wall_ms() // MINUTE_MS - keep_days * MINUTES_A_DAY
        try:
            return await asyncio.to_thread(self._disk.prune, before)
        except OSError as error:
            self.trouble = f"old {self.what} cannot be deleted ({error}): tried again later"
            return 0


def _minute(fact: Fact) -> Minute:
    return Minute(fact.at_ms // MINUTE_MS, fact.symbol)
