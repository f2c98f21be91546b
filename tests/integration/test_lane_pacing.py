"""How fast lanes may send: exact to the order over minutes, fair, and never more at once than configured."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from rig.floor import UNLIMITED, Worker, drain, signal
from rig.rows import rows
from rig.scripted_adapter import ScriptedAdapter, fills, loses_the_order
from rig.virtual_clock import in_virtual_time, until, virtual_clock

from adapters.contract import NotYet, Order, SubmitResult
from config.settings import Execution, RateLimit

START_S = 1_000.0


def limited(max_qps: float | None, max_concurrency: int = 64) -> Execution:
    """Settings with these limits."""
    limit = RateLimit(max_qps=max_qps, max_concurrency=max_concurrency)
    return UNLIMITED.model_copy(update={"rate_limit": limit})


def burst_max(times_s: list[float], span_s: float) -> int:
    """The most sends within any half-open window of `span_s`."""
    return max(sum(1 for other in times_s if at_s <= other < at_s + span_s) for at_s in times_s)


@pytest.mark.parametrize("lanes", [1, 5])
@in_virtual_time
async def test_over_two_minutes_exactly_the_configured_number_of_orders_leaves(
    tmp_path: Path, lanes: int
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    inputs = {f"S{lane}USDT": [signal(n, f"S{lane}USDT") for n in range(1_000)] for lane in range(lanes)}

    async with Worker(tmp_path, clock, venue, inputs, execution=limited(2)):
        await clock.sleep(120.0005)

    times_s = [sent.at_s - START_S for sent in venue.sent if sent.at_s <= START_S + 120.0005]
    assert len(times_s) == 240
    assert times_s[0] == pytest.approx(0.5, abs=1e-4)
    assert burst_max(times_s, 0.9999) <= 2
    by_lane = [sum(sent.symbol == symbol for sent in venue.sent) for symbol in inputs]
    assert max(by_lane) - min(by_lane) <= 1


@in_virtual_time
async def test_after_a_quiet_hour_no_more_than_one_second_of_orders_leaves_at_once(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)

    async with Worker(tmp_path, clock, venue, {"BTCUSDT": []}, execution=limited(10), once=False) as worker:
        await clock.sleep(3_600)
        worker.feeds["BTCUSDT"].add(*(signal(number) for number in range(40)))
        await until(lambda: len(venue.sent) == 40, clock)
        await worker.stop()

    times_s = [sent.at_s for sent in venue.sent]
    assert burst_max(times_s, 1e-6) == 10
    assert times_s[-1] - times_s[0] == pytest.approx(3.0)


@in_virtual_time
async def test_signals_that_are_known_already_cost_no_permit(tmp_path: Path) -> None:
    clock = virtual_clock()
    signals = [signal(number) for number in range(50)]
    before = ScriptedAdapter(clock)
    await drain(tmp_path, clock, before, *signals)
    again = [signal(number, run_id="copy") for number in range(50)]
    began_s = clock.monotonic_s()
    venue = ScriptedAdapter(clock)
    # The same account, so that its position is what the rows add up to.
    venue.orders, venue.terms = before.orders, before.terms

    # The store has read 50 records, so the copy stands behind them.
    await drain(tmp_path, clock, venue, *signals, *again, signal(100), execution=limited(1))

    assert [sent.signal_id for sent in venue.sent] == ["BTCUSDT-100"]
    assert clock.monotonic_s() - began_s == pytest.approx(1.0)
    assert len(rows(tmp_path, "id")) == 51


@in_virtual_time
async def test_skips_cost_no_permit_and_wait_for_none(tmp_path: Path) -> None:
    clock = virtual_clock()
    signals = [signal(number, confirm=False) for number in range(500)]

    await drain(tmp_path, clock, ScriptedAdapter(clock), *signals, execution=limited(1))

    assert clock.monotonic_s() == pytest.approx(START_S)
    assert len(rows(tmp_path, "id")) == 500


@in_virtual_time
async def test_an_order_that_is_halted_between_reservation_and_send_gives_its_permit_back(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    venue.holds["BTCUSDT-0"] = asyncio.Event()
    inputs = {"BTCUSDT": [signal(0)], "ETHUSDT": [signal(0, "ETHUSDT")]}

    async with Worker(tmp_path, clock, venue, inputs, execution=limited(1, 1), once=False) as worker:
        # One order is in flight in the only slot, the other one is reserved and waits for it.
        await until(lambda: len(worker.states()) == 2, clock)
        await clock.sleep(0.5)
        (tmp_path / "HALT").touch()
        venue.holds["BTCUSDT-0"].set()
        await clock.sleep(0.01)
        codes_in_halt = worker.codes()
        (tmp_path / "HALT").unlink()
        worker.feeds["ETHUSDT"].add(signal(9, "ETHUSDT"))
        await until(lambda: len(venue.sent) == 2, clock)
        await worker.stop()

    assert codes_in_halt == {"BTCUSDT-0": None, "ETHUSDT-0": "halted"}
    assert worker.states() == {"BTCUSDT-0": "filled", "ETHUSDT-0": "skipped", "ETHUSDT-9": "filled"}
    # Two permits were earned by 2.0 s; the one that came back was there at once, not at 3.0 s.
    assert venue.sent[1].at_s - START_S == pytest.approx(2.51, abs=0.01)


@pytest.mark.parametrize("concurrency", [1, 3])
@in_virtual_time
async def test_never_more_requests_are_in_flight_than_configured(tmp_path: Path, concurrency: int) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, latency_s=0.25)
    signals = [signal(n, f"S{lane}USDT") for lane in range(6) for n in range(5)]

    await drain(tmp_path, clock, venue, *signals, execution=limited(None, concurrency))

    assert venue.in_flight_max == concurrency
    assert len(venue.placed) == 30
    assert clock.monotonic_s() - START_S == pytest.approx(30 * 0.25 / concurrency)


@in_virtual_time
async def test_a_symbol_whose_order_is_unknown_holds_no_slot(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(
        clock,
        answers={"BTCUSDT-0": [loses_the_order]},
        lookups={"BTCUSDT-0": [lambda v, o: NotYet(2**42, "later")]},
    )
    inputs = {"BTCUSDT": [signal(0)], "ETHUSDT": [signal(n, "ETHUSDT") for n in range(20)]}

    async with Worker(tmp_path, clock, venue, inputs, execution=limited(None, 1)) as worker:
        await worker.tasks["ETHUSDT"]
        states = worker.states()

    assert states.pop("BTCUSDT-0") == "unknown"
    assert set(states.values()) == {"filled"}
    assert len(states) == 20


@in_virtual_time
async def test_an_order_that_is_sent_again_costs_a_permit_of_its_own(tmp_path: Path) -> None:
    clock = virtual_clock()
    answers = {f"S{lane}USDT-0": [loses_the_order, fills] for lane in range(10)}
    venue = ScriptedAdapter(clock, answers=answers)
    signals = [signal(0, f"S{lane}USDT") for lane in range(10)]

    await drain(tmp_path, clock, venue, *signals, execution=limited(1))

    times_s = [sent.at_s - START_S for sent in venue.sent]
    assert len(times_s) == 20
    assert times_s[-1] >= 20.0 - 1e-6


@pytest.mark.parametrize("batch_max", [1, 7])
@in_virtual_time
async def test_a_lane_reserves_as_many_orders_at_once_as_the_adapter_allows(
    tmp_path: Path, batch_max: int
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, batch_max=batch_max)
    reserved_at_send: list[int] = []

    def count(adapter: ScriptedAdapter, order: Order) -> SubmitResult:
        waiting = rows(tmp_path, "count(*)", "executions WHERE state = 'reserved'", "1")
        reserved_at_send.append(waiting[0][0])
        return fills(adapter, order)

    venue._answers = {f"BTCUSDT-{number}": [count] for number in range(21)}

    worker = await drain(tmp_path, clock, venue, *(signal(number) for number in range(21)))

    # What was answered is settled with the next reservation, so it still shows as reserved until then.
    assert max(reserved_at_send) == batch_max
    assert set(worker.states().values()) == {"filled"}
    # One commit reserves and settles what came before; one more settles the last. Where a wire is touched
    # the position that the account began with is kept as well.
    baselines = 1 if batch_max == 1 else 0
    assert worker.writer.commits == 21 // batch_max + 1 + baselines


@in_virtual_time
async def test_rows_and_sends_of_a_symbol_keep_the_order_of_the_source(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(
        clock,
        latency_s=0.01,
        answers={"BTCUSDT-3": [loses_the_order, loses_the_order, fills], "BTCUSDT-40": [loses_the_order]},
    )
    numbers = [5, 3, 40, 1, 9, 9, 2, 40, 7]
    signals = [signal(n, symbol) for n in numbers for symbol in ("BTCUSDT", "ETHUSDT")]

    await drain(tmp_path, clock, venue, *signals, execution=limited(50, 4))

    once = list(dict.fromkeys(numbers))
    for symbol in ("BTCUSDT", "ETHUSDT"):
        wanted = [f"{symbol}-{number}" for number in once]
        sent = list(dict.fromkeys(one.signal_id for one in venue.sent if one.symbol == symbol))
        stored = [
            one for (one,) in rows(tmp_path, "signal_id", f"executions WHERE symbol = '{symbol}'", "id")
        ]
        assert sent == wanted
        assert stored == wanted
