"""The adapter at the exchange in the box: each order once, and a word for whatever comes back."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import msgspec
import pytest
from rig.venue import Ear, free, settings_of, venue
from rig.virtual_clock import in_virtual_time, until

from adapters.binance.verdicts import STALE_RULES
from adapters.contract import Accepted, Found, NotSent, NotYet, Order, ProvenAbsent, Rejected, Unknown
from adapters.exchange.faults import FaultKind, FaultRule
from adapters.exchange.terms import FillPolicy

QUICK = {"absence_margin_ms": 200, "visibility_ms": 500, "absence_spacing_ms": 100, "recv_window_ms": 1_000}
LIMIT = {"order_type": "limit", "price": Decimal("59000.04")}


@in_virtual_time
async def test_a_market_order_is_sized_by_the_book_sent_once_and_followed_to_its_fill() -> None:
    async with venue() as v:
        ear = Ear(v.adapter)
        order = v.prepared(1)

        result = await v.adapter.submit(order, free)
        await until(ear.has(order.client_order_id, "filled"), v.clock, within_s=2)

        assert isinstance(result, Accepted)
        assert result.update.state == "open"
        assert result.update.exchange_order_id is not None
        assert result.sent_ts_ms is not None
        assert result.ack_ts_ms is not None
        assert result.sent_ts_ms < result.ack_ts_ms
        # 100 USD at an ask of 60000.10, cut to the step.
        assert (order.qty, order.price, order.intent_price) == (Decimal("0.001"), None, Decimal("60000.10"))
        update = ear.last(order.client_order_id)
        assert update is not None
        assert (update.filled_qty, update.average_price) == (Decimal("0.001"), Decimal("60000.10"))
        assert update.fee == Decimal("0.03000005")
        assert v.accepted() == [order.client_order_id]


@in_virtual_time
async def test_spot_takes_the_same_way() -> None:
    settings = settings_of(broker={"name": "binance-spot", "settle_poll_ms": 200})
    async with venue(settings) as v:
        ear = Ear(v.adapter)
        order = v.prepared(1, side="sell")

        assert isinstance(await v.adapter.submit(order, free), Accepted)
        await until(ear.has(order.client_order_id, "filled"), v.clock, within_s=5)

        assert v.adapter.name == "binance-spot"
        assert v.accepted() == [order.client_order_id]
        held = await v.adapter.get_position("BTCUSDT")
        assert held == Decimal(100) - order.qty
        assert await v.adapter.open_orders("BTCUSDT") == []


@pytest.mark.parametrize(
    ("kind", "executed"),
    [
        ("reset_before", False),
        ("reset_after", True),
        ("silence_before", False),
        ("silence_after", True),
        ("timeout_1007", True),
        ("timeout_1007", False),
        ("unknown_1006", True),
        ("unknown_503", True),
        ("unknown_503", False),
        ("unavailable_503", True),
        ("internal_503", False),
        ("html_500", True),
        ("disconnected_1001", True),
        ("overload_1008", True),
        ("garbage", True),
        ("truncated", True),
    ],
)
def test_whatever_proves_nothing_is_unknown_and_the_lookup_finds_out(kind: FaultKind, executed: bool) -> None:
    @in_virtual_time
    async def run() -> None:
        async with venue(settings_of(broker=QUICK)) as v:
            order = v.prepared(1)
            v.plan(FaultRule(kind=kind, executed=executed, times=1))

            result = await v.adapter.submit(order, free)
            assert isinstance(result, Unknown), result
            told = await v.adapter.lookup(order.client_order_id, order)
            while isinstance(told, NotYet):
                await v.clock.sleep(max(0.05, (told.until_ms - v.clock.wall_ms()) / 1000))
                told = await v.adapter.lookup(order.client_order_id, order)

            assert isinstance(told, Found if executed else ProvenAbsent)
            assert v.accepted() == [order.client_order_id] * executed
            assert v.sent() == 1

    run()


@pytest.mark.parametrize(
    ("status", "code", "text", "reason"),
    [
        (400, -2019, "Margin is insufficient.", "insufficient_margin"),
        (400, -4164, "Order's notional must be no smaller than 50", "min_notional"),
        (400, -4003, "Quantity less than zero.", "invalid_quantity"),
        (400, -4131, "The counterparty's best price does not meet the limit.", "percent_price"),
        (400, -1121, "Invalid symbol.", "unknown_symbol"),
    ],
)
def test_a_definite_no_is_a_rejection_and_one_about_the_rules_has_them_read_anew(
    status: int, code: int, text: str, reason: str
) -> None:
    @in_virtual_time
    async def run() -> None:
        async with venue() as v:
            await v.clock.sleep(61)
            asked = v.sent("GET", "exchangeInfo")
            v.plan(FaultRule(kind="answer", status=status, code=code, text=text, executed=False))

            result = await v.adapter.submit(v.prepared(1), free)
            await v.clock.sleep(1)

            assert isinstance(result, Rejected)
            assert result.code == reason
            assert str(code) in result.text
            assert v.sent("GET", "exchangeInfo") - asked == (reason in STALE_RULES)
            assert v.accepted() == []

    run()


@in_virtual_time
async def test_many_rejections_read_the_rules_once_a_minute() -> None:
    async with venue() as v:
        await v.clock.sleep(61)
        asked = v.sent("GET", "exchangeInfo")
        v.plan(FaultRule(kind="answer", code=-4164, text="notional", executed=False))

        for number in range(20):
            await v.adapter.submit(v.prepared(number), free)
            await v.clock.sleep(1)

        assert v.sent("GET", "exchangeInfo") - asked == 1


@in_virtual_time
async def test_a_duplicate_of_an_open_order_is_adopted_by_the_lookup() -> None:
    async with venue() as v:
        order = v.prepared(1, **LIMIT)
        assert isinstance(await v.adapter.submit(order, free), Accepted)

        result = await v.adapter.submit(order, free)

        assert isinstance(result, Unknown)
        assert isinstance(await v.adapter.lookup(order.client_order_id, order), Found)
        assert v.accepted() == [order.client_order_id]


@in_virtual_time
async def test_an_order_in_the_reply_that_is_not_ours_is_unknown() -> None:
    async with venue() as v:
        body = b'{"orderId":1,"clientOrderId":"somebody-else","symbol":"BTCUSDT","status":"NEW"}'
        v.plan(FaultRule(kind="answer", status=200, text=body.decode(), executed=True))

        assert isinstance(await v.adapter.submit(v.prepared(1), free), Unknown)


@in_virtual_time
async def test_an_order_whose_window_has_passed_is_not_sent() -> None:
    async with venue() as v:
        order = v.prepared(1)
        await v.clock.sleep(5.1)

        result = await v.adapter.submit(order, free)
        dead = v.adapter.renew(order, v.clock.wall_ms() - 1)

        assert isinstance(result, NotSent)
        assert result.code == "window_passed"
        assert isinstance(await v.adapter.submit(dead, free), NotSent)
        assert v.sent() == 0
        assert isinstance(await v.adapter.submit(v.adapter.renew(order, None), free), Accepted)


@in_virtual_time
async def test_the_guard_has_the_last_word() -> None:
    async with venue() as v:
        result = await v.adapter.submit(v.prepared(1), lambda: "halted by hand")

        assert result == NotSent("held", "halted by hand")
        assert v.sent() == 0


@in_virtual_time
async def test_no_connection_is_not_sent_and_no_doubt() -> None:
    async with venue() as v:
        v.host.refusing = True

        result = await v.adapter.submit(v.prepared(1), free)

        assert isinstance(result, NotSent)
        assert result.code == "unreachable"


@in_virtual_time
async def test_a_cancelled_send_leaves_an_order_that_the_lookup_finds() -> None:
    async with venue() as v:
        order = v.prepared(1)
        sending = asyncio.create_task(v.adapter.submit(order, free))
        await until(lambda: v.sent() == 1, v.clock)

        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await v.clock.sleep(0.1)

        assert isinstance(await v.adapter.lookup(order.client_order_id, order), Found)
        assert v.accepted() == [order.client_order_id]


@in_virtual_time
async def test_an_order_of_a_row_survives_the_row_and_its_renewal() -> None:
    async with venue() as v:
        order = v.prepared(1, **LIMIT)

        again = msgspec.json.decode(msgspec.json.encode(order), type=Order)
        await v.clock.sleep(10)
        renewed = v.adapter.renew(again, None)

        assert again == order
        changed = {"send_before_ms": renewed.send_before_ms, "recv_window_ms": renewed.recv_window_ms}
        assert msgspec.structs.replace(order, **changed) == renewed
        assert renewed.send_before_ms is not None
        assert order.send_before_ms is not None
        assert renewed.send_before_ms - order.send_before_ms == 10_000


@in_virtual_time
async def test_closing_ends_the_updates_and_may_be_repeated() -> None:
    async with venue(policy=FillPolicy(fill_delay_ms=60_000)) as v:
        ear = Ear(v.adapter)
        await v.adapter.submit(v.prepared(1), free)

        await v.adapter.close()
        await v.adapter.close()

        async with asyncio.timeout(5):
            await ear.task
