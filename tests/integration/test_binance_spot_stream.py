"""Spot's user stream: one signed message on the WebSocket API, and the same care after gaps as on futures."""

from __future__ import annotations

import base64
from decimal import Decimal

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from rig.binance_world import World
from rig.following import FAR, Following, assert_agrees, following, until
from rig.virtual_clock import in_virtual_time

from adapters.binance import account
from adapters.binance.market import Market
from adapters.binance.signing import Ed25519Signer, HmacSigner
from adapters.binance.stream_entry import SUBSCRIBE_S_MAX
from adapters.binance.user_stream import UNSERVED_S, UserStream
from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import FillPolicy

SHUTDOWN = b'{"event":{"e":"serverShutdown","E":1770123456789}}'
TERMINATED = b'{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1770123456789}}'


def spot(*rules: FaultRule, **given: object) -> World:
    return World(*rules, market=Market.SPOT, **given)  # type: ignore[arg-type]  # passed on


def stream_of(followed: Following) -> UserStream:
    stream = followed.follower.stream
    assert stream is not None
    return stream


@in_virtual_time
async def test_an_end_is_told_at_once_and_nothing_is_asked() -> None:
    policy = FillPolicy(parts=3, part_delay_ms=100, fill_delay_ms=50)
    async with spot(policy=policy) as world, following(world) as followed:
        await followed.place(world.order())
        await followed.ended()

        assert world.clock.monotonic_s() < 1_001
        assert [update.state for update in followed.of()] == ["open", "partial", "partial", "filled"]
        assert_agrees(world, followed.final()[0])
        assert followed.asked("/api/v3/order") == 0
        assert followed.follower.watched == 0


@in_virtual_time
async def test_a_fee_in_the_base_asset_leaves_the_executed_quantity_and_is_named() -> None:
    async with spot() as world, following(world) as followed:
        await followed.place(world.order(qty="0.01000"))
        await followed.ended()

        update = followed.final()[0]
        assert update.filled_qty == Decimal("0.01")
        assert update.fee == Decimal("0.000005")
        assert update.reason == "fees 0.00000500 BTC"


@in_virtual_time
async def test_an_ed25519_key_subscribes_with_a_signature_that_is_not_percent_encoded() -> None:
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    world = spot(keys={"ed-key": public}, signer=Ed25519Signer("ed-key", pem))
    async with world, following(world) as followed:
        [message] = world.transport.said

        params = msgspec.json.decode(message)["params"]
        payload = f"apiKey=ed-key&recvWindow={params['recvWindow']}&timestamp={params['timestamp']}"
        private.public_key().verify(base64.b64decode(params["signature"], validate=True), payload.encode())
        assert stream_of(followed).stands


@in_virtual_time
async def test_the_stream_stands_when_the_subscription_is_answered_and_not_before() -> None:
    async with spot(latency=lambda: 1.0) as world, following(world) as followed:
        since_ms = followed.follower.unbroken_since_ms()

        asked_ms = msgspec.json.decode(world.transport.said[0])["params"]["timestamp"]
        assert since_ms is not None
        assert since_ms - asked_ms >= 1_900


@in_virtual_time
async def test_each_connection_signs_anew() -> None:
    async with spot() as world, following(world) as followed:
        world.host.cut_streams()
        await until(lambda: stream_of(followed).connections == 2, world.clock)

        stamps = [msgspec.json.decode(one)["params"]["timestamp"] for one in world.transport.said]
        assert len(set(stamps)) == 2


@pytest.mark.parametrize(
    ("message", "because"),
    [
        (SHUTDOWN, "the exchange's host is about to shut down"),
        (TERMINATED, "the exchange ended the subscription"),
    ],
)
@in_virtual_time
async def test_an_end_that_is_announced_leads_to_a_new_connection(message: bytes, because: str) -> None:
    async with spot(policy=FillPolicy(fill_delay_ms=300)) as world, following(world) as followed:
        stream = stream_of(followed)
        await followed.place(world.order())

        world.host.tell(message)
        await until(lambda: not stream.stands, world.clock)
        told = stream.closed_because
        await until(lambda: stream.stands, world.clock)
        await followed.ended()

        assert told == because
        assert (stream.connections, stream.gaps) == (2, 1)
        assert_agrees(world, followed.final()[0])
        assert world.clock.monotonic_s() < 1_003


@in_virtual_time
async def test_what_happens_while_the_stream_is_cut_is_told_by_rest() -> None:
    async with spot(policy=FillPolicy(fill_delay_ms=200)) as world, following(world) as followed:
        await followed.place(world.order())
        world.host.cut_streams()
        await until(lambda: followed.follower.unbroken_since_ms() is None, world.clock)
        await followed.ended()
        await until(lambda: followed.follower.unbroken_since_ms() is not None, world.clock)

        assert_agrees(world, followed.final()[0])
        assert (stream_of(followed).connections, stream_of(followed).gaps) == (2, 1)


