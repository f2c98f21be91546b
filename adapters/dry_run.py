"""Dry-run: every order is filled at once, at the signal's own price, and nothing leaves the process.

It takes the same way as a real venue (reserved, submitted, settled); only the wire is missing, so an
order that was in flight at a crash is proven absent without a question.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

from adapters.contract import (
    Accepted,
    AmendResult,
    CancelResult,
    Fill,
    Guard,
    LedgerView,
    LookupResult,
    Order,
    OrderCtx,
    OrderUpdate,
    PastOrder,
    ProvenAbsent,
    Reject,
    StartRefusal,
    SubmitResult,
    Wait,
    WindowUsage,
)

# One reservation may cover a whole read of the source: no order can be doubled where none is sent.
BATCH_MAX = 1_200


class DryRunAdapter:
    """The `ExecutionAdapter` that only records. `base_order_qty` is the quantity of every order."""

    name = "dry_run"
    batch_max = BATCH_MAX
    order_id_prefix = "dryrun:"
    clock_offset_ms = 0
    weight_used = 0
    usage: Sequence[WindowUsage] = ()
    deadline_ms = 0
    denied = None
    stream_missing = None
    position_is_exact = True

    def __init__(self, *, base_order_qty: Decimal) -> None:
        self._qty = base_order_qty

    async def start(self, view: LedgerView) -> StartRefusal | None:
        """Nothing to connect to."""

    def wait_for(self, symbol: str) -> Wait | None:
        """Never."""

    def allow_again(self) -> None:
        """Nobody ever refuses."""

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        """The order with the base quantity; never rejected."""
        return Order(
            client_order_id=ctx.client_order_id,
            symbol=ctx.symbol,
            side=ctx.side,
            order_type=ctx.order_type,
            tif=ctx.tif,
            qty=self._qty,
            price=ctx.price,
            signal_id=ctx.signal_id,
        )

    def renew(self, order: Order, life_end_ms: int | None) -> Order:
        """There is no window."""
        return order

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        """Filled in full, at once."""
        return Accepted(
            OrderUpdate(
                client_order_id=order.client_order_id,
                state="filled",
                filled_qty=order.qty,
                average_price=order.price,
            )
        )

    async def lookup(self, client_order_id: str, order: Order) -> LookupResult:
        """Nothing was ever sent."""
        return ProvenAbsent()

    def watch(self, order: Order) -> None:
        """Orders are filled at once."""

    async def past_orders(self, symbol: str, since_ms: int) -> Sequence[PastOrder]:
        """None: nothing is ever sent."""
        return ()

    async def updates(self) -> AsyncIterator[OrderUpdate]:
        """No later news: ends at once."""
        nothing: tuple[OrderUpdate, ...] = ()
        for update in nothing:
            yield update

    async def cancel(self, client_order_id: str, symbol: str) -> CancelResult:
        """There is nothing that works."""
        return CancelResult(done=True, text="dry-run orders are filled at once")

    async def amend(self, client_order_id: str, symbol: str, qty: Decimal, price: Decimal) -> AmendResult:
        """There is nothing that works."""
        return AmendResult(done=False, text="dry-run orders are filled at once")

    async def fetch_fills(self, symbol: str, since_ms: int) -> Sequence[Fill]:
        """None: no venue, no trades."""
        return ()

    async def get_position(self, symbol: str) -> Decimal:
        """Always flat."""
        return Decimal(0)

    async def get_balance(self) -> dict[str, Decimal]:
        """No account, no balance."""
        return {}

    async def open_orders(self, symbol: str) -> Sequence[PastOrder]:
        """None."""
        return ()

    async def flush(self) -> None:
        """Nothing is buffered."""

    async def close(self) -> None:
        """Nothing is held."""
