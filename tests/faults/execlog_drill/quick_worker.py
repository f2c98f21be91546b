"""The real worker with a quick clock: its minutes last seconds, so that a drill sees many of them end.

Run as a script with the worker's own command line; what is special comes through the environment:
EXECLOG_DRILL_CLOCK as JSON {"base_ms", "speed", "offset_ms"}, EXECLOG_DRILL_PLANTED the name of a mistake.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence

from config.seams import SystemClock, crash_point
from store.execlog import ExecLogProjector
from store.execlog_files import Files, Minute
from store.execlog_line import Fact
from store.records import ProjectedFile, Share
from worker.cli import main

CLOCK_VARIABLE = "EXECLOG_DRILL_CLOCK"
PLANTED_VARIABLE = "EXECLOG_DRILL_PLANTED"
# A life of a drill is shorter than the pause that the log makes between two passes.
PASS_DELAY_S = 0.02


def quicken(base_ms: int, speed: int, offset_ms: int) -> None:
    """Let the wall clock run from `base_ms` at `speed` times its pace, put forward by `offset_ms`."""

    def wall_ms(_: SystemClock) -> int:
        return base_ms + (time.time_ns() // 1_000_000 - base_ms) * speed + offset_ms

    SystemClock.wall_ms = wall_ms  # type: ignore[method-assign]  # the one seam that a drill turns


def cursor_first() -> None:
    """The cursor says that lines are written which are not."""
    right = ExecLogProjector._append

    async def wrong(self: ExecLogProjector, minute: Minute, facts: Sequence[Fact]) -> ProjectedFile:
        await self._commit(Share(symbol="", projected={"execlog": facts[-1].seq}))
        # The disk takes its time.
        await self._clock.sleep(0.1)
        return await right(self, minute, facts)

    ExecLogProjector._append = wrong  # type: ignore[method-assign]  # a mistake on purpose


def forgets_what_was_published() -> None:
    """A minute that goes on starts with nothing."""
    right = ExecLogProjector._append_lines

    def wrong(
        self: ExecLogProjector, minute: Minute, facts: Sequence[Fact], known: ProjectedFile | None
    ) -> int:
        was_published = known is not None and known.path == minute.ready
        return right(self, minute, facts, None if was_published else known)

    ExecLogProjector._append_lines = wrong  # type: ignore[method-assign]  # a mistake on purpose


def written_in_place() -> None:
    """Lines are copied to where readers look."""

    def wrong(self: Files, minutes: Sequence[Minute]) -> tuple[list[Minute], OSError | None]:
        for minute in minutes:
            part, ready = self._output / minute.part, self._output / minute.ready
            ready.parent.mkdir(parents=True, exist_ok=True)
            data = part.read_bytes()
            with ready.open("wb", buffering=0) as file:
                for start in range(0, len(data), 1_000):
                    file.write(data[start : start + 1_000])
                    # The disk takes its time.
                    time.sleep(0.001)
                    crash_point("after_projection_write")
            part.unlink()
        return list(minutes), None

    Files.publish = wrong  # type: ignore[method-assign]  # a mistake on purpose


PLANTED = {one.__name__: one for one in (cursor_first, forgets_what_was_published, written_in_place)}

if __name__ == "__main__":
    quicken(**json.loads(os.environ[CLOCK_VARIABLE]))
    ExecLogProjector.pass_delay_s = PASS_DELAY_S
    if name := os.environ.get(PLANTED_VARIABLE):
        PLANTED[name]()
    main()
