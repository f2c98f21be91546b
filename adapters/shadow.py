"""The shadow: all that the main adapter does, untouched, and a copy of each order on a second venue.

A copy is handed over when the main venue has answered, in the same step and without a wait; the second venue
works in tasks of its own. It can neither delay an order nor fail one. A copy that is lost in a crash is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

from adapters.contract import (
    AmendResult,
    CancelResult,
    ExecutionAdapter,
    Fill,
    Found,
    Guard,
    LedgerView,
    LookupResult,
    NotYet,
    Order,
    OrderCtx,
    OrderUpdate,
    PastOrder,
    Reject,
    StartRefusal,
    SubmitResult,
    Wait,
    WindowUsage,
)
from adapters.shadow_copies import Copies
from adapters.shadow_pairs import Count, Parity
from adapters.shadow_venue import Keep, OpenSecond, SecondVenue
from config.seams import Clock
from config.settings import Shadow


class ShadowAdapter:
    """The `ExecutionAdapter` that `main` is, with copies to what `second` opens; `keep` writes what differs.

    `second` makes a fresh adapter for each attempt to reach that venue, and connects nothing by itself.
    """

    def __init__(
        self, main: ExecutionAdapter, second: OpenSecond, *, settings: Shadow, clock: Clock, keep: Keep
    ) -> None:
        self._main = main
        self._copies = Copies(
            clock,
            waiting_max=settings.orders_waiting_max,
            tolerance_bps=settings.price_tolerance_bps,
            window=settings.pairs_window,
        )
        self._venue = SecondVenue(second, self._copies, clock, keep)

    @property
    def parity(self) -> Parity:
        """How alike the last pairs are."""
        return self._copies.parity

    @property
    def counts(self) -> Counter[Count]:
        """What became of the copies since the start."""
        return self._copies.counts

    @property
    def copies_open(self) -> int:
        """Copies that are neither compared nor given up."""
        return self._copies.open

    @property
    def shadow_trouble(self) -> str | None:
        """Why the second venue takes no copies now; None: it does."""
        return self._venue.trouble

    @property
    def keep_trouble(self) -> str | None:
        """Why pairs that differ cannot be written; None: they can."""
        return self._venue.keep_trouble

    @property
    def name(self) -> str:
        """The main adapter's."""
        return self._main.name

    @property
    def batch_max(self) -> int:
        """The main adapter's."""
        return self._main.batch_max

    @property
    def order_id_prefix(self) -> str | None:
        """The main adapter's."""
        return self._main.order_id_prefix

    @property
    def clock_offset_ms(self) -> int:
        """The main venue's clock."""
        return self._main.clock_offset_ms

    @property
    def weight_used(self) -> int:
        """The main venue's budget."""
        return self._main.weight_used

    @property
    def usage(self) -> Sequence[WindowUsage]:
        """The main venue's limits."""
        return self._main.usage

    @property
    def deadline_ms(self) -> int:
        """The main venue's pause."""
        return self._main.deadline_ms

    @property
    def denied(self) -> str | None:
        """Why the main venue refuses the account; the second one's refusal halts nothing."""
        return self._main.denied

    @property
    def stream_missing(self) -> str | None:
        """The main venue's stream."""
        return self._main.stream_missing

    @property
    def position_is_exact(self) -> bool:
        """The main venue's position."""
        return self._main.position_is_exact

    def allow_again(self) -> None:
        """A person has looked at the main account."""
        self._main.allow_again()

    async def start(self, view: LedgerView) -> StartRefusal | None:
        """The main venue's start; the second one is reached in the background, and refuses nothing."""
        refusal = await self._main.start(view)
        if refusal is None:
            self._venue.start()
        return refusal

    def wait_for(self, symbol: str) -> Wait | None:
        """Why the main venue takes no order now."""
        return self._main.wait_for(symbol)

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        """The order for the main venue; what it rejects here is no order, and has no copy."""
        return self._main.prepare(ctx)

    def renew(self, order: Order, life_end_ms: int | None) -> Order:
        """A new window on the main venue."""
        return self._main.renew(order, life_end_ms)

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        """Send to the main venue once, and hand over a copy of what has left."""
        result = await self._main.submit(order, guard)
        self._copies.take(order, result)
        return result

    async def lookup(self, client_order_id: str, order: Order) -> LookupResult:
        """What became of an order on the main venue."""
        result = await self._main.lookup(client_order_id, order)
        if isinstance(result, Found):
            self._copies.learn(result.update)
        return result

    def watch(self, order: Order) -> None:
        """Follow an order on the main venue."""
        self._main.watch(order)

    async def past_orders(self, symbol: str, since_ms: int) -> Sequence[PastOrder] | NotYet:
        """Those of the main venue."""
        return await self._main.past_orders(symbol, since_ms)

    async def updates(self) -> AsyncIterator[OrderUpdate]:
        """The main venue's news."""
        async for update in self._main.updates():
            self._copies.learn(update)
            yield update

    async def cancel(self, client_order_id: str, symbol: str) -> CancelResult:
        """Cancel on the main venue; the copy, if it still works, is canceled in the background."""
        result = await self._main.cancel(client_order_id, symbol)
        self._copies.cancel(client_order_id)
        return result

    async def amend(self, client_order_id: str, symbol: str, qty: Decimal, price: Decimal) -> AmendResult:
        """Change the main order alone: its copy differs from then on."""
        return await self._main.amend(client_order_id, symbol, qty, price)

    async def fetch_fills(self, symbol: str, since_ms: int) -> Sequence[Fill] | NotYet:
        """The main venue's trades."""
        return await self._main.fetch_fills(symbol, since_ms)

    async def get_position(self, symbol: str) -> Decimal | NotYet:
        """The main account's position."""
        return await self._main.get_position(symbol)

    async def get_balance(self) -> dict[str, Decimal] | NotYet:
        """The main account's balance."""
        return await self._main.get_balance()

    async def open_orders(self, symbol: str) -> Sequence[PastOrder] | NotYet:
        """Those of the main venue."""
        return await self._main.open_orders(symbol)

    async def flush(self) -> None:
        """The main adapter's buffers."""
        await self._main.flush()

    async def close(self) -> None:
        """The copies end within a second, and the main adapter whatever became of them."""
        try:
            await self._venue.close()
        finally:
            await self._main.close()
