"""A whole worker without its command line: the daemon over memory feeds, a real store and real outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rig.floor import UNLIMITED, MemoryFeed, Worker

from adapters.contract import ExecutionAdapter
from config.seams import Clock
from store.projector import Projector
from streams.position import SourcePosition
from streams.signal import Record
from streams.source import Feed, SourceCounters
from worker.controls import Controls
from worker.daemon import Daemon
from worker.gone_files import GoneFiles
from worker.notify import Notifier
from worker.shadow_watch import watch_of


class MemorySource:
    """A source whose feeds are lists."""

    kind = "memory"

    def __init__(self, inputs: dict[str, list[Record]]) -> None:
        self.counters = SourceCounters(resets={}, ignored_files={})
        self._inputs = inputs

    async def start(self) -> None:
        """Nothing to watch."""

    def feed(self, symbol: str, positions: Sequence[SourcePosition]) -> Feed:
        """The feed of one symbol."""
        return MemoryFeed(symbol, self._inputs[symbol], positions)

    def reachable_since_ms(self, symbol: str) -> int | None:
        """Everything stays reachable."""
        return None

    async def close(self) -> None:
        """Nothing is held."""


class Process:
    """One life of a worker, started and stopped like a process."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        adapter: ExecutionAdapter,
        inputs: dict[str, list[Record]],
        **more: Any,
    ) -> None:
        self.worker = Worker(folder, clock, adapter, inputs, **{"once": False, **more})
        worker = self.worker
        self.projector = Projector(
            folder, worker.writer, clock, with_skipped=False, silent_for=worker.pulses.of("outputs").waits
        )
        worker.writer._on_commit = lambda _: self.projector.wake()
        execution = more.get("execution", UNLIMITED)
        sink = execution.sink.model_copy(update={"base_dir": folder})
        self.daemon = Daemon(
            execution=execution.model_copy(update={"sink": sink}),
            floor=worker.floor,
            lanes=list(worker.lanes.values()),
            ledger=worker.ledger,
            source=MemorySource(inputs),
            projector=self.projector,
            pulses=worker.pulses,
            metrics=worker.metrics,
            log=worker.log,
            notifier=Notifier(None, None),
            controls=Controls(folder, worker.floor, list(inputs), worker.pulses.of("controls")),
            clock=clock,
            started_s=clock.monotonic_s(),
            gone_files=GoneFiles(
                worker.store, worker.writer, clock, signals_dir=folder, symbols=list(inputs)
            ),
            shadow=watch_of(adapter, worker.metrics, execution.shadow),
        )

    async def __aenter__(self) -> Process:
        self.task = asyncio.create_task(self.daemon.run(None), name="daemon")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.daemon.stop()
        try:
            await self.task
        finally:
            await self.worker.end()

    def named(self, event: str) -> list[dict[str, Any]]:
        """The logged events of one name."""
        return [one for one in self.worker.events() if one["event"] == event]
