"""What the page is made from, as values: /status, the newest rows, the last hour, the newest drill. Pure.

Every field of `Status` has a default: a page must be drawn of whatever a worker tells.
"""

from __future__ import annotations

import msgspec

from store.recent import Recent
from worker.history import Sample


class Halt(msgspec.Struct, frozen=True):
    """A halt in force; the empty scope means everything."""

    scope: str
    why: str
    who: str
    at_ms: int = 0
    new_only: bool = False
    until_ms: int | None = None


class Lane(msgspec.Struct, frozen=True):
    """One symbol."""

    symbol: str
    queue_len: int = 0
    blocked_by: str | None = None
    waiting_for: str | None = None
    backlog: int = 0
    last_read_ms: int = 0


class Unsettled(msgspec.Struct, frozen=True):
    """The orders of a symbol in one state that is not final."""

    symbol: str
    state: str
    rows: int
    oldest_ms: int


class Window(msgspec.Struct, frozen=True):
    """The present window of one limit of the venue."""

    kind: str
    length_ms: int
    used: int
    limit: int
    ends_ms: int


class Limits(msgspec.Struct, frozen=True):
    """What bounds the orders, and the venue's view of us."""

    in_flight: int = 0
    signal_life_ms: int | None = None
    max_order_usd: str | None = None
    max_orders_per_minute: int | None = None
    max_position_usd: str | None = None
    venue: list[Window] = []
    venue_deadline_ms: int = 0
    clock_offset_ms: int = 0


class Status(msgspec.Struct, frozen=True):
    """What /status tells, as far as the page shows it."""

    version: str = ""
    mode: str = ""
    venue: str = ""
    source: str = ""
    ready: bool = False
    why_not_ready: str | None = None
    uptime_s: float = 0.0
    lag_ms: int = 0
    queue_len: int = 0
    success_count: int = 0
    fail_count: int = 0
    retry_count: int = 0
    skip_count: int = 0
    unknown_count: int = 0
    signal_count: int = 0
    malformed_count: int = 0
    rate_limit_qps: float | None = None
    rate_limit_why: str | None = None
    max_concurrency: int | None = None
    order_size_usd: str | None = None
    strategy_mode: str | None = None
    halts: list[Halt] = []
    lanes: list[Lane] = []
    unsettled: list[Unsettled] = []
    limits: Limits = Limits()
    output_trouble: str | None = None
    sources_ignored: list[str] = []


class DrillRow(msgspec.Struct, frozen=True):
    """One drill of a run; nothing was `accepted` where no venue took part."""

    drill: str
    passed: bool
    kills: int = 0
    signals: int = 0
    rows: int = 0
    accepted: int | None = None
    duplicates: int = 0
    lost: int = 0
    recovery_p50_s: float | None = None
    recovery_p99_s: float | None = None
    why: str | None = None


class Drill(msgspec.Struct, frozen=True):
    """A result.json of the command `drill`."""

    kind: str
    passed: bool
    seed: int = 0
    started_ms: int = 0
    ended_ms: int = 0
    rows: list[DrillRow] = []


class Seen(msgspec.Struct, frozen=True):
    """Everything of one look. `trouble` says why the store's rows or the drill are missing."""

    at_ms: int
    status: Status
    recent: Recent = Recent()
    samples: tuple[Sample, ...] = ()
    drill: Drill | None = None
    drill_folder: str = ""
    output: str = ""
    store_trouble: str | None = None
    drill_trouble: str | None = None
