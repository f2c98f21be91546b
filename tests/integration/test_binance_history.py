"""Orders, trades and holdings of the past and present: all of them, or not yet."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from rig.venue import Ear, Venue, free, settings_of, venue
from rig.virtual_clock import in_virtual_time, until

from adapters.binance.market import HISTORY_ROWS_MAX
from adapters.binance.wire import Request
from adapters.contract import Accepted, NotYet
from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import RateLimits

FAR = {"order_type": "limit", "price": Decimal("58000")}
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
BOUNDLESS = RateLimits(weight_per_minute=10**6, orders_per_10_s=10**5, orders_per_minute=10**6)


async def placed(v: Venue, count: int, first: int = 0, **changes: object) -> list[str]:
    """Many orders of ours, as fast as the loop turns."""
    orders = [v.prepared(first + number, **changes) for number in range(count)]
    results = await asyncio.gather(*(v.adapter.submit(order, free) for order in orders))
    assert all(isinstance(result, Accepted) for result in results)
    return [order.client_order_id for order in orders]


async def foreign_order(v: Venue) -> None:
    """An order that a person placed in the exchange's own app."""
    params = (("symbol", "BTCUSDT"), ("side", "BUY"), ("type", "MARKET"), ("quantity", "0.002"))
    await v.adapter.client.call(Request("POST", "/fapi/v1/order", params, "signed", 0, places_order=True))


@in_virtual_time
async def test_past_orders_are_ours_alone_with_their_terms_and_their_fate() -> None:
    async with venue() as v:
        ids = await placed(v, 2)
        await placed(v, 1, 2, **FAR)
        await foreign_order(v)
        await v.adapter.cancel(f"ew1-{2:024d}", "BTCUSDT")
        begun_ms = v.clock.wall_ms() - HOUR_MS

        past = await v.adapter.past_orders("BTCUSDT", begun_ms)

        assert not isinstance(past, NotYet)
        assert [one.update.client_order_id for one in past] == [*ids, f"ew1-{2:024d}"]
        assert [one.update.state for one in past] == ["filled", "filled", "canceled"]
        first, last = past[0], past[2]
        assert (first.side, first.order_type, first.qty, first.price) == (
            "buy",
            "market",
            Decimal("0.001"),
            None,
        )
        assert (first.update.filled_qty, first.update.average_price) == (
            Decimal("0.001"),
            Decimal("60000.10"),
        )
        assert (last.order_type, last.tif, last.price) == ("limit", "GTC", Decimal("58000"))
        assert await v.adapter.past_orders("ETHUSDT", begun_ms) == []


@in_virtual_time
async def test_a_history_of_several_pages_and_weeks_is_whole() -> None:
    async with venue(limits=BOUNDLESS) as v:
        begun_ms = v.clock.wall_ms() - 20 * DAY_MS
        early = await placed(v, 3)
        await v.clock.sleep(1)
        many = await placed(v, HISTORY_ROWS_MAX - 1, 3)

        past = await v.adapter.past_orders("BTCUSDT", begun_ms)

        assert not isinstance(past, NotYet)
        assert sorted(one.update.client_order_id for one in past) == sorted([*early, *many])
        # Three weeks, the last of which did not fit on a page and was asked for in halves.
        assert v.sent("GET", "allOrders") > 4
        assert [one.at_ms for one in past] == sorted(one.at_ms for one in past)


@in_virtual_time
async def test_a_page_that_is_missing_makes_all_of_it_not_yet() -> None:
    async with venue() as v:
        await placed(v, 2)
        v.plan(FaultRule(kind="reset_after", endpoint="all_orders", nth=1))

        first = await v.adapter.past_orders("BTCUSDT", v.clock.wall_ms() - 3 * 7 * DAY_MS)
        second = await v.adapter.past_orders("BTCUSDT", v.clock.wall_ms() - 3 * 7 * DAY_MS)

        assert isinstance(first, NotYet)
        assert first.until_ms >= v.clock.wall_ms()
        assert not isinstance(second, NotYet)
        assert len(second) == 2


@in_virtual_time
async def test_open_orders_can_be_canceled_one_by_one_and_again() -> None:
    async with venue() as v:
        ear = Ear(v.adapter)
        ids = await placed(v, 2, **FAR)

        working = await v.adapter.open_orders("BTCUSDT")
        done = await v.adapter.cancel(ids[0], "BTCUSDT")
        again = await v.adapter.cancel(ids[0], "BTCUSDT")
        unknown = await v.adapter.cancel("ew1-nothing", "BTCUSDT")
        left = await v.adapter.open_orders("BTCUSDT")
        await until(ear.has(ids[0], "canceled"), v.clock, within_s=20)

        assert not isinstance(working, NotYet)
        assert not isinstance(left, NotYet)
        assert [one.update.client_order_id for one in working] == ids
        assert done.done
        assert again.done
        assert "had ended before" in again.text
        assert not unknown.done
        assert [one.update.client_order_id for one in left] == ids[1:]


