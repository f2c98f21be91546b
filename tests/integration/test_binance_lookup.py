"""Lookups against an exchange that lies, stalls and hides: found, proven absent or not yet, never a guess."""

from __future__ import annotations

from decimal import Decimal

import pytest
from rig.binance_world import SYMBOL, World
from rig.virtual_clock import in_virtual_time

from adapters.binance import wire
from adapters.binance.client import NoAnswer
from adapters.binance.market import Market
from adapters.contract import Found, NotYet, Order, OrderUpdate, ProvenAbsent
from adapters.exchange.faults import FaultKind, FaultRule
from adapters.exchange.terms import FillPolicy
from config.settings import Broker

# Far from the book: such a limit order works until it is canceled.
FAR = "58000.0"


@in_virtual_time
async def test_an_order_whose_reply_was_lost_is_found_with_its_exact_price_and_fee() -> None:
    policy = FillPolicy(parts=3)
    async with World(FaultRule("reset_after", endpoint="new_order"), policy=policy) as world:
        order = world.order(qty="0.010")
        sent = await world.send(order)

        answer, whys = await world.settled(world.lookup(), order)

        fills = [entry for entry in world.journal if entry["kind"] == "fill"]
        assert isinstance(sent, NoAnswer)
        assert whys == []
        assert isinstance(answer, Found)
        assert answer.same_terms
        assert (answer.update.state, answer.update.filled_qty) == ("filled", Decimal("0.010"))
        assert len(fills) == 3
        assert answer.update.fee == sum(Decimal(str(fill["fee"])) for fill in fills)
        assert answer.update.average_price is not None


@in_virtual_time
async def test_an_order_that_never_arrived_is_proven_absent_and_not_a_moment_too_soon() -> None:
    async with World(FaultRule("reset_before", endpoint="new_order")) as world:
        order = world.order()
        await world.send(order)

        answer, whys = await world.settled(world.lookup(), order)

        assert order.send_before_ms is not None
        fence_ms = order.send_before_ms + 5_000 + world.broker.absence_margin_ms
        assert answer == ProvenAbsent()
        assert fence_ms + 60_000 < world.host.now_ms() < fence_ms + 60_000 + 11_000
        assert "may still accept it" in whys[0]
        assert "said not to exist" in whys[-1]


@in_virtual_time
async def test_an_order_that_is_accepted_late_is_found() -> None:
    async with World(FaultRule("late", endpoint="new_order", delay_ms=4_000)) as world:
        order = world.order()
        await world.send(order)

        answer, whys = await world.settled(world.lookup(), order)

        assert isinstance(answer, Found)
        assert len(whys) >= 4
        assert len(world.accepted()) == 1


@in_virtual_time
async def test_an_order_that_is_not_shown_for_a_while_is_found_then() -> None:
    rules = (
        FaultRule("reset_after", endpoint="new_order"),
        FaultRule("invisible", endpoint="new_order", delay_ms=30_000),
    )
    async with World(*rules) as world:
        order = world.order()
        await world.send(order)

        answer, _ = await world.settled(world.lookup(), order)

        assert isinstance(answer, Found)
        assert answer.update.state == "filled"


@in_virtual_time
async def test_an_order_that_only_the_lists_show_is_found_by_them() -> None:
    rules = (
        FaultRule("reset_after", endpoint="new_order"),
        FaultRule("invisible", endpoint="new_order", delay_ms=3_600_000, scope="query"),
    )
    async with World(*rules) as world:
        order = world.order()
        await world.send(order)

        answer, _ = await world.settled(world.lookup(), order)

        assert isinstance(answer, Found)
        assert (answer.update.state, answer.update.filled_qty) == ("filled", Decimal("0.010"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"qty": Decimal("0.011")}, "quantity 0.011 instead of 0.010"),
        ({"side": "sell"}, "side sell instead of buy"),
        ({"order_type": "limit", "price": Decimal(FAR)}, "type limit instead of market"),
    ],
)
@in_virtual_time
async def test_an_order_on_other_terms_is_found_as_such(changes: dict[str, object], words: str) -> None:
    async with World() as world:
        order = world.order()
        await world.send_unlike(order, **changes)

        answer, _ = await world.settled(world.lookup(), order)

        assert isinstance(answer, Found)
        assert not answer.same_terms
        assert answer.update.reason is not None
        assert words in answer.update.reason


@in_virtual_time
async def test_a_client_order_id_that_was_used_twice_is_told() -> None:
    async with World() as world:
        order = world.order()
        await world.send(order)
        await world.send(order)

        answer, _ = await world.settled(world.lookup(), order)

        numbers = ", ".join(str(entry["order_id"]) for entry in world.accepted())
        assert len(world.accepted()) == 2
        assert isinstance(answer, Found)
        assert not answer.same_terms
        assert answer.update.reason == f"orders {numbers} have one client order id"


