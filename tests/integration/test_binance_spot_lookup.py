"""Doubtful orders on spot: adopted, or proven absent by the stream or by a balance, and never by a guess.

Spot has no position. What speaks for an absence there is a stream without a gap, or a base asset that moved
since an anchor exactly as the listed trades say, fees included.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from rig.binance_world import World
from rig.venue import Ear, Venue, free, settings_of, venue
from rig.virtual_clock import in_virtual_time, until

from adapters.binance.anchors import KEY, Anchors
from adapters.binance.market import Market
from adapters.binance.user_stream import UserStream
from adapters.contract import Accepted, Found, LookupResult, NotYet, Order, ProvenAbsent, Unknown
from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import FillPolicy

LOST = FaultRule("reset_before", endpoint="new_order", times=1)
TAKEN = FaultRule("reset_after", endpoint="new_order", executed=True, times=1)
HIDDEN = FaultRule("invisible", endpoint="new_order", delay_ms=86_400_000, scope="all", times=1)
LAGS = FaultRule("invisible", endpoint="new_order", delay_ms=45_000, scope="all", times=1)
BALANCES = {"USDT": Decimal(1_000_000), "BTC": Decimal(2), "ETH": Decimal(20)}
# Long enough for a reading and for the test that it has to stand.
ANCHORED_S = 130.0


@asynccontextmanager
async def spot(*, stream: bool = True, **given: Any) -> AsyncIterator[Venue]:
    settings = settings_of(broker={"name": "binance-spot"})
    async with venue(settings, started=False, balances=BALANCES, **given) as v:
        v.host.has_socket_api = stream
        assert await v.start() is None
        if stream:
            await until(lambda: stream_of(v).stands, v.clock)
        yield v


def stream_of(v: Venue) -> UserStream:
    stream = v.adapter.stream
    assert stream is not None
    return stream


async def another_life(v: Venue, *, stream: bool = True) -> None:
    """The worker was killed, and another one begins with what was kept."""
    await v.adapter.close()
    v.transport = v.wire()
    v.adapter = v.life()
    v.host.has_socket_api = stream
    assert await v.start() is None


async def settled(v: Venue, order: Order, within_s: float = 300.0) -> tuple[LookupResult, list[str]]:
    end_s = v.clock.monotonic_s() + within_s
    whys: list[str] = []
    while True:
        answer = await v.adapter.lookup(order.client_order_id, order)
        if not isinstance(answer, NotYet) or v.clock.monotonic_s() >= end_s:
            return answer, whys
        whys.append(answer.why)
        await v.clock.sleep(min(60.0, max(0.05, (answer.until_ms - v.clock.wall_ms()) / 1_000)))


async def bought(v: Venue, number: int, **changes: Any) -> Order:
    """An order of ours that is filled and in the ledger."""
    order = v.prepared(number, **changes)
    v.view.ids.add(order.client_order_id)
    assert isinstance(await v.adapter.submit(order, free), Accepted)
    return order


@in_virtual_time
async def test_an_order_that_never_arrived_is_proven_absent_by_a_stream_without_a_gap() -> None:
    async with spot() as v:
        # Since before the order could have been sent, with room for clocks that differ.
        await v.clock.sleep(2.0)
        v.plan(LOST)
        order = v.prepared(1)
        sent = await v.adapter.submit(order, free)

        answer, whys = await settled(v, order)

        assert isinstance(sent, Unknown)
        assert answer == ProvenAbsent()
        assert "said not to exist" in whys[-1]
        assert v.accepted() == []


@in_virtual_time
async def test_an_order_whose_reply_was_lost_is_adopted_with_the_fee_that_was_taken_from_it() -> None:
    async with spot(policy=FillPolicy(parts=3)) as v:
        v.plan(TAKEN)
        order = v.prepared(1)
        await v.adapter.submit(order, free)

        answer, _ = await settled(v, order)

        assert isinstance(answer, Found)
        assert answer.same_terms
        assert (answer.update.state, answer.update.filled_qty) == ("filled", order.qty)
        assert answer.update.fee == sum(
            Decimal(str(entry["fee"])) for entry in v.exchange.journal if entry["kind"] == "fill"
        )
        assert answer.update.reason is not None
        assert answer.update.reason.endswith(" BTC")


@pytest.mark.parametrize("side", ["buy", "sell"])
@in_virtual_time
async def test_without_a_stream_a_balance_that_moved_as_the_trades_say_is_the_proof(side: str) -> None:
    async with spot(stream=False) as v:
        await v.clock.sleep(ANCHORED_S)
        await bought(v, 1)
        await bought(v, 2, side="sell")
        v.plan(LOST)
        order = v.prepared(3, side=side)
        await v.adapter.submit(order, free)
        await v.clock.sleep(20.0)
        v.view.ids.add("ew1-" + "0" * 23 + "4")
        await bought(v, 4)

        answer, whys = await settled(v, order)

        assert answer == ProvenAbsent()
        assert not any("position" in why for why in whys)


@in_virtual_time
async def test_after_a_crash_an_order_that_never_left_is_proven_absent_by_a_kept_anchor() -> None:
    async with spot() as v:
        await v.clock.sleep(ANCHORED_S)
        await bought(v, 1)
        order = v.prepared(2)
        await another_life(v)

        answer, _ = await settled(v, order)

        assert stream_of(v).stands
        assert answer == ProvenAbsent()


@in_virtual_time
async def test_after_a_crash_an_order_that_nothing_shows_but_the_balance_is_never_proven_absent() -> None:
    async with spot() as v:
        await v.clock.sleep(ANCHORED_S)
        v.plan(HIDDEN, TAKEN)
        order = v.prepared(1)
        await v.adapter.submit(order, free)
        await another_life(v)

        answer, whys = await settled(v, order, within_s=1_000)

        assert isinstance(answer, NotYet)
        assert "the position moved the way this order would have moved it" in whys
        assert v.accepted() == [order.client_order_id]


@in_virtual_time
async def test_an_anchor_that_is_younger_than_the_order_proves_nothing() -> None:
    async with spot(stream=False) as v:
        order = v.prepared(1)
        await v.clock.sleep(ANCHORED_S)
        assert msgspec.json.decode(v.view.kept_values[f"{KEY}BTCUSDT"])

        answer, whys = await settled(v, order, within_s=200)

        assert isinstance(answer, NotYet)
        assert "the position cannot be told and the user stream had a gap" in whys


@in_virtual_time
async def test_what_others_do_with_the_asset_keeps_the_proof_open_until_the_stream_tells() -> None:
    async with spot(stream=False) as v:
        await v.clock.sleep(ANCHORED_S)
        v.plan(LOST)
        order = v.prepared(1)
        await v.adapter.submit(order, free)
        account = next(iter(v.exchange._venue.accounts.values()))
        account.balances["BTC"] -= Decimal("0.5")

        answer, whys = await settled(v, order)

        assert isinstance(answer, NotYet)
        assert "the position differs from the ledger and the user stream had a gap" in whys


@in_virtual_time
async def test_an_anchor_with_a_trade_that_was_not_listed_yet_is_worthless_and_replaced() -> None:
    async with spot() as v:
        v.plan(LAGS)
        await bought(v, 1)
        v.view.kept_values.clear()
        await another_life(v)
        await v.clock.sleep(3 * ANCHORED_S)

        [anchor] = msgspec.json.decode(v.view.kept_values[f"{KEY}BTCUSDT"])

        taken = Decimal(anchor["balance"])
        fills = [entry for entry in v.exchange.journal if entry["kind"] == "fill"]
        net = sum(Decimal(str(one["qty"])) - Decimal(str(one["fee"])) for one in fills)
        assert anchor["last_trade_id"] >= 0
        assert taken == BALANCES["BTC"] + net


@in_virtual_time
async def test_an_order_is_not_taken_for_a_trade_that_an_anchor_had_before_it_was_listed() -> None:
    async with spot() as v:
        v.plan(LAGS)
        await bought(v, 1)
        v.view.kept_values.clear()
        await another_life(v)
        await v.clock.sleep(10.0)
        # As much is bought again, and shown to nobody: the balance is the one that the list of trades says.
        v.plan(HIDDEN, TAKEN)
        order = v.prepared(2)
        await v.adapter.submit(order, free)
        await another_life(v)

        answer, whys = await settled(v, order, within_s=600)

        assert isinstance(answer, NotYet)
        assert "the position cannot be told and the user stream had a gap" in whys
        assert len(v.accepted()) == 2


@in_virtual_time
async def test_anchors_are_renewed_by_the_hour_and_only_a_few_are_kept() -> None:
    async with World(market=Market.SPOT) as world:
        kept: dict[str, str] = {}

        async def keep(key: str, value: str) -> None:
            kept[key] = value

        anchors = Anchors(world.client, world.clock, {"BTCUSDT": "BTC", "ETHUSDT": "ETH"}, settled_ms=60_000)
        running = asyncio.create_task(anchors.run(keep))
        await world.clock.sleep(8 * 3_600.0)
        running.cancel()

        ages = [anchor["at_ms"] for anchor in msgspec.json.decode(kept[f"{KEY}BTCUSDT"])]
        assert set(kept) == {f"{KEY}BTCUSDT", f"{KEY}ETHUSDT"}
        assert len(ages) == 4
        assert all(3_600_000 <= later - earlier < 3_900_000 for earlier, later in itertools.pairwise(ages))
        assert len(world.transport.requests) < 100


@in_virtual_time
async def test_a_symbol_whose_asset_another_one_trades_has_no_anchor() -> None:
    async with spot() as v:
        assets = {"BTCUSDT": "BTC", "ETHBTC": "ETH", "SOLUSDT": "SOL", "BTCFDUSD": "BTC"}
        anchors = Anchors(v.adapter.client, v.clock, assets, settled_ms=100)
        old = b'[{"at_ms":1,"balance":"1","last_trade_id":7}]'

        async def kept(key: str) -> str | None:
            return old.decode() if key != f"{KEY}ETHBTC" else "garbage"

        await anchors.remember(kept)

        assert [symbol for symbol in assets if anchors.before(symbol, 2)] == ["SOLUSDT"]
        assert anchors.before("SOLUSDT", 0) == ()
        assert anchors.mismatches == 1


@in_virtual_time
async def test_limit_orders_are_shown_canceled_and_found_again_as_past_ones() -> None:
    async with spot() as v:
        ear = Ear(v.adapter)
        order = await bought(v, 1, order_type="limit", price=Decimal("58000"))
        await until(ear.has(order.client_order_id, "open"), v.clock)

        working = await v.adapter.open_orders("BTCUSDT")
        canceled = await v.adapter.cancel(order.client_order_id, "BTCUSDT")
        await until(ear.has(order.client_order_id, "canceled"), v.clock)
        await another_life(v)
        past = await v.adapter.past_orders("BTCUSDT", v.clock.wall_ms() - 60_000)

        assert not isinstance(working, NotYet)
        assert not isinstance(past, NotYet)
        assert [one.update.client_order_id for one in working] == [order.client_order_id]
        assert canceled.done
        assert [(one.update.client_order_id, one.update.state) for one in past] == [
            (order.client_order_id, "canceled")
        ]


@in_virtual_time
async def test_orders_beyond_the_limit_of_ten_seconds_wait_and_none_is_refused_for_it() -> None:
    async with spot() as v:
        sent = 0
        while sent < 150:
            wait = v.adapter.wait_for("BTCUSDT")
            if wait is not None:
                await v.clock.sleep(max(0.05, (wait.until_ms - v.clock.wall_ms()) / 1_000))
                continue
            assert isinstance(await v.adapter.submit(v.prepared(sent), free), Accepted)
            sent += 1

        assert len(v.accepted()) == 150
        assert v.clock.monotonic_s() > 1_000 + 10 - 9