@in_virtual_time
async def test_events_that_are_lost_are_made_good_by_asking_and_end_the_claim_to_be_gapless() -> None:
    async with spot(FaultRule("stream_loss")) as world, following(world) as followed:
        before_ms = followed.follower.unbroken_since_ms()
        await followed.place(world.order())
        await followed.ended()

        after_ms = followed.follower.unbroken_since_ms()
        assert_agrees(world, followed.final()[0])
        assert before_ms is not None
        assert after_ms is not None
        assert after_ms > before_ms


@in_virtual_time
async def test_repeated_and_reordered_events_lead_to_one_end() -> None:
    policy = FillPolicy(parts=5, part_delay_ms=40)
    rules = (FaultRule("stream_duplicate", probability=0.5), FaultRule("stream_reorder", probability=0.5))
    async with spot(*rules, policy=policy, seed=3) as world, following(world) as followed:
        await followed.place(world.order())
        await followed.ended()
        await world.clock.sleep(60.0)

        assert len(followed.final()) == 1
        assert_agrees(world, followed.final()[0])


@in_virtual_time
async def test_a_message_that_cannot_be_read_counts_as_a_gap() -> None:
    async with spot() as world, following(world) as followed:
        before_ms = followed.follower.unbroken_since_ms()

        world.host.tell(b'{"subscriptionId":0,"event":{"e":"executionReport"}}')
        await world.clock.sleep(0.1)

        after_ms = followed.follower.unbroken_since_ms()
        assert before_ms is not None
        assert after_ms is not None
        assert after_ms > before_ms


@in_virtual_time
async def test_the_connection_is_renewed_before_a_day_is_over() -> None:
    async with spot() as world, following(world) as followed:
        await world.clock.sleep(22.5 * 3_600.0)
        connections = stream_of(followed).connections

        await world.clock.sleep(3_600.0)
        await world.client.sync_clock()
        await followed.place(world.order())
        await followed.ended()

        assert (connections, stream_of(followed).connections) == (1, 2)
        assert followed.asked("/api/v3/order") == 0


@in_virtual_time
async def test_a_host_without_it_is_told_of_once_and_served_by_rest() -> None:
    async with spot() as world:
        world.host.has_socket_api = False
        async with following(world, until_it_stands=False) as followed:
            await followed.place(world.order())
            await followed.ended()
            await world.clock.sleep(3 * UNSERVED_S)
            stream = stream_of(followed)
            refused, because = stream.unserved, stream.unserved_because

            world.host.has_socket_api = True
            await until(lambda: stream.stands, world.clock, within_s=UNSERVED_S + 1)

            assert_agrees(world, followed.final()[0])
            assert because == "the stream's host answered with HTTP status 404"
            assert 3 <= refused <= 4
            assert stream.unserved_because is None


@in_virtual_time
async def test_a_key_that_may_not_subscribe_is_told_of_and_asked_about_seldom() -> None:
    signer = HmacSigner("loopback-key", "another-secret")
    async with spot(signer=signer) as world, following(world, until_it_stands=False) as followed:
        await world.clock.sleep(UNSERVED_S / 2)

        stream = stream_of(followed)
        assert stream.unserved == 1
        assert stream.unserved_because is not None
        assert "-1022" in stream.unserved_because
        assert len(world.transport.said) == 1


@in_virtual_time
async def test_a_subscription_without_an_answer_is_given_up_and_tried_again() -> None:
    async with spot() as world:
        world.host.socket_replies = False
        async with following(world, until_it_stands=False) as followed:
            await world.clock.sleep(SUBSCRIBE_S_MAX + 0.5)
            because = stream_of(followed).closed_because

            world.host.socket_replies = True
            await until(lambda: stream_of(followed).stands, world.clock)

            assert because == "the subscription was not answered within 10 s"
            assert stream_of(followed).gaps == 0


@in_virtual_time
async def test_a_time_stamp_that_is_refused_has_the_clock_read_before_the_next_try() -> None:
    async with spot() as world:
        for _ in range(20):
            now_s = world.clock.boot_s()
            world.client.exchange_clock.sample(now_s, now_s, world.clock.wall_ms() - 60_000)
        async with following(world) as followed:
            assert len(world.transport.said) == 2
            assert stream_of(followed).stands
            assert abs(world.client.exchange_clock.now_ms() - world.host.now_ms()) < 50


@in_virtual_time
async def test_orders_that_work_are_told_of_when_they_are_canceled() -> None:
    async with spot() as world, following(world) as followed:
        order = world.order("b", price=FAR)
        await followed.place(order)
        await until(lambda: bool(followed.of("b")), world.clock)

        await account.cancel(world.client, order.client_order_id, order.symbol)
        await followed.ended("b")

        assert followed.final("b")[0].state == "canceled"
        assert followed.final("b")[0].client_order_id == "ew1-b"
