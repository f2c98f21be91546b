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
# Whether a log of the kind that follows may still lack lines from when it was switched off.
LEFT_STAMP = "execlog_left:"
_YES, _NO = "yes", "no"
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
) -> str | None:
    """The log begins where it is switched on, not with the store's first event; asked before any lane begins.

    What a former run left untold in a log of another kind is told first, at this start or, where that cannot
    be written now, at a later one: then the answer is why.
    """
    stamps = ledger.stamps()
    told = stamps.get(KIND_STAMP)
    left = [one for one in _CURSORS if stamps.get(LEFT_STAMP + one.value) == _YES]
    if told != kind.value:
        changed = {KIND_STAMP: kind.value}
        cursor: dict[str, int] = {}
        if kind in left:
            changed[LEFT_STAMP + kind.value] = _NO
        elif kind in _CURSORS:
            cursor[_CURSORS[kind]] = ledger.last_event_seq()
        former = [one for one in _CURSORS if one.value == told]
        changed |= dict.fromkeys([LEFT_STAMP + one.value for one in former], _YES)
        await writer.commit(Share(symbol="", stamps=changed, projected=cursor))
        left += former
    troubles = [
        await _told_to_the_end(log_projector(one, folder, output, writer, clock, _not_watched), one, writer)
        for one in left
        if one is not kind
    ]
    return next(filter(None, troubles), None)


async def _told_to_the_end(log: LogProjector | None, kind: ExecLog, writer: Writer) -> str | None:
    """Tell what is left of a log that is not this run's; why it could not be, or None."""
    assert log is not None, kind
    await log.drain()
    if log.trouble is None:
        await writer.commit(Share(symbol="", stamps={LEFT_STAMP + kind.value: _NO}))
    return log.trouble


def _not_watched(silence_s: float) -> None:
    """Nobody waits for signs of life before a worker runs."""
