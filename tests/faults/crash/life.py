"""One life of the worker in the harness: the real composition, the real store, the real adapter.

Only what is outside of the worker is replaced: the source is a list, the wire leads to the exchange in the
box, and there is no process around it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crash.stepping import LifeClock
from rig.exchange_transport import InProcessTransport
from rig.floor import MemoryFeed
from rig.process import MemorySource

from adapters.binance.connect import open_binance
from adapters.binance.credentials import Credentials
from config.load import Loaded
from config.settings import Settings
from store.connection import Store, open_store
from streams.signal import Record
from streams.source import Feed
from worker import assembly
from worker.assembly import assemble
from worker.daemon import Daemon
from worker.logs import Log
from worker.notify import Notifier
from worker.options import RunOptions
from worker.parts import EXECUTIONS_FOLDER, Parts

KEY = Credentials("loopback-key", "loopback-secret", "the environment variable BINANCE_API_KEY")
ACCOUNT = "a1"


class ListedSource(MemorySource):
    """The feeds of one life over lists that outlive it."""

    def __init__(self, inputs: Mapping[str, list[Record]]) -> None:
        super().__init__(dict(inputs))
        self.feeds: dict[str, MemoryFeed] = {}

    def feed(self, symbol: str, positions: Any) -> Feed:
        """The feed of one symbol, from the durable position on."""
        self.feeds[symbol] = MemoryFeed(symbol, self._inputs[symbol], positions)
        return self.feeds[symbol]


class Life:
    """From the opening of the store to the end, or to a crash. `output` is the worker's output folder."""

    def __init__(
        self,
        output: Path,
        settings: Settings,
        clock: LifeClock,
        transport: InProcessTransport,
        inputs: Mapping[str, list[Record]],
    ) -> None:
        self.output = output
        self.folder = output / EXECUTIONS_FOLDER
        self.source = ListedSource(inputs)
        self.transport = transport
        self.clock = clock
        self.store: Store | None = None
        self.daemon: Daemon | None = None
        self.log = Log("error", None, clock, io.StringIO(), False)
        sink = settings.execution.sink.model_copy(update={"base_dir": output})
        execution = settings.execution.model_copy(update={"sink": sink})
        self.settings = settings.model_copy(update={"execution": execution})

    async def run(self) -> None:
        """As the program does it; raises what would end the process with an exit code."""
        self.store = open_store(self.folder, clock=self.clock, stamps={"mode": "testnet", "account": ACCOUNT})
        parts = Parts(
            loaded=Loaded(self.settings, {}, []),
            options=RunOptions(start="beginning"),
            clock=self.clock,
            log=self.log,
            notifier=Notifier(None, None),
            adapter=open_binance(self.settings, KEY, self.clock, transport=self.transport),
            store=self.store,
            sock=None,
            started_s=self.clock.monotonic_s(),
        )
        self.daemon = await assemble(parts, None)  # type: ignore[arg-type]  # the loop needs no thread
        await self.daemon.run(None)

    def add(self, record: Record) -> None:
        """The producer has written one more."""
        feed = self.source.feeds.get(record.symbol)
        if feed is None:
            self.source._inputs[record.symbol].append(record)
        else:
            feed.add(record)

    def stop(self) -> None:
        """Ask for a clean end."""
        if self.daemon is not None:
            self.daemon.stop()

    def let_go(self) -> None:
        """What the kernel does for a process that is gone."""
        if self.store is not None:
            self.store.lock.release()
            self.store = None


@contextmanager
def reading_from(source: Callable[[], ListedSource]) -> Iterator[None]:
    """The composition finds this source instead of files and tables."""
    before = (assembly.open_source, assembly.resolve_kind)
    assembly.open_source = lambda *args, **named: source()  # type: ignore[assignment,misc]  # the outside
    assembly.resolve_kind = lambda *args: "memory"  # type: ignore[assignment,misc,return-value]  # the outside
    try:
        yield
    finally:
        assembly.open_source, assembly.resolve_kind = before  # type: ignore[misc]  # as it was
