"""Mistakes that are easily made, each planted into the worker by replacing one part: the harness must notice.

A plant is undone with the stack that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from adapters.binance.absence import AbsenceProof
from adapters.binance.adapter import BinanceAdapter
from adapters.binance.questions import Missing
from adapters.contract import Guard, LookupResult, Order, ProvenAbsent, Rejected, SubmitResult, Unknown
from config.seams import seeded_random
from store.lifecycle import State
from store.records import Receipt, Share
from store.writer import Writer
from streams.source import Batch
from worker import rows
from worker.floor import Taken
from worker.gate import Pending
from worker.lane import Lane
from worker.past import Past
from worker.patience import Patience
from worker.resolver import Resolver
from worker.rows import pending_of

Plant = Callable[[ExitStack], None]


def swap(stack: ExitStack, owner: object, name: str, part: object) -> Any:
    """Put `part` in the place of what is there, which is returned."""
    original = getattr(owner, name)
    stack.callback(setattr, owner, name, original)
    setattr(owner, name, part)
    return original


def sends_again_blindly(stack: ExitStack) -> None:
    """No answer is taken for no order."""

    async def submit(self: BinanceAdapter, order: Order, guard: Guard) -> SubmitResult:
        result = await original(self, order, guard)
        return await original(self, order, guard) if isinstance(result, Unknown) else result

    original = swap(stack, BinanceAdapter, "submit", submit)


def asks_once_and_sends_again(stack: ExitStack) -> None:
    """One "does not exist" is taken for a proof."""

    async def lookup(self: BinanceAdapter, client_order_id: str, order: Order) -> LookupResult:
        assert self._lookup is not None
        if isinstance(await self._lookup._questions.order(order.symbol, client_order_id), Missing):
            return ProvenAbsent()
        found: LookupResult = await original(self, client_order_id, order)
        return found

    original = swap(stack, BinanceAdapter, "lookup", lookup)


def takes_trouble_for_a_rejection(stack: ExitStack) -> None:
    """A 5xx or a time-out is recorded as rejected."""

    async def submit(self: BinanceAdapter, order: Order, guard: Guard) -> SubmitResult:
        result = await original(self, order, guard)
        return Rejected("venue_rejected", result.why) if isinstance(result, Unknown) else result

    original = swap(stack, BinanceAdapter, "submit", submit)


def reserves_after_the_send(stack: ExitStack) -> None:
    """The order leaves first, its row is written when the answer is there."""
    answers: dict[str, SubmitResult] = {}

    async def reserve(self: Lane, taken: Taken, batch: Batch, start: int, end: int) -> None:
        for _, pending in taken.orders:
            sent = await send(self._floor.adapter, pending.order, lambda: None)
            answers[pending.order.client_order_id] = sent
        await original(self, taken, batch, start, end)

    async def submit(self: BinanceAdapter, order: Order, guard: Guard) -> SubmitResult:
        answer = answers.pop(order.client_order_id, None)
        return answer if answer is not None else await send(self, order, guard)

    original = swap(stack, Lane, "_reserve", reserve)
    send = swap(stack, BinanceAdapter, "submit", submit)


def moves_on_before_it_reserves(stack: ExitStack) -> None:
    """The source position has a commit of its own, before that of the rows it covers."""

    async def commit(self: Writer, share: Share, *, at_once: bool = False) -> Receipt:
        if share.positions and share.reservations:
            await original(self, Share(symbol=share.symbol, positions=share.positions))
            share = replace(share, positions=[])
        receipt: Receipt = await original(self, share, at_once=at_once)
        return receipt

    original = swap(stack, Writer, "commit", commit)


def makes_ids_at_random(stack: ExitStack) -> None:
    """Each attempt at a row has a client order id of its own."""
    dice = seeded_random(7)
    swap(stack, rows, "client_order_id", lambda symbol, signal_id: f"ew1-{dice.getrandbits(96):024x}")


def sends_again_at_start(stack: ExitStack) -> None:
    """What is found reserved at start is sent, as if it never had been."""

    async def recover(self: Resolver, symbol: str, patience: Patience) -> list[Pending]:
        rows_found = await self._writer.call(lambda: self._ledger.unsettled(symbol))
        mine = [pending_of(row) for row in rows_found if row.state is State.RESERVED]
        for pending in mine:
            pending.order = self._adapter.renew(pending.order, self._gate.life_end_ms(pending))
        return mine or await original(self, symbol, patience)

    original = swap(stack, Resolver, "recover", recover)


def forgets_the_window(stack: ExitStack) -> None:
    """An absence is proven while the order may still be accepted, or be accepted and not shown."""
    swap(stack, AbsenceProof, "fence_ms", property(lambda self: 0))

    def absent(self: AbsenceProof, server_ms: int, took_ms: int) -> Any:
        self._numbers = self._numbers.__class__(margin_ms=0, visibility_ms=0, spacing_ms=20, answers_min=1)
        return original(self, server_ms, took_ms)

    original = swap(stack, AbsenceProof, "absent", absent)


def forgets_the_past(stack: ExitStack) -> None:
    """The exchange is not asked for orders that the store does not know."""

    async def load(self: Past, patience: Patience) -> None:
        """Nothing."""

    swap(stack, Past, "load", load)


BUGS: Mapping[str, Plant] = {
    "blind re-send": sends_again_blindly,
    "one query, then re-send": asks_once_and_sends_again,
    "5xx taken as rejected": takes_trouble_for_a_rejection,
    "reservation after the send": reserves_after_the_send,
    "position before the reservation": moves_on_before_it_reserves,
    "random client ids": makes_ids_at_random,
    "re-send at start": sends_again_at_start,
    "absence without a window": forgets_the_window,
    "past not asked for": forgets_the_past,
}
