"""Adapters that break one promise each about fills, resting orders, restarts and overlapping calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

from rig.planted import Bad, change

from adapters.contract import (
    Accepted,
    AmendResult,
    CancelResult,
    ExecutionAdapter,
    Fill,
    Guard,
    LedgerView,
    NotYet,
    Order,
    OrderCtx,
    OrderUpdate,
    PastOrder,
    Reject,
    StartRefusal,
    SubmitResult,
)


class NeverTells(Bad):
    """Nothing is filled, as far as anyone hears."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        answer = await self.good.submit(order, guard)
        if not isinstance(answer, Accepted):
            return answer
        return Accepted(OrderUpdate(order.client_order_id, "open", Decimal(0)))

    async def updates(self) -> AsyncIterator[OrderUpdate]:
        async for update in self.good.updates():
            if update.state not in ("partial", "filled"):
                yield update


class TellsPieces(Bad):
    """Each update tells of one piece, and not of all so far."""

    async def updates(self) -> AsyncIterator[OrderUpdate]:
        async for update in self.good.updates():
            last = update.state == "filled"
            yield update if last else change(update, filled_qty=update.filled_qty / 1000)


class TellsTheEndAlone(Bad):
    """Pieces are kept back."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        answer = await self.good.submit(order, guard)
        if not isinstance(answer, Accepted):
            return answer
        return Accepted(OrderUpdate(order.client_order_id, "open", Decimal(0)))

    async def updates(self) -> AsyncIterator[OrderUpdate]:
        async for update in self.good.updates():
            if update.state != "partial":
                yield update


class LosesTrades(Bad):
    """The last trade is not told."""

    async def fetch_fills(self, symbol: str, since_ms: int) -> Sequence[Fill]:
        return list(await self.good.fetch_fills(symbol, since_ms))[:-1]


class Unsigned(Bad):
    """A short position looks long."""

    async def get_position(self, symbol: str) -> Decimal:
        return abs(await self.good.get_position(symbol))


class Free(Bad):
    """No fee is told."""

    async def fetch_fills(self, symbol: str, since_ms: int) -> Sequence[Fill]:
        return [change(one, fee=Decimal(0)) for one in await self.good.fetch_fills(symbol, since_ms)]


class TakesAtOnce(Bad):
    """A limit is no limit."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        return await self.good.submit(change(order, order_type="market", price=None), guard)


class HidesWhatWorks(Bad):
    """Nothing works, as far as anyone sees."""

    async def open_orders(self, symbol: str) -> Sequence[PastOrder]:
        return []


class PretendsToCancel(Bad):
    """Done, without a word to the venue."""

    async def cancel(self, client_order_id: str, symbol: str) -> CancelResult:
        return CancelResult(done=True)


class CancelsAll(Bad):
    """Whatever works of the symbol."""

    async def cancel(self, client_order_id: str, symbol: str) -> CancelResult:
        for one in await self.good.open_orders(symbol):
            await self.good.cancel(one.update.client_order_id, symbol)
        return await self.good.cancel(client_order_id, symbol)


class ForgetsParts(Bad):
    """What ends before its time was never filled."""

    async def updates(self) -> AsyncIterator[OrderUpdate]:
        async for update in self.good.updates():
            yield change(update, filled_qty=Decimal(0)) if update.state == "canceled" else update


class AmendsByPlacing(Bad):
    """An amendment that comes too late is another order."""

    async def amend(self, client_order_id: str, symbol: str, qty: Decimal, price: Decimal) -> AmendResult:
        other = Order(f"{client_order_id}x", symbol, "buy", "limit", "GTC", qty, price, "another")
        await self.good.submit(self.good.renew(other, None), lambda: None)
        return AmendResult(done=True)


class PaysMore(Bad):
    """Fills are dearer than the limit."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        answer = await self.good.submit(order, guard)
        if not isinstance(answer, Accepted) or order.price is None or answer.update.average_price is None:
            return answer
        return Accepted(change(answer.update, average_price=order.price * 2))


class LetsRest(Bad):
    """Whatever does not cross rests."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        return await self.good.submit(change(order, tif="GTC"), guard)


class TakesWhatIsThere(Bad):
    """All or nothing is as much as there is."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        return await self.good.submit(change(order, tif="IOC"), guard)


class ForgetsTheDone(Bad):
    """Past orders are those that work."""

    async def past_orders(self, symbol: str, since_ms: int) -> Sequence[PastOrder]:
        return await self.good.open_orders(symbol)


class RemembersAll(Bad):
    """Past orders and trades since ever."""

    async def past_orders(self, symbol: str, since_ms: int) -> Sequence[PastOrder]:
        return await self.good.past_orders(symbol, 0)


class BeginsWithAnOrder(Bad):
    """What was watched last is placed again."""

    async def start(self, view: LedgerView) -> StartRefusal | None:
        refusal = await self.good.start(view)
        for one in await self.good.past_orders("BTCUSDT", 0):
            again = f"{one.update.client_order_id}x"
            order = Order(again, one.symbol, one.side, one.order_type, one.tif, one.qty, one.price, "again")
            await self.good.submit(order, lambda: None)
        return refusal


class OneAtATime(Bad):
    """Symbols wait for each other."""

    def __init__(self, good: ExecutionAdapter) -> None:
        super().__init__(good)
        self._turn = asyncio.Lock()

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        async with self._turn:
            return await self.good.submit(order, guard)


class MixesAnswersUp(Bad):
    """An answer is about whoever was sent last."""

    last = ""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        self.last = order.client_order_id
        answer = await self.good.submit(order, guard)
        return (
            Accepted(change(answer.update, client_order_id=self.last))
            if isinstance(answer, Accepted)
            else answer
        )


class SendsOn(Bad):
    """A call that was cut short goes on by itself, later."""

    def __init__(self, good: ExecutionAdapter) -> None:
        super().__init__(good)
        self._later: set[asyncio.Task[None]] = set()

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        try:
            return await self.good.submit(order, guard)
        except asyncio.CancelledError:
            self._later.add(asyncio.create_task(self._send(order)))
            raise

    async def _send(self, order: Order) -> None:
        await asyncio.sleep(2.0)
        await self.good.submit(order, lambda: None)


class ListensForEver(Bad):
    """The updates do not end."""

    async def updates(self) -> AsyncIterator[OrderUpdate]:
        async for update in self.good.updates():
            yield update
        await asyncio.Event().wait()


class Hangs(Bad):
    """After the end questions are not answered."""

    closed = False

    async def close(self) -> None:
        self.closed = True
        await self.good.close()

    async def get_position(self, symbol: str) -> Decimal | NotYet:
        if self.closed:
            await asyncio.Event().wait()
        return await self.good.get_position(symbol)


class GoesByAnotherName(Bad):
    """Order ids are without the adapter's own prefix."""

    order_id_prefix = "other:"

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        return self.good.prepare(change(ctx, client_order_id=f"{ctx.client_order_id}x"))
