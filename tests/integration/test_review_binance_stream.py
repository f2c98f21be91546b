"""The follower at its edges: a stop in the wrong moment, orders that the exchange has forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from rig.binance_world import World
from rig.exchange_transport import InProcessTransport
from rig.following import FAR, assert_agrees, following, until
from rig.virtual_clock import in_virtual_time

from adapters.binance.transport import FirstMessage, StreamClosed
from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import FillPolicy


class SlowToClose(InProcessTransport):
    """A wire whose web sockets take a second to close, as a server does that does not answer the goodbye."""

    async def stream(
        self,
        path: str,
        opened: Callable[[], None] | None = None,
        *,
        first: FirstMessage | None = None,
    ) -> AsyncIterator[bytes | StreamClosed]:
        messages = super().stream(path, opened, first=first)
        try:
            async for message in messages:
                yield message
        finally:
            await self._clock.sleep(1.0)
            await messages.aclose()  # type: ignore[attr-defined]  # it is a generator


@pytest.mark.parametrize("after_s", [0.0, 0.3, 0.9])
@in_virtual_time
async def test_a_follower_ends_while_its_stream_is_being_replaced(after_s: float) -> None:
    async with World() as world:
        rest, world.transport = world.transport, SlowToClose(world.host, world.clock, world.latency)
        async with following(world) as followed:
            world.strike(
                FaultRule("answer", endpoint="PUT /fapi/v1/listenKey", status=400, code=-1125, text="no key")
            )
            await until(
                lambda: any(one.method == "PUT" for one in rest.requests), world.clock, within_s=4_000
            )
            await world.clock.sleep(0.05 + after_s)

            closing = asyncio.create_task(followed.follower.close())
            await world.clock.sleep(30.0)

            assert closing.done()


@in_virtual_time
async def test_an_order_that_the_exchange_has_forgotten_is_asked_about_less_and_less() -> None:
    async with World() as world, following(world, has_stream=False) as followed:
        await world.send(world.order("lives", price=FAR))
        followed.follower.watch(world.order("forgotten", price=FAR))
        followed.follower.watch(world.order("lives", price=FAR))

        await world.clock.sleep(1_200.0)
        asked = sum("ew1-forgotten" in one.query for one in world.transport.requests)
        lives = sum("ew1-lives" in one.query for one in world.transport.requests)

        assert 60 <= asked <= 90
        assert lives >= 500
        assert followed.follower.watched == 2


@in_virtual_time
async def test_an_order_that_is_shown_late_is_followed_at_the_usual_pace_from_then_on() -> None:
    hidden = FaultRule("invisible", endpoint="new_order", delay_ms=20_000, scope="all")
    async with World(hidden) as world, following(world, has_stream=False) as followed:
        await followed.place(world.order("a", price=FAR))
        await until(lambda: bool(followed.of()), world.clock, within_s=60)
        before = len(world.transport.requests)
        await world.clock.sleep(60.0)

        assert world.clock.monotonic_s() <= 1_000 + 45 + 60
        assert len(world.transport.requests) - before >= 50


@in_virtual_time
async def test_an_order_with_more_trades_than_a_page_holds_comes_to_its_end() -> None:
    policy = FillPolicy(parts=1_100, part_delay_ms=20, fill_delay_ms=20)
    async with World(policy=policy) as world, following(world, has_stream=False) as followed:
        order = world.order(qty="1.100")
        await world.send(order)
        # As after a stop: all of it was traded before anybody asks.
        await world.clock.sleep(60.0)
        followed.follower.watch(order)
        await followed.ended(within_s=300)

        assert_agrees(world, followed.final()[0])
