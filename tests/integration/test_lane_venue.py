"""A lane and a venue with a will of its own: it asks to wait, lets windows pass, and remembers orders."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
from rig.floor import Worker, drain, signal
from rig.rows import rows
from rig.scripted_adapter import ScriptedAdapter, fills, loses_the_order
from rig.virtual_clock import START_MS, in_virtual_time, until, virtual_clock

from adapters.contract import NotSent, OrderUpdate, PastOrder, ProvenAbsent, Wait
from config.settings import Execution, RateLimit, Staleness
from store.records import Halt
from worker.planning import client_order_id

A, B = "BTCUSDT-0", "BTCUSDT-1"
SHORT_LIFE = Execution(
    rate_limit=RateLimit(max_qps=None, max_concurrency=64), staleness=Staleness(max_age_ms=2_000)
)


def past(number: int, at_ms: int = START_MS) -> PastOrder:
    """The order of a signal, filled at the venue some time ago."""
    key = client_order_id("BTCUSDT", f"BTCUSDT-{number}")
    update = OrderUpdate(key, "filled", Decimal("0.5"), Decimal("100"), "x9")
    return PastOrder(update, "BTCUSDT", "buy", "market", "GTC", Decimal("0.5"), None, at_ms)


def window_passed(times: int):
    """Answers that the window has passed, then fills."""
    return [lambda venue, order: NotSent("window_passed", "too late")] * times + [fills]


@in_virtual_time
async def test_nothing_is_reserved_while_the_venue_asks_to_wait(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    venue.waits["BTCUSDT"] = Wait("price", "no fresh price", START_MS + 500)
    async with Worker(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as worker:
        await clock.sleep(5)
        while_waiting = worker.states()
        venue.waits.clear()
        await worker.drained()

    assert while_waiting == {}
    assert worker.states() == {A: "filled"}


@in_virtual_time
async def test_a_signal_that_grows_too_old_while_the_venue_asks_to_wait_is_skipped(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    venue.waits["BTCUSDT"] = Wait("budget", "no orders left", START_MS + 3_600_000)

    worker = await drain(tmp_path, clock, venue, signal(0), execution=SHORT_LIFE)

    assert worker.codes() == {A: "expired"}
    assert clock.wall_ms() < START_MS + 10_000
    assert venue.placed == []


@in_virtual_time
async def test_an_order_whose_window_has_passed_gets_a_new_one_on_disk_before_it_is_sent(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: window_passed(2)})
    windows: list[int | None] = []

    def renew(order, life_end_ms):
        new = msgspec.structs.replace(order, send_before_ms=clock.wall_ms() + len(windows))
        windows.append(new.send_before_ms)
        return new

    venue.renew = renew

    worker = await drain(tmp_path, clock, venue, signal(0))

    assert worker.states() == {A: "filled"}
    assert len(windows) == 2
    stored = msgspec.json.decode(rows(tmp_path, "order_json", order="id")[0][0])
    assert stored["send_before_ms"] == windows[-1]
    assert venue.placed == [A]


@in_virtual_time
async def test_a_venue_that_lets_every_window_pass_is_given_up_when_the_signal_is_old(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [lambda venue, order: NotSent("window_passed", "too late")]})

    worker = await drain(tmp_path, clock, venue, signal(0), execution=SHORT_LIFE)

    assert worker.codes() == {A: "expired"}
    assert len(venue.renewed) < 50


@in_virtual_time
async def test_an_order_that_is_proven_absent_is_sent_again_in_a_new_window(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(
        clock, answers={A: [loses_the_order, fills]}, lookups={A: [lambda venue, order: ProvenAbsent()]}
    )

    worker = await drain(tmp_path, clock, venue, signal(0))

    assert venue.renewed == [A]
    assert venue.placed == [A]
    assert worker.states() == {A: "filled"}


@in_virtual_time
async def test_a_halt_in_the_last_moment_holds_the_order(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    async with Worker(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as worker:
        submit = venue.submit

        async def late(order, guard):
            await worker.floor.halts.halt(Halt("", "a person", "me", clock.wall_ms()))
            return await submit(order, guard)

        venue.submit = late
        await worker.drained()

    assert worker.codes() == {A: "halted"}
    assert venue.placed == []


@in_virtual_time
async def test_a_resume_fires_no_backlog(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    inputs = {"BTCUSDT": []}
    async with Worker(tmp_path, clock, venue, inputs, once=False) as worker:
        await worker.floor.halts.halt(Halt("BTCUSDT", "a person", "me", clock.wall_ms()))
        # Nobody reads while the symbol is halted, then it is resumed: what came meanwhile is old news.
        unread = signal(0, ts_ms=clock.wall_ms())
        await clock.sleep(1)
        await worker.floor.halts.resume("BTCUSDT", who="me", why="looked at it")
        worker.feeds["BTCUSDT"].add(unread, signal(1, ts_ms=clock.wall_ms() + 1))
        await until(lambda: len(worker.states()) == 2, clock)
        await clock.sleep(1)
        await worker.stop()

    assert worker.codes() == {A: "halted", B: None}
    assert venue.placed == [B]


@in_virtual_time
async def test_a_halt_of_one_symbol_leaves_the_others_alone_and_outlives_the_worker(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    async with Worker(tmp_path, clock, venue, {"BTCUSDT": []}) as worker:
        await worker.floor.halts.halt(Halt("BTCUSDT", "a person", "me", clock.wall_ms()))
        await worker.drained()

    later = await drain(tmp_path, clock, venue, signal(0), signal(0, "ETHUSDT"))

    assert later.codes() == {A: "halted", "ETHUSDT-0": None}


@in_virtual_time
async def test_a_check_of_the_halt_that_throws_is_a_halt(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    async with Worker(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as worker:
        worker.floor.halts._rows = None
        await worker.drained()

    assert worker.codes() == {A: "halted"}
    assert venue.placed == []


@in_virtual_time
async def test_a_signal_whose_order_the_venue_has_already_is_adopted_and_not_sent(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    order = past(0)
    venue.past["BTCUSDT"] = [order]
    venue.orders[order.update.client_order_id] = order.update
    venue.lookup = adopted(order)

    worker = await drain(tmp_path, clock, venue, signal(0), signal(1))

    assert venue.placed == [B]
    assert worker.states() == {A: "filled", B: "filled"}
    assert rows(tmp_path, "qty", order="id")[0][0] == "0.5"
    assert worker.floor.halts.in_force() == []


def adopted(order: PastOrder):
    """A venue that finds this one order."""
    from adapters.contract import Found

    async def lookup(client_order_id, row):
        assert client_order_id == order.update.client_order_id
        return Found(order.update)

    return lookup


@in_virtual_time
async def test_an_adopted_signal_is_adopted_although_it_is_too_old_to_be_sent(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    order = past(0, START_MS)
    venue.past["BTCUSDT"] = [order]
    venue.lookup = adopted(order)
    await clock.sleep(100)

    worker = await drain(tmp_path, clock, venue, signal(0), execution=SHORT_LIFE)

    assert worker.states() == {A: "filled"}


@in_virtual_time
async def test_an_order_that_neither_the_store_nor_a_signal_explains_halts_its_symbol(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    venue.past["BTCUSDT"] = [past(77)]

    worker = await drain(tmp_path, clock, venue, signal(0), signal(0, "ETHUSDT"))

    halts = worker.floor.halts.in_force()
    assert [halt.scope for halt in halts] == ["BTCUSDT"]
    assert past(77).update.client_order_id in halts[0].why
    later = await drain(tmp_path, clock, venue, signal(0), signal(1), signal(0, "ETHUSDT"))
    assert later.codes()[B] == "halted"


@in_virtual_time
async def test_a_resumed_symbol_is_not_halted_again_by_the_same_old_orders(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    venue.past["BTCUSDT"] = [past(77)]
    async with Worker(tmp_path, clock, venue, {"BTCUSDT": []}) as worker:
        await worker.drained()
        await worker.floor.halts.resume("BTCUSDT", who="me", why="they were mine")

    later = await drain(tmp_path, clock, venue, signal(0, ts_ms=clock.wall_ms() + 5))

    assert later.states() == {A: "filled"}


@in_virtual_time
async def test_a_fill_of_a_rejected_order_is_recorded_and_halts_its_symbol(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    venue.refuses = {}
    venue._answers = {A: [rejected]}
    worker = await drain(tmp_path, clock, venue, signal(0))
    assert worker.states() == {A: "rejected"}
    order = past(0)
    venue.past["BTCUSDT"] = [order]

    later = await drain(tmp_path, clock, venue, signal(0))

    assert later.states() == {A: "filled"}
    assert [halt.scope for halt in later.floor.halts.in_force()] == ["BTCUSDT"]
    assert "late_fill" in {event["event"] for event in later.events()}


def rejected(venue, order):
    """A rejection."""
    from adapters.contract import Rejected

    return Rejected("insufficient_margin", "not enough margin")


@in_virtual_time
async def test_a_new_store_waits_until_what_a_lost_one_sent_can_be_seen(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    order = past(0)
    venue.lookup = adopted(order)
    inputs = {"BTCUSDT": [signal(0, ts_ms=START_MS), signal(1, ts_ms=START_MS + 1)]}
    async with Worker(tmp_path, clock, venue, inputs, unseen_ms=80_000) as worker:
        await clock.sleep(40)
        while_waiting = worker.states()
        # The venue shows it only now.
        venue.past["BTCUSDT"] = [order]
        await worker.drained()

    assert while_waiting == {}
    assert worker.states() == {A: "filled", B: "filled"}
    assert venue.placed == [B]


@in_virtual_time
async def test_a_signal_from_after_the_beginning_of_a_new_store_waits_for_nothing(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    began_s = clock.monotonic_s()

    worker = await drain(tmp_path, clock, venue, signal(0, ts_ms=START_MS + 1), unseen_ms=80_000)

    assert worker.states() == {A: "filled"}
    assert clock.monotonic_s() - began_s < 1


@in_virtual_time
async def test_an_order_of_a_lost_store_that_no_signal_explains_halts_when_it_is_seen(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    async with Worker(tmp_path, clock, venue, {"BTCUSDT": []}, once=False, unseen_ms=80_000) as worker:
        await clock.sleep(40)
        venue.past["BTCUSDT"] = [past(77)]
        before = worker.floor.halts.in_force()
        await clock.sleep(60)
        after = worker.floor.halts.in_force()

    assert before == []
    assert [halt.scope for halt in after] == ["BTCUSDT"]
