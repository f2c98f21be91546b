"""A venue that answers as it was told to, and keeps its own journal of what it truly accepted.

The journal outlives the worker, as an exchange does: it decides in the end whether an order was
doubled or lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import msgspec

from adapters.contract import (
    Accepted,
    AmendResult,
    CancelResult,
    Fill,
    Found,
    Guard,
    LedgerView,
    LookupResult,
    NotSent,
    Order,
    OrderCtx,
    OrderState,
    OrderUpdate,
    PastOrder,
    ProvenAbsent,
    Reject,
    Rejected,
    StartRefusal,
    SubmitResult,
    Unknown,
    Wait,
    WindowUsage,
)
from config.seams import Clock

PRICE = Decimal("43210.10")


class Sent(NamedTuple):
    """One request as it arrived."""

    at_s: float
    symbol: str
    signal_id: str
    client_order_id: str


Answer = Callable[["ScriptedAdapter", Order], SubmitResult]
Word = Callable[["ScriptedAdapter", Order], LookupResult]


class ScriptedAdapter:
    """`answers` and `lookups` by signal id, the last of each list for ever; else filled, and the truth."""

    name = "scripted"
    clock_offset_ms = 0
    weight_used = 0
    usage: Sequence[WindowUsage] = ()
    deadline_ms = 0
    denied: str | None = None
    stream_missing: str | None = None
    position_is_exact = True

    def __init__(
        self,
        clock: Clock,
        *,
        answers: Mapping[str, Sequence[Answer]] | None = None,
        lookups: Mapping[str, Sequence[Word]] | None = None,
        batch_max: int = 1,
        latency_s: float = 0.0,
    ) -> None:
        self.batch_max = batch_max
        self.order_id_prefix = None if batch_max == 1 else "scripted:"
        self.sent: list[Sent] = []
        self.placed: list[str] = []
        self.asked: list[tuple[float, str]] = []
        self.orders: dict[str, OrderUpdate] = {}
        self.terms: dict[str, Order] = {}
        self.holds: dict[str, asyncio.Event] = {}
        self.in_flight = 0
        self.in_flight_max = 0
        self.refuses: dict[str, Reject] = {}
        self.cut = False
        self.past: dict[str, list[PastOrder]] = {}
        self.waits: dict[str, Wait] = {}
        self.watched: list[str] = []
        self.renewed: list[str] = []
        self.store = Path()
        self._clock = clock
        self._answers = {key: list(value) for key, value in (answers or {}).items()}
        self._lookups = {key: list(value) for key, value in (lookups or {}).items()}
        self.latency_s = latency_s
        # What it answers to an order that no script names.
        self.otherwise: Answer = fills
        self._news: asyncio.Queue[OrderUpdate | None] = asyncio.Queue()

    def accept(self, order: Order, state: OrderState, filled: Decimal = Decimal(0)) -> OrderUpdate:
        """Write an order into the journal; what the venue says of it from then on."""
        self.placed.append(order.signal_id)
        self.terms.setdefault(order.client_order_id, order)
        # One that is accepted a second time under its id is another order.
        self.orders.pop(order.client_order_id, None)
        return self.set(order.client_order_id, state, filled)

    def set(self, client_order_id: str, state: OrderState, filled: Decimal = Decimal(0)) -> OrderUpdate:
        """Change what the venue says of an order, without telling."""
        known = self.orders.get(client_order_id)
        update = OrderUpdate(
            client_order_id=client_order_id,
            state=state,
            filled_qty=filled,
            average_price=PRICE if filled else None,
            exchange_order_id=f"x{len(self.placed)}" if known is None else known.exchange_order_id,
        )
        self.orders[client_order_id] = update
        return update

    def tell(self, update: OrderUpdate) -> None:
        """Send an update to whoever listens."""
        self._news.put_nowait(update)

    async def start(self, view: LedgerView) -> StartRefusal | None:
        """Always there."""

    def wait_for(self, symbol: str) -> Wait | None:
        """As told."""
        return self.waits.get(symbol)

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        """100 units at the signal's price, unless this signal is refused."""
        if ctx.signal_id in self.refuses:
            return self.refuses[ctx.signal_id]
        return Order(
            client_order_id=ctx.client_order_id,
            symbol=ctx.symbol,
            side=ctx.side,
            order_type=ctx.order_type,
            tif=ctx.tif,
            qty=Decimal("100.00"),
            price=ctx.price,
            signal_id=ctx.signal_id,
        )

    def allow_again(self) -> None:
        """A person has looked."""
        self.denied = None

    def renew(self, order: Order, life_end_ms: int | None) -> Order:
        """The same order."""
        self.renewed.append(order.signal_id)
        return order

    def watch(self, order: Order) -> None:
        """Remembered."""
        self.watched.append(order.signal_id)

    async def past_orders(self, symbol: str, since_ms: int) -> Sequence[PastOrder]:
        """As told."""
        return self.past.get(symbol, [])

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        """As scripted; from a process that is gone nothing arrives."""
        if self.cut:
            await asyncio.Event().wait()
        held = guard()
        if held is not None:
            return NotSent("held", held)
        self.sent.append(
            Sent(self._clock.monotonic_s(), order.symbol, order.signal_id, order.client_order_id)
        )
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        try:
            if self.latency_s:
                await self._clock.sleep(self.latency_s)
            if order.signal_id in self.holds:
                await self.holds[order.signal_id].wait()
            return _next(self._answers.get(order.signal_id), self.otherwise)(self, order)
        finally:
            self.in_flight -= 1

    async def lookup(self, client_order_id: str, order: Order) -> LookupResult:
        """As scripted, else the truth."""
        self.asked.append((self._clock.monotonic_s(), order.signal_id))
        return _next(self._lookups.get(order.signal_id), tells_the_truth)(self, order)

    async def updates(self) -> AsyncIterator[OrderUpdate]:
        """What was told, until closed."""
        while (update := await self._news.get()) is not None:
            yield update

    async def cancel(self, client_order_id: str, symbol: str) -> CancelResult:
        """Cancels what works."""
        working = self.orders.get(client_order_id)
        if working is None or working.state not in ("open", "partial"):
            return CancelResult(done=True, text="nothing works under that id")
        self.orders[client_order_id] = msgspec.structs.replace(working, state="canceled")
        return CancelResult(done=True)

    async def amend(self, client_order_id: str, symbol: str, qty: Decimal, price: Decimal) -> AmendResult:
        """Never."""
        return AmendResult(done=False, text="not in the script")

    async def fetch_fills(self, symbol: str, since_ms: int) -> Sequence[Fill]:
        """None."""
        return ()

    async def get_position(self, symbol: str) -> Decimal:
        """The sum of what was filled."""
        return sum(
            (self._signed(order) for order in self.terms.values() if order.symbol == symbol), Decimal(0)
        )

    def _signed(self, order: Order) -> Decimal:
        filled = self.orders[order.client_order_id].filled_qty
        return filled if order.side == "buy" else -filled

    async def get_balance(self) -> dict[str, Decimal]:
        """Plenty."""
        return {"USDT": Decimal(1_000_000)}

    async def open_orders(self, symbol: str) -> Sequence[PastOrder]:
        """What works."""
        working = [update for update in self.orders.values() if update.state in ("open", "partial")]
        return [
            PastOrder(update, symbol, order.side, order.order_type, order.tif, order.qty, order.price, 0)
            for update in working
            if (order := self.terms[update.client_order_id]).symbol == symbol
        ]

    async def flush(self) -> None:
        """Nothing is buffered."""

    async def close(self) -> None:
        """Ends `updates()`."""
        self._news.put_nowait(None)


