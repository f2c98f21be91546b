"""What the page shows besides /status: the store's newest rows, the last hour and the newest drill.

Looked at in a thread, over a connection of its own, at most once a second however many look on: nothing here
waits for the store's writer, and nothing there waits for this.
"""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass, field, replace
from pathlib import Path

from config.seams import Clock
from store.paths import DATABASE
from store.recent import Recent, read_recent, why_unreadable
from worker.history import History
from worker.page.drills import newest_drill
from worker.page.seen import Drill
from worker.parts import EXECUTIONS_FOLDER

LOOK_S = 1.0
# A disk that hangs must not look like a worker that does.
LOOK_S_MAX = 2.0


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found; `trouble` is a sentence when the store could not be read."""

    at_ms: int
    recent: Recent = field(default_factory=Recent)
    trouble: str | None = None
    drill: tuple[Path, Drill] | str | None = None


class Sights:
    """Where to look, and what was seen last."""

    def __init__(self, output_dir: Path, history: History, clock: Clock) -> None:
        self.output_dir = output_dir.absolute()
        self.history = history
        self.clock = clock
        self._path = self.output_dir / EXECUTIONS_FOLDER / DATABASE
        self._last: tuple[float, Look] | None = None
        self._looking: asyncio.Task[Look] | None = None

    async def look(self) -> Look:
        """What is to be seen, at most a second old; those who ask at once share one look."""
        if self._last is not None and self.clock.monotonic_s() - self._last[0] < LOOK_S:
            return self._last[1]
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="page")
        # Whoever hangs up ends their own waiting, not that of the others.
        done, _ = await asyncio.wait({self._looking}, timeout=LOOK_S_MAX)
        return self._looking.result() if done else self._not_seen()

    def _not_seen(self) -> Look:
        """The rows of the last look, and that they are old."""
        before = Look(self.clock.wall_ms()) if self._last is None else self._last[1]
        return replace(before, trouble=f"the store was not read within {LOOK_S_MAX:.0f} s: see its disk")

    async def _look(self) -> Look:
        look = await asyncio.to_thread(self._look_now)
        self._last = (self.clock.monotonic_s(), look)
        return look

    def _look_now(self) -> Look:
        now_ms = self.clock.wall_ms()
        drill = newest_drill(self.output_dir)
        try:
            return Look(now_ms, read_recent(self._path, now_ms), None, drill)
        except sqlite3.Error as error:
            return Look(now_ms, trouble=why_unreadable(error), drill=drill)
