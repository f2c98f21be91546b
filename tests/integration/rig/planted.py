"""Adapters that break one promise each: a good one with a mistake planted in it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from adapters.contract import (
    Accepted,
    AmendResult,
    ExecutionAdapter,
    Found,
    Guard,
    LookupResult,
    NotSent,
    NotYet,
    Order,
    OrderCtx,
    OrderUpdate,
    ProvenAbsent,
    Reject,
    Rejected,
    SubmitResult,
    Unknown,
)

change = msgspec.structs.replace
STEP = Decimal("0.001")


class Bad:
    """All that the good adapter does; a mistake overrides one thing of it."""

    # The life in which it begins.
    from_life = 1

    def __init__(self, good: ExecutionAdapter) -> None:
        self.good = good

    def __getattr__(self, name: str) -> Any:
        return getattr(self.good, name)


def later(bad: type[Bad]) -> type[Bad]:
    """The same mistake, made in the second life and not in the first."""
    return type(f"Later{bad.__name__}", (bad,), {"from_life": 2})


class Numbers(Bad):
    """A client order id of its own each time."""

    count = 0

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        self.count += 1
        return self.good.prepare(change(ctx, client_order_id=f"{ctx.client_order_id}{self.count}"))


class Floats(Bad):
    """Quantities as binary fractions."""

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        order = self.good.prepare(ctx)
        return order if isinstance(order, Reject) else change(order, qty=float(order.qty))


class RoundsUp(Bad):
    """To the next step."""

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        order = self.good.prepare(ctx)
        return order if isinstance(order, Reject) else change(order, qty=order.qty + STEP)


class OneSize(Bad):
    """Whatever size is asked for."""

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        return self.good.prepare(change(ctx, size_usd=None))


class CutsPrices(Bad):
    """Down to the tick, and does not tell."""

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        order = self.good.prepare(ctx)
        return order if isinstance(order, Reject) else change(order, rounding_diff=None)


class LiftsToTheMinimum(Bad):
    """What is too small is made larger."""

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        order = self.good.prepare(ctx)
        return self.good.prepare(change(ctx, qty=Decimal(1))) if isinstance(order, Reject) else order


class SaysNoMore(Bad):
    """A no without a reason."""

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        order = self.good.prepare(ctx)
        return Reject("", "no") if isinstance(order, Reject) else order


class TakesAnyPrice(Bad):
    """The signal's price, a number or not."""

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        order = self.good.prepare(change(ctx, price=None))
        return order if isinstance(order, Reject) else change(order, intent_price=ctx.price)


class MakesUpPrices(Bad):
    """Where the signal has none."""

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        return self.good.prepare(change(ctx, price=ctx.price or Decimal("60000.0")))


class Resizes(Bad):
    """A new window comes with a new quantity."""

    def renew(self, order: Order, life_end_ms: int | None) -> Order:
        return change(self.good.renew(order, life_end_ms), qty=order.qty + STEP)


class Nameless(Bad):
    """Lacks a name."""

    name = ""


class FillsTooMuch(Bad):
    """More than the quantity."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        answer = await self.good.submit(order, guard)
        if not isinstance(answer, Accepted):
            return answer
        return Accepted(change(answer.update, filled_qty=answer.update.filled_qty + order.qty))


class AnswersBeforeItSends(Bad):
    """Acknowledged before it was sent."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        answer = await self.good.submit(order, guard)
        if not isinstance(answer, Accepted) or answer.sent_ts_ms is None:
            return answer
        return change(answer, ack_ts_ms=answer.sent_ts_ms - 1)


class NeverTooLate(Bad):
    """A window that has passed is opened again."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        return await self.good.submit(self.good.renew(order, None), guard)


class AsksNobody(Bad):
    """The guard is not asked."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        return await self.good.submit(order, lambda: None)


class AsksTooLate(Bad):
    """The guard is asked when the order has been placed."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        answer = await self.good.submit(order, lambda: None)
        refusal = guard()
        return answer if refusal is None else NotSent("held", refusal)


class Denies(Bad):
    """An accepted order is called rejected."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        await self.good.submit(order, guard)
        return Rejected("venue_error", "the venue said no")


class SendsTwice(Bad):
    """One more, under another id."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        await self.good.submit(change(order, client_order_id=f"{order.client_order_id}x"), guard)
        return await self.good.submit(order, guard)


class TriesAgain(Bad):
    """An answer that is lost is not waited for: the order is sent again."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        answer = await self.good.submit(order, guard)
        return await self.good.submit(order, guard) if isinstance(answer, Unknown) else answer


class CallsDoubtRejected(Bad):
    """No answer is a no."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        answer = await self.good.submit(order, guard)
        return Rejected("no_answer", "the venue did not answer") if isinstance(answer, Unknown) else answer


class GuessesAbsence(Bad):
    """Whoever is asked about was never there."""

    async def lookup(self, client_order_id: str, order: Order) -> LookupResult:
        return ProvenAbsent()


class GuessesPresence(Bad):
    """Whoever is asked about is there."""

    async def lookup(self, client_order_id: str, order: Order) -> LookupResult:
        return Found(OrderUpdate(client_order_id, "filled", order.qty, order.intent_price))


class NeverKnows(Bad):
    """There is no proof, ever."""

    async def lookup(self, client_order_id: str, order: Order) -> LookupResult:
        found = await self.good.lookup(client_order_id, order)
        return found if isinstance(found, Found) else NotYet(0, "it may still come")


class LooksBySending(Bad):
    """An order that is not there is placed."""

    async def lookup(self, client_order_id: str, order: Order) -> LookupResult:
        await self.good.submit(order, lambda: None)
        return await self.good.lookup(client_order_id, order)


class LooksAway(Bad):
    """What is to be watched is forgotten."""

    def watch(self, order: Order) -> None:
        pass


class ChangesAnything(Bad):
    """Every amendment was done."""

    async def amend(self, client_order_id: str, symbol: str, qty: Decimal, price: Decimal) -> AmendResult:
        return AmendResult(done=True)


class ReplacesInstead(Bad):
    """An amendment is a cancellation and another order."""

    async def amend(self, client_order_id: str, symbol: str, qty: Decimal, price: Decimal) -> AmendResult:
        order = next(one for one in await self.good.open_orders(symbol))
        await self.good.cancel(client_order_id, symbol)
        other = Order(f"{client_order_id}x", symbol, order.side, "limit", order.tif, qty, price, "another")
        await self.good.submit(other, lambda: None)
        return AmendResult(done=True)
