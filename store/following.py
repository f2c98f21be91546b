"""Following the store: what every output that is derived from it does alike.

It waits for news, makes a pass, and goes on by itself after trouble. Trouble with an output never stops
trading and never loses a line: the output's cursor waits.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import aiosqlite

from config.seams import Clock
from store.errors import StoreError
from store.paths import DATABASE, read_only_uri
from store.records import Share
from store.writer import Writer

TROUBLE_DELAY_S = 1.0
# A read of the store is short, except where it passes millions of rows that make no line.
READ_S_MAX = 300.0

# One row of a query; its columns are checked by the table's STRICT types.
Row = tuple[Any, ...]
T = TypeVar("T")
P = ParamSpec("P")


class Follower(ABC):
    """Keeps one output in step with the store in `folder`.

    `silent_for` is told for how many seconds at most nothing will be heard from it; 0 is a sign of life.
    """

    # Passes closer together than this are one.
    pass_delay_s: float
    # While trouble lasts it is tried again after twice the time before, up to this.
    trouble_delay_s_max = TROUBLE_DELAY_S
    # What is written, for sentences.
    what = "outputs"

    def __init__(
        self,
        folder: Path,
        writer: Writer,
        clock: Clock,
        *,
        silent_for: Callable[[float], None] = lambda silence_s: None,
    ) -> None:
        self._folder = folder
        self._writer = writer
        self._clock = clock
        self._silent_for = silent_for
        self._started = False
        self._news = asyncio.Event()
        self._writing: asyncio.Future[Any] | None = None
        self.trouble: str | None = None
        self.behind_since_ms: int | None = None

    @abstractmethod
    async def _start(self) -> None:
        """Repair what a crash left; may be repeated."""

    @abstractmethod
    async def _pass(self) -> None:
        """Write out everything that is committed by now."""

    def wake(self) -> None:
        """There may be new facts."""
        self._news.set()

    async def run(self) -> None:
        """Repair what a crash left, then follow the store until cancelled."""
        await self._until_done(self._start)
        while True:
            await self._until_done(self._pass)
            self.behind_since_ms = None
            await self._idle()
            self.behind_since_ms = self._clock.wall_ms()
            # An order makes news three times within a moment: when it is reserved, accepted and filled.
            await self._clock.sleep(self.pass_delay_s)

    async def _idle(self) -> None:
        """Return when a pass has something to do."""
        await self._in_silence(self._news.wait())

    async def drain(self, limit_s: float | None = None) -> None:
        """One last pass, for a clean stop; gives up on the first trouble and after `limit_s`.

        What it leaves the next start writes out.
        """
        try:
            async with asyncio.timeout(limit_s):
                await self._end_of_writing()
                if not self._started:
                    await self._start()
                await self._last_pass()
        except TimeoutError:
            self.trouble = f"{self.what} in {self._folder} are behind the store: the next start writes them"
        except (OSError, aiosqlite.Error, StoreError) as error:
            self.trouble = f"{self.what} in {self._folder} are behind the store ({error})"

    async def _last_pass(self) -> None:
        """What there is to do before the end."""
        await self._pass()

    async def _end_of_writing(self) -> None:
        """Wait for a thread whose task was cancelled: two must not write to one file."""
        if self._writing is not None and not self._writing.done():
            await asyncio.wait({self._writing})
            self._writing.exception()

    async def _until_done(self, step: Callable[[], Awaitable[None]]) -> None:
        delay_s = TROUBLE_DELAY_S
        while True:
            self._silent_for(0)
            try:
                await step()
            except (OSError, aiosqlite.Error) as error:
                self.trouble = (
                    f"{self.what} in {self._folder} cannot be written ({error}): it goes on by itself"
                )
                await self._in_silence(self._clock.sleep(delay_s), delay_s)
                delay_s = min(2 * delay_s, self.trouble_delay_s_max)
            else:
                self.trouble = None
                return

    async def _in_thread(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Let a thread work on the files; a cancelled task leaves it running, and `drain` waits for it."""
        writing = asyncio.ensure_future(asyncio.to_thread(work, *arguments, **named))
        self._writing = writing
        return await self._in_silence(asyncio.shield(writing))

    async def _in_silence(self, waiting: Awaitable[T], silence_s: float = math.inf) -> T:
        """Wait for news, the disk or the store, as long as they take; only what we do ourselves can hang."""
        self._silent_for(silence_s)
        try:
            return await waiting
        finally:
            self._silent_for(0)

    async def _fetch(self, reader: aiosqlite.Connection, statement: str, *parameters: int) -> list[Row]:
        found = await self._in_silence(reader.execute_fetchall(statement, parameters), READ_S_MAX)
        return [tuple(row) for row in found]

    async def _commit(self, share: Share) -> None:
        await self._in_silence(self._writer.commit(share))

    def _reader(self) -> aiosqlite.Connection:
        return aiosqlite.connect(read_only_uri(self._folder / DATABASE), uri=True, isolation_level=None)
