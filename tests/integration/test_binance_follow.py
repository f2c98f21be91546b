"""Accepted orders followed to their end, with a stream and without, through gaps, losses and bans."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from rig.binance_world import SYMBOL, World
from rig.virtual_clock import VirtualClock, in_virtual_time

from adapters.binance import wire
from adapters.binance.follow import Follower
from adapters.binance.market import Market
from adapters.contract import Order, OrderUpdate
from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import FillPolicy
from config.seams import seeded_random

FAR = "58000.0"
WORKING = ("open", "partial")


async def until(condition: Callable[[], bool], clock: VirtualClock, *, within_s: float = 600.0) -> None:
    """Wait until `condition` holds, looking often enough for what takes tens of milliseconds."""
    end_s = clock.monotonic_s() + within_s
    while not condition():
        assert clock.monotonic_s() < end_s, f"nothing of the kind within {within_s} s"
        await clock.sleep(0.02)


class Followed:
    """A follower and everything that it told."""

    def __init__(self, world: World, follower: Follower) -> None:
        self.world = world
        self.follower = follower
        self.told: list[OrderUpdate] = []

    def of(self, name: str = "a") -> list[OrderUpdate]:
        return [update for update in self.told if update.client_order_id == f"ew1-{name}"]

    def final(self, name: str = "a") -> list[OrderUpdate]:
        return [update for update in self.of(name) if update.state not in WORKING]

    async def ended(self, *names: str, within_s: float = 600.0) -> None:
        await until(lambda: all(map(self.final, names or ("a",))), self.world.clock, within_s=within_s)

    async def place(self, order: Order) -> None:
        await self.world.send(order)
        self.follower.watch(order)

    def asked(self, path: str, method: str = "GET") -> int:
        requests = self.world.transport.requests
        return sum(1 for one in requests if one.path == path and one.method == method)


@asynccontextmanager
async def following(
    world: World, *, has_stream: bool = True, until_it_stands: bool = True
) -> AsyncIterator[Followed]:
    follower = Follower(
        world.client, world.transport, Market.FUTURES, world.broker, world.clock, has_stream=has_stream
    )
    followed = Followed(world, follower)

    async def listen() -> None:
        async for update in follower.updates():
            followed.told.append(update)

    listening = asyncio.create_task(listen())
    if has_stream and until_it_stands:
        await until(lambda: follower.unbroken_since_ms() is not None or listening.done(), world.clock)
    try:
        yield followed
    finally:
        await follower.close()
        await listening


def as_journaled(world: World, name: str = "a") -> tuple[Decimal, Decimal, Decimal]:
    """Quantity, value and fee of an order by the exchange's own record."""
    fills = [
        entry
        for entry in world.journal
        if entry["kind"] == "fill" and entry["client_order_id"] == f"ew1-{name}"
    ]
    sizes = [Decimal(str(fill["qty"])) for fill in fills]
    prices = [Decimal(str(fill["price"])) for fill in fills]
    return (
        sum(sizes, Decimal(0)),
        sum((qty * price for qty, price in zip(sizes, prices, strict=True)), Decimal(0)),
        sum((Decimal(str(fill["fee"])) for fill in fills), Decimal(0)),
    )


def assert_agrees(world: World, update: OrderUpdate, name: str = "a") -> None:
    qty, value, fee = as_journaled(world, name)
    assert update.filled_qty == qty
    assert (update.fee or Decimal(0)) == fee
    if qty:
        assert update.average_price is not None
        assert abs(update.average_price * qty - value) < Decimal("1e-15")


@in_virtual_time
async def test_with_a_stream_an_end_is_told_at_once_and_nothing_is_asked() -> None:
    policy = FillPolicy(parts=3, part_delay_ms=100, fill_delay_ms=50)
    async with World(policy=policy) as world, following(world) as followed:
        await followed.place(world.order())
        await followed.ended()

        assert world.clock.monotonic_s() < 1_001
        assert [update.state for update in followed.of()] == ["open", "partial", "partial", "filled"]
        assert_agrees(world, followed.final()[0])
        assert followed.asked("/fapi/v1/order") == 0
        assert followed.follower.watched == 0


@in_virtual_time
async def test_without_a_stream_rest_tells_the_same_end() -> None:
    policy = FillPolicy(parts=3, part_delay_ms=2_000, fill_delay_ms=1_500)
    async with World(policy=policy) as world, following(world, has_stream=False) as followed:
        await followed.place(world.order())
        await followed.ended()

        assert followed.of()[0].state == "open"
        assert len(followed.final()) == 1
        assert_agrees(world, followed.final()[0])
        assert world.clock.monotonic_s() < 1_008
        assert followed.follower.unbroken_since_ms() is None


@in_virtual_time
async def test_events_that_are_lost_are_made_good_by_asking_and_end_the_claim_to_be_gapless() -> None:
    async with World(FaultRule("stream_loss")) as world, following(world) as followed:
        before_ms = followed.follower.unbroken_since_ms()
        await followed.place(world.order())
        await followed.ended()

        after_ms = followed.follower.unbroken_since_ms()
        assert_agrees(world, followed.final()[0])
        assert before_ms is not None
        assert after_ms is not None
        assert after_ms > before_ms
        assert world.clock.monotonic_s() < 1_003


@in_virtual_time
async def test_events_that_are_lost_later_are_made_good_within_the_interval_of_the_stream() -> None:
    policy = FillPolicy(fill_delay_ms=3_000)
    async with World(policy=policy) as world, following(world) as followed:
        await followed.place(world.order())
        await until(lambda: bool(followed.of()), world.clock)
        world.strike(FaultRule("stream_loss"))
        await followed.ended()

        assert_agrees(world, followed.final()[0])
        assert world.clock.monotonic_s() < 1_020


