"""The adapter contract: what every venue can be asked, and the words it answers with.

Pure. Outcomes are unions, never exceptions: an adapter raises only for bugs. An adapter is proven
by the contract suite and changes no line of the lane.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from decimal import Decimal
from typing import Literal, Protocol

import msgspec

OrderSide = Literal["buy", "sell"]
OrderState = Literal["open", "partial", "filled", "canceled", "expired"]

# Asked once more when the first byte is about to leave: why it must not, or None.
Guard = Callable[[], str | None]


class OrderCtx(msgspec.Struct, frozen=True, gc=False):
    """What is wanted: one eligible signal, sized and described, before the venue's rules apply.

    Quantities and prices are Decimal in base and quote units; times are UTC epoch milliseconds.
    `qty` is None where the venue sizes the order itself: `size_usd` over the price, or what the adapter was
    set up with where that is None too. `life_end_ms` (the host's wall clock) is when the signal is too old to
    be sent; None: never.
    """

    client_order_id: str
    symbol: str
    side: OrderSide
    qty: Decimal | None
    order_type: str
    price: Decimal | None
    tif: str
    ts_ms: int
    event_ts_ms: int
    signal_id: str
    signal_row_id: int | None = None
    regime: str | None = None
    scenario: str | None = None
    warmup: bool | None = None
    guard_reason: str | None = None
    consistency: float | None = None
    weak_signal_throttle: bool | None = None
    tick_size: Decimal | None = None
    step_size: Decimal | None = None
    min_notional: Decimal | None = None
    costs_bps: Decimal | None = None
    metadata: dict[str, str] | None = None
    life_end_ms: int | None = None
    size_usd: Decimal | None = None


class Order(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The order exactly as it will be sent; the row keeps it, and a re-send uses the row.

    `send_before_ms` (exchange clock) is the latest time stamp it may be signed with, `recv_window_ms`
    how long after that the venue may still take it; None where the venue has no such fence.
    `intent_price` is the book price it was sized with, and is not sent. `rounding_diff` is what alignment
    took away: wanted minus sent, as {"price_diff", "qty_diff"} in decimal text. `event_ts_ms` is the
    time of its signal, for a venue whose prices are looked up by it; it is not sent either.
    """

    client_order_id: str
    symbol: str
    side: OrderSide
    order_type: str
    tif: str
    qty: Decimal
    price: Decimal | None
    signal_id: str
    position_side: str = "BOTH"
    send_before_ms: int | None = None
    recv_window_ms: int | None = None
    intent_price: Decimal | None = None
    rounding_diff: dict[str, str] | None = None
    reduce_only: bool = False
    event_ts_ms: int | None = None


class Reject(msgspec.Struct, frozen=True):
    """`prepare` says no: nothing was sent. `code` is a fixed reason code, `text` says why."""

    code: str
    text: str


class OrderUpdate(msgspec.Struct, frozen=True, gc=False):
    """The venue's present word on one order; cumulative, so applying it twice changes nothing."""

    client_order_id: str
    state: OrderState
    filled_qty: Decimal
    average_price: Decimal | None = None
    exchange_order_id: str | None = None
    event_ms: int | None = None
    fee: Decimal | None = None
    reason: str | None = None
    symbol: str | None = None


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The venue has the order; `update` is what became of it so far."""

    update: OrderUpdate
    sent_ts_ms: int | None = None
    ack_ts_ms: int | None = None


class Rejected(msgspec.Struct, frozen=True):
    """Provably not accepted."""

    code: str
    text: str


class NotSent(msgspec.Struct, frozen=True):
    """Provably never left the host; may be tried again, not before `retry_at_ms` (wall clock) when given."""

    code: str
    text: str
    retry_at_ms: int | None = None


class Unknown(msgspec.Struct, frozen=True):
    """Sent, perhaps accepted: only `lookup` may say."""

    why: str


SubmitResult = Accepted | Rejected | NotSent | Unknown


class Found(msgspec.Struct, frozen=True):
    """The venue has the order. `same_terms` is False when it differs from the row."""

    update: OrderUpdate
    same_terms: bool = True


class ProvenAbsent(msgspec.Struct, frozen=True):
    """The order was not accepted and never will be."""


class NotYet(msgspec.Struct, frozen=True):
    """No proof either way; ask again at `until_ms` (wall clock)."""

    until_ms: int
    why: str


LookupResult = Found | ProvenAbsent | NotYet


class Wait(msgspec.Struct, frozen=True):
    """No order of a symbol can leave now: no fresh price, a spent budget, a ban. Look again at `until_ms`.

    `code` is a fixed word (`price`, `budget`, `deadline`, `clock`), `until_ms` wall clock.
    """

    code: str
    text: str
    until_ms: int


class StartRefusal(msgspec.Struct, frozen=True):
    """Why this adapter cannot begin; decides the exit code (69, 77, 78). `text` is the whole sentence."""

    kind: Literal["unavailable", "permission", "configuration"]
    text: str


class PastOrder(msgspec.Struct, frozen=True):
    """An order of ours that the venue remembers, with the terms it was placed on."""

    update: OrderUpdate
    symbol: str
    side: OrderSide
    order_type: str
    tif: str
    qty: Decimal
    price: Decimal | None
    at_ms: int


class LedgerView(Protocol):
    """What an adapter may ask the store; the worker answers."""

    async def known(self, client_order_ids: Collection[str]) -> frozenset[str]:
        """Those of the ids that have a row."""

    async def expected_position(self, symbol: str, apart_from: str) -> Decimal | None:
        """The signed position that the settled rows add up to, on top of what the account began with.

        None while an order of the symbol other than `apart_from` (a client order id) is unsettled.
        """

    async def sends_since(self, since_ms: int) -> Sequence[int]:
        """When orders were reserved since then (host's wall clock), ascending: the budgets begin with it."""

    async def kept(self, key: str) -> str | None:
        """What an adapter of this store has kept under `key`, in this life or a former one."""

    async def keep(self, key: str, value: str) -> None:
        """On disk when this returns."""


class ExecResult(msgspec.Struct, frozen=True):
    """What one submission came to, for logs, metrics and the row's meta_json."""

    status: str
    client_order_id: str
    exchange_order_id: str | None = None
    reject_reason: str | None = None
    latency_ms: float | None = None
    slippage_bps: Decimal | None = None
    rounding_applied: bool = False
    sent_ts_ms: int | None = None
    ack_ts_ms: int | None = None
    meta: dict[str, str] | None = None


class CancelResult(msgspec.Struct, frozen=True):
    """`done` is True when the order no longer works; `text` says why not."""

    done: bool
    text: str = ""


class AmendResult(msgspec.Struct, frozen=True):
    """`done` is True when the order now has the new terms."""

    done: bool
    text: str = ""


class Fill(msgspec.Struct, frozen=True):
    """One trade of one order; unique by `trade_id` within the symbol."""

    client_order_id: str
    trade_id: str
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    ts_ms: int


class WindowUsage(msgspec.Struct, frozen=True):
    """The present window of one limit of a venue, for people and metrics; `used` is an upper bound."""

    kind: Literal["orders", "weight", "requests"]
    length_ms: int
    used: int
    limit: int
    ends_ms: int


class ExecutionAdapter(Protocol):
    """A venue. One instance serves all lanes; calls for different symbols may overlap."""

    @property
    def name(self) -> str:
        """The adapter's name, kept in each row's meta_json."""

    @property
    def batch_max(self) -> int:
        """Orders per lane and reservation: 1 wherever a wire is touched."""

    @property
    def clock_offset_ms(self) -> int:
        """The venue's clock minus the host's wall clock, as known now; 0 where the venue has none."""

    @property
    def weight_used(self) -> int:
        """How much of the venue's present request budget may be spent; 0 where there is none."""

    @property
    def usage(self) -> Sequence[WindowUsage]:
        """The present window of every limit of the venue; empty where there is none."""

    @property
    def deadline_ms(self) -> int:
        """The venue wants to hear nothing before this, by its own clock; 0: it never asked for a pause."""

    @property
    def denied(self) -> str | None:
        """Why the venue refuses this account altogether, until a person has looked; None: it does not."""

    @property
    def stream_missing(self) -> str | None:
        """Why the venue pushes no news although it should, so that asking tells them later; None: it does."""

    @property
    def position_is_exact(self) -> bool:
        """False where fees, transfers and other symbols move it too, as they do a balance on spot."""

    def allow_again(self) -> None:
        """A person has looked at why the account was refused: `denied` is None until it is refused again."""

    @property
    def order_id_prefix(self) -> str | None:
        """`order_id` is this and the signal id; None where the client order id itself is the order id.

        An adapter with `batch_max` above 1 touches no wire: its rows carry no client order id. One with 1 may
        have a prefix all the same, as paper has: its rows carry both.
        """

    async def start(self, view: LedgerView) -> StartRefusal | None:
        """Connect, learn the venue's rules, and prove that this account may be traded; called once, first."""

    def wait_for(self, symbol: str) -> Wait | None:
        """Why no order of `symbol` can leave now; None when one can. Cheap, no I/O; asked before planning."""

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        """The order as it will be sent, or why there will be none; no I/O."""

    def renew(self, order: Order, life_end_ms: int | None) -> Order:
        """The same order with a new window to send it in; for one that was provably not accepted."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        """Send once. Never retries by itself and never raises for the world's faults.

        `guard` is asked when the first byte is about to leave; its reason ends in NotSent("held").
        An order whose window has passed ends in NotSent("window_passed").
        """

    async def lookup(self, client_order_id: str, order: Order) -> LookupResult:
        """What became of an order that may have been sent (DESIGN 4); may be repeated."""

    def watch(self, order: Order) -> None:
        """Follow an accepted order until it is final; for those that a former run left working."""

    async def past_orders(self, symbol: str, since_ms: int) -> Sequence[PastOrder] | NotYet:
        """Every order of `symbol` since `since_ms` whose client order id is one of ours, oldest first."""

    def updates(self) -> AsyncIterator[OrderUpdate]:
        """Later news of accepted orders, at least once, in any order; ends when the adapter closes."""

    async def cancel(self, client_order_id: str, symbol: str) -> CancelResult:
        """Ask for the order to stop working; may be repeated."""

    async def amend(self, client_order_id: str, symbol: str, qty: Decimal, price: Decimal) -> AmendResult:
        """Change a working limit order."""

    async def fetch_fills(self, symbol: str, since_ms: int) -> Sequence[Fill] | NotYet:
        """The trades of `symbol` since `since_ms`."""

    async def get_position(self, symbol: str) -> Decimal | NotYet:
        """The signed position in base units."""

    async def get_balance(self) -> dict[str, Decimal] | NotYet:
        """Free balance by asset."""

    async def open_orders(self, symbol: str) -> Sequence[PastOrder] | NotYet:
        """Orders of ours that still work."""

    async def flush(self) -> None:
        """Finish what is buffered."""

    async def close(self) -> None:
        """Release connections; ends `updates()`."""
