"""Replies that are mixed up, cut, emptied and bent: nothing raises, and nothing false is believed."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from rig.exchange_transport import InProcessTransport
from rig.venue import LATENCY_S, Ear, Venue, free, settings_of, venue
from rig.virtual_clock import in_virtual_time

from adapters.binance.transport import HttpReply, HttpRequest, WireResult
from adapters.contract import Accepted, Found, Guard, NotSent, Order, ProvenAbsent, Rejected, Unknown
from adapters.exchange.faults import FaultRule
from config.seams import seeded_random

BROKER = {
    "recv_window_ms": 1_000,
    "send_window_ms": 1_000,
    "absence_margin_ms": 500,
    "visibility_ms": 2_000,
    "absence_spacing_ms": 300,
    "request_timeout_ms": 800,
    "settle_poll_ms": 300,
}
STATUSES = (200, 201, 202, 204, 301, 302, 400, 404, 409, 413, 422, 450, 500, 502, 503, 504)
ODD_VALUES: tuple[Any, ...] = (
    None,
    "",
    "NaN",
    "-1",
    "1e400",
    -1,
    2**70,
    [],
    {},
    True,
    "X" * 300,
    "0x10",
    1.5,
)


class Bent(InProcessTransport):
    """The wire in the box with a share of its replies garbled on the way back."""

    dice: random.Random = seeded_random(0)
    share = 0.0
    former: HttpReply | None = None

    async def request(
        self, request: HttpRequest, *, timeout_s: float, guard: Guard | None = None
    ) -> WireResult:
        """As the box answers, or nearly so."""
        result = await super().request(request, timeout_s=timeout_s, guard=guard)
        if not isinstance(result, HttpReply):
            return result
        former, self.former = self.former, result
        return self._bent(result, former) if self.dice.random() < self.share else result

    def _bent(self, reply: HttpReply, former: HttpReply | None) -> HttpReply:
        way = self.dice.randrange(5)
        if way == 0 and former is not None and former.status == 200:
            return msgspec.structs.replace(reply, status=200, body=former.body)
        if way == 1:
            return msgspec.structs.replace(reply, body=reply.body[: self.dice.randrange(len(reply.body) + 1)])
        if way == 2:
            # An error of the exchange under another status keeps its code: then it is still its word.
            status = self.dice.choice(STATUSES) if reply.status == 200 else 502
            return msgspec.structs.replace(reply, status=status)
        if way == 3:
            return msgspec.structs.replace(reply, body=bytes(self.dice.randrange(256) for _ in range(40)))
        return msgspec.structs.replace(reply, body=self._odd(reply.body))

    def _odd(self, body: bytes) -> bytes:
        value = msgspec.json.decode(body)
        rows = value if isinstance(value, list) else [value]
        if rows and isinstance(row := self.dice.choice(rows), dict) and row:
            name = self.dice.choice(sorted(row))
            # A code, a status or a quantity that is another plausible one is a lie that nobody can see.
            row[name] = self.dice.choice(ODD_VALUES)
            if name == "code":
                row[name] = None
        return msgspec.json.encode(value)


async def _settled(v: Venue, order: Order, counts: Counter[str]) -> Order | None:
    """The order as the worker brings it to an end: accepted, rejected, or proven absent (None)."""
    for _ in range(3):
        result = await v.adapter.submit(order, free)
        counts[type(result).__name__] += 1
        match result:
            case Accepted():
                assert v.accepted(order.client_order_id), "called accepted"
                return order
            case Rejected():
                raise AssertionError(result)
            case NotSent():
                await v.clock.sleep(1.5)
                order = v.adapter.renew(order, None)
                continue
            case Unknown():
                pass
        for _ in range(200):
            told = await v.adapter.lookup(order.client_order_id, order)
            if isinstance(told, Found):
                counts["found"] += 1
                assert told.same_terms
                assert v.accepted(order.client_order_id), "called found"
                v.adapter.watch(order)
                return order
            if isinstance(told, ProvenAbsent):
                counts["proven absent"] += 1
                assert not v.accepted(order.client_order_id), "called absent"
                return None
            await v.clock.sleep(max(0.01, (told.until_ms - v.clock.wall_ms()) / 1000))
        counts["open"] += 1
        return None
    return None


@pytest.mark.parametrize("market", ["futures", "spot"])
@pytest.mark.parametrize("seed", range(4))
def test_garbled_replies_never_raise_and_never_pass_for_proof(seed: int, market: str) -> None:
    counts: Counter[str] = Counter()

    @in_virtual_time
    async def run() -> None:
        settings = settings_of(broker={**BROKER, "name": f"binance-{market}"})
        async with venue(settings, started=False) as v:
            bent = Bent(v.host, v.clock, lambda: LATENCY_S)
            bent.dice = seeded_random(seed)
            v.transport = bent
            v.adapter = v.life()
            assert await v.start() is None
            ear = Ear(v.adapter)
            bent.share = 0.3
            v.plan(
                FaultRule(kind="reset_before", executed=False, probability=0.15),
                FaultRule(kind="reset_after", executed=True, probability=0.15),
                FaultRule(kind="invisible", delay_ms=1_500, probability=0.2, scope="all"),
            )
            held = Decimal(0)
            for number in range(40):
                while v.adapter.wait_for("BTCUSDT") is not None:
                    await v.clock.sleep(0.1)
                order = v.prepared(number)
                v.view.ids.add(order.client_order_id)
                v.view.position = held
                if await _settled(v, order, counts) is not None:
                    held += order.qty
                await v.adapter.open_orders("BTCUSDT")
                await v.adapter.past_orders("BTCUSDT", v.clock.wall_ms() - 60_000)
                await v.adapter.fetch_fills("BTCUSDT", v.clock.wall_ms() - 60_000)
                await v.adapter.get_position("BTCUSDT")
                await v.adapter.get_balance()
                await v.adapter.cancel(order.client_order_id, "BTCUSDT")
            bent.share = 0.0
            v.plan()
            await v.clock.sleep(90.0)

            assert len(set(v.accepted())) == len(v.accepted())
            for name in set(v.accepted()):
                assert ear.has(name, "filled")(), ear.last(name)
            assert not ear.task.done()

    run()
    assert counts["Accepted"] >= 10, counts
