"""The user stream: quick where it works, made good by REST where it loses, repeats, breaks or expires."""

from __future__ import annotations

from rig.binance_world import World
from rig.following import FAR, assert_agrees, following, until
from rig.virtual_clock import in_virtual_time

from adapters.binance.follow import Follower
from adapters.binance.market import Market
from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import FillPolicy
from config.settings import Broker


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
        # The cut is the one gap: what REST made good after it was not missed by the new connection.
        assert (stream.connections, stream.gaps) == (2, 1)
        assert world.clock.monotonic_s() < 1_003


@in_virtual_time
async def test_every_watched_order_is_asked_about_when_the_stream_breaks_and_when_it_stands_again() -> None:
    async with World() as world, following(world) as followed:
        await followed.place(world.order("b", price=FAR))
        await until(lambda: bool(followed.of("b")), world.clock)
        before = followed.asked("/fapi/v1/order")

        world.host.cut_streams()
        await world.clock.sleep(0.1)
        broken = followed.asked("/fapi/v1/order")
        await until(lambda: followed.follower.unbroken_since_ms() is not None, world.clock)
        await world.clock.sleep(0.1)
        standing = followed.asked("/fapi/v1/order")

        assert (before, broken) == (0, 1)
        assert standing > broken


@in_virtual_time
async def test_what_happened_before_the_stream_stood_again_is_asked_for_when_it_stands() -> None:
    # Nobody asks by the clock within the minute: the gaps alone make the order due.
    broker, policy = Broker(settle_poll_ms=60_000), FillPolicy(fill_delay_ms=500)
    async with World(broker=broker, policy=policy) as world, following(world) as followed:
        await followed.place(world.order())
        world.host.cut_streams()
        await followed.ended(within_s=3)

        stream = followed.follower.stream
        assert stream is not None
        assert (stream.connections, stream.gaps) == (2, 1)


@in_virtual_time
async def test_a_question_that_was_on_its_way_when_the_stream_stood_is_asked_again() -> None:
    broker, policy = Broker(settle_poll_ms=60_000), FillPolicy(fill_delay_ms=500)
    async with World(broker=broker, policy=policy) as world, following(world) as followed:
        world.strike(FaultRule("slow", endpoint="query_order", times=1, delay_ms=3_000))
        await followed.place(world.order())
        world.host.cut_streams()
        await followed.ended(within_s=5)

        assert followed.asked("/fapi/v1/order") == 2


@in_virtual_time
async def test_a_message_that_cannot_be_read_counts_as_a_gap() -> None:
    async with World() as world, following(world) as followed:
        await followed.place(world.order("b", price=FAR))
        await until(lambda: bool(followed.of("b")), world.clock)
        before_ms = followed.follower.unbroken_since_ms()

        world.host.tell(b"\xff{")
        await world.clock.sleep(0.1)

        after_ms = followed.follower.unbroken_since_ms()
        assert before_ms is not None
        assert after_ms is not None
        assert after_ms > before_ms
        assert followed.asked("/fapi/v1/order") == 1


@in_virtual_time
async def test_a_listen_key_that_expires_leads_to_a_new_connection() -> None:
    async with World() as world, following(world) as followed:
        stream = followed.follower.stream
        assert stream is not None

        world.host.tell(b'{"e":"listenKeyExpired","E":1700000000000,"listenKey":"x"}')
        await world.clock.sleep(0.1)
        because, stood = stream.closed_because, stream.stands
        await until(lambda: stream.stands, world.clock)

        assert (because, stood) == ("the listen key expired", False)
        assert stream.connections == 2


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