@in_virtual_time
async def test_a_working_order_is_found_as_open_and_a_canceled_one_with_its_fills() -> None:
    async with World(policy=FillPolicy(depth_qty=Decimal("0.004"))) as world:
        resting = world.order("rest", price=FAR)
        await world.send(resting)

        found, _ = await world.settled(world.lookup(), resting)
        await world.client.call(wire.cancel_order(Market.FUTURES, SYMBOL, "ew1-rest"))
        canceled, _ = await world.settled(world.lookup(), resting)

        assert isinstance(found, Found)
        assert (found.update.state, found.same_terms) == ("open", True)
        assert isinstance(canceled, Found)
        assert (canceled.update.state, canceled.update.filled_qty) == ("canceled", Decimal(0))


@in_virtual_time
async def test_a_filled_order_whose_trades_cannot_be_had_is_handed_out_as_working() -> None:
    async with World(FaultRule("html_500", endpoint="trades")) as world:
        order = world.order()
        await world.send(order)

        answer, _ = await world.settled(world.lookup(), order)

        assert isinstance(answer, Found)
        assert answer.update == OrderUpdate(
            "ew1-a",
            "open",
            Decimal(0),
            exchange_order_id=str(world.accepted()[0]["order_id"]),
            symbol=SYMBOL,
        )


@pytest.mark.parametrize(
    "kind",
    [
        "silence_after", "reset_after", "truncated", "garbage", "html_500", "unknown_503", "timeout_1007",
        "overload_1008", "http_429", "http_418",
    ],
)  # fmt: skip
@in_virtual_time
async def test_an_exchange_that_cannot_be_asked_is_not_yet_and_never_an_exception(kind: FaultKind) -> None:
    async with World() as world:
        order = world.order()
        await world.send(order)
        world.strike(FaultRule(kind, endpoint="any", delay_ms=90_000))

        answer = await world.lookup().lookup(order.client_order_id, order)

        assert isinstance(answer, NotYet)
        assert answer.why
        if kind in ("http_429", "http_418"):
            again = await world.lookup().lookup(order.client_order_id, order)
            assert isinstance(again, NotYet)
            assert again.until_ms >= world.clock.wall_ms() + 80_000


@in_virtual_time
async def test_a_wall_clock_that_jumps_proves_nothing_and_delays_nothing_for_ever() -> None:
    rules = (
        FaultRule("reset_after", endpoint="new_order"),
        FaultRule("invisible", endpoint="new_order", delay_ms=20_000),
    )
    async with World(*rules) as world:
        order = world.order()
        await world.send(order)
        lookup = world.lookup()

        first = await lookup.lookup(order.client_order_id, order)
        world.clock.skew_ms = 3_600_000
        second = await lookup.lookup(order.client_order_id, order)
        world.clock.skew_ms = -3_600_000
        last, _ = await world.settled(lookup, order)

        assert isinstance(first, NotYet)
        assert isinstance(second, NotYet)
        assert isinstance(last, Found)


@in_virtual_time
async def test_the_proof_begins_anew_when_the_order_was_given_a_new_window() -> None:
    async with World() as world:
        order = world.order()
        lookup = world.lookup()
        await world.settled(lookup, order, within_s=60)
        again = world.order()

        answer, _ = await world.settled(lookup, again)

        assert again.send_before_ms is not None
        assert answer == ProvenAbsent()
        assert world.host.now_ms() > again.send_before_ms + 5_000 + 70_000


@in_virtual_time
async def test_an_order_without_a_window_is_never_proven_absent() -> None:
    async with World() as world:
        order = Order("ew1-a", SYMBOL, "buy", "market", "GTC", Decimal("0.01"), None, "a")

        answer, _ = await world.settled(world.lookup(), order, within_s=1_000)

        assert isinstance(answer, NotYet)


@in_virtual_time
async def test_low_numbers_make_the_proof_quick_and_no_less_whole() -> None:
    broker = Broker(
        recv_window_ms=500,
        absence_margin_ms=200,
        visibility_ms=400,
        absence_spacing_ms=50,
        send_window_ms=500,
    )
    async with World(broker=broker) as world:
        order = world.order()

        answer, _ = await world.settled(world.lookup(), order)

        assert order.send_before_ms is not None
        assert answer == ProvenAbsent()
        assert 0 < world.host.now_ms() - (order.send_before_ms + 500 + 200 + 400) < 500


@in_virtual_time
async def test_lost_answers_delay_the_proof_and_do_not_spoil_it() -> None:
    async with World(seed=4) as world:
        world.strike(FaultRule("reset_after", endpoint="any", probability=0.3))
        order = world.order()

        answer, whys = await world.settled(world.lookup(), order, within_s=600)

        assert answer == ProvenAbsent()
        assert any("no answer" in why or "closed before a reply" in why for why in whys)
