"""Lookups where many older orders trade inside the window that a proof of absence looks at."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from rig.binance_world import SYMBOL, World
from rig.virtual_clock import START_MS, in_virtual_time

from adapters.binance import account
from adapters.binance.asking import Trouble
from adapters.contract import NotYet, Order, ProvenAbsent
from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import FillPolicy


async def _with_old_orders(world: World, count: int) -> Order:
    """A new order in doubt; `count` others were placed an hour before it and trade in its window."""
    for number in range(count):
        await world.send(world.order(f"old{number}", qty="0.003"))
        world.ledger.ids.add(f"ew1-old{number}")
    await world.clock.sleep(3_550.0)
    world.ledger.position = Decimal("0.003") * count
    return world.order()


@pytest.mark.parametrize("count", [6, 40])
@in_virtual_time
async def test_trades_of_many_older_orders_are_all_explained(count: int) -> None:
    async with World(policy=FillPolicy(fill_delay_ms=3_600_000)) as world:
        order = await _with_old_orders(world, count)

        answer, whys = await world.settled(world.lookup(), order, within_s=200)

        assert [entry["kind"] for entry in world.journal] == ["accepted"] * count + ["fill"] * count
        assert answer == ProvenAbsent(), whys


@in_virtual_time
async def test_an_unknown_order_of_ours_among_many_older_ones_keeps_the_proof_open() -> None:
    async with World(policy=FillPolicy(fill_delay_ms=3_600_000)) as world:
        order = await _with_old_orders(world, 8)
        world.ledger.ids.discard("ew1-old7")

        answer, whys = await world.settled(world.lookup(), order, within_s=200)

        assert isinstance(answer, NotYet)
        assert "not explained by other orders: order ew1-old7" in whys


@in_virtual_time
async def test_a_page_that_cannot_be_read_delays_the_explanation_and_does_not_begin_the_proof_anew() -> None:
    async with World(policy=FillPolicy(fill_delay_ms=3_600_000)) as world:
        order = await _with_old_orders(world, 6)
        # The second question of each round for the order history is the one about older orders.
        world.strike(FaultRule("answer", endpoint="all_orders", status=503, nth=2, times=1, executed=False))

        answer, whys = await world.settled(world.lookup(), order, within_s=120)

        assert answer == ProvenAbsent(), whys


def _shown(name: str, order_id: int, **changes: object) -> bytes:
    """A filled market order as GET order shows it."""
    shown = {
        "orderId": order_id,
        "clientOrderId": f"ew1-{name}",
        "symbol": SYMBOL,
        "status": "FILLED",
        "side": "BUY",
        "type": "MARKET",
        "origQty": "0.010",
        "executedQty": "0.010",
        "price": "0",
        "time": START_MS,
        "updateTime": START_MS,
    }
    return msgspec.json.encode({**shown, **changes})


@pytest.mark.parametrize("changes", [{"clientOrderId": "ew1-other"}, {"symbol": "ETHUSDT"}])
@in_virtual_time
async def test_an_answer_about_another_order_is_not_taken_for_ours(changes: dict[str, str]) -> None:
    async with World() as world:
        order = world.order()
        world.transport.instead["/fapi/v1/order"] = _shown("a", 7, **changes)

        answer, whys = await world.settled(world.lookup(), order, within_s=120)

        assert isinstance(answer, NotYet)
        assert "the order: the answer is about another order" in whys


@pytest.mark.parametrize("changes", [{"clientOrderId": "ew1-other"}, {"symbol": "ETHUSDT"}])
@in_virtual_time
async def test_a_cancellation_of_another_order_is_not_taken_for_ours(changes: dict[str, str]) -> None:
    async with World() as world:
        world.transport.instead["/fapi/v1/order"] = _shown("a", 7, status="CANCELED", **changes)

        told = await account.cancel(world.client, "ew1-a", SYMBOL)

        assert isinstance(told, Trouble)
        assert told.kind == "unreadable"


@in_virtual_time
async def test_a_proof_that_cannot_be_had_leaves_the_budget_to_others() -> None:
    async with World() as world:
        order = world.order()
        world.ledger.position = None
        lookup = world.lookup()
        await world.settled(lookup, order, within_s=120)
        before = len(world.transport.requests)

        answer, _ = await world.settled(lookup, order, within_s=780)
        asked = [one.path for one in world.transport.requests[before:]]
        world.ledger.position = Decimal(0)
        proven, _ = await world.settled(lookup, order, within_s=61)

        assert isinstance(answer, NotYet)
        assert asked.count("/fapi/v1/allOrders") <= 20
        assert proven == ProvenAbsent()