@in_virtual_time
async def test_repeated_and_reordered_events_lead_to_one_end() -> None:
    policy = FillPolicy(parts=5, part_delay_ms=40)
    rules = (FaultRule("stream_duplicate", probability=0.5), FaultRule("stream_reorder", probability=0.5))
    async with World(*rules, policy=policy, seed=3) as world, following(world) as followed:
        await followed.place(world.order())
        await followed.ended()
        await world.clock.sleep(60.0)

        quantities = [update.filled_qty for update in followed.of()]
        assert len(followed.final()) == 1
        assert followed.of()[-1] == followed.final()[0]
        assert quantities == sorted(quantities)
        assert_agrees(world, followed.final()[0])


@in_virtual_time
async def test_what_happens_while_the_stream_is_cut_is_told_by_rest() -> None:
    async with World(policy=FillPolicy(fill_delay_ms=200)) as world, following(world) as followed:
        await followed.place(world.order())
        world.host.cut_streams()
        await until(lambda: followed.follower.unbroken_since_ms() is None, world.clock)
        await followed.ended()
        await until(lambda: followed.follower.unbroken_since_ms() is not None, world.clock)

        assert_agrees(world, followed.final()[0])
        stream = followed.follower.stream
        assert stream is not None
        assert (stream.connections, stream.gaps >= 1) == (2, True)
        assert world.clock.monotonic_s() < 1_003


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
async def test_the_listen_key_is_extended_and_the_connection_renewed_before_a_day_is_over() -> None:
    async with World() as world, following(world) as followed:
        stream = followed.follower.stream
        assert stream is not None
        await world.clock.sleep(22 * 3_600.0)
        connections, extended = stream.connections, followed.asked("/fapi/v1/listenKey", "PUT")

        await world.clock.sleep(1.5 * 3_600.0)
        await world.client.sync_clock()
        await followed.place(world.order())
        await followed.ended()

        assert connections == 1
        assert 43 <= extended <= 45
        assert stream.connections == 2
        assert followed.asked("/fapi/v1/order") == 0


@in_virtual_time
async def test_a_key_that_expires_in_spite_of_all_is_replaced_and_the_gap_made_good() -> None:
    async with World(policy=FillPolicy(fill_delay_ms=1_000)) as world, following(world) as followed:
        world.strike(FaultRule("reset_before", endpoint="PUT /fapi/v1/listenKey"))
        await world.clock.sleep(3_599.9)
        await world.client.sync_clock()
        await followed.place(world.order())
        await followed.ended()

        stream = followed.follower.stream
        assert stream is not None
        await until(lambda: stream.stands, world.clock)
        assert stream.connections == 2
        assert_agrees(world, followed.final()[0])


@in_virtual_time
async def test_a_host_whose_stream_never_comes_up_is_served_by_rest() -> None:
    rule = FaultRule("html_500", endpoint="POST /fapi/v1/listenKey")
    async with World(rule) as world:
        follower = Follower(
            world.client, world.transport, Market.FUTURES, world.broker, world.clock, has_stream=True
        )
        order = world.order()
        await world.send(order)
        follower.watch(order)

        async for update in follower.updates():
            if update.state == "filled":
                break
        await world.clock.sleep(600.0)
        await follower.close()

        assert follower.unbroken_since_ms() is None
        assert follower.stream is not None
        assert follower.stream.closed_because is not None
        created = [one for one in world.transport.requests if one.path == "/fapi/v1/listenKey"]
        assert 10 <= len(created) <= 20


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


@in_virtual_time
async def test_closing_ends_the_updates_and_every_task() -> None:
    def ours() -> list[str]:
        names = [str(task.get_coro()) for task in asyncio.all_tasks()]
        return [name for name in names if "Follower" in name or "UserStream" in name]

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


def noise(seed: int) -> list[FaultRule]:
    """Faults of all kinds on everything that the follower uses."""
    dice = seeded_random(seed)
    kinds = [
        "reset_before",
        "reset_after",
        "silence_after",
        "truncated",
        "garbage",
        "html_500",
        "unknown_503",
    ]
    rules = [
        FaultRule(kind, endpoint=endpoint, probability=dice.uniform(0.0, 0.3))  # type: ignore[arg-type]
        for kind in kinds
        for endpoint in ("query_order", "all_orders", "trades", "POST /fapi/v1/listenKey")
    ]
    stream = ("stream_gap", "stream_loss", "stream_duplicate", "stream_reorder", "stream_delay")
    rules += [
        FaultRule(kind, probability=dice.uniform(0.0, 0.4), delay_ms=dice.randrange(1, 5_000))
        for kind in stream
    ]
    rules.append(FaultRule("invisible", endpoint="new_order", probability=0.5, delay_ms=4_000, scope="all"))
    return rules


@pytest.mark.parametrize("seed", range(25))
def test_under_all_faults_at_once_every_order_is_told_to_the_end_that_the_journal_has(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        policy = FillPolicy(parts=3, part_delay_ms=700, fill_delay_ms=300)
        world = World(*noise(seed), policy=policy, seed=seed)
        async with world, following(world, has_stream=seed % 5 != 0, until_it_stands=False) as followed:
            names = [f"n{number}" for number in range(12)]
            for number, name in enumerate(names):
                price = "61000.0" if number % 3 == 0 else None
                await followed.place(world.order(name, qty="0.003", price=price))
                await world.clock.sleep(0.4)
                if number % 3 == 0:
                    await world.client.call(wire.cancel_order(Market.FUTURES, SYMBOL, f"ew1-{name}"))
            await followed.ended(*names, within_s=3_000)
            await world.clock.sleep(60.0)

            for name in names:
                assert len(followed.final(name)) == 1
                assert_agrees(world, followed.final(name)[0], name)

    run()
