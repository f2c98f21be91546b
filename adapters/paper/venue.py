"""The simulated venue with its journal: nothing is true, and nobody is told of it, before it is on disk.

One thing after the other, each to its end: a caller that is cancelled leaves a venue in which its wish has
either been granted, with the journal saying so, or not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from adapters.contract import (
    AmendResult,
    CancelResult,
    Guard,
    NotSent,
    NotYet,
    Order,
    OrderUpdate,
    PastOrder,
    Unknown,
)
from adapters.costs import CostModel
from adapters.paper.facts import Amended, Ended, Fact, Placed, order_id_of
from adapters.paper.journal_file import JournalFile, JournalWriteError
from adapters.paper.quotes import Quote
from adapters.paper.terms import Terms
from adapters.paper.trade_sim import Outcome, TradeSim
from adapters.paper.venue_orders import VenueOrder, contradiction, remember
from config.seams import Clock

Result = TypeVar("Result")

# While the journal holds what it could not take back, nothing is proven; asked about again after this.
DOUBT_MS = 500
CLOSED = "the simulated venue is closed"


class Venue:
    """The orders of one journal. `sim` may be asked at any time; only what is here changes it."""

    def __init__(
        self, terms: Terms, costs: CostModel, clock: Clock, path: Path, *, kept_orders_max: int
    ) -> None:
        self.path = path
        self.sim = TradeSim(terms, costs, {}, kept_orders_max=kept_orders_max)
        self._clock = clock
        self._journal: JournalFile | None = None
        self._opening: JournalFile | None = None
        self._turn = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()

    def open(self) -> None:
        """Read the journal, and begin one where there is none; blocks, and raises JournalError."""
        journal = self._opening = JournalFile(self.path)
        try:
            replay(journal, journal.facts(), self.sim)
        except BaseException:
            journal.close()
            raise
        self._journal = journal

    async def accept(self, order: Order, guard: Guard, quote: Quote) -> Outcome:
        """Place the order, unless `guard` says at this moment that it must not be."""
        return await self._to_the_end(self._accept(order, guard, quote))

    async def _accept(self, order: Order, guard: Guard, quote: Quote) -> Outcome:
        async with self._turn:
            if self._journal is None:
                return Outcome(NotSent("venue_unavailable", CLOSED))
            held = guard()
            if held is not None:
                return Outcome(NotSent("held", held))
            decided = self.sim.decide(order, quote, self._clock.wall_ms())
            if not isinstance(decided, Placed):
                return self.sim.refusal(order, decided)
            try:
                await self._make_true([decided])
            except JournalWriteError as error:
                why = str(error)
                return Outcome(NotSent("venue_unavailable", why) if error.certain else Unknown(why))
            return self.sim.answer_of(self.sim.orders[order.client_order_id])

    async def look(self, symbol: str, quotes: Iterable[Quote]) -> Sequence[OrderUpdate]:
        """Fill the resting orders that these quotes cross, one after the other; what there is to tell.

        Where the journal cannot be written nothing fills: the orders rest on for the next look.
        """
        return await self._to_the_end(self._look(symbol, quotes))

    async def _look(self, symbol: str, quotes: Iterable[Quote]) -> Sequence[OrderUpdate]:
        told: list[OrderUpdate] = []
        async with self._turn:
            for quote in quotes:
                found = self.sim.decide_look(symbol, quote, self._clock.wall_ms())
                before = [(known, len(known.parts)) for known in map(self._known, found)]
                try:
                    await self._make_true(found)
                except JournalWriteError:
                    break
                told.extend(update for known, parts in before for update in known.updates(parts))
        return sorted(told, key=lambda update: update.event_ms or 0)

    def _known(self, fact: Fact) -> VenueOrder:
        return self.sim.orders[order_id_of(fact)]

    async def cancel(self, client_order_id: str) -> tuple[CancelResult, Sequence[OrderUpdate]]:
        """Let the order stop working, and what there is to tell of that."""
        return await self._to_the_end(self._cancel(client_order_id))

    async def _cancel(self, client_order_id: str) -> tuple[CancelResult, Sequence[OrderUpdate]]:
        async with self._turn:
            decided = self.sim.decide_cancel(client_order_id, self._clock.wall_ms())
            if not isinstance(decided, Ended):
                return decided, ()
            known = self._known(decided)
            try:
                await self._make_true([decided])
            except JournalWriteError as error:
                return CancelResult(done=False, text=str(error)), ()
            return CancelResult(done=True), (known.update(),)

    async def amend(self, wanted: Amended) -> AmendResult:
        """Give a resting order another quantity and price."""
        return await self._to_the_end(self._amend(wanted))

    async def _amend(self, wanted: Amended) -> AmendResult:
        async with self._turn:
            decided = self.sim.decide_amend(
                wanted.client_order_id, wanted.qty, wanted.price, self._clock.wall_ms()
            )
            if isinstance(decided, AmendResult):
                return decided
            try:
                await self._make_true([decided])
            except JournalWriteError as error:
                return AmendResult(done=False, text=str(error))
            return AmendResult(done=True)

    async def _make_true(self, facts: Sequence[Fact]) -> None:
        """On disk first; raises JournalWriteError, and then nothing has happened."""
        if self._journal is None:
            raise JournalWriteError(CLOSED, certain=True)
        if facts:
            await asyncio.to_thread(self._journal.append, facts)
        for fact in facts:
            self.sim.apply(fact)

    async def find(self, client_order_id: str) -> VenueOrder | NotYet | None:
        """The order, after what is being written now; None: it was never taken, and never will be."""
        return await self._to_the_end(self._find(client_order_id))

    async def _find(self, client_order_id: str) -> VenueOrder | NotYet | None:
        async with self._turn:
            if self._journal is None:
                return NotYet(self._clock.wall_ms() + DOUBT_MS, CLOSED)
            if self.sim.knows(client_order_id):
                found = self.sim.orders.get(client_order_id)
                return found or await asyncio.to_thread(_read_order, self._journal, client_order_id)
            if not await asyncio.to_thread(self._journal.is_clean):
                why = f"the simulated venue's journal {self.path} cannot be written"
                return NotYet(self._clock.wall_ms() + DOUBT_MS, why)
            return None

    async def orders_of(self, symbol: str, since_ms: int) -> Sequence[VenueOrder]:
        """Every order of a symbol that works or has moved since then, oldest first."""
        return await self._to_the_end(self._orders_of(symbol, since_ms))

    async def _orders_of(self, symbol: str, since_ms: int) -> Sequence[VenueOrder]:
        async with self._turn:
            if self._journal is not None and self.sim.has_forgotten:
                return await asyncio.to_thread(_read_orders, self._journal, symbol, since_ms)
            orders = self.sim.orders.values()
            return [
                known
                for known in orders
                if known.order.symbol == symbol and (known.works or known.last_ms >= since_ms)
            ]

    async def past_of(self, symbol: str, since_ms: int) -> Sequence[PastOrder]:
        """The same in the words of the contract. A day of many orders takes a third of the memory so."""
        return await self._to_the_end(self._past_of(symbol, since_ms))

    async def _past_of(self, symbol: str, since_ms: int) -> Sequence[PastOrder]:
        async with self._turn:
            journal = self._journal if self.sim.has_forgotten else None
        if journal is not None:
            # One symbol after the other, and not in the turn of the orders: it may take seconds.
            async with self._reading:
                return await asyncio.to_thread(_read_past, journal, symbol, since_ms)
        return [known.past() for known in await self._orders_of(symbol, since_ms)]

    async def close(self) -> None:
        """Let what is being written be written, and give the journal back; may be repeated."""
        if self._opening is not None:
            self._opening.give_up()
        async with self._turn:
            journal, self._journal = self._journal, None
        if self._running:
            await asyncio.wait(self._running)
        if journal is not None:
            await asyncio.to_thread(journal.close)

    async def _to_the_end(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do what goes on to its end although its caller is cancelled."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._is_done)
        return await asyncio.shield(task)

    def _is_done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            # Whoever waits is told; where nobody does any more, nobody has to be.
            task.exception()


def replay(journal: JournalFile, facts: Iterable[Fact], sim: TradeSim) -> None:
    """Make the facts of a journal true again; raises JournalError for one that contradicts the others."""
    for number, fact in enumerate(facts, start=1):
        order_id = order_id_of(fact)
        known = sim.orders.get(order_id)
        wrong = contradiction(fact, known)
        if wrong is None and known is None and sim.knows(order_id):
            wrong = f"takes order {order_id} a second time"
        if wrong is not None:
            raise journal.damaged(number, wrong)
        sim.apply(fact)


def _read_order(journal: JournalFile, client_order_id: str) -> VenueOrder:
    """An order that is not remembered, from the journal, which has it."""
    found: dict[str, VenueOrder] = {}
    for fact in journal.read_again():
        if order_id_of(fact) == client_order_id:
            remember(found, fact)
    return found[client_order_id]


def _read_orders(journal: JournalFile, symbol: str, since_ms: int) -> Sequence[VenueOrder]:
    """As `orders_of`, of all that the journal has; no others are held on the way but for those that rest."""
    found: dict[str, VenueOrder] = {}
    for fact in journal.read_again(symbol):
        if order_id_of(fact) in found or (isinstance(fact, Placed) and fact.order.symbol == symbol):
            known = remember(found, fact)
            if not known.works and known.last_ms < since_ms:
                del found[known.order.client_order_id]
    return list(found.values())


def _read_past(journal: JournalFile, symbol: str, since_ms: int) -> Sequence[PastOrder]:
    """As `_read_orders`; of orders that are over nothing is held but what there is to tell."""
    found: dict[str, PastOrder] = {}
    working: dict[str, VenueOrder] = {}
    for fact in journal.read_again(symbol):
        order_id = order_id_of(fact)
        if order_id not in working and not (isinstance(fact, Placed) and fact.order.symbol == symbol):
            continue
        known = remember(working, fact)
        found[order_id] = known.past()
        if not known.works:
            del working[order_id]
            if known.last_ms < since_ms:
                del found[order_id]
    return list(found.values())
