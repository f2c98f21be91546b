"""A worker without its process: lanes on a real store, feeds in memory, a venue that is handed in."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from rig.rows import rows
from rig.scripted_adapter import ScriptedAdapter
from rig.virtual_clock import START_MS

from adapters.contract import ExecutionAdapter
from adapters.pacing import TokenBucket
from config.seams import Clock, arm_crash_points
from config.settings import Execution, RateLimit
from store.connection import open_store
from store.ledger import Ledger
from store.writer import Writer
from streams.position import SourcePosition
from streams.signal import Place, Record, Signal
from streams.source import FeedState
from worker.floor import Floor
from worker.gate import Gate
from worker.halts import Halts
from worker.lane import Lane
from worker.logs import Log
from worker.metrics import Metrics
from worker.news import News
from worker.pace import Permits, Slots
from worker.planning import rules_of
from worker.pulse import Pulses
from worker.report import Report
from worker.resolver import NotSentRetry, Resolver
from worker.rows import RowBuilder, source_positions_of

UNLIMITED = Execution(rate_limit=RateLimit(max_qps=None, max_concurrency=64))


def signal(number: int = 0, symbol: str = "BTCUSDT", **changes: Any) -> Signal:
    """A signal that becomes a long order; its id is `{symbol}-{number}`."""
    values: dict[str, Any] = {
        "ts_ms": START_MS + number,
        "symbol": symbol,
        "signal_id": f"{symbol}-{number}",
        "id_given": False,
        "score": 0.9,
        "confirm": True,
        "gate_passed": True,
        "place": Place(f"ready/signal/{symbol}/a.jsonl", number, 1),
    }
    return Signal(**{**values, **changes})


class MemoryBatch:
    """Records in order; the position is their number."""

    def __init__(self, symbol: str, records: Sequence[Record], first: int) -> None:
        self.records = records
        self._symbol = symbol
        self._first = first

    def positions(self, start: int, end: int) -> Sequence[SourcePosition]:
        """One position, after the last record of the prefix."""
        return [SourcePosition(self._symbol, "memory", "list", 0, 0, self._first + end, "")]


class MemoryFeed:
    """A feed over a list that outlives the worker, resumed from the durable position."""

    def __init__(self, symbol: str, records: list[Record], positions: Sequence[SourcePosition]) -> None:
        self.symbol = symbol
        self._records = records
        self._next = positions[0].offset if positions else 0
        self._hint = asyncio.Event()

    async def read(self, limit: int) -> MemoryBatch:
        """What is new since the last call."""
        first = self._next
        found = self._records[first : first + limit]
        self._next += len(found)
        return MemoryBatch(self.symbol, found, first)

    def add(self, *records: Record) -> None:
        """Append, with a hint."""
        self._records.extend(records)
        self._hint.set()

    async def wait(self) -> None:
        """Return on the next hint."""
        await self._hint.wait()
        self._hint.clear()

    async def end_positions(self) -> Sequence[SourcePosition]:
        """After everything."""
        return MemoryBatch(self.symbol, (), 0).positions(0, len(self._records))

    def state(self) -> FeedState:
        """What is unread."""
        return FeedState(None, len(self._records) - self._next, 0)


class Worker:
    """One life of a worker: from opening the store to closing it or to a crash."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        adapter: ExecutionAdapter,
        inputs: dict[str, list[Record]],
        *,
        execution: Execution = UNLIMITED,
        once: bool = True,
        unseen_ms: int = 0,
    ) -> None:
        self._unseen_ms = unseen_ms
        self.folder = folder
        self.clock = clock
        self.adapter = adapter
        store = open_store(folder, clock=clock, stamps={"mode": "dry_run", "account": "none"})
        self.store = store
        self.ledger = Ledger(store, clock)
        self.executor = ThreadPoolExecutor(max_workers=1)
        self.writer = Writer(self.ledger, executor=self.executor, clock=clock)
        self.stream = io.StringIO()
        self.metrics = Metrics()
        self.log = Log("debug", None, clock, self.stream, False)
        self.pulses = Pulses(clock)
        self.floor = self._floor(execution, once)
        self.feeds = {
            symbol: MemoryFeed(symbol, records, source_positions_of(self.ledger.positions(symbol, "memory")))
            for symbol, records in inputs.items()
        }
        self.lanes = {symbol: self._lane(symbol) for symbol in inputs}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def _floor(self, execution: Execution, once: bool) -> Floor:
        rules = rules_of(execution)
        report = Report(self.metrics, self.log, self.clock)
        bucket = TokenBucket(execution.rate_limit.max_qps, now_s=self.clock.monotonic_s())
        halts = Halts(self.folder, self.ledger, self.writer, self.log, self.clock)
        gate = Gate(halts, self.writer, rules, self.adapter, self.clock)
        return Floor(
            writer=self.writer,
            ledger=self.ledger,
            adapter=self.adapter,
            permits=Permits(bucket, self.clock),
            slots=Slots(execution.rate_limit.max_concurrency),
            halts=halts,
            gate=gate,
            news=News(self.writer, self.ledger, halts, report, self.clock),
            rules=rules,
            rows=RowBuilder(execution, self.adapter),
            resolver=Resolver(
                writer=self.writer,
                ledger=self.ledger,
                adapter=self.adapter,
                gate=gate,
                retry=execution.retry,
                clock=self.clock,
                report=report,
            ),
            retrying=NotSentRetry(execution.retry, self.clock, report),
            report=report,
            clock=self.clock,
            source_kind="memory",
            history_ms=86_400_000,
            unseen_ms=self._unseen_ms,
            once=once,
        )

    def _lane(self, symbol: str) -> Lane:
        return Lane(
            self.floor,
            self.feeds[symbol],
            self.pulses.of(f"lane {symbol}"),
            start_ms=None,
            last_order_ts_ms=self.ledger.last_order_ts_ms(symbol),
        )

    async def __aenter__(self) -> Worker:
        for symbol, lane in self.lanes.items():
            self.tasks[symbol] = asyncio.create_task(lane.run(), name=symbol)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def drained(self) -> None:
        """Wait until every lane has ended; raises what one of them died of."""
        await asyncio.gather(*self.tasks.values())

    async def stop(self) -> None:
        """Ask all lanes to stop, and wait."""
        for lane in self.lanes.values():
            lane.stop()
        await self.drained()

    async def end(self) -> None:
        """End what still runs, and close the store."""
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        self.executor.shutdown(wait=True)
        self.ledger.close()
        self.log.close()

    def states(self) -> dict[str, str]:
        """State of each signal, in the order of the rows."""
        return dict(rows(self.folder, "signal_id, state", order="id"))

    def codes(self) -> dict[str, str | None]:
        """Reason code of each signal."""
        return dict(rows(self.folder, "signal_id, error_code", order="id"))

    def events(self) -> list[dict[str, Any]]:
        """What was logged."""
        self.log.flush()
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


