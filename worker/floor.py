"""What all lanes share, and what one commit of a lane covers."""

from __future__ import annotations

from dataclasses import dataclass, field

from adapters.contract import ExecutionAdapter, Wait
from config.seams import Clock
from store.ledger import Ledger
from store.records import Reservation
from store.writer import Writer
from streams.signal import Malformed
from worker.gate import Gate, Pending
from worker.halts import Halts
from worker.news import News
from worker.pace import Permits, Slots
from worker.planning import Rules
from worker.report import Report
from worker.resolver import NotSentRetry, Resolver
from worker.rows import RowBuilder

# A larger share is a backlog: it is written while the next one is read.
URGENT_ORDERS_MAX = 4


@dataclass(frozen=True, slots=True)
class Floor:
    """What all lanes share."""

    writer: Writer
    ledger: Ledger
    adapter: ExecutionAdapter
    permits: Permits
    slots: Slots
    halts: Halts
    gate: Gate
    news: News
    rules: Rules
    rows: RowBuilder
    resolver: Resolver
    retrying: NotSentRetry
    report: Report
    clock: Clock
    source_kind: str
    # How far back the venue is asked for orders of ours.
    history_ms: int
    # How long after its reservation an order may still turn up that the venue does not show yet.
    unseen_ms: int
    once: bool = False


@dataclass(slots=True)
class Taken:
    """The part of a batch that one commit covers."""

    records: int = 0
    reservations: list[Reservation] = field(default_factory=list)
    orders: list[tuple[int, Pending]] = field(default_factory=list)  # (index of reservation, order)
    malformed: list[Malformed] = field(default_factory=list)
    permits: int = 0
    wait: Wait | None = None  # why the venue takes no order now
    adopted: Pending | None = None  # the row of an order that the venue has already

    @property
    def is_urgent(self) -> bool:
        """Whether it is a few orders and nothing else: each of them waits for this commit."""
        return 0 < self.permits == self.records <= URGENT_ORDERS_MAX
