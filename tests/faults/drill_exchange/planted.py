"""A worker with one planted mistake: `python planted.py MISTAKE ARGUMENTS…` is that worker's command line.

Each mistake is one that programs of this kind are known for. One part is replaced before the worker begins;
everything else is the real thing. The drill has to catch every one of them, or its verdict means nothing.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import msgspec

from adapters.binance import answers, verdicts
from adapters.binance.adapter import BinanceAdapter
from adapters.binance.facts import OrderFact
from adapters.binance.lookup import Lookup
from adapters.binance.questions import Missing
from adapters.binance.verdicts import Refused
from adapters.contract import Accepted, Guard, NotYet, Order, ProvenAbsent, SubmitResult, Unknown
from store.records import Share
from worker import cli, rows
from worker.lane import Lane
from worker.resolver import Resolver
from worker.rows import positions_of

BLIND_SENDS = 3
ASK_AGAIN_MS = 100


def send_again_blindly() -> None:
    """No answer, so it is sent once more, as a library with retries does."""
    submit = BinanceAdapter.submit

    async def retrying(self: BinanceAdapter, order: Order, guard: Guard) -> SubmitResult:
        result: SubmitResult = Unknown("not sent yet")
        for _ in range(BLIND_SENDS):
            result = await submit(self, order, guard)
            if not isinstance(result, Unknown):
                break
        return result

    _replace(BinanceAdapter, "submit", retrying)


def believe_one_query() -> None:
    """Asked once, "does not exist", so it is sent once more."""

    async def once(self: Any, proof: Any, client_order_id: str, order: Order) -> Any:
        answer = await self._questions.order(order.symbol, client_order_id)
        if isinstance(answer, OrderFact):
            return await self._found((answer,), client_order_id, order)
        if isinstance(answer, Missing):
            return ProvenAbsent()
        return NotYet(self._clock.wall_ms() + ASK_AGAIN_MS, answer.why)

    _replace(Lookup, "_round", once)


def call_5xx_rejected() -> None:
    """A server error is taken for a no."""
    verdict = verdicts.verdict

    def hasty(market: Any, status: int, code: int | None, text: str, *, placing: bool, headers: Any) -> Any:
        if placing and status >= 500:
            return Refused("venue_rejected", text)
        return verdict(market, status, code, text, placing=placing, headers=headers)

    _replace(verdicts, "verdict", hasty)


def reserve_after_the_send() -> None:
    """The order leaves first, and its row is written when the answer is there."""
    submit, reserve = BinanceAdapter.submit, Lane._reserve
    early: dict[str, SubmitResult] = {}

    async def known(self: BinanceAdapter, order: Order, guard: Guard) -> SubmitResult:
        result = early.pop(order.client_order_id, None)
        return await submit(self, order, guard) if result is None else result

    async def late(self: Any, taken: Any, batch: Any, start: int, end: int) -> None:
        adapter = self._floor.adapter
        for _, pending in taken.orders:
            early[pending.order.client_order_id] = await submit(adapter, pending.order, lambda: None)
        await reserve(self, taken, batch, start, end)

    _replace(BinanceAdapter, "submit", known)
    _replace(Lane, "_reserve", late)


def commit_the_position_first() -> None:
    """The source position is on disk before the rows that it stands for."""
    reserve = Lane._reserve

    async def hasty(self: Any, taken: Any, batch: Any, start: int, end: int) -> None:
        share = Share(symbol=self.symbol, positions=positions_of(batch.positions(start, end)))
        await self._dispatch.commit(share)
        await reserve(self, taken, batch, start, end)

    _replace(Lane, "_reserve", hasty)


def make_random_client_ids() -> None:
    """Every order has an id of its own, which has nothing to do with its signal."""
    dice = random.SystemRandom()

    def anything(symbol: str, signal_id: str) -> str:
        return "ew1-" + "".join(dice.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(24))

    _replace(rows, "client_order_id", anything)


def send_again_at_start() -> None:
    """What was in flight when it died is sent anew when it starts."""
    recover, settle = Resolver.recover, Resolver.settle
    at_start: ContextVar[bool] = ContextVar("at_start", default=False)

    async def hasty(self: Resolver, symbol: str, patience: Any) -> Any:
        token = at_start.set(True)
        try:
            return await recover(self, symbol, patience)
        finally:
            at_start.reset(token)

    async def unasked(self: Resolver, pending: Any, patience: Any) -> Any:
        return self._absent(pending) if at_start.get() else await settle(self, pending, patience)

    _replace(Resolver, "recover", hasty)
    _replace(Resolver, "settle", unasked)


def assume_the_fill() -> None:
    """An accepted market order is taken for filled, at the price that was wanted."""
    acknowledged = answers._acknowledged

    def hopeful(order: Order, reply: Any) -> SubmitResult:
        result = acknowledged(order, reply)
        if not isinstance(result, Accepted):
            return result
        update: dict[str, Any] = {
            "state": "filled",
            "filled_qty": order.qty,
            "average_price": order.intent_price,
        }
        return msgspec.structs.replace(result, update=msgspec.structs.replace(result.update, **update))

    _replace(answers, "_acknowledged", hopeful)


def _replace(owner: Any, name: str, value: Any) -> None:
    """Put `value` where the worker will find it; a name that is gone must not make a harmless plant."""
    assert hasattr(owner, name), f"{owner} has no {name} any more"
    setattr(owner, name, value)


MISTAKES: dict[str, Callable[[], None]] = {
    "blind-resend": send_again_blindly,
    "one-query-then-resend": believe_one_query,
    "5xx-is-rejected": call_5xx_rejected,
    "reserve-after-send": reserve_after_the_send,
    "position-before-reservation": commit_the_position_first,
    "random-client-ids": make_random_client_ids,
    "resend-at-start": send_again_at_start,
    "fill-is-assumed": assume_the_fill,
}


if __name__ == "__main__":
    mistake = sys.argv.pop(1)
    MISTAKES[mistake]()
    cli.main()
