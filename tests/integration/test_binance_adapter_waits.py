"""When the adapter waits: for the venue's clock, a pause that it asked for, the budget, a price, a person."""

from __future__ import annotations

import msgspec
import pytest
from rig.venue import free, settings_of, venue, wanted
from rig.virtual_clock import in_virtual_time, until

from adapters.contract import Accepted, NotSent, NotYet, Order, Reject
from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import FUTURES_RULES, SPOT_RULES


@in_virtual_time
async def test_a_question_that_the_venue_refuses_for_its_time_stamp_has_the_clock_read_as_well() -> None:
    async with venue() as v:
        now_ms = v.clock.wall_ms()
        v.plan(FaultRule(kind="clock_skew", endpoint="any", delay_ms=30_000, from_ms=now_ms))

        first = await v.adapter.past_orders("BTCUSDT", now_ms - 1_000)
        await v.clock.sleep(2)

        assert isinstance(first, NotYet)
        assert "-1021" in first.why
        assert await v.adapter.past_orders("BTCUSDT", now_ms - 1_000) == []


@in_virtual_time
async def test_a_clock_that_the_venue_refuses_is_read_again_and_then_the_order_leaves() -> None:
    async with venue() as v:
        order = v.prepared(1)
        now_ms = v.host.now_ms()
        v.plan(FaultRule(kind="clock_skew", endpoint="any", delay_ms=8_000, from_ms=now_ms))

        first = await v.adapter.submit(order, free)
        wait = v.adapter.wait_for("BTCUSDT")
        await until(lambda: v.adapter.wait_for("BTCUSDT") is None, v.clock, within_s=5)
        second = await v.adapter.submit(v.adapter.renew(order, None), free)

        assert isinstance(first, NotSent)
        assert first.code == "clock"
        assert wait is not None
        assert wait.code == "clock"
        assert isinstance(second, Accepted)
        assert abs(v.adapter.clock_offset_ms - 8_000) <= 20
        assert v.accepted() == [order.client_order_id]


@in_virtual_time
async def test_a_wall_clock_that_is_set_moves_the_offset_and_no_time_stamp() -> None:
    async with venue() as v:
        v.clock.skew_ms = -3_600_000

        result = await v.adapter.submit(v.prepared(1), free)

        assert isinstance(result, Accepted)
        assert abs(v.adapter.clock_offset_ms - 3_600_000) <= 20


@in_virtual_time
async def test_a_refused_key_stops_the_sending_until_a_person_has_looked() -> None:
    async with venue() as v:
        told: list[str] = []
        v.adapter.on_denied = told.append
        v.plan(FaultRule(kind="answer", status=401, code=-2015, text="Invalid API-key", executed=False))

        first = await v.adapter.submit(v.prepared(1), free)
        second = await v.adapter.submit(v.prepared(2), free)
        wait = v.adapter.wait_for("BTCUSDT")

        assert isinstance(first, NotSent)
        assert isinstance(second, NotSent)
        assert (first.code, second.code) == ("denied", "denied")
        assert v.adapter.denied is not None
        assert told == [v.adapter.denied]
        assert v.adapter.denied.endswith("from this address, then resume, or restart with another key")
        assert wait is not None
        assert wait.code == "denied"
        assert v.sent() == 1
        v.plan()
        v.adapter.allow_again()
        assert v.adapter.wait_for("BTCUSDT") is None
        assert isinstance(await v.adapter.submit(v.prepared(3), free), Accepted)


@in_virtual_time
async def test_a_key_that_may_no_longer_ask_may_not_send_either() -> None:
    async with venue() as v:
        v.plan(
            FaultRule(
                kind="answer", endpoint="open_orders", status=401, code=-2015, text="no", executed=False
            )
        )

        assert isinstance(await v.adapter.open_orders("BTCUSDT"), NotYet)

        assert v.adapter.denied is not None


