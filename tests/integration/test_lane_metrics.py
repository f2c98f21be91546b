"""What the lanes count: waits for a permit or a slot, and only outcomes that the store took."""

from __future__ import annotations

from pathlib import Path

from rig.floor import UNLIMITED, Worker, drain, signal
from rig.scripted_adapter import ScriptedAdapter, fills, is_not_sent
from rig.virtual_clock import in_virtual_time, virtual_clock

from config.settings import RateLimit
from store.lifecycle import State
from store.records import Move, Receipt, Share


@in_virtual_time
async def test_each_wait_for_a_permit_or_a_slot_is_counted(tmp_path: Path) -> None:
    clock = virtual_clock()
    slow = ScriptedAdapter(clock, latency_s=5.0)
    inputs = {symbol: [signal(n, symbol) for n in range(2)] for symbol in ("AUSDT", "BUSDT")}
    limits = UNLIMITED.model_copy(update={"rate_limit": RateLimit(max_qps=1, max_concurrency=1)})

    async with Worker(tmp_path, clock, slow, inputs, execution=limits) as worker:
        await worker.drained()

    throttled = worker.metrics._throttled.values
    assert throttled["rate",] >= 2
    assert throttled["concurrency",] >= 1


@in_virtual_time
async def test_each_retry_of_what_was_not_sent_is_counted(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={"BTCUSDT-0": [is_not_sent] * 3 + [fills]})

    async with Worker(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as worker:
        await worker.drained()

    assert worker.metrics.totals()["retry_count"] == 3


@in_virtual_time
async def test_a_move_that_the_store_refused_is_no_outcome(tmp_path: Path) -> None:
    clock = virtual_clock()
    async with Worker(tmp_path, clock, ScriptedAdapter(clock), {"BTCUSDT": []}) as worker:
        move = Move(row_id=1, before=State.RESERVED, after=State.FILLED, has_fills=True)

        worker.floor.report.committed(
            Share(symbol="BTCUSDT", moves=[move]), Receipt(row_ids=[], refused=[(move, "not there")])
        )

    assert worker.metrics.totals()["success_count"] == 0


@in_virtual_time
async def test_what_a_cooldown_or_a_halt_denied_is_counted_and_each_skip_is_told(tmp_path: Path) -> None:
    clock = virtual_clock()
    first = await drain(
        tmp_path,
        clock,
        ScriptedAdapter(clock),
        signal(0),
        signal(1, cooldown_ms=60_000),
        signal(2, score=0.1),
    )
    (tmp_path / "HALT").write_text("")
    second = await drain(tmp_path, clock, ScriptedAdapter(clock), *map(signal, range(5)))

    told = [one for one in first.events() if one["event"] == "signal_skipped"]
    assert [(one["signal_id"], one["code"]) for one in told] == [
        ("BTCUSDT-1", "cooldown"),
        ("BTCUSDT-2", "below_threshold"),
    ]
    assert first.metrics._pre_denied.values["cooldown",] == 1
    assert second.metrics._pre_denied.values["halted",] == 2
