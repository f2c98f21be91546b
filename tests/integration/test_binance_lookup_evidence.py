"""What else the exchange shows, and how it ends, delays or begins anew the proof of absence."""

from __future__ import annotations

from decimal import Decimal

from rig.binance_world import SYMBOL, World
from rig.virtual_clock import in_virtual_time

from adapters.binance.facts import OrderFact
from adapters.contract import Found, NotYet, ProvenAbsent
from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import FillPolicy

# Far from the book: such a limit order works until it is canceled.
FAR = "58000.0"


@in_virtual_time
async def test_an_order_that_nothing_shows_but_the_position_is_never_proven_absent() -> None:
    rules = (
        FaultRule("reset_after", endpoint="new_order"),
        FaultRule("invisible", endpoint="new_order", delay_ms=86_400_000, scope="all"),
    )
    async with World(*rules) as world:
        order = world.order()
        await world.send(order)

        answer, whys = await world.settled(world.lookup(), order, within_s=1_000)

        assert isinstance(answer, NotYet)
        assert "the position moved the way this order would have moved it" in whys
        assert len(world.accepted()) == 1


@in_virtual_time
async def test_a_position_that_moved_like_the_order_outweighs_a_stream_without_a_gap() -> None:
    async with World() as world:
        await world.send(world.order("b", qty="0.010"))
        world.ledger.ids.add("ew1-b")
        order = world.order()

        answer, whys = await world.settled(world.lookup(unbroken_since_ms=0), order, within_s=200)

        assert isinstance(answer, NotYet)
        assert "the position moved the way this order would have moved it" in whys


@in_virtual_time
async def test_a_sale_moves_the_position_down() -> None:
    async with World() as world:
        await world.send(world.order("b", side="sell", qty="0.010"))
        world.ledger.ids.add("ew1-b")
        order = world.order(side="sell")

        answer, whys = await world.settled(world.lookup(unbroken_since_ms=0), order, within_s=200)

        assert isinstance(answer, NotYet)
        assert "the position moved the way this order would have moved it" in whys


@in_virtual_time
async def test_a_position_that_the_ledger_does_not_expect_needs_a_gapless_stream() -> None:
    async with World() as world:
        await world.send(world.order("b", side="sell", qty="0.010"))
        world.ledger.ids.add("ew1-b")
        order = world.order()

        doubtful, whys = await world.settled(world.lookup(), order, within_s=200)
        proven, _ = await world.settled(world.lookup(unbroken_since_ms=0), order)

        assert isinstance(doubtful, NotYet)
        assert "the position differs from the ledger and the user stream had a gap" in whys
        assert proven == ProvenAbsent()


@in_virtual_time
async def test_without_a_position_to_compare_a_gapless_stream_is_needed() -> None:
    async with World() as world:
        order = world.order()
        world.ledger.position = None
        assert order.send_before_ms is not None
        opens_ms = order.send_before_ms - world.broker.send_window_ms - 1_000

        gap, whys = await world.settled(world.lookup(opens_ms + 1), order, within_s=120)
        none, _ = await world.settled(world.lookup(None), order, within_s=120)
        gapless, _ = await world.settled(world.lookup(opens_ms), order)

        assert isinstance(gap, NotYet)
        assert isinstance(none, NotYet)
        assert "the position cannot be told and the user stream had a gap" in whys
        assert gapless == ProvenAbsent()


@in_virtual_time
async def test_an_order_of_ours_that_the_ledger_does_not_know_keeps_the_proof_open() -> None:
    async with World() as world:
        await world.send(world.order("stranger", price=FAR))
        order = world.order()

        answer, whys = await world.settled(world.lookup(), order, within_s=150)
        world.ledger.ids.add("ew1-stranger")
        explained, _ = await world.settled(world.lookup(), order)

        assert isinstance(answer, NotYet)
        assert "not explained by other orders: order ew1-stranger" in whys
        assert explained == ProvenAbsent()


@in_virtual_time
async def test_a_trade_of_an_older_order_is_explained_by_that_order() -> None:
    async with World(policy=FillPolicy(fill_delay_ms=3_600_000)) as world:
        await world.send(world.order("old", qty="0.003"))
        world.ledger.ids.add("ew1-old")
        await world.clock.sleep(3_550.0)
        order = world.order()
        world.ledger.position = Decimal("0.003")

        answer, _ = await world.settled(world.lookup(), order)

        assert [entry["kind"] for entry in world.journal] == ["accepted", "fill"]
        assert answer == ProvenAbsent()


@in_virtual_time
async def test_a_history_that_cannot_be_read_keeps_the_proof_open() -> None:
    async with World() as world:
        await world.send(world.order("b"))
        world.ledger.ids.add("ew1-b")
        world.ledger.position = Decimal("0.010")
        world.strike(FaultRule("answer", endpoint="all_orders", status=200))
        order = world.order()

        answer, _ = await world.settled(world.lookup(), order, within_s=150)

        assert isinstance(answer, NotYet)


@in_virtual_time
async def test_a_trade_that_no_order_explains_keeps_the_proof_open() -> None:
    async with World() as world:
        await world.send(world.order("b"))
        world.ledger.ids.add("ew1-b")
        world.ledger.position = Decimal("0.010")
        world.transport.instead["/fapi/v1/allOrders"] = b"[]"
        order = world.order()

        answer, whys = await world.settled(world.lookup(), order, within_s=150)

        assert isinstance(answer, NotYet)
        number = world.accepted("b")[0]["order_id"]
        assert f"not explained by other orders: trades of order {number}" in whys


@in_virtual_time
async def test_what_the_stream_has_shown_is_found_though_no_question_shows_it() -> None:
    rules = (
        FaultRule("reset_after", endpoint="new_order"),
        FaultRule("invisible", endpoint="new_order", delay_ms=86_400_000, scope="all"),
    )
    async with World(*rules) as world:
        order = world.order()
        await world.send(order)
        [accepted] = world.accepted()
        order_id = int(str(accepted["order_id"]))
        seen = OrderFact("ew1-a", order_id, SYMBOL, "BUY", "MARKET", order.qty, None, "FILLED", order.qty)

        answer = await world.lookup(sighted=lambda _: (seen,)).lookup(order.client_order_id, order)

        assert isinstance(answer, Found)
        assert answer.update.exchange_order_id == str(order_id)
        assert answer.same_terms