@in_virtual_time
async def test_a_cancel_of_an_order_that_was_filled_meanwhile_is_done() -> None:
    async with venue() as v:
        ids = await placed(v, 1)

        result = await v.adapter.cancel(ids[0], "BTCUSDT")

        assert (result.done, result.text) == (True, "it had ended before: filled")


@in_virtual_time
async def test_a_working_limit_order_can_be_amended_and_a_market_order_cannot() -> None:
    async with venue() as v:
        ids = await placed(v, 1, **FAR)
        filled = await placed(v, 1, 5)

        done = await v.adapter.amend(ids[0], "BTCUSDT", Decimal("0.002"), Decimal("57000"))
        refused = await v.adapter.amend(filled[0], "BTCUSDT", Decimal("0.002"), Decimal("57000"))
        lost = await v.adapter.amend("ew1-nothing", "BTCUSDT", Decimal("0.002"), Decimal("57000"))

        assert not refused.done
        assert not lost.done
        if done.done:
            working = await v.adapter.open_orders("BTCUSDT")
            assert not isinstance(working, NotYet)
            assert [(one.qty, one.price) for one in working] == [(Decimal("0.002"), Decimal("57000"))]


@in_virtual_time
async def test_trades_are_told_with_the_order_that_made_them() -> None:
    async with venue() as v:
        begun_ms = v.clock.wall_ms()
        ids = await placed(v, 2)

        fills = await v.adapter.fetch_fills("BTCUSDT", begun_ms)

        assert not isinstance(fills, NotYet)
        assert [one.client_order_id for one in fills] == ids
        assert {(one.qty, one.price, one.fee_asset) for one in fills} == {
            (Decimal("0.001"), Decimal("60000.10"), "USDT")
        }
        assert len({one.trade_id for one in fills}) == 2
        assert await v.adapter.fetch_fills("ETHUSDT", begun_ms) == ()


@in_virtual_time
async def test_positions_are_signed_and_balances_by_asset() -> None:
    async with venue() as v:
        before = await v.adapter.get_position("BTCUSDT")
        for number in range(2):
            await v.adapter.submit(v.prepared(number, side="sell"), free)

        after = await v.adapter.get_position("BTCUSDT")
        balances = await v.adapter.get_balance()

        assert (before, after) == (Decimal(0), Decimal("-0.002"))
        assert isinstance(balances, dict)
        assert balances["USDT"] > 0


@in_virtual_time
async def test_what_cannot_be_asked_is_not_yet_and_never_raises() -> None:
    async with venue() as v:
        v.host.refusing = True
        adapter = v.adapter

        answers = [
            await adapter.past_orders("BTCUSDT", v.clock.wall_ms()),
            await adapter.open_orders("BTCUSDT"),
            await adapter.fetch_fills("BTCUSDT", v.clock.wall_ms()),
            await adapter.get_position("BTCUSDT"),
            await adapter.get_balance(),
        ]

        assert all(isinstance(answer, NotYet) for answer in answers)
        assert not (await adapter.cancel("ew1-x", "BTCUSDT")).done
        assert not (await adapter.amend("ew1-x", "BTCUSDT", Decimal(1), Decimal(1))).done


@in_virtual_time
async def test_two_minutes_at_full_speed_use_the_budget_and_never_earn_a_429() -> None:
    limits = RateLimits(orders_per_10_s=50, orders_per_minute=240)
    async with venue(settings_of(), limits=limits) as v:
        begun_ms = v.host.now_ms()
        # From one minute's beginning to the next but one: windows are aligned to the clock.
        await v.clock.sleep((60_000 - begun_ms % 60_000) / 1000)
        sent, end_ms = 0, v.host.now_ms() + 120_000
        v.adapter.upkeep.clock_is_due()
        while v.host.now_ms() < end_ms:
            wait = v.adapter.wait_for("BTCUSDT")
            if wait is not None:
                await v.clock.sleep(max(0.001, (wait.until_ms - v.clock.wall_ms()) / 1000))
                continue
            result = await v.adapter.submit(v.prepared(sent), free)
            assert isinstance(result, Accepted), result
            sent += 1

        assert sent >= 0.98 * 480
        assert v.adapter.deadline_ms == 0
