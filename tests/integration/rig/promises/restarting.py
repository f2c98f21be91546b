"""Promises about a new life: what the former one left is found, told again and never placed again."""

from __future__ import annotations

from decimal import Decimal

from rig.promise import promise
from rig.stand import BTC, ETH, Stand
from rig.virtual_clock import START_MS

from adapters.contract import Found, Order, PastOrder, ProvenAbsent


async def left_behind(stand: Stand) -> tuple[Order, Order, Order]:
    """A former life's orders: one filled, one that rests, one that was prepared and never sent."""
    ear = stand.listen()
    filled = stand.prepared(1)
    await ear.end_of(filled, await stand.submit(filled))
    await stand.clock.sleep(1.0)
    resting = stand.resting(2)
    await stand.submit(resting)
    return filled, resting, stand.prepared(3)


def terms(one: Order | PastOrder) -> tuple[object, ...]:
    """What an order was placed on; a market order has no limit price and no time in force of its own."""
    limit = one.order_type == "limit"
    return (
        one.symbol,
        one.side,
        one.order_type,
        one.tif if limit else "",
        one.qty,
        one.price if limit else None,
    )


@promise("survives", "limits", "account")
async def a_new_life_finds_working_orders_positions_and_past_orders(stand: Stand) -> None:
    filled, resting, _ = await left_behind(stand)
    position = await stand.asked(stand.adapter.get_position, BTC)
    trades = list(await stand.asked(stand.adapter.fetch_fills, BTC, START_MS))
    accepted = stand.accepted()

    await stand.again()

    working = await stand.asked(stand.adapter.open_orders, BTC)
    assert [(one.update.client_order_id, terms(one)) for one in working] == [
        (resting.client_order_id, terms(resting))
    ]
    past = await stand.asked(stand.adapter.past_orders, BTC, stand.clock.wall_ms() - 3_600_000)
    assert [(one.update.client_order_id, one.update.state, terms(one)) for one in past] == [
        (filled.client_order_id, "filled", terms(filled)),
        (resting.client_order_id, "open", terms(resting)),
    ]
    assert await stand.asked(stand.adapter.get_position, BTC) == position != stand.flat(BTC)
    assert list(await stand.asked(stand.adapter.fetch_fills, BTC, START_MS)) == trades
    assert list(await stand.asked(stand.adapter.past_orders, ETH, START_MS)) == []
    assert stand.accepted() == accepted == [filled.client_order_id, resting.client_order_id]


@promise("survives", "limits", "account")
async def past_orders_are_those_since_the_moment_that_is_asked_for(stand: Stand) -> None:
    ear = stand.listen()
    orders = []
    for number in range(4):
        orders.append(stand.prepared(number))
        await ear.end_of(orders[-1], await stand.submit(orders[-1]))
        await stand.clock.sleep(10.0)
    since_ms = stand.clock.wall_ms() - 25_000

    past = await stand.asked(stand.adapter.past_orders, BTC, since_ms)
    trades = await stand.asked(stand.adapter.fetch_fills, BTC, since_ms)

    late = [one.client_order_id for one in orders[2:]]
    assert [one.update.client_order_id for one in past] == late
    assert list(dict.fromkeys(one.client_order_id for one in trades)) == late
    assert [one.at_ms for one in past] == sorted(one.at_ms for one in past)


@promise("survives", "limits")
async def a_new_life_knows_what_became_of_every_order(stand: Stand) -> None:
    filled, resting, unsent = await left_behind(stand)

    await stand.again()

    for order, state in ((filled, "filled"), (resting, "open")):
        found = await stand.fate(order)
        assert isinstance(found, Found)
        assert (found.update.state, found.same_terms) == (state, True)
    # While another order works, nobody can tell the position, which is part of the proof.
    await stand.adapter.cancel(resting.client_order_id, BTC)
    assert await stand.fate(unsent) == ProvenAbsent()
    assert stand.accepted() == [filled.client_order_id, resting.client_order_id]


@promise("survives", "limits")
async def a_new_life_tells_again_of_what_it_is_to_watch(stand: Stand) -> None:
    filled, resting, _ = await left_behind(stand)
    await stand.again()
    ear = stand.listen()

    stand.adapter.watch(resting)
    stand.adapter.watch(filled)
    told = await ear.hears(filled, "filled")
    await stand.adapter.cancel(resting.client_order_id, BTC)
    ended = await ear.hears(resting, "canceled")

    assert told.filled_qty == filled.qty
    assert ended.filled_qty == Decimal(0)


@promise("survives", "witnessed", "loses")
async def a_new_life_finds_out_what_a_lost_answer_hid(stand: Stand) -> None:
    fates = set()
    for number in range(stand.losses):
        order = stand.prepared(number)
        await stand.submit(order)
        await stand.again()
        fates.add(await stand.assert_fate_is_true(order))
    assert fates == stand.fates_of_losses


@promise("survives", "witnessed", "wire", "takes_all")
async def a_new_life_goes_on_where_the_former_one_ended(stand: Stand) -> None:
    first = stand.prepared(1)
    await stand.submit(first)
    await stand.again()

    second = stand.prepared(2)
    await stand.submit(second)

    assert stand.accepted() == [first.client_order_id, second.client_order_id]
    assert await stand.assert_fate_is_true(first)
    assert await stand.assert_fate_is_true(second)
