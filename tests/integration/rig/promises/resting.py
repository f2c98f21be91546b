"""Promises about limit orders: they rest, are canceled or changed, fill when reached, end when they must."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from rig.promise import promise
from rig.promises.filling import assert_told_well, assert_trades_agree
from rig.stand import BTC, Stand
from rig.virtual_clock import START_MS

from adapters.contract import Accepted, Found, Order, OrderUpdate, PastOrder, Reject, Rejected

TENTH = Decimal("0.1")


async def working(stand: Stand) -> list[PastOrder]:
    """What works of BTCUSDT."""
    return list(await stand.asked(stand.adapter.open_orders, BTC))


async def rests(stand: Stand, number: int = 1, **changes: Any) -> Order:
    """An order that was accepted and rests."""
    order = stand.resting(number, **changes)
    answer = await stand.submit(order)
    assert isinstance(answer, Accepted), answer
    assert (answer.update.state, answer.update.filled_qty) == ("open", Decimal(0))
    return order


async def ends(stand: Stand, order: Order) -> OrderUpdate | None:
    """The final word on an order that must not rest; None: it was not accepted, and that is proven."""
    ear = stand.listen()
    answer = await stand.submit(order)
    if isinstance(answer, Rejected):
        assert order.client_order_id not in stand.accepted()
        return None
    said = await ear.end_of(order, answer)
    assert_told_well(order, said)
    return said[-1]


@promise("limits")
async def a_limit_order_away_from_the_book_rests(stand: Stand) -> None:
    order = await rests(stand)
    await stand.clock.sleep(5.0)

    one, *more = await working(stand) or [None]
    assert one is not None
    assert more == []
    assert (one.update.client_order_id, one.update.state) == (order.client_order_id, "open")
    terms = (one.symbol, one.side, one.order_type, one.tif, one.qty, one.price)
    assert terms == (order.symbol, order.side, "limit", "GTC", order.qty, order.price)
    found = await stand.fate(order)
    assert isinstance(found, Found)
    assert (found.update.state, found.same_terms) == ("open", True)
    assert await stand.asked(stand.adapter.get_position, BTC) == stand.flat(BTC)


@promise("limits")
async def a_canceled_order_works_no_longer_and_that_is_told(stand: Stand) -> None:
    ear = stand.listen()
    order, other = await rests(stand, 1), await rests(stand, 2)

    first = await stand.adapter.cancel(order.client_order_id, BTC)
    told = await ear.hears(order, "canceled")
    second = await stand.adapter.cancel(order.client_order_id, BTC)

    assert first.done
    assert second.done
    assert told.filled_qty == 0
    assert [one.update.client_order_id for one in await working(stand)] == [other.client_order_id]
    found = await stand.fate(order)
    assert isinstance(found, Found)
    assert found.update.state == "canceled"
    await stand.move(BTC, stand.far - 500)
    await ear.hears(other, "filled")
    assert ear.of(order)[-1].state == "canceled"


@promise("limits", "account")
async def canceling_what_is_filled_or_unknown_changes_nothing(stand: Stand) -> None:
    ear = stand.listen()
    order = stand.prepared(1)
    await ear.end_of(order, await stand.submit(order))
    position = await stand.asked(stand.adapter.get_position, BTC)
    resting = await rests(stand, 2)

    too_late = await stand.adapter.cancel(order.client_order_id, BTC)
    unknown = await stand.adapter.cancel("ew1-nothing", BTC)

    assert too_late.done
    assert unknown.done or unknown.text
    await stand.clock.sleep(5.0)
    assert ear.of(order)[-1].state == "filled" if ear.of(order) else True
    found = await stand.fate(order)
    assert isinstance(found, Found)
    assert found.update.state == "filled"
    assert [one.update.client_order_id for one in await working(stand)] == [resting.client_order_id]
    assert await stand.asked(stand.adapter.get_position, BTC) == position


@promise("depth", "limits", "account", shallow=True)
async def an_order_that_is_canceled_in_the_middle_keeps_what_was_filled(stand: Stand) -> None:
    ear = stand.listen()
    order = stand.prepared(1, order_type="limit", price=stand.near)
    await stand.submit(order)
    part = await ear.hears(order, "partial")

    assert (await stand.adapter.cancel(order.client_order_id, BTC)).done
    told = await ear.hears(order, "canceled")

    assert 0 < part.filled_qty == told.filled_qty < order.qty
    await assert_trades_agree(stand, order, told)
    assert await working(stand) == []


@promise("amends")
async def cancel_and_amend_at_once_leave_an_order_that_does_not_work(stand: Stand) -> None:
    ear = stand.listen()
    order = await rests(stand)
    adapter, order_id = stand.adapter, order.client_order_id

    canceled, _ = await asyncio.gather(
        adapter.cancel(order_id, BTC), adapter.amend(order_id, BTC, order.qty * 2, stand.far - 100)
    )

    assert canceled.done
    await ear.hears(order, "canceled")
    assert await working(stand) == []
    assert stand.accepted() == [order_id]


@promise("amends")
async def an_amended_order_rests_under_its_new_terms(stand: Stand) -> None:
    ear = stand.listen()
    order = await rests(stand)
    qty, price = order.qty * 2, stand.far - 100

    changed = await stand.adapter.amend(order.client_order_id, BTC, qty, price)

    assert changed.done, changed
    one, *more = await working(stand) or [None]
    assert one is not None
    assert more == []
    assert (one.update.client_order_id, one.qty, one.price) == (order.client_order_id, qty, price)
    assert stand.accepted() == [order.client_order_id]
    await stand.move(BTC, stand.far - 500)
    told = await ear.hears(order, "filled")
    assert (told.filled_qty, told.average_price) == (qty, price)


@promise("limits")
async def what_is_not_known_or_has_ended_cannot_be_amended(stand: Stand) -> None:
    ear = stand.listen()
    order = stand.prepared(1)
    await ear.end_of(order, await stand.submit(order))

    for client_order_id in (order.client_order_id, "ew1-nothing"):
        changed = await stand.adapter.amend(client_order_id, BTC, order.qty * 2, stand.far)
        assert not changed.done
        assert changed.text
    assert await working(stand) == []
    assert stand.accepted() == [order.client_order_id]


@promise("limits", "account")
async def a_resting_order_fills_when_the_market_reaches_it_and_not_before(stand: Stand) -> None:
    ear = stand.listen()
    order = await rests(stand)
    await stand.move(BTC, stand.far + 500)
    await stand.clock.sleep(20.0)
    before = [one.state for one in ear.of(order)]

    await stand.move(BTC, stand.far - 500)
    told = await ear.hears(order, "filled")

    assert set(before) <= {"open"}
    assert told.average_price is not None
    assert told.average_price <= stand.far
    await assert_trades_agree(stand, order, told)
    assert await working(stand) == []


@promise("limits", "account")
async def a_limit_order_that_crosses_fills_at_its_limit_or_better(stand: Stand) -> None:
    for number, tif in enumerate(("GTC", "IOC", "FOK")):
        order = stand.prepared(number, order_type="limit", price=stand.near, tif=tif)
        last = await ends(stand, order)
        assert last is not None
        assert last.state == "filled"
        assert last.average_price is not None
        assert last.average_price <= stand.near
        await assert_trades_agree(stand, order, last)


@promise("limits", "account")
async def an_order_for_at_once_that_does_not_cross_ends_without_a_fill(stand: Stand) -> None:
    for number, tif in enumerate(("IOC", "FOK")):
        order = stand.adapter.prepare(stand.wanted(number, order_type="limit", price=stand.far, tif=tif))
        if isinstance(order, Reject):
            continue
        last = await ends(stand, order)
        if last is not None:
            assert (last.state, last.filled_qty) in (("expired", 0), ("canceled", 0))
    assert await working(stand) == []
    assert await stand.asked(stand.adapter.get_position, BTC) == stand.flat(BTC)
    assert list(await stand.asked(stand.adapter.fetch_fills, BTC, START_MS)) == []


@promise("depth", "limits", "account", shallow=True)
async def of_a_shallow_book_one_takes_what_is_there_and_the_other_all_or_nothing(stand: Stand) -> None:
    some = await ends(stand, stand.prepared(1, order_type="limit", price=stand.near, tif="IOC"))
    held = await stand.asked(stand.adapter.get_position, BTC)
    none = await ends(stand, stand.prepared(2, order_type="limit", price=stand.near, tif="FOK"))

    assert some is not None
    assert some.state in ("expired", "canceled")
    assert some.filled_qty > 0
    assert none is None or none.filled_qty == 0
    assert await stand.asked(stand.adapter.get_position, BTC) == held
