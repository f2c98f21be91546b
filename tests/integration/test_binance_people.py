"""What people do by hand: look, cancel, flatten; also where the venue lies, and never more than was meant."""

from __future__ import annotations

from decimal import Decimal

import pytest
from rig.venue import Venue, free, settings_of, venue
from rig.virtual_clock import in_virtual_time

from adapters.binance import people
from adapters.binance.asking import Trouble
from adapters.binance.people import Canceled, Flattened
from adapters.contract import Accepted, NotYet, Order
from adapters.exchange.faults import FaultKind, FaultRule
from adapters.exchange.terms import FUTURES_RULES
from adapters.filters import SymbolRules
from adapters.grid import Grid

FAR = {"order_type": "limit", "price": Decimal("58000")}


async def flatten(v: Venue, symbol: str = "BTCUSDT") -> Flattened | Trouble:
    return await people.flatten(v.adapter, symbol, v.clock, send_window_ms=5_000, recv_window_ms=5_000)


async def with_position(v: Venue, *sides: str) -> None:
    """A position of one small market order for each side."""
    for number, side in enumerate(sides):
        assert isinstance(await v.adapter.submit(v.prepared(number, side=side), free), Accepted)


@in_virtual_time
async def test_a_look_shows_balances_positions_orders_and_limits() -> None:
    async with venue() as v:
        await with_position(v, "buy")
        await v.adapter.submit(v.prepared(9, **FAR), free)

        state = await people.look(v.adapter, ("BTCUSDT", "ETHUSDT"))

        assert isinstance(state, people.AccountState)
        assert state.balances["USDT"] > 9_000_000
        assert [(one.symbol, one.position_amt) for one in state.positions] == [("BTCUSDT", Decimal("0.001"))]
        assert [order.update.client_order_id[-1] for order in state.orders] == ["9"]
        assert {window.kind for window in state.usage} == {"orders", "weight"}
        assert state.deadline_ms == 0


@in_virtual_time
async def test_a_look_needs_no_started_adapter() -> None:
    async with venue(started=False) as v:
        assert await people.ready(v.adapter) is None

        assert isinstance(await people.look(v.adapter, ("BTCUSDT",)), people.AccountState)

        v.host.refusing = True
        assert isinstance(await people.look(v.adapter, ("BTCUSDT",)), Trouble)


@in_virtual_time
async def test_without_the_venue_s_clock_nothing_is_ready() -> None:
    async with venue(started=False) as v:
        v.host.refusing = True

        trouble = await people.ready(v.adapter)

        assert trouble is not None
        assert "errno 111" in trouble.text


@pytest.mark.parametrize("broker", [{}, {"name": "binance-spot"}], ids=["futures", "spot"])
def test_all_orders_of_one_symbol_are_canceled_and_no_other(broker: dict[str, str]) -> None:
    @in_virtual_time
    async def run() -> None:
        async with venue(settings_of(broker=broker)) as v:
            for number in range(3):
                await v.adapter.submit(v.prepared(number, **FAR), free)
            other = v.prepared(7, symbol="ETHUSDT", order_type="limit", price=Decimal("2900"))
            await v.adapter.submit(other, free)

            done = await people.cancel_all(v.adapter, "BTCUSDT")
            again = await people.cancel_all(v.adapter, "BTCUSDT")

            assert isinstance(done, Canceled)
            assert (done.done, len(done.ended), done.left) == (True, 3, ())
            assert again == Canceled("BTCUSDT", True, (), ())
            left = await v.adapter.open_orders("ETHUSDT")
            assert not isinstance(left, NotYet)
            assert [one.update.client_order_id for one in left] == [other.client_order_id]

    run()


@in_virtual_time
async def test_a_cancel_that_was_lost_is_told_with_what_is_left() -> None:
    async with venue() as v:
        order = v.prepared(1, **FAR)
        await v.adapter.submit(order, free)
        v.plan(FaultRule(kind="reset_before", endpoint="cancel_all", executed=False))

        done = await people.cancel_all(v.adapter, "BTCUSDT")

        assert isinstance(done, Canceled)
        assert not done.done
        assert done.left == (order.client_order_id,)
        assert "closed before a reply" in done.text


@pytest.mark.parametrize("sides", [("buy",), ("sell",), ("buy", "buy", "buy")])
def test_a_position_is_closed_by_one_reduce_only_order_of_its_own_prefix(sides: tuple[str, ...]) -> None:
    @in_virtual_time
    async def run() -> None:
        async with venue() as v:
            await with_position(v, *sides)

            done = await flatten(v)
            again = await flatten(v)

            assert isinstance(done, Flattened)
            assert (done.done, done.after) == (True, Decimal(0))
            assert abs(done.before) == Decimal("0.001") * (len(sides) if sides[0] == "buy" else 1)
            assert done.order is not None
            assert done.order.reduce_only
            assert done.order.side != sides[0]
            assert v.accepted()[-1].startswith("ewf-")
            assert len(v.accepted()[-1]) == 28
            assert isinstance(again, Flattened)
            assert (again.done, again.order) == (True, None)
            # The worker takes it for none of its own.
            past = await v.adapter.past_orders("BTCUSDT", v.clock.wall_ms() - 3_600_000)
            assert not isinstance(past, NotYet)
            assert len(past) == len(sides)

    run()


@pytest.mark.parametrize("kind", ["reset_after", "silence_after", "unknown_503", "garbage", "overload_1008"])
def test_a_lost_answer_to_flatten_is_followed_to_what_became_of_it(kind: FaultKind) -> None:
    @in_virtual_time
    async def run() -> None:
        async with venue() as v:
            await with_position(v, "buy")
            v.plan(FaultRule(kind=kind, executed=True, times=1))

            done = await flatten(v)

            assert isinstance(done, Flattened)
            assert (done.done, done.after) == (True, Decimal(0))
            assert len(v.accepted()) == 2

    run()


@in_virtual_time
async def test_a_flatten_that_never_arrived_leaves_the_position_and_says_so() -> None:
    async with venue() as v:
        await with_position(v, "buy")
        v.plan(FaultRule(kind="reset_before", executed=False, times=1))

        done = await flatten(v)

        assert isinstance(done, Flattened)
        assert (done.done, done.after) == (False, Decimal("0.001"))
        assert done.text
        again = await flatten(v)
        assert isinstance(again, Flattened)
        assert again.done


@in_virtual_time
async def test_a_position_larger_than_one_market_order_is_closed_as_far_as_one_goes() -> None:
    rules = SymbolRules(symbol="BTCUSDT", market_lot=Grid(Decimal("0.001"), Decimal("0.001"), Decimal("120")))

    order = people.closing_order(rules, Decimal("-300.5"), 1, 2)

    assert isinstance(order, Order)
    assert (order.side, order.qty) == ("buy", Decimal("120"))
    assert FUTURES_RULES[0].market_max_qty == 120


@in_virtual_time
async def test_there_is_nothing_to_flatten_on_spot() -> None:
    async with venue(settings_of(broker={"name": "binance-spot"})) as v:
        done = await flatten(v)

        assert isinstance(done, Trouble)
        assert v.sent() == 0
