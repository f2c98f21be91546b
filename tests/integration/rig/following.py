"""A follower under test, everything that it told, and what the journal says of the same orders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

from rig.binance_world import World
from rig.virtual_clock import VirtualClock

from adapters.binance.follow import Follower
from adapters.contract import Order, OrderUpdate

FAR = "58000.0"
WORKING = ("open", "partial")


async def until(condition: Callable[[], bool], clock: VirtualClock, *, within_s: float = 600.0) -> None:
    """Wait until `condition` holds, looking often enough for what takes tens of milliseconds."""
    end_s = clock.monotonic_s() + within_s
    while not condition():
        assert clock.monotonic_s() < end_s, f"nothing of the kind within {within_s} s"
        await clock.sleep(0.02)


class Following:
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
) -> AsyncIterator[Following]:
    follower = Follower(
        world.client, world.transport, world.market, world.broker, world.clock, has_stream=has_stream
    )
    followed = Following(world, follower)

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
