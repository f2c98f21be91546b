"""Backtest behind the adapter contract: orders are answered at once, in the time of their signals.

Rates are not limited, and nothing is kept on disk: what a crash cuts off is simulated anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

from adapters.backtest_venue import BacktestVenue
from adapters.contract import (
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
from adapters.grid import exact_difference, exact_sum
from adapters.paper.quotes import NoQuote
from adapters.paper.trade_sim import DUPLICATE
from adapters.paper.venue_orders import quote_asset

NAME = "backtest"
ORDER_ID_PREFIX = "backtest:"
# One reservation may cover a whole read of the source: no order can be doubled where none is sent.
BATCH_MAX = 1_200
_ZERO = Decimal(0)


class BacktestAdapter:
    """The `ExecutionAdapter` over one `BacktestVenue`."""

    name = NAME
    batch_max = BATCH_MAX
    order_id_prefix = ORDER_ID_PREFIX
    clock_offset_ms = 0
    weight_used = 0
    usage: Sequence[WindowUsage] = ()
    deadline_ms = 0
    denied = None
    stream_missing = None
    position_is_exact = True

    def __init__(self, venue: BacktestVenue) -> None:
        self._venue = venue
        self._sim = venue.sim
        # The latest simulated moment, for what has no time of its own.
        self._now_ms = 0
        self._news: asyncio.Queue[OrderUpdate | None] = asyncio.Queue()

    async def start(self, view: LedgerView) -> StartRefusal | None:
        """Open the prices."""
        return await self._venue.quotes.start()

    def wait_for(self, symbol: str) -> Wait | None:
        """Why no order of the symbol can be priced now."""
        return self._venue.quotes.wait_for(symbol)

    def allow_again(self) -> None:
        """Nobody ever refuses."""

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        """Sized and aligned with the price at the signal's time."""
        quote = self._venue.quote(ctx.symbol, ctx.price, ctx.event_ts_ms)
        return self._sim.prepare(ctx, quote, self._venue.size_usd)

    def renew(self, order: Order, life_end_ms: int | None) -> Order:
        """There is no window."""
        return order

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        """Placed at its signal's time, once."""
        held = guard()
        if held is not None:
            return NotSent("held", held)
        ts_ms = self._now_ms if order.event_ts_ms is None else order.event_ts_ms
        quote = self._venue.quote(order.symbol, order.intent_price, ts_ms)
        if isinstance(quote, NoQuote):
            return Rejected(quote.code, quote.text)
        at_ms = ts_ms + self._sim.latency_ms(order.client_order_id)
        self._now_ms = max(self._now_ms, at_ms)
        self._tell(self._sim.look(order.symbol, quote, ts_ms))
        outcome = self._sim.place(order, quote, at_ms)
        self._tell(outcome.later)
        if isinstance(outcome.answer, Rejected) and outcome.answer.code == DUPLICATE:
            # The venue refuses this copy, and the order is there all the same: `lookup` tells of it.
            return Unknown(outcome.answer.text)
        return outcome.answer

    def _tell(self, updates: Sequence[OrderUpdate]) -> None:
        for update in updates:
            self._news.put_nowait(update)

    async def lookup(self, client_order_id: str, order: Order) -> LookupResult:
        """The venue knows what it has."""
        found = self._sim.orders.get(client_order_id)
        if found is None:
            return ProvenAbsent()
        terms = found.order
        same = (terms.symbol, terms.side, terms.qty, terms.price) == (
            order.symbol,
            order.side,
            order.qty,
            order.price,
        )
        return Found(found.update(), same_terms=same)

    def watch(self, order: Order) -> None:
        """Every order is followed."""

    async def past_orders(self, symbol: str, since_ms: int) -> Sequence[PastOrder]:
        """Every order of this run since then, oldest first."""
        orders = self._sim.orders.values()
        return [each.past() for each in orders if each.order.symbol == symbol and each.at_ms >= since_ms]

    async def updates(self) -> AsyncIterator[OrderUpdate]:
        """What fills after an order was accepted."""
        while (update := await self._news.get()) is not None:
            yield update

    async def cancel(self, client_order_id: str, symbol: str) -> CancelResult:
        """As of the latest simulated moment."""
        works = client_order_id in self._sim.orders and self._sim.orders[client_order_id].works
        result = self._sim.cancel(client_order_id, self._now_ms)
        if works and result.done:
            self._tell([self._sim.orders[client_order_id].update()])
        return result

    async def amend(self, client_order_id: str, symbol: str, qty: Decimal, price: Decimal) -> AmendResult:
        """As of the latest simulated moment."""
        return self._sim.amend(client_order_id, qty, price, self._now_ms)

    async def fetch_fills(self, symbol: str, since_ms: int) -> Sequence[Fill]:
        """The trades of this run since then."""
        fills = [
            fill
            for each in self._sim.orders.values()
            if each.order.symbol == symbol
            for fill in each.fills()
            if fill.ts_ms >= since_ms
        ]
        return sorted(fills, key=lambda fill: fill.ts_ms)

    async def get_position(self, symbol: str) -> Decimal:
        """What the trades of this run add up to."""
        position = self._sim.positions.get(symbol)
        return _ZERO if position is None else position.qty

    async def get_balance(self) -> dict[str, Decimal]:
        """What was earned less the fees, by quote asset; there is no deposit."""
        balance: dict[str, Decimal] = {}
        for symbol, position in self._sim.positions.items():
            asset = quote_asset(symbol)
            earned = exact_difference(position.realised, position.fees)
            balance[asset] = exact_sum(balance.get(asset, _ZERO), earned)
        return balance

    async def open_orders(self, symbol: str) -> Sequence[PastOrder]:
        """Orders that rest in the book."""
        return [each.past() for each in self._sim.working(symbol)]

    async def flush(self) -> None:
        """Nothing is buffered."""

    async def close(self) -> None:
        """Let go of the prices; ends `updates()`."""
        self._news.put_nowait(None)
        await self._venue.quotes.close()