async def drain(
    folder: Path, clock: Clock, adapter: ExecutionAdapter, *signals: Record, **more: Any
) -> Worker:
    """One life over `signals`, to its end; the worker, closed."""
    inputs: dict[str, list[Record]] = {}
    for one in signals:
        inputs.setdefault(one.symbol, []).append(one)
    async with Worker(folder, clock, adapter, inputs, **more) as worker:
        await worker.drained()
    return worker


class Crash(BaseException):
    """The process is gone."""


def crash_at(name: str, passage: int, folder: Path, copy: Path, venue: ScriptedAdapter) -> None:
    """At the `passage`-th time at `name`, keep the disk as it is in `copy` and die there."""
    left = passage

    def die(passed: str) -> None:
        nonlocal left
        if passed != name or left <= 0:
            return
        left -= 1
        if left == 0:
            _copy_disk(folder, copy)
            venue.cut = True
            raise Crash(name)

    arm_crash_points(die)


def _copy_disk(folder: Path, copy: Path) -> None:
    """Every file as it stands; the index of the WAL is memory, which a crash does not leave behind."""
    for path in sorted(folder.rglob("*")):
        target = copy / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.suffix != ".db-shm":
            # Another thread may be renaming what it wrote; either name is what a crash may leave.
            with suppress(FileNotFoundError):
                shutil.copy(path, target)