@in_virtual_time
async def test_a_pause_that_the_venue_asks_for_is_kept_by_all_and_by_the_next_life() -> None:
    async with venue() as v:
        v.plan(FaultRule(kind="http_429", delay_ms=30_000, executed=False, times=1))

        result = await v.adapter.submit(v.prepared(1), free)
        wait = v.adapter.wait_for("ETHUSDT")
        again = await v.adapter.submit(v.prepared(2, symbol="ETHUSDT"), free)
        await v.clock.sleep(0.1)

        assert isinstance(result, NotSent)
        assert result.code == "rate_limited"
        assert result.retry_at_ms is not None
        assert 25_000 < result.retry_at_ms - v.clock.wall_ms() <= 31_000
        assert wait is not None
        assert (wait.code, abs(wait.until_ms - result.retry_at_ms) <= 50) == ("deadline", True)
        assert isinstance(again, NotSent)
        assert v.sent() == 1
        assert v.view.kept_values["venue_deadline_ms"] == str(v.adapter.deadline_ms)

        await v.adapter.close()
        begun_ms, requests = v.clock.wall_ms(), len(v.transport.requests)
        v.transport = v.wire()
        v.adapter = v.life()
        assert await v.start() is None
        assert requests > 0
        assert v.clock.wall_ms() - begun_ms > 20_000
        assert isinstance(await v.adapter.submit(v.prepared(3), free), Accepted)


@in_virtual_time
async def test_a_stale_price_means_no_order_and_a_fresh_one_comes_by_itself() -> None:
    async with venue() as v:
        v.plan(FaultRule(kind="silence_before", endpoint="book_ticker", executed=False))
        await v.clock.sleep(2.5)

        wait = v.adapter.wait_for("BTCUSDT")
        refused = v.adapter.prepare(wanted(1))
        v.plan()
        await until(lambda: v.adapter.wait_for("BTCUSDT") is None, v.clock, within_s=4)

        assert wait is not None
        assert (wait.code, wait.until_ms > v.clock.wall_ms() - 10_000) == ("price", True)
        assert isinstance(refused, Reject)
        assert refused.code == "stale_price"
        assert isinstance(v.adapter.prepare(wanted(1)), Order)


@pytest.mark.parametrize(("name", "singles"), [("binance-futures", False), ("binance-spot", True)])
def test_many_symbols_have_prices_at_a_bounded_weight(name: str, singles: bool) -> None:
    rules = SPOT_RULES if singles else FUTURES_RULES
    third = msgspec.structs.replace(rules[1], symbol="BNBUSDT")

    @in_virtual_time
    async def run() -> None:
        symbols = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
        settings = settings_of(broker={"name": name}, symbols=symbols)
        async with venue(settings, rules=(*rules, third)) as v:
            await v.clock.sleep(300)

            assert [v.adapter.wait_for(symbol) for symbol in symbols] == [None] * 3
            asked = [request for request in v.transport.requests if request.path.endswith("bookTicker")]
            assert all(("symbol=" in request.query) is singles for request in asked)
            assert len(asked) <= 310 * (3 if singles else 1)
            assert v.adapter.weight_used <= 0.2 * 2_400

    run()


@in_virtual_time
async def test_the_budget_is_waited_for_and_begins_with_what_a_former_life_sent() -> None:
    async with venue(started=False) as v:
        v.view.sends = [v.clock.wall_ms() - 10] * 300

        assert await v.start() is None
        wait = v.adapter.wait_for("BTCUSDT")

        assert wait is not None
        assert wait.code == "budget"
        assert 0 < wait.until_ms - v.clock.wall_ms() <= 30_000
        assert v.adapter.orders_used >= 300


@in_virtual_time
async def test_background_trouble_is_counted_and_a_bug_in_it_is_raised_at_the_next_question() -> None:
    async with venue() as v:
        v.plan(FaultRule(kind="reset_before", endpoint="time", executed=False))
        await v.clock.sleep(150)
        assert v.adapter.upkeep.clock_failures > 0

        async def broken(key: str, value: str) -> None:
            raise ZeroDivisionError(key)

        v.view.keep = broken  # type: ignore[method-assign]  # a store that cannot be written
        v.plan(FaultRule(kind="http_429", endpoint="book_ticker", delay_ms=1_000, executed=False))
        await v.clock.sleep(3)

        with pytest.raises(ZeroDivisionError):
            v.adapter.wait_for("BTCUSDT")
