"""Recovery: a worker dies at every named point, again and again; the venue's journal is the judge."""

from __future__ import annotations

from pathlib import Path

import pytest
from rig.floor import UNLIMITED, Crash, Worker, crash_at, drain, signal
from rig.rows import rows
from rig.scripted_adapter import (
    ScriptedAdapter,
    fills,
    fills_half,
    is_not_sent,
    loses_the_answer,
    loses_the_order,
    opens,
    rejects,
)
from rig.virtual_clock import VirtualClock, in_virtual_time, until, virtual_clock

from adapters.contract import Found, NotYet
from config.seams import CRASH_POINTS, arm_crash_points
from config.settings import RateLimit, Staleness
from streams.signal import Record

LANE_POINTS = [name for name in CRASH_POINTS if "projection" not in name]
SYMBOLS = ("BTCUSDT", "ETHUSDT")
A, B, C = (f"BTCUSDT-{number}" for number in range(3))


def mixed_input() -> dict[str, list[Record]]:
    """Orders, skips and duplicates of two symbols."""
    numbers = [0, 1, 2, 2, 3, 4, 5, 0, 6, 7, 8, 9, 10, 11, 11, 12, 13]
    return {
        symbol: [signal(number, symbol, confirm=number % 5 != 4) for number in numbers] for symbol in SYMBOLS
    }


def mixed_answers() -> dict[str, list]:
    """Every kind of answer, at different places of the two symbols."""
    return {
        "BTCUSDT-1": [loses_the_answer],
        "BTCUSDT-3": [loses_the_order, fills],
        "BTCUSDT-5": [rejects],
        "BTCUSDT-6": [is_not_sent, is_not_sent, fills],
        "BTCUSDT-8": [opens],
        "ETHUSDT-0": [loses_the_order, loses_the_answer],
        "ETHUSDT-2": [fills_half],
        "ETHUSDT-12": [loses_the_answer],
    }


def judge(folder: Path, venue: ScriptedAdapter, inputs: dict[str, list[Record]]) -> None:
    """Nothing is sent twice without proof, nothing is lost, and the order is kept."""
    assert len(venue.placed) == len(set(venue.placed)), "an order was accepted twice"
    for symbol, records in inputs.items():
        wanted = list(dict.fromkeys(one.signal_id for one in records))
        orders = [one for one in wanted if int(one.split("-")[1]) % 5 != 4 and one != "BTCUSDT-5"]
        assert [one for one in venue.placed if one.startswith(symbol)] == orders
        where = f"executions WHERE symbol = '{symbol}'"
        assert [one for (one,) in rows(folder, "signal_id", where)] == wanted
    open_ids = {f"{u.client_order_id}" for u in venue.orders.values() if u.state in ("open", "partial")}
    states = rows(folder, "state, count(*)", "executions GROUP BY state")
    assert {state for state, _ in states} <= {"filled", "skipped", "rejected", "open", "partial"}
    assert dict(states).get("open", 0) + dict(states).get("partial", 0) == len(open_ids) == 2
    final = rows(folder, "execution_id, sum(final)", "events GROUP BY execution_id")
    assert {count for _, count in final} <= {0, 1}


async def survive(
    tmp_path: Path,
    clock: VirtualClock,
    venue: ScriptedAdapter,
    inputs: dict[str, list[Record]],
    crashes: list[tuple[str, int]],
) -> tuple[Path, int]:
    """Live through the crashes, one a life, and then to the end; the last folder, and how often it died."""
    died = 0
    for life in range(len(crashes) + 1):
        folder = tmp_path / f"life{died}"
        if life < len(crashes):
            crash_at(*crashes[life], folder, tmp_path / f"life{died + 1}", venue)
        try:
            async with Worker(folder, clock, venue, inputs) as worker:
                await worker.drained()
        except Crash:
            died += 1
        finally:
            arm_crash_points(None)
            venue.cut = False
    return folder, died


