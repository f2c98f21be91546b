"""Paper: the simulated venue behind the adapter contract, with a journal that outlives the process.

What the venue accepts is on disk before anybody is told, so after a crash the journal is the truth: an order
is in it, or it was never accepted and never will be, for the venue lives in this process and nothing is on a
wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from adapters.contract import (
    Accepted,
    AmendResult,
    CancelResult,
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
    ProvenAbsent,
    Reject,
    Rejected,
    StartRefusal,
    SubmitResult,
    Unknown,
    Wait,
    WindowUsage,
)
from adapters.costs import cost_model
from adapters.filters import SymbolRules
from adapters.grid import exact_difference, exact_sum
from adapters.paper.facts import Amended
from adapters.paper.filling import crosses
from adapters.paper.journal_file import JournalError
from adapters.paper.news import News
from adapters.paper.quotes import NoQuote, Quote, QuoteSource
from adapters.paper.terms import Terms, terms_of
from adapters.paper.trade_sim import AT_ONCE, DUPLICATE, KEPT_ORDERS_MAX
from adapters.paper.venue import Venue
from adapters.paper.venue_orders import VenueOrder, quote_asset
from config.seams import Clock
from config.settings import Execution

JOURNAL_NAME = "orders.jsonl"
# Kept in the store, so that a journal that is gone is noticed.
JOURNAL_KEPT = "paper_journal"
# Orders that rest are compared with a book that moves this often, ...
LOOK_S = 0.2
# ... and one that must fill at once gets its looks this far apart.
ATTEMPT_S = 0.02
# Prices that signals came with and resting orders have not been compared with yet.
QUOTES_WAITING_MAX = 1_000


class PaperAdapter:
    """The `ExecutionAdapter` of mode paper. `folder` is where its journal is, `rules` what binds its orders.

    `rules` is asked again with every order, because an exchange's rules may change while it runs.
    """

    name = "paper"
    batch_max = 1
    order_id_prefix = "paper:"
    clock_offset_ms = 0
    weight_used = 0
    usage: Sequence[WindowUsage] = ()
    deadline_ms = 0
    denied = None
    stream_missing = None
    position_is_exact = True

    def __init__(
        self,
        execution: Execution,
        clock: Clock,
        quotes: QuoteSource,
        rules: Callable[[], Mapping[str, SymbolRules]],
        folder: Path,
        *,
        kept_orders_max: int = KEPT_ORDERS_MAX,
    ) -> None:
        terms = terms_of(execution.paper)
        self._refusal = terms if isinstance(terms, StartRefusal) else None
        self._terms = Terms() if isinstance(terms, StartRefusal) else terms
        self._size_usd = execution.business.order_size_usd
        self._clock = clock
        self._quotes = quotes
        self._rules = rules
        path = folder / JOURNAL_NAME
        costs = cost_model(execution.cost)
        self._venue = Venue(self._terms, costs, clock, path, kept_orders_max=kept_orders_max)
        self._news = News(clock)
        self._seen: dict[str, list[Quote]] = {}
        self._look_now = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._watching: set[asyncio.Task[None]] = set()

    async def start(self, view: LedgerView) -> StartRefusal | None:
        """Read the journal, open the prices, and begin to compare resting orders with them."""
        if self._refusal is not None:
            return self._refusal
        kept = await view.kept(JOURNAL_KEPT)
        if kept is not None and not await asyncio.to_thread(os.path.lexists, self._venue.path):
            return StartRefusal(
                "configuration",
                f"the simulated venue's journal {self._venue.path} is gone, although this store has orders of"
                " it: put it back, or begin anew with another --output",
            )
        try:
            await asyncio.to_thread(self._venue.open)
        except JournalError as error:
            return StartRefusal(error.kind, str(error))
        await view.keep(JOURNAL_KEPT, JOURNAL_NAME)
        refusal = await self._quotes.start()
        if refusal is None:
            self._looking = asyncio.create_task(self._keep_looking(), name="paper looks")
        return refusal

    def wait_for(self, symbol: str) -> Wait | None:
        """While there is no price, where there will be one."""
        if self._looking is not None and self._looking.done():
            self._looking.result()
        return self._quotes.wait_for(symbol)

    def allow_again(self) -> None:
        """The venue never refuses the account."""

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        """The order under the venue's rules; resting orders are compared with its price, too."""
        quote = self._quotes.quote(ctx.symbol, ctx.price, ctx.event_ts_ms)
        self._venue.sim.rules = self._rules()
        if isinstance(quote, Quote) and self._venue.sim.has_working(ctx.symbol):
            seen = self._seen.setdefault(ctx.symbol, [])
            if len(seen) == QUOTES_WAITING_MAX:
                seen.pop(0)
            seen.append(quote)
            self._look_now.set()
        return self._venue.sim.prepare(ctx, quote, self._size_usd)

    def renew(self, order: Order, life_end_ms: int | None) -> Order:
        """There is no window."""
        return order

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        """Take the time that the venue takes, with the acceptance on disk half-way through it.

        `guard` is asked at that moment: nothing is accepted after it has said no. A caller that is cancelled
        may leave an accepted order, never a half-written one.
        """
        sent_ms = self._clock.wall_ms()
        latency_ms = self._venue.sim.latency_ms(order.client_order_id)
        await self._take(latency_ms // 2)
        quote = await self._last_look(order)
        if isinstance(quote, NoQuote):
            return Rejected(quote.code, quote.text)
        outcome = await self._venue.accept(order, guard, quote)
        if self._venue.sim.has_working(order.symbol):
            self._look_now.set()
        await self._take(latency_ms - latency_ms // 2)
        self._news.tell_in_time(outcome.later)
        match outcome.answer:
            case Accepted(update=update):
                return Accepted(update, sent_ts_ms=sent_ms, ack_ts_ms=self._clock.wall_ms())
            case Rejected(code=code, text=text) if code == DUPLICATE:
                # The venue refuses this copy, and the order is there all the same: `lookup` tells of it.
                return Unknown(text)
        return outcome.answer

    async def _take(self, latency_ms: int) -> None:
        if latency_ms:
            await self._clock.sleep(latency_ms / 1000)

    async def _last_look(self, order: Order) -> Quote | NoQuote:
        """The price that decides: one that must fill at once gets several looks at a book that moves."""
        attempts = self._terms.fill_attempts if order.tif in AT_ONCE and order.price is not None else 1
        quote = await self._look_at(order)
        while attempts > 1 and isinstance(quote, Quote) and quote.is_book and not crosses(order, quote):
            attempts -= 1
            await self._clock.sleep(ATTEMPT_S)
            quote = await self._look_at(order)
        return quote

    async def _look_at(self, order: Order) -> Quote | NoQuote:
        """The present price; the one that the order was prepared with where there is none any more."""
        await self._quotes.look(order.symbol)
        now_ms = self._clock.wall_ms()
        event_ts_ms = now_ms if order.event_ts_ms is None else order.event_ts_ms
        quote = self._quotes.quote(order.symbol, order.intent_price, event_ts_ms)
        if isinstance(quote, NoQuote) and order.intent_price is not None:
            return Quote(order.intent_price, order.intent_price, now_ms)
        return quote

    async def lookup(self, client_order_id: str, order: Order) -> LookupResult:
        """In the journal, or proven absent; after what is being written now."""
        known = await self._venue.find(client_order_id)
        if known is None:
            return ProvenAbsent()
        if isinstance(known, NotYet):
            return known
        return Found(known.update(), same_terms=known.has_terms_of(order))

    def watch(self, order: Order) -> None:
        """Tell of the order again; what it goes through later is told anyway."""
        known = self._venue.sim.orders.get(order.client_order_id)
        if known is not None:
            self._news.tell(known.updates())
        elif self._venue.sim.knows(order.client_order_id):
            # Over for long, and perhaps nobody was ever told: its symbol was not traded meanwhile.
            task = asyncio.create_task(self._tell_of(order.client_order_id), name="paper watch")
            self._watching.add(task)
            task.add_done_callback(self._watching.discard)

    async def _tell_of(self, client_order_id: str) -> None:
        known = await self._venue.find(client_order_id)
        if isinstance(known, VenueOrder):
            self._news.tell(known.updates())

    async def past_orders(self, symbol: str, since_ms: int) -> Sequence[PastOrder]:
        """What works, or has moved since then."""
        return await self._venue.past_of(symbol, since_ms)

    async def updates(self) -> AsyncIterator[OrderUpdate]:
        """Parts that fill after the first, and what becomes of resting orders; ends at `close`."""
        async for update in self._news.told():
            yield update

    async def cancel(self, client_order_id: str, symbol: str) -> CancelResult:
        """Let the order stop working; on disk when this returns."""
        result, updates = await self._venue.cancel(client_order_id)
        self._news.tell(updates)
        return result

    async def amend(self, client_order_id: str, symbol: str, qty: Decimal, price: Decimal) -> AmendResult:
        """Change a resting order; on disk when this returns."""
        self._venue.sim.rules = self._rules()
        result = await self._venue.amend(Amended(client_order_id, self._clock.wall_ms(), qty, price))
        self._look_now.set()
        return result

    async def fetch_fills(self, symbol: str, since_ms: int) -> Sequence[Fill]:
        """The trades since then, oldest first."""
        fills = [fill for known in await self._venue.orders_of(symbol, since_ms) for fill in known.fills()]
        return sorted((fill for fill in fills if fill.ts_ms >= since_ms), key=lambda fill: fill.ts_ms)

    async def get_position(self, symbol: str) -> Decimal:
        """What all trades add up to."""
        position = self._venue.sim.positions.get(symbol)
        return Decimal(0) if position is None else position.qty

    async def get_balance(self) -> dict[str, Decimal]:
        """What trading has earned since the journal began, by quote asset: there is no deposit."""
        balance: dict[str, Decimal] = {}
        for symbol, position in self._venue.sim.positions.items():
            asset = quote_asset(symbol)
            earned = exact_difference(position.realised, position.fees)
            balance[asset] = exact_sum(balance.get(asset, Decimal(0)), earned)
        return balance

    async def open_orders(self, symbol: str) -> Sequence[PastOrder]:
        """What rests."""
        return [known.past() for known in self._venue.sim.working(symbol)]

    async def _keep_looking(self) -> None:
        """Compare resting orders with prices: at once where a signal brings one, else now and then."""
        while True:
            if not self._venue.sim.symbols_working:
                await self._look_now.wait()
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._look_now.wait()
            self._look_now.clear()
            for symbol in self._venue.sim.symbols_working:
                await self._look(symbol)
            for symbol in [symbol for symbol in self._seen if not self._venue.sim.has_working(symbol)]:
                del self._seen[symbol]

    async def _look(self, symbol: str) -> None:
        quotes = self._seen.pop(symbol, [])
        book = self._quotes.quote(symbol, None, self._clock.wall_ms())
        # Only a book moves by itself; any other price belongs to the signal that it came with.
        if isinstance(book, Quote) and book.is_book:
            quotes.append(book)
        if quotes:
            self._news.tell_in_time(await self._venue.look(symbol, quotes))

    async def flush(self) -> None:
        """Every fact is on disk before it is told; what is still to be told is told now."""
        await self._news.finish()

    async def close(self) -> None:
        """End the looks, let what is being written be written, and give the journal back; may be repeated."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
            self._looking = None
        for task in self._watching:
            task.cancel()
        await self._venue.close()
        self._news.close()
        await self._quotes.close()
