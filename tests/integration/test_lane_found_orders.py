"""An order that was in doubt and turns out to work is followed to its end, however it was found."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
from rig.floor import UNLIMITED, drain, signal
from rig.process import Process
from rig.scripted_adapter import ScriptedAdapter, fills, is_not_sent
from rig.virtual_clock import START_MS, in_virtual_time, until, virtual_clock

from adapters.contract import Found, NotSent, NotYet, OrderUpdate, PastOrder, Unknown
from worker.planning import client_order_id
from worker.rows import RowBuilder

A = "BTCUSDT-0"
KEY = client_order_id("BTCUSDT", A)


def is_lost_at_work(venue, order):
    """The order works, and the answer is lost."""
    venue.accept(order, "open")
    return Unknown("no answer")


@in_virtual_time
async def test_a_lookup_that_finds_a_working_order_begins_to_follow_it(tmp_path: Path) -> None:
    venue = ScriptedAdapter(virtual_clock(), answers={A: [is_lost_at_work]})

    worker = await drain(tmp_path, virtual_clock(), venue, signal(0))

    assert worker.states() == {A: "open"}
    assert venue.watched == [A]


@in_virtual_time
async def test_an_order_in_doubt_whose_first_news_come_by_themselves_is_followed_for_the_rest(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(
        clock,
        answers={A: [is_lost_at_work]},
        lookups={A: [lambda venue, order: NotYet(clock.wall_ms() + 1_000, "not shown yet")]},
    )
    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as process:
        await until(lambda: bool(venue.asked), clock)
        venue.tell(venue.orders[KEY])
        await until(lambda: process.worker.states() == {A: "open"} and bool(venue.watched), clock)

    assert venue.watched[0] == A


@in_virtual_time
async def test_a_verdict_that_comes_after_the_news_leaves_the_order_followed(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [is_lost_at_work]})
    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as process:

        async def slow(client_order_id, order):
            venue.tell(venue.orders[KEY])
            await until(lambda: process.worker.states() == {A: "open"}, clock)
            return Found(OrderUpdate(KEY, "filled", Decimal("100.00"), Decimal("100"), "x1"))

        venue.lookup = slow
        await until(lambda: bool(venue.watched), clock)

    assert process.named("move_overtaken")


@in_virtual_time
async def test_an_order_is_sent_in_its_new_window_at_once_and_not_after_the_next_pause(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [is_not_sent] * 4 + [fills]})
    submit = venue.submit

    async def windowed(order, guard):
        if order.send_before_ms is not None and clock.wall_ms() > order.send_before_ms:
            return NotSent("window_passed", "too late")
        return await submit(order, guard)

    venue.submit = windowed
    venue.renew = lambda order, life_end_ms: msgspec.structs.replace(
        order, send_before_ms=clock.wall_ms() + 400
    )
    prepare = venue.prepare
    venue.prepare = lambda ctx: msgspec.structs.replace(prepare(ctx), send_before_ms=clock.wall_ms() + 400)

    worker = await drain(tmp_path, clock, venue, signal(0))

    assert worker.states() == {A: "filled"}
    assert clock.wall_ms() < START_MS + 20_000


@in_virtual_time
async def test_the_row_of_an_adopted_order_asks_for_no_permission(tmp_path: Path) -> None:
    venue = ScriptedAdapter(virtual_clock())
    update = OrderUpdate(KEY, "filled", Decimal("0.5"), Decimal("100"), "x9")
    past = PastOrder(update, "BTCUSDT", "buy", "market", "GTC", Decimal("0.5"), None, START_MS)

    reservation, order = RowBuilder(UNLIMITED, venue).adopted(signal(0), past, START_MS)

    assert reservation.adopted
    assert order.client_order_id == reservation.client_order_id == KEY