@pytest.mark.parametrize("batch_max", [1, 7])
@pytest.mark.parametrize("point", LANE_POINTS)
@in_virtual_time
async def test_dying_again_and_again_at_a_named_point_doubles_nothing_and_loses_nothing(
    tmp_path: Path, point: str, batch_max: int
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers=mixed_answers(), batch_max=batch_max)
    inputs = mixed_input()

    folder, died = await survive(
        tmp_path, clock, venue, inputs, [(point, passage) for passage in (1, 2, 3, 1, 4, 2, 6)]
    )

    assert died >= 2
    judge(folder, venue, inputs)


@pytest.mark.parametrize("seed", range(12))
@in_virtual_time
async def test_dying_at_any_sequence_of_points_doubles_nothing_and_loses_nothing(
    tmp_path: Path, seed: int
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(
        clock, answers=mixed_answers(), batch_max=(1, 3)[seed % 2], latency_s=(0.0, 0.01)[seed % 3 == 0]
    )
    inputs = mixed_input()
    crashes = [
        (LANE_POINTS[(seed * 7 + life * 5 + seed * life) % len(LANE_POINTS)], 1 + (seed + 3 * life) % 5)
        for life in range(9)
    ]

    folder, died = await survive(tmp_path, clock, venue, inputs, crashes)

    assert died >= 1
    judge(folder, venue, inputs)


async def leave_in_flight(
    tmp_path: Path, clock: VirtualClock, venue: ScriptedAdapter, point: str, *records: Record
) -> Path:
    """A store as a worker leaves it that died at `point` with its first order."""
    crash_at(point, 1, tmp_path / "dead", tmp_path / "left", venue)
    with pytest.raises(Crash):
        await drain(tmp_path / "dead", clock, venue, *records)
    arm_crash_points(None)
    venue.cut = False
    return tmp_path / "left"


@pytest.mark.parametrize(("point", "sends"), [("before_submit", 1), ("after_submit", 1)])
@in_virtual_time
async def test_an_order_that_was_perhaps_sent_is_asked_about_and_sent_only_after_a_proof(
    tmp_path: Path, point: str, sends: int
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    folder = await leave_in_flight(tmp_path, clock, venue, point, signal(0), signal(1))
    assert rows(folder, "signal_id, state") == [(A, "reserved")]

    worker = await drain(folder, clock, venue, signal(0), signal(1))

    assert [one for _, one in venue.asked] == [A]
    assert [sent.signal_id for sent in venue.sent].count(A) == sends
    assert venue.placed == [A, B]
    assert worker.states() == {A: "filled", B: "filled"}


@in_virtual_time
async def test_what_was_in_flight_is_recorded_as_unknown_before_anybody_is_asked(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    folder = await leave_in_flight(tmp_path, clock, venue, "after_submit", signal(0))
    seen: list[object] = []

    def look(adapter: ScriptedAdapter, order: object) -> Found:
        seen.append(rows(folder, "signal_id, state"))
        return Found(next(iter(adapter.orders.values())))

    venue._lookups[A] = [look]

    await drain(folder, clock, venue, signal(0))

    assert seen == [[(A, "unknown")]]


@in_virtual_time
async def test_nothing_new_of_a_symbol_is_sent_or_read_while_its_past_is_open_and_others_go_on(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, lookups={A: [lambda v, o: NotYet(v._clock.wall_ms() + 1_000, "not yet")]})
    folder = await leave_in_flight(tmp_path, clock, venue, "before_submit", signal(0), signal(1))
    inputs = {"BTCUSDT": [signal(0), signal(1)], "ETHUSDT": [signal(n, "ETHUSDT") for n in range(3)]}

    async with Worker(folder, clock, venue, inputs) as worker:
        await clock.sleep(60)
        states = worker.states()
        recovered = {symbol: lane.recovered.is_set() for symbol, lane in worker.lanes.items()}
        blocked_by = worker.lanes["BTCUSDT"].blocked_by
        await worker.stop()

    assert states == {A: "unknown", **{f"ETHUSDT-{n}": "filled" for n in range(3)}}
    assert recovered == {"BTCUSDT": False, "ETHUSDT": True}
    assert blocked_by == "recovery at start"
    assert A not in venue.placed


@in_virtual_time
async def test_an_order_that_is_proven_absent_but_too_old_is_skipped_and_not_sent(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    folder = await leave_in_flight(tmp_path, clock, venue, "before_submit", signal(0))
    await clock.sleep(61)
    execution = UNLIMITED.model_copy(update={"staleness": Staleness(max_age_ms=60_000)})

    worker = await drain(folder, clock, venue, signal(0), execution=execution)

    assert venue.sent == []
    assert (worker.states(), worker.codes()) == ({A: "skipped"}, {A: "expired"})
    assert rows(folder, "side, order_id, status") == [("skip", None, "skip")]


@in_virtual_time
async def test_a_halt_holds_back_what_recovery_would_send_again(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    folder = await leave_in_flight(tmp_path, clock, venue, "before_submit", signal(0))
    (folder / "HALT").touch()

    worker = await drain(folder, clock, venue, signal(0), signal(1))

    assert venue.sent == []
    assert worker.codes() == {A: "halted", B: "halted"}


@in_virtual_time
async def test_an_order_that_was_found_with_other_terms_stays_quarantined_over_restarts(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(
        clock, lookups={A: [lambda v, o: Found(next(iter(v.orders.values())), same_terms=False)]}
    )
    folder = await leave_in_flight(tmp_path, clock, venue, "after_submit", signal(0))

    for _ in range(2):
        async with Worker(folder, clock, venue, {"BTCUSDT": [signal(0), signal(1)]}) as worker:
            await until(lambda: worker.states() == {A: "quarantined"}, clock)
            await clock.sleep(60)
            assert not worker.lanes["BTCUSDT"].recovered.is_set()
            await worker.stop()

    assert venue.placed == [A]


@in_virtual_time
async def test_orders_that_work_at_the_venue_are_left_alone_at_a_restart(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [opens], B: [fills_half]})
    await drain(tmp_path, clock, venue, signal(0), signal(1))

    worker = await drain(tmp_path, clock, venue, signal(0), signal(1), signal(2))

    assert venue.asked == []
    assert worker.states() == {A: "open", B: "partial", C: "filled"}


@in_virtual_time
async def test_recovery_of_a_whole_batch_keeps_the_order_of_its_rows(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, batch_max=50)
    signals = [signal(number) for number in range(20)]
    folder = await leave_in_flight(tmp_path, clock, venue, "before_submit", *signals)
    assert len(rows(folder, "id", "executions WHERE state = 'reserved'")) == 20

    worker = await drain(folder, clock, venue, *signals)

    assert venue.placed == [f"BTCUSDT-{number}" for number in range(20)]
    assert set(worker.states().values()) == {"filled"}
    assert {"lane_recovered"} <= {event["event"] for event in worker.events()}


@in_virtual_time
async def test_orders_that_are_refused_during_recovery_earn_no_permits(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, batch_max=50)
    folder = await leave_in_flight(tmp_path, clock, venue, "before_submit", *map(signal, range(5)))
    (folder / "HALT").touch()
    slow = UNLIMITED.model_copy(update={"rate_limit": RateLimit(max_qps=1, max_concurrency=1)})

    async with Worker(
        folder, clock, venue, {"BTCUSDT": [*map(signal, range(5))]}, execution=slow, once=False
    ) as worker:
        await until(lambda: "reserved" not in worker.states().values(), clock, within_s=1)
        (folder / "HALT").unlink()
        worker.feeds["BTCUSDT"].add(signal(9))
        await until(lambda: len(venue.sent) == 1, clock)
        await worker.stop()

    assert venue.sent[0].at_s - 1_000 >= 1.0 - 1e-6


@in_virtual_time
async def test_stopping_during_recovery_sends_nothing(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, lookups={A: [lambda v, o: NotYet(v._clock.wall_ms() + 60_000, "not yet")]})
    folder = await leave_in_flight(tmp_path, clock, venue, "before_submit", signal(0), signal(1))

    async with Worker(folder, clock, venue, {"BTCUSDT": [signal(0), signal(1)]}, once=False) as worker:
        await clock.sleep(10)
        await worker.stop()

    assert venue.sent == []
    assert worker.states() == {A: "unknown"}
    assert clock.monotonic_s() == pytest.approx(1_010, abs=0.1)
