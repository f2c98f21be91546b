"""What is there before the event loop runs."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from adapters.contract import ExecutionAdapter
from config.load import Loaded
from config.seams import Clock
from config.settings import Broker, Execution
from store.connection import Store
from worker.logs import Log
from worker.notices.herald import Herald
from worker.notify import Notifier
from worker.options import RunOptions

EXECUTIONS_FOLDER = "executions"


def lock_name_of(fingerprint: str, broker: Broker) -> str:
    """What no two workers of one host may trade: a key's account; on practice exchanges one for each port."""
    if broker.rest_url is None:
        return fingerprint
    return f"{fingerprint}-{urlsplit(broker.rest_url).port or 0}"


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that a start makes in order, each of which may refuse."""

    loaded: Loaded
    options: RunOptions
    clock: Clock
    log: Log
    notifier: Notifier
    adapter: ExecutionAdapter
    store: Store
    sock: socket.socket | None
    started_s: float
    herald: Herald | None = None

    @property
    def execution(self) -> Execution:
        """The `execution:` node."""
        return self.loaded.settings.execution
