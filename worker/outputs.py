"""What is derived from the store, as one thing: the hourly files and the execution log.

Each follows the store by itself; they share their trouble, their end and their pruning.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from config.seams import Clock
from config.settings import ExecLog
from store import execlog, execlog_table
from store.execlog import ExecLogProjector
from store.execlog_table import ExecTableProjector
from store.ledger import Ledger
from store.projector import Projector
from store.records import Share
from store.writer import Writer

SilentFor = Callable[[float], None]
LogProjector = ExecLogProjector | ExecTableProjector
# Which kind of log this store was told to last.
KIND_STAMP = "execlog"
_CURSORS = {ExecLog.JSONL: execlog.NAME, ExecLog.SQLITE: execlog_table.NAME}


class Outputs:
    """The projectors of one worker. `trouble` is what holds one of them up, None while nothing does."""

    def __init__(self, projector: Projector, log: LogProjector | None) -> None:
        self._projector = projector
        self._log = log
        self._all: list[Projector | LogProjector] = [projector] if log is None else [projector, log]

    @property
    def trouble(self) -> str | None:
        """What holds one of them up."""
        return next((one.trouble for one in self._all if one.trouble is not None), None)

    @property
    def behind_since_ms(self) -> int | None:
        """Since when the hourly files are behind the store; the log waits for its minute anyway."""
        return self._projector.behind_since_ms

    def wake(self) -> None:
        """There may be new facts."""
        for one in self._all:
            one.wake()

    async def run(self) -> None:
        """Follow the store until cancelled, or until one of them fails."""
        runs = [asyncio.ensure_future(one.run()) for one in self._all]
        try:
            await asyncio.gather(*runs)
        finally:
            for run in runs:
                run.cancel()
            await asyncio.wait(runs)

    async def drain(self, limit_s: float | None = None) -> None:
        """One last pass of each, at the same time: the limit is that of the stop."""
        await asyncio.gather(*[one.drain(limit_s) for one in self._all])

    async def prune(self, keep_days: int) -> int:
        """Delete files older than `keep_days`; how many went."""
        return sum([await one.prune(keep_days) for one in self._all])


def log_projector(
    kind: ExecLog, folder: Path, output: Path, writer: Writer, clock: Clock, silent_for: SilentFor
) -> LogProjector | None:
    """The execution log of this kind; None where it is off."""
    match kind:
        case ExecLog.JSONL:
            return ExecLogProjector(folder, writer, clock, output=output, silent_for=silent_for)
        case ExecLog.SQLITE:
            return ExecTableProjector(folder, writer, clock, silent_for=silent_for)
        case ExecLog.OFF:
            return None


async def begin_log(
    kind: ExecLog, folder: Path, output: Path, ledger: Ledger, writer: Writer, clock: Clock
) -> None:
    """The log begins where it is switched on, not with the store's first event; asked before any lane begins.

    What a former run left unpublished of the minute files is published first.
    """
    told = ledger.stamps().get(KIND_STAMP)
    if told == kind.value:
        return
    if told == ExecLog.JSONL.value:
        await ExecLogProjector(folder, writer, clock, output=output).drain()
    cursor = {_CURSORS[kind]: ledger.last_event_seq()} if kind in _CURSORS else {}
    await writer.commit(Share(symbol="", stamps={KIND_STAMP: kind.value}, projected=cursor))
