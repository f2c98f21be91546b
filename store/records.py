"""The store's own words: what a lane hands in for one commit, and what it gets back.

Pure values. Money and quantities are exact decimal text here, as they stand in the table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from store.lifecycle import State


class Reservation(msgspec.Struct, frozen=True, gc=False):
    """One signal, about to become a row: an order to be sent, a skip or a local rejection.

    `adopted` marks an order that the venue has already: no limit may keep it out of the store.
    """

    signal_ts_ms: int
    symbol: str
    signal_id: str
    id_given: bool
    state: State
    side: str
    gating: bool
    run_source: str
    meta_json: str
    place_file: str
    place_offset: int
    place_length: int
    score: float | None = None
    order_id: str | None = None
    qty: str | None = None
    price: str | None = None
    guard_reason: str | None = None
    error_code: str | None = None
    error_msg: str | None = None
    client_order_id: str | None = None
    order_json: str | None = None
    adopted: bool = False


class Move(msgspec.Struct, frozen=True, gc=False):
    """One step of one execution. `patch` is merged into meta_json; qty, price, order_json stay when None.

    `late` marks evidence against a terminal row (lifecycle.LATE_FILL_STATES to filled): the one legal way
    out of it. The line that was written stays as it was.
    """

    row_id: int
    before: State
    after: State
    reason: str | None = None
    has_fills: bool = False
    qty: str | None = None
    price: str | None = None
    error_code: str | None = None
    error_msg: str | None = None
    patch: str = "{}"
    order_json: str | None = None
    late: bool = False


class Halt(msgspec.Struct, frozen=True):
    """No new orders in `scope` (a symbol, or "" for all) until `until_ms` (None: until a resume).

    `new_only` leaves working orders alone; otherwise they are canceled.
    """

    scope: str
    why: str
    who: str
    at_ms: int
    new_only: bool = False
    until_ms: int | None = None


class Audit(msgspec.Struct, frozen=True):
    """One decision of a person or of a safeguard, kept for ever.

    `subject` is a signal id, a symbol or "all".
    """

    action: str
    subject: str
    who: str
    why: str
    detail: str = ""


class AuditEntry(msgspec.Struct, frozen=True):
    """A decision on record; the fields of an `Audit`, and when it was committed."""

    at_ms: int
    action: str
    subject: str
    who: str
    why: str
    detail: str


class Limits(msgspec.Struct, frozen=True):
    """`execution.risk`, enforced in the reserving transaction over rows with a client order id; None: off."""

    max_order_usd: Decimal | None = None
    max_orders_per_minute: int | None = None
    max_position_usd: Decimal | None = None


class Position(msgspec.Struct, frozen=True):
    """A source position as stored; see streams.position.SourcePosition."""

    symbol: str
    source: str
    name: str
    device: int
    inode: int
    offset: int
    marker: str
    mtime_ns: int
    detail: str


class DeadLetter(msgspec.Struct, frozen=True):
    """A malformed line or row, set aside with its reason."""

    symbol: str
    source: str
    file: str
    offset: int
    reason: str
    raw: bytes


class ProjectedFile(msgspec.Struct, frozen=True):
    """How far one output file is known to be on disk."""

    path: str
    name: str
    symbol: str
    hour: int
    size: int
    first_seq: int
    last_seq: int


@dataclass(slots=True)
class Share:
    """What one lane (or the projector) wants in the next commit; all of it or nothing.

    Moves are applied before reservations, in order.
    """

    symbol: str
    moves: list[Move] = field(default_factory=list)
    reservations: list[Reservation] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    stamps: dict[str, str] = field(default_factory=dict)
    projected: dict[str, int] = field(default_factory=dict)
    projected_files: list[ProjectedFile] = field(default_factory=list)
    forgotten_files: list[str] = field(default_factory=list)
    halts: list[Halt] = field(default_factory=list)
    resumes: list[str] = field(default_factory=list)
    audits: list[Audit] = field(default_factory=list)
    # Events after the first sequence number, up to the second, are to be told in exec_events.
    told: tuple[int, int] | None = None


@dataclass(slots=True)
class Receipt:
    """What became of a share. Only reservations with a row id are this worker's to send.

    `row_ids` stands beside `Share.reservations`: the new row's id, or None when the key was there
    already. `conflicts` of the duplicates differ from the row that came first; `reused` and
    `failed` are indices of reservations that were recorded as skip/id_reused and failed/internal_error;
    `limited` of those that a hard limit turned into a skip, with its code and sentence;
    `refused` are the moves that the table did not allow.
    """

    row_ids: list[int | None]
    duplicates: int = 0
    conflicts: int = 0
    reused: list[int] = field(default_factory=list)
    failed: list[tuple[int, str]] = field(default_factory=list)
    refused: list[tuple[Move, str]] = field(default_factory=list)
    limited: list[tuple[int, str, str]] = field(default_factory=list)
    dead_letters: int = 0
    took_s: float = 0.0


class Unsettled(msgspec.Struct, frozen=True):
    """A row without a final outcome, as found at start."""

    row_id: int
    symbol: str
    signal_id: str
    signal_ts_ms: int
    state: State
    client_order_id: str | None
    order_json: str | None
    side: str
    meta_json: str
    reserved_ms: int