def _next(script: list, otherwise):
    if not script:
        return otherwise
    return script.pop(0) if len(script) > 1 else script[0]


def fills(venue: ScriptedAdapter, order: Order) -> SubmitResult:
    """Filled at once."""
    return Accepted(venue.accept(order, "filled", order.qty))


def opens(venue: ScriptedAdapter, order: Order) -> SubmitResult:
    """Accepted, and works."""
    return Accepted(venue.accept(order, "open"))


def fills_half(venue: ScriptedAdapter, order: Order) -> SubmitResult:
    """Accepted, half of it filled."""
    return Accepted(venue.accept(order, "partial", order.qty / 2))


def rejects(venue: ScriptedAdapter, order: Order) -> SubmitResult:
    """Provably not accepted."""
    return Rejected("margin_insufficient", "not enough margin")


def loses_the_order(venue: ScriptedAdapter, order: Order) -> SubmitResult:
    """The request never arrived, the worker cannot know."""
    return Unknown("read timed out after 5 s")


def loses_the_answer(venue: ScriptedAdapter, order: Order) -> SubmitResult:
    """The order was filled, the answer never arrived."""
    venue.accept(order, "filled", order.qty)
    return Unknown("read timed out after 5 s")


def is_not_sent(venue: ScriptedAdapter, order: Order) -> SubmitResult:
    """The connection was refused."""
    return NotSent("refused", "connection refused")


def tells_the_truth(venue: ScriptedAdapter, order: Order) -> LookupResult:
    """What the journal holds, or a proof that it holds nothing."""
    update = venue.orders.get(order.client_order_id)
    if update is None:
        return ProvenAbsent()
    return Found(update, same_terms=venue.terms[order.client_order_id] == order)
