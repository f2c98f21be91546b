"""Halts hold: beside resumes, ends and each other, on a slow disk, and for orders that were on their way."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rig.floor import Worker, signal
from rig.process import Process
from rig.rows import rows
from rig.scripted_adapter import ScriptedAdapter, opens
from rig.virtual_clock import in_virtual_time, until, virtual_clock

from store.errors import StoreWriteError
from store.halt_file import HALT_FILE, write_halt
from store.records import Halt

A, B = "BTCUSDT-0", "BTCUSDT-1"


@in_virtual_time
async def test_the_end_of_a_timed_halt_of_everything_leaves_the_halt_of_a_symbol_alone(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    async with Process(tmp_path, clock, venue, {"BTCUSDT": []}) as process:
        halts = process.worker.floor.halts
        await halts.halt(Halt("BTCUSDT", "a late fill", "worker", clock.wall_ms(), new_only=True))
        await halts.halt(Halt("", "a break", "ana", clock.wall_ms(), until_ms=clock.wall_ms() + 5_000))
        await clock.sleep(10)
        process.worker.feeds["BTCUSDT"].add(signal(0, ts_ms=clock.wall_ms()))
        await until(lambda: A in process.worker.states(), clock)
        codes = process.worker.codes()

    assert codes == {A: "halted"}
    assert rows(tmp_path, "scope", "halts") == [("BTCUSDT",)]


@in_virtual_time
async def test_a_halt_that_comes_while_a_resume_is_written_holds(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    async with Worker(tmp_path, clock, venue, {"BTCUSDT": []}, once=False) as worker:
        halts = worker.floor.halts
        await halts.halt(Halt("BTCUSDT", "a person", "ana", clock.wall_ms(), new_only=True))
        resume = asyncio.create_task(halts.resume("BTCUSDT", who="ana", why="looked at it"))
        await asyncio.sleep(0)
        await halts.halt(Halt("BTCUSDT", "a late fill", "worker", clock.wall_ms(), new_only=True))
        await resume
        in_memory = halts.why("BTCUSDT")

    assert in_memory is not None
    assert rows(tmp_path, "why", "halts") == [("a late fill",)]


@in_virtual_time
async def test_a_file_that_comes_while_a_resume_is_written_holds(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    async with Worker(tmp_path, clock, venue, {"BTCUSDT": []}, once=False) as worker:
        halts = worker.floor.halts
        await halts.halt(Halt("", "a break", "ana", clock.wall_ms()))
        resume = asyncio.create_task(halts.resume("", who="worker", why="its time was over"))
        await asyncio.sleep(0)
        (tmp_path / HALT_FILE).touch()
        await resume
        held = halts.why("BTCUSDT")

    assert held is not None
    assert (tmp_path / HALT_FILE).exists()


@in_virtual_time
async def test_what_came_during_a_timed_halt_is_not_sent_in_the_moment_after_its_end(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    inputs = {"BTCUSDT": []}
    async with Worker(tmp_path, clock, venue, inputs, once=False) as worker:
        await worker.floor.halts.halt(
            Halt("", "a break", "ana", clock.wall_ms(), until_ms=clock.wall_ms() + 5_000)
        )
        unread = signal(0, ts_ms=clock.wall_ms() + 1_000)
        # Nobody has noticed the end yet: whoever looks for it is busy with the venue.
        await clock.sleep(5.01)
        worker.feeds["BTCUSDT"].add(unread, signal(1, ts_ms=clock.wall_ms()))
        await until(lambda: len(worker.states()) == 2, clock)
        await clock.sleep(1)
        await worker.stop()

    assert worker.codes() == {A: "halted", B: None}
    assert venue.placed == [B]


@in_virtual_time
async def test_a_resume_fires_no_backlog_where_the_clock_of_the_host_is_behind(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    venue.clock_offset_ms = 8_000
    inputs = {"BTCUSDT": []}
    async with Worker(tmp_path, clock, venue, inputs, once=False) as worker:
        await worker.floor.halts.halt(Halt("BTCUSDT", "a person", "ana", clock.wall_ms()))
        # Dated by the true time, which is the venue's.
        unread = signal(0, ts_ms=clock.wall_ms() + 8_000)
        await clock.sleep(1)
        await worker.floor.halts.resume("BTCUSDT", who="ana", why="looked at it")
        worker.feeds["BTCUSDT"].add(unread)
        await until(lambda: len(worker.states()) == 1, clock)
        await clock.sleep(1)
        await worker.stop()

    assert worker.codes() == {A: "halted"}


@in_virtual_time
async def test_a_full_halt_cancels_the_order_that_was_on_its_way_when_it_came(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [opens]})
    venue.latency_s = 3.0
    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as process:
        await until(lambda: venue.in_flight == 1, clock)
        await process.worker.floor.halts.halt(Halt("", "odd fills", "ana", clock.wall_ms()))
        await clock.sleep(20)

    assert [update.state for update in venue.orders.values()] == ["canceled"]


@in_virtual_time
async def test_a_second_full_halt_of_a_symbol_cancels_again_while_another_symbol_stays_halted(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [opens]})
    inputs: dict[str, list] = {"BTCUSDT": [], "ETHUSDT": []}
    async with Process(tmp_path, clock, venue, inputs) as process:
        halts = process.worker.floor.halts
        await halts.halt(Halt("ETHUSDT", "odd fills", "ana", clock.wall_ms()))
        await halts.halt(Halt("BTCUSDT", "odd fills", "ana", clock.wall_ms()))
        await clock.sleep(5)
        await halts.resume("BTCUSDT", who="ana", why="explained")
        process.worker.feeds["BTCUSDT"].add(signal(0, ts_ms=clock.wall_ms() + 1))
        await until(lambda: process.worker.states().get(A) == "open", clock)
        await halts.halt(Halt("BTCUSDT", "odd again", "ana", clock.wall_ms()))
        await clock.sleep(10)

    assert [update.state for update in venue.orders.values()] == ["canceled"]


@in_virtual_time
async def test_a_halt_file_that_cannot_be_removed_neither_stops_the_worker_nor_fills_the_trail(
    tmp_path: Path, monkeypatch
) -> None:
    import worker.halts

    def refuses(folder):
        raise PermissionError(13, "Permission denied", str(folder / HALT_FILE))

    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    monkeypatch.setattr(worker.halts, "remove_halt", refuses)
    async with Process(tmp_path, clock, venue, {"BTCUSDT": []}) as process:
        write_halt(tmp_path, Halt("", "a break", "ana", clock.wall_ms(), until_ms=clock.wall_ms() + 5_000))
        await clock.sleep(120)
        alive = not process.task.done()

    assert alive
    assert len(rows(tmp_path, "action", "audit")) < 10


@in_virtual_time
async def test_a_venue_that_does_not_answer_while_orders_are_canceled_is_no_sign_of_death(
    tmp_path: Path,
) -> None:
    from adapters.contract import NotYet

    clock = virtual_clock()
    venue = ScriptedAdapter(clock)

    async def silent(symbol):
        await clock.sleep(10)
        return NotYet(clock.wall_ms(), "timed out")

    venue.open_orders = silent
    inputs: dict[str, list] = {f"S{number}USDT": [] for number in range(20)}
    async with Process(tmp_path, clock, venue, inputs) as process:
        await process.worker.floor.halts.halt(Halt("", "odd fills", "ana", clock.wall_ms()))
        late: set[str] = set()
        for _ in range(300):
            await clock.sleep(1)
            late.update(process.worker.pulses.late(30))

    assert late == set()


@in_virtual_time
async def test_lanes_that_wait_for_a_slot_behind_a_slow_venue_show_life(tmp_path: Path) -> None:
    from config.settings import Execution, RateLimit

    clock = virtual_clock()
    venue = ScriptedAdapter(clock, latency_s=10)
    one = Execution(rate_limit=RateLimit(max_qps=None, max_concurrency=1))
    symbols = [f"S{number}USDT" for number in range(10)]
    inputs: dict[str, list] = {symbol: [signal(0, symbol)] for symbol in symbols}
    async with Process(tmp_path, clock, venue, inputs, execution=one) as process:
        late: set[str] = set()
        for _ in range(150):
            await clock.sleep(1)
            late.update(process.worker.pulses.late(30))

    assert late == set()
    assert len(venue.placed) == 10


@in_virtual_time
async def test_the_end_of_a_timed_halt_leaves_a_file_without_an_end_alone(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    async with Worker(tmp_path, clock, venue, {"BTCUSDT": []}, once=False) as worker:
        halts = worker.floor.halts
        await halts.halt(Halt("", "a break", "ana", clock.wall_ms(), until_ms=clock.wall_ms() + 1_000))
        await clock.sleep(2)
        over = halts.over()
        (tmp_path / HALT_FILE).touch()
        for halt in over:
            await halts.end(halt)
        held = halts.why("BTCUSDT")

    assert over
    assert held is not None
    assert (tmp_path / HALT_FILE).exists()


@in_virtual_time
async def test_a_halt_on_a_full_disk_holds_at_once_and_the_worker_waits_alive(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    async with Process(tmp_path, clock, venue, {"BTCUSDT": []}) as process:
        worker = process.worker
        await clock.sleep(1)
        commit, full = worker.ledger.commit, True

        def refuses(shares):
            if full:
                raise StoreWriteError("the disk is full")
            return commit(shares)

        worker.ledger.commit = refuses
        (tmp_path / HALT_FILE).touch()
        await clock.sleep(1)
        worker.feeds["BTCUSDT"].add(signal(0, ts_ms=clock.wall_ms()))
        late: set[str] = set()
        for _ in range(120):
            await clock.sleep(1)
            late.update(worker.pulses.late(30))
        (tmp_path / HALT_FILE).unlink()
        full = False
        await until(lambda: A in worker.states(), clock)
        codes = worker.codes()

    assert late == set()
    assert codes == {A: "halted"}
    assert rows(tmp_path, "scope", "halts") == [("",)]
