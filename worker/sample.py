"""A live feed of sample signals, written as the real producer writes: for a first look, drills and benches.

The same seed and base time give the same signals in every shape. Files are appended to and tables
added to, never cut; each line is flushed, each table is committed at least every half second.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import BinaryIO, Protocol

from config.seams import Clock
from worker.sample_shapes import SHAPES, Sample, Value, markets_of, v1_line, v1_row, v2_line, v2_row
from worker.sample_tables import INDEX, V1_INSERT, V1_TABLE, V2_INSERT, V2_TABLE

# At rate 0 the time stamps are those of a feed of this speed that ends at the base time.
BACKLOG_PER_SYMBOL_S = 5
# Two signals of a symbol must differ in their millisecond: the v1 table has no room for both.
RATE_PER_SYMBOL_MAX = 1_000
# The producer commits at least every half second.
COMMIT_S = 0.4
STOP_HEARD_S = 0.2
ROWS_PER_COMMIT = 500
EXIT_USAGE, EXIT_CANNOT_WRITE = 2, 73
SYMBOL = re.compile(r"[A-Z0-9]{2,20}")


class SampleError(ValueError):
    """A feed that cannot be written as asked."""


@dataclass(frozen=True, slots=True)
class FeedPlan:
    """What to write. `rate` is in signals per second over all symbols; 0 writes a backlog at full speed.

    `base_ms` is the time of the first signal, at rate 0 of the last one. Without `count` and `seconds`
    the feed ends when it is interrupted; both are in force when both are given.
    """

    shape: str
    rate: float
    symbols: tuple[str, ...]
    seed: int
    into: Path
    base_ms: int
    seconds: float | None = None
    count: int | None = None
    minute_files: bool = False

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise SampleError(f"shape is {self.shape!r}, must be one of {', '.join(SHAPES)}")
        wrong = [symbol for symbol in self.symbols if not SYMBOL.fullmatch(symbol)]
        if wrong or not self.symbols or len(set(self.symbols)) < len(self.symbols):
            raise SampleError(
                f"symbols are {','.join(self.symbols) or 'none'}, "
                "must be one or more different ones of 2 to 20 letters A-Z and digits"
            )
        if not 0 <= self.rate <= RATE_PER_SYMBOL_MAX * len(self.symbols):
            raise SampleError(
                f"rate is {self.rate:g}, must be between 0 (as fast as possible) "
                f"and {RATE_PER_SYMBOL_MAX} per second and symbol"
            )
        if self.rate == 0 and self.total is None:
            raise SampleError("rate 0 writes as fast as possible: say how much with a count or seconds")

    @property
    def total(self) -> int | None:
        """How many signals there will be; None: without end."""
        rate = self.rate or BACKLOG_PER_SYMBOL_S * len(self.symbols)
        limits = [] if self.count is None else [self.count]
        if self.seconds is not None:
            limits.append(round(self.seconds * rate))
        return min(limits, default=None)

    def ts_ms_of(self, number: int) -> int:
        """The time of the signal `number`."""
        if self.rate:
            return self.base_ms + int(number * 1_000 / self.rate)
        last = (self.total or 1) - 1
        return self.base_ms - int((last - number) * 1_000 / (BACKLOG_PER_SYMBOL_S * len(self.symbols)))


class Sink(Protocol):
    """Where samples go."""

    def write(self, sample: Sample) -> None:
        """Take one."""

    def commit(self) -> None:
        """Make all that was taken visible to readers."""

    def close(self) -> None:
        """Commit and let go."""


class JsonLines:
    """`ready/signal/{SYMBOL}/signals-YYYYMMDD-HH.jsonl`, the file chosen by the signal's own time."""

    def __init__(self, plan: FeedPlan) -> None:
        self._folder = plan.into / "ready" / "signal"
        self._name = "signals_%Y%m%d_%H%M.jsonl" if plan.minute_files else "signals-%Y%m%d-%H.jsonl"
        self._period_ms = 60_000 if plan.minute_files else 3_600_000
        self._line = v1_line if plan.shape.startswith("v1") else v2_line
        self._open: dict[str, tuple[int, BinaryIO]] = {}

    def write(self, sample: Sample) -> None:
        """Append one line and flush it."""
        file = self._file(sample.symbol, sample.ts_ms // self._period_ms)
        file.write(self._line(sample).encode() + b"\n")
        file.flush()

    def commit(self) -> None:
        """Every line was flushed already."""

    def close(self) -> None:
        """Close the files."""
        for _, file in self._open.values():
            file.close()
        self._open.clear()

    def _file(self, symbol: str, period: int) -> BinaryIO:
        known = self._open.get(symbol)
        if known is not None:
            if known[0] == period:
                return known[1]
            known[1].close()
        begin = datetime.fromtimestamp(period * self._period_ms // 1_000, UTC)
        path = self._folder / symbol / begin.strftime(self._name)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
        self._open[symbol] = (period, file)
        return file


class Table:
    """`signals.db` or `signals_v2.db`, in WAL mode, rows committed in batches."""

    def __init__(self, plan: FeedPlan) -> None:
        is_v1 = plan.shape.startswith("v1")
        plan.into.mkdir(parents=True, exist_ok=True)
        self._row: Callable[[Sample], tuple[Value, ...]] = v1_row if is_v1 else v2_row
        self._insert = V1_INSERT if is_v1 else V2_INSERT
        self._rows: list[tuple[Value, ...]] = []
        self._connection = sqlite3.connect(
            plan.into / ("signals.db" if is_v1 else "signals_v2.db"), isolation_level=None, timeout=30
        )
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(V1_TABLE if is_v1 else V2_TABLE)
        self._connection.execute(INDEX)

    def write(self, sample: Sample) -> None:
        """Gather one row."""
        self._rows.append(self._row(sample))
        if len(self._rows) >= ROWS_PER_COMMIT:
            self.commit()

    def commit(self) -> None:
        """Insert and commit what was gathered."""
        if self._rows:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(self._insert, self._rows)
            self._connection.execute("COMMIT")
            self._rows.clear()

    def close(self) -> None:
        """Commit and close."""
        with closing(self._connection):
            self.commit()


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def run_sample(
    *,
    shape: str,
    rate: float,
    seconds: float | None,
    symbols: Sequence[str],
    seed: int,
    into: Path,
    clock: Clock,
    random: Random,
    count: int | None = None,
    base_ms: int | None = None,
    minute_files: bool = False,
    say: Callable[[str], None] = _say,
) -> int:
    """Write a feed until it is complete or SIGINT or SIGTERM comes; returns the exit code.

    `random` decides the signals and should be seeded with `seed`, which names the run; `base_ms` is now by
    default (see FeedPlan). One line at the end goes to `say`: what was written, or why it was not. Must
    not run inside an event loop.
    """
    base_ms = clock.wall_ms() if base_ms is None else base_ms
    try:
        plan = FeedPlan(shape, rate, tuple(symbols), seed, into, base_ms, seconds, count, minute_files)
        asyncio.run(_write_until_stopped(plan, clock, random, say))
    except SampleError as error:
        say(str(error))
        return EXIT_USAGE
    except (OSError, sqlite3.Error) as error:
        say(f"{into} takes no signals ({error}): see that it is a folder with room, and yours to write")
        return EXIT_CANNOT_WRITE
    return 0


async def _write_until_stopped(
    plan: FeedPlan, clock: Clock, chance: Random, say: Callable[[str], None]
) -> None:
    stop = asyncio.Event()
    with _stopped_by_signals(stop):
        await write_feed(plan, clock=clock, chance=chance, stop=stop, say=say)


async def write_feed(
    plan: FeedPlan,
    *,
    clock: Clock,
    chance: Random,
    stop: asyncio.Event,
    say: Callable[[str], None] = _say,
) -> int:
    """Write the feed of `plan` until it is complete or `stop` is set; returns how many were written."""
    sink: Sink = JsonLines(plan) if plan.shape.endswith("jsonl") else Table(plan)
    written = confirmed = 0
    with closing(sink):
        pace = _Pace(plan.rate, clock, sink, stop)
        for sample in _samples(plan, chance):
            await pace.turn_of(sample.number)
            if stop.is_set():
                break
            sink.write(sample)
            written += 1
            confirmed += sample.confirm
    say(
        f"wrote {written} signals ({confirmed} confirmed) of {', '.join(plan.symbols)} "
        f"as {plan.shape} into {plan.into}"
    )
    return written


def _samples(plan: FeedPlan, chance: Random) -> Iterator[Sample]:
    """The signals of the plan, symbol by symbol in turn."""
    markets, run_id, total = markets_of(plan.symbols, chance), f"r{plan.seed}", plan.total
    number = 0
    while total is None or number < total:
        yield markets[number % len(markets)].next(number, plan.ts_ms_of(number), run_id)
        number += 1


class _Pace:
    """When each signal is due; commits while it waits and hears `stop` soon."""

    def __init__(self, rate: float, clock: Clock, sink: Sink, stop: asyncio.Event) -> None:
        self._rate = rate
        self._clock = clock
        self._sink = sink
        self._stop = stop
        self._began_s = clock.monotonic_s()
        self._commit_at_s = self._began_s + COMMIT_S

    async def turn_of(self, number: int) -> None:
        """Return when the signal `number` is due, or when `stop` is set."""
        if number % ROWS_PER_COMMIT == 0:
            # A feed that is behind its time never waits; this lets SIGINT through.
            await self._clock.sleep(0)
        due_s = self._began_s + (number / self._rate if self._rate else 0.0)
        while not self._stop.is_set():
            now_s = self._clock.monotonic_s()
            if now_s >= self._commit_at_s:
                self._sink.commit()
                self._commit_at_s = now_s + COMMIT_S
            if now_s >= due_s:
                return
            await self._clock.sleep(min(due_s - now_s, self._commit_at_s - now_s, STOP_HEARD_S))


@contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set `stop` instead of ending the process half-way through a line."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
