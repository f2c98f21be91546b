"""Orders that are accepted early and filled late: what the venue tells later ends in the row, once."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal
from pathlib import Path

import pytest
from rig.floor import signal
from rig.outputs import files, lines
from rig.process import Process
from rig.rows import rows
from rig.scripted_adapter import ScriptedAdapter, fills_half, loses_the_answer, opens
from rig.virtual_clock import in_virtual_time, until, virtual_clock

from adapters.contract import Accepted, Guard, NotYet, Order, OrderUpdate, SubmitResult

A, B = "BTCUSDT-0", "BTCUSDT-1"


def id_of(venue: ScriptedAdapter, signal_id: str) -> str:
    """The client order id of a signal's order."""
    return next(sent.client_order_id for sent in venue.sent if sent.signal_id == signal_id)


@in_virtual_time
async def test_an_order_that_is_filled_late_ends_filled_with_one_line(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [opens]})

    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0), signal(1)]}) as process:
        await until(lambda: process.worker.states() == {A: "open", B: "filled"}, clock)
        await clock.sleep(60)
        venue.tell(venue.set(id_of(venue, A), "filled", Decimal("100.00")))
        await until(lambda: process.worker.states()[A] == "filled", clock)

    assert rows(tmp_path, "status, qty, price, exec_ts_ms > 1700000060000")[0] == (
        "success",
        "100.00",
        "43210.10",
        1,
    )
    [name] = files(tmp_path)
    assert [line["signal_id"] for line in lines(tmp_path, name)] == [B, A]


@in_virtual_time
async def test_a_partly_filled_order_that_is_canceled_is_a_success_with_what_was_filled(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [fills_half], B: [opens]})

    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0), signal(1)]}) as process:
        await until(lambda: process.worker.states() == {A: "partial", B: "open"}, clock)
        venue.tell(venue.set(id_of(venue, A), "partial", Decimal("60.00")))
        venue.tell(venue.set(id_of(venue, A), "canceled", Decimal("60.00")))
        venue.tell(venue.set(id_of(venue, B), "expired"))
        await until(lambda: process.worker.states() == {A: "canceled", B: "expired"}, clock)

    assert rows(tmp_path, "status, qty") == [("success", "60.00"), ("failed", "100.00")]


@in_virtual_time
async def test_news_that_come_twice_or_too_late_change_nothing(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [opens]})

    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as process:
        await until(lambda: process.worker.states() == {A: "open"}, clock)
        client_order_id = id_of(venue, A)
        for state, filled in (
            ("filled", 100),
            ("filled", 100),
            ("partial", 40),
            ("open", 0),
            ("canceled", 0),
        ):
            venue.tell(OrderUpdate(client_order_id, state, Decimal(filled)))
        venue.tell(OrderUpdate("ew1-nobody-knows-this-one", "filled", Decimal(1)))
        await until(lambda: bool(process.named("update_unexplained")), clock)

    assert process.worker.states() == {A: "filled"}
    assert rows(tmp_path, "to_state, final", "events") == [("reserved", 0), ("open", 0), ("filled", 1)]
    assert sum(data.count(b"\n") for data in files(tmp_path).values()) == 1


class TellsBeforeItAnswers(ScriptedAdapter):
    """Its stream is faster than its answer: the fill is read while the acceptance is being recorded."""

    process: Process

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        """Accepted, and filled in the same instant."""
        gate = threading.Event()
        # The store's thread is busy, so that the question of the news stands before the lane's commit.
        busy = asyncio.get_running_loop().run_in_executor(self.process.worker.executor, gate.wait, 5)
        accepted = Accepted(self.accept(order, "open"))
        self.tell(self.set(order.client_order_id, "filled", order.qty))
        for _ in range(10):
            await asyncio.sleep(0)
        threading.Timer(0.1, gate.set).start()
        assert not busy.done()
        return accepted


@in_virtual_time
async def test_a_fill_that_is_told_while_the_acceptance_is_recorded_is_not_lost(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = TellsBeforeItAnswers(clock)

    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as venue.process:
        await clock.sleep(60)

    assert venue.process.worker.states() == {A: "filled"}


@in_virtual_time
async def test_partial_fills_that_arrive_out_of_order_never_lower_the_filled_quantity(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [opens]})

    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as process:
        await until(lambda: process.worker.states() == {A: "open"}, clock)
        for filled in (60, 40, 60):
            venue.tell(OrderUpdate(id_of(venue, A), "partial", Decimal(filled)))
        venue.tell(OrderUpdate(id_of(venue, A), "partial", Decimal(40)))
        await clock.sleep(10)

    assert rows(tmp_path, "qty") == [("60",)]
    assert rows(tmp_path, "count(*)", "events WHERE to_state = 'partial'", "1") == [(1,)]


@in_virtual_time
async def test_a_fill_by_the_stream_is_proof_enough_to_let_a_blocked_symbol_go_on(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(
        clock,
        answers={A: [loses_the_answer]},
        lookups={A: [lambda v, o: NotYet(v._clock.wall_ms() + 5_000, "the query fails")]},
    )

    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0), signal(1)]}) as process:
        await until(lambda: process.worker.states() == {A: "unknown"}, clock)
        venue.tell(venue.orders[id_of(venue, A)])
        await clock.sleep(30)
        states = process.worker.states()

    assert states == {A: "filled", B: "filled"}


@in_virtual_time
async def test_a_stop_ends_the_whole_worker_at_once_and_writes_the_last_lines(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, latency_s=2.0)

    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0), signal(1)]}) as process:
        await clock.sleep(1)

    assert clock.monotonic_s() - 1_000 == pytest.approx(2.0, abs=0.01)
    assert process.worker.states() == {A: "filled"}
    assert sum(data.count(b"\n") for data in files(tmp_path).values()) == 1


@in_virtual_time
async def test_a_venue_that_never_answers_holds_a_stop_for_six_seconds_and_no_longer(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, latency_s=10_000.0)

    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as process:
        await clock.sleep(1)

    assert clock.monotonic_s() - 1_000 == pytest.approx(7.0, abs=0.01)
    assert process.worker.states() == {A: "reserved"}
