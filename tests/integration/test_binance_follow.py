"""Accepted orders followed to their end: by questions alone, in crowds, through bans, to a clean stop."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from rig.binance_world import SYMBOL, World
from rig.following import FAR, assert_agrees, following, until
from rig.virtual_clock import in_virtual_time

from adapters.binance import wire
from adapters.binance.follow import Follower
from adapters.binance.market import Market
from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import FillPolicy


@in_virtual_time
async def test_an_unwatched_order_of_ours_is_told_and_a_foreign_one_is_not() -> None:
    async with World() as world, following(world) as followed:
        await world.send(world.order("late"))
        await world.send_unlike(world.order("x"), client_order_id="by-hand-1")
        await followed.ended("late")

        assert_agrees(world, followed.final("late")[0], "late")
        assert {update.client_order_id for update in followed.told} == {"ew1-late"}


@in_virtual_time
async def test_an_order_that_was_heard_of_before_it_is_watched_is_told_again() -> None:
    async with World() as world, following(world) as followed:
        order = world.order()
        await world.send(order)
        await followed.ended()

        followed.follower.watch(order)
        await until(lambda: len(followed.final()) == 2, world.clock)

        first, second = followed.final()
        assert first == second
        assert followed.follower.watched == 0


@in_virtual_time
async def test_an_order_that_is_canceled_after_a_part_keeps_its_part() -> None:
    policy = FillPolicy(parts=4, part_delay_ms=60_000)
    async with World(policy=policy) as world, following(world, has_stream=False) as followed:
        order = world.order(qty="0.008", price="61000.0")
        await followed.place(order)
        await until(lambda: bool(followed.of()) and followed.of()[-1].state == "partial", world.clock)

        await world.client.call(wire.cancel_order(Market.FUTURES, SYMBOL, order.client_order_id))
        await followed.ended()

        [update] = followed.final()
        assert update.state == "canceled"
        assert update.filled_qty == Decimal("0.002")
        assert_agrees(world, update)


@in_virtual_time
async def test_an_order_that_is_not_shown_at_first_is_asked_for_again() -> None:
    rule = FaultRule("invisible", endpoint="new_order", delay_ms=20_000, scope="all")
    async with World(rule) as world, following(world, has_stream=False) as followed:
        await followed.place(world.order())
        await followed.ended()

        assert_agrees(world, followed.final()[0])
        assert 1_020 <= world.clock.monotonic_s() < 1_023


@in_virtual_time
async def test_many_orders_are_asked_for_by_the_lists() -> None:
    async with World() as world, following(world, has_stream=False) as followed:
        names = [f"n{number}" for number in range(40)]
        for name in names:
            await followed.place(world.order(name, qty="0.002"))
        await followed.ended(*names)

        assert followed.asked("/fapi/v1/order") <= 10
        assert followed.asked("/fapi/v1/allOrders") + followed.asked("/fapi/v1/userTrades") <= 12
        for name in names:
            assert_agrees(world, followed.final(name)[0], name)


@in_virtual_time
async def test_orders_that_work_for_long_are_looked_for_among_the_open_ones() -> None:
    async with World() as world, following(world, has_stream=False) as followed:
        names = [f"n{number}" for number in range(10)]
        for name in names:
            await followed.place(world.order(name, qty="0.002", price=FAR))
        await world.clock.sleep(700.0)
        singly, listed = followed.asked("/fapi/v1/order"), followed.asked("/fapi/v1/openOrders")

        await world.clock.sleep(60.0)
        await world.client.call(wire.cancel_order(Market.FUTURES, SYMBOL, "ew1-n3"))
        await followed.ended("n3")

        assert followed.final("n3")[0].state == "canceled"
        assert followed.asked("/fapi/v1/order") == singly + 1
        assert 55 <= followed.asked("/fapi/v1/openOrders") - listed <= 65
        assert followed.follower.watched == 9


@in_virtual_time
async def test_nobody_is_asked_before_the_end_of_a_ban() -> None:
    policy = FillPolicy(fill_delay_ms=5_000)
    async with World(policy=policy) as world, following(world, has_stream=False) as followed:
        await followed.place(world.order())
        world.strike(FaultRule("http_418", endpoint="any", times=1, delay_ms=120_000))
        await world.clock.sleep(2.0)
        before = len(world.transport.requests)
        await world.clock.sleep(110.0)
        during = len(world.transport.requests)
        await followed.ended()

        assert during == before
        assert_agrees(world, followed.final()[0])


@in_virtual_time
async def test_a_second_order_under_one_id_is_told_apart() -> None:
    async with World() as world, following(world) as followed:
        order = world.order()
        await followed.place(order)
        await followed.ended()
        await world.send(order)
        await until(lambda: len(followed.final()) == 2, world.clock)

        first, second = followed.final()
        assert first.exchange_order_id != second.exchange_order_id
        assert second.reason == "a second order under this client order id"
        assert len(followed.follower.sighted("ew1-a")) == 2


OURS = ("Follower", "UserStream", "Entry")


@in_virtual_time
async def test_closing_ends_the_updates_and_every_task() -> None:
    def ours() -> list[str]:
        names = [str(task.get_coro()) for task in asyncio.all_tasks()]
        return [name for name in names if any(word in name for word in OURS)]

    async with World() as world:
        async with following(world) as followed:
            await followed.place(world.order(price=FAR))
            during = len(ours())

        assert during >= 4
        assert ours() == []


@in_virtual_time
async def test_a_bug_in_the_background_is_raised_where_the_updates_are_read() -> None:
    async with World() as world:
        follower = Follower(
            world.client, world.transport, Market.FUTURES, world.broker, world.clock, has_stream=False
        )
        follower.watch(world.order())

        def broken(*_: object, **__: object) -> object:
            raise ZeroDivisionError

        world.client.call = broken  # type: ignore[method-assign,assignment]  # a bug, planted
        with pytest.raises(ZeroDivisionError):
            async for _ in follower.updates():
                pass
