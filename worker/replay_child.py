"""A process that replays one symbol for the process that began it, and ends with it, whatever ended that.

Begun as a new interpreter, never as a copy of the running one, which has threads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from threading import Thread

from adapters.backtest_venue import BacktestError
from adapters.paper.signal_quotes import SignalQuotes
from config.seams import Clock, SystemClock
from streams.whole import WholeInputError
from worker.replay import Replay
from worker.replay_input import Input
from worker.replay_output import ReplayOutputError
from worker.replay_share import Job, Outcome, Reached, ShareLines
from worker.replay_venue import replay_venue

REPORT_S = 0.5
# What ends a replay with a sentence of its own.
ENDINGS = (WholeInputError, BacktestError, ReplayOutputError)


def main() -> None:
    """Take a job from the descriptor that the command line names, report, and say what came of it."""
    parent: Connection[object, object] = Connection(int(sys.argv[-1]))
    job = parent.recv()
    assert isinstance(job, Job), job
    Thread(target=_end_with, args=(parent,), daemon=True).start()
    told: object
    try:
        told = replay_share(job, SystemClock(), parent.send)
    except ENDINGS as error:
        told = error
    parent.send(told)


def replay_share(job: Job, clock: Clock, report: Callable[[Reached], None]) -> Outcome:
    """Replay one symbol. Raises WholeInputError, BacktestError, ReplayOutputError."""
    venue = replay_venue(job.execution, job.price_file, (job.symbol,))
    signals = Input(job.signals, (job.symbol,), job.execution, clock, among=job.among)
    next_s = clock.monotonic_s() + REPORT_S

    def reached(done: int, total: int, records: int) -> None:
        nonlocal next_s
        if clock.monotonic_s() >= next_s:
            next_s = clock.monotonic_s() + REPORT_S
            report(Reached(done, records))

    lines = ShareLines(job.folder, job.symbol)
    replay = Replay(job.execution, venue, lines, own_prices=isinstance(venue.quotes, SignalQuotes))
    replay.run(signals, reached)
    lines.flush()
    return Outcome(job.symbol, replay.tally, venue.positions.get(job.symbol))


def _end_with(parent: Connection[object, object]) -> None:
    """End this process as soon as nobody wants its result."""
    try:
        parent.recv()
    except (EOFError, OSError):
        os._exit(1)
