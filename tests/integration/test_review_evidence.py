"""Evidence against what is on record halts for good, whatever is lost in between, also at the next start."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from rig.floor import Worker, drain, signal
from rig.process import Process
from rig.rows import rows
from rig.scripted_adapter import ScriptedAdapter, loses_the_order, opens
from rig.virtual_clock import START_MS, in_virtual_time, until, virtual_clock

from adapters.contract import Accepted, Found, NotYet, OrderUpdate, PastOrder, Rejected
from config.settings import Execution, RateLimit
from store.errors import StoreError
from store.records import Halt
from worker.planning import client_order_id

A, B = "BTCUSDT-0", "BTCUSDT-1"
KEY = client_order_id("BTCUSDT", A)


def rejects(venue, order):
    """Provably not accepted, says the venue."""
    return Rejected("insufficient_margin", "not enough margin")


def past(number: int, state: str = "filled", qty: str = "0.5", venue_id: str = "x9", at_ms: int = START_MS):
    """An order of ours as the venue remembers it."""
    key = client_order_id("BTCUSDT", f"BTCUSDT-{number}")
    filled = Decimal(qty) if state == "filled" else Decimal(0)
    update = OrderUpdate(key, state, filled, Decimal("100"), venue_id, symbol="BTCUSDT")
    return PastOrder(update, "BTCUSDT", "buy", "market", "GTC", Decimal(qty), None, at_ms)


@in_virtual_time
async def test_a_late_fill_halts_even_where_the_worker_dies_while_it_is_recorded(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [rejects]})
    async with Worker(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as worker:
        await worker.drained()
        commit, left = worker.writer.commit, 1

        async def dies_after_one(share, **more):
            nonlocal left
            if left == 0:
                raise StoreError("the disk is gone")
            left -= 1
            return await commit(share, **more)

        worker.writer.commit = dies_after_one
        with pytest.raises(StoreError):
            await worker.floor.news.apply(past(0).update)
    venue.past["BTCUSDT"] = [past(0)]

    later = await drain(tmp_path, clock, venue, signal(0))

    assert later.states() == {A: "filled"}
    assert [halt.scope for halt in later.floor.halts.in_force()] == ["BTCUSDT"]


@in_virtual_time
async def test_an_unexplained_order_halts_for_good_although_a_timed_halt_is_in_force(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    async with Process(tmp_path, clock, venue, {"BTCUSDT": []}) as process:
        halts = process.worker.floor.halts
        await halts.halt(Halt("", "a break", "ana", clock.wall_ms(), until_ms=clock.wall_ms() + 5_000))
        venue.tell(past(77).update)
        await clock.sleep(30)
        held = halts.why("BTCUSDT")

    assert held is not None
    assert "no row" in held


@in_virtual_time
async def test_an_order_that_works_although_it_was_recorded_as_rejected_halts_its_symbol(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [rejects]})
    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as process:
        await until(lambda: process.worker.states().get(A) == "rejected", clock)
        venue.tell(past(0, "open").update)
        await clock.sleep(5)
        held = process.worker.floor.halts.why("BTCUSDT")

    assert held is not None
    assert "works at the exchange" in held


@in_virtual_time
async def test_a_second_order_under_an_id_on_record_halts_at_the_next_start(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    worker = await drain(tmp_path, clock, venue, signal(0))
    ours = venue.orders[KEY].exchange_order_id
    venue.past["BTCUSDT"] = [past(0, venue_id="x777"), past(0, venue_id=ours)]

    later = await drain(tmp_path, clock, venue, signal(0))

    assert worker.states() == later.states() == {A: "filled"}
    assert "x777" in later.floor.halts.why("BTCUSDT")
    async with Worker(tmp_path, clock, venue, {"BTCUSDT": []}) as third:
        await third.floor.halts.resume("BTCUSDT", who="ana", why="sold by hand")
    fourth = await drain(tmp_path, clock, venue, signal(0))
    assert fourth.floor.halts.in_force() == []


@in_virtual_time
async def test_an_order_of_a_signal_that_is_on_record_without_an_order_halts_its_symbol(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    await drain(tmp_path, clock, venue, signal(0, confirm=False))
    venue.past["BTCUSDT"] = [past(0)]
    inputs = {"BTCUSDT": [signal(0, confirm=False), signal(0)]}
    async with Worker(tmp_path, clock, venue, inputs) as worker:
        await worker.drained()

    assert worker.states() == {A: "skipped"}
    assert [halt.scope for halt in worker.floor.halts.in_force()] == ["BTCUSDT"]


def baseline(folder: Path) -> Decimal:
    """What the account held apart from the rows."""
    return Decimal(dict(rows(folder, "key, value", "stamps"))["baseline:BTCUSDT"])


@in_virtual_time
async def test_what_an_order_that_a_person_has_accepted_left_counts_into_the_position(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    venue.past["BTCUSDT"] = [past(77)]

    async def position(symbol):
        return Decimal("0.5")

    venue.get_position = position
    inputs = {"BTCUSDT": []}
    async with Worker(tmp_path, clock, venue, inputs, once=False) as worker:
        await until(lambda: worker.floor.halts.why("BTCUSDT") is not None, clock)
        assert baseline(tmp_path) == 0
        await clock.sleep(1)
        await worker.floor.halts.resume("BTCUSDT", who="ana", why="it was mine")
        worker.feeds["BTCUSDT"].add(signal(0, confirm=False, ts_ms=clock.wall_ms() + 1))
        await until(lambda: A in worker.states(), clock)
        in_this_life = baseline(tmp_path)
        await worker.stop()
    await drain(tmp_path, clock, venue, signal(0, confirm=False))

    assert in_this_life == Decimal("0.5")
    assert baseline(tmp_path) == Decimal("0.5")


@in_virtual_time
async def test_an_order_of_a_lost_store_that_is_shown_late_was_in_the_position_all_the_time(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    late = past(0, qty="100")
    venue = ScriptedAdapter(clock, lookups={A: [lambda venue, order: Found(late.update)]})

    async def position(symbol):
        return Decimal(100)

    venue.get_position = position
    inputs = {"BTCUSDT": [signal(0, ts_ms=START_MS)]}
    async with Worker(tmp_path, clock, venue, inputs, unseen_ms=80_000) as worker:
        await clock.sleep(40)
        before_it_is_shown = baseline(tmp_path)
        venue.past["BTCUSDT"] = [late]
        await worker.drained()

    assert before_it_is_shown == 100
    assert (worker.states(), venue.placed) == ({A: "filled"}, [])
    assert baseline(tmp_path) == 0


@in_virtual_time
async def test_a_position_that_was_closed_by_hand_during_a_halt_is_known_after_the_resume(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    async with Worker(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}, once=False) as worker:
        await until(lambda: worker.states() == {A: "filled"}, clock)
        await worker.floor.halts.halt(Halt("BTCUSDT", "odd", "ana", clock.wall_ms(), new_only=True))

        async def flat(symbol):
            return Decimal(0)

        venue.get_position = flat
        await clock.sleep(1)
        await worker.floor.halts.resume("BTCUSDT", who="ana", why="closed by hand")
        worker.feeds["BTCUSDT"].add(signal(1, confirm=False, ts_ms=clock.wall_ms() + 1))
        await until(lambda: B in worker.states(), clock)
        expected = worker.ledger.expected_position("BTCUSDT")
        await worker.stop()

    assert expected == 0


@in_virtual_time
async def test_a_position_that_is_shown_later_than_its_fill_does_not_spoil_the_beginning(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [loses_the_order]}, lookups={A: [_not_yet]})
    async with Worker(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}, once=False) as worker:
        await until(lambda: worker.states() == {A: "unknown"}, clock)
    order = msgspec.json.decode(rows(tmp_path, "order_json", order="id")[0][0])
    qty = Decimal(order["qty"])
    filled = OrderUpdate(KEY, "filled", qty, Decimal(100), "x1")
    venue._lookups = {A: [lambda venue, order: Found(filled)]}
    begun = clock.monotonic_s()

    async def lags(symbol):
        return qty if clock.monotonic_s() > begun + 1 else Decimal(0)

    venue.get_position = lags

    later = await drain(tmp_path, clock, venue, signal(0))

    assert later.states() == {A: "filled"}
    assert baseline(tmp_path) == 0


def _not_yet(venue, order):
    return NotYet(venue._clock.wall_ms() + 1_000, "nobody can tell")


@in_virtual_time
async def test_fills_that_are_told_before_slow_replies_are_recorded_when_those_have_come(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()

    class Quick(ScriptedAdapter):
        async def submit(self, order, guard):
            update = OrderUpdate(
                order.client_order_id, "filled", order.qty, Decimal(100), "x1", symbol=order.symbol
            )
            self.tell(update)
            await clock.sleep(3.0)
            self.accept(order, "open")
            return Accepted(OrderUpdate(order.client_order_id, "open", Decimal(0), None, "x1"))

    venue = Quick(clock)
    symbols = [f"S{number}USDT" for number in range(64)]
    inputs: dict[str, list] = {symbol: [signal(0, symbol)] for symbol in symbols}
    many = Execution(rate_limit=RateLimit(max_qps=None, max_concurrency=64))
    async with Process(tmp_path, clock, venue, inputs, execution=many) as process:
        begun = clock.monotonic_s()
        await until(lambda: list(process.worker.states().values()).count("filled") == 64, clock, within_s=30)
        took_s = clock.monotonic_s() - begun

    assert took_s < 5


@in_virtual_time
async def test_the_position_is_asked_for_at_the_start_and_not_whenever_the_clocks_move(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    asked: list[float] = []

    async def position(symbol):
        asked.append(clock.monotonic_s())
        return Decimal(0)

    venue.get_position = position
    async with Worker(tmp_path, clock, venue, {"BTCUSDT": []}, once=False) as worker:
        for number in range(20):
            venue.clock_offset_ms = 10 * number
            worker.feeds["BTCUSDT"].add(signal(number, confirm=False))
            await clock.sleep(1)
        await worker.stop()

    assert len(asked) == 1


@in_virtual_time
async def test_a_position_that_changed_while_an_order_worked_at_the_start_is_known_when_it_has_ended(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [opens]})
    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as process:
        await until(lambda: process.worker.states() == {A: "open"}, clock)

    async def bought_by_hand(symbol):
        return Decimal(7)

    venue.get_position = bought_by_hand
    venue._news = asyncio.Queue()
    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as process:
        await clock.sleep(20)
        while_it_works = baseline(tmp_path)
        venue.tell(venue.set(KEY, "canceled"))
        await clock.sleep(60)

    assert while_it_works == 0
    assert baseline(tmp_path) == 7
