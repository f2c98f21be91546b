"""What the daemon shows of its source and its tasks: in the metrics, in /status and to the watchdog."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from rig import rows as rig
from rig.floor import signal
from rig.process import Process
from rig.scripted_adapter import ScriptedAdapter
from rig.virtual_clock import in_virtual_time, virtual_clock

from store.following import READ_S_MAX
from worker.daemon import HOUSEKEEPING_S, PRUNE_S, SELDOM_S, SILENCE_S_MAX
from worker.probe import WorkerProbe


@in_virtual_time
async def test_rows_that_came_beyond_the_look_back_show_in_the_metrics_and_in_the_status(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    async with Process(tmp_path, clock, ScriptedAdapter(clock), {"BTCUSDT": []}) as process:
        process.daemon.source.counters.late_beyond_lookback = 3
        await clock.sleep(2 * HOUSEKEEPING_S)
        status = WorkerProbe(process.daemon).status()

    assert status["late_beyond_lookback"] == 3
    assert process.worker.metrics._late.total() == 3


def never(*_: Any) -> Any:
    """What a thread that hangs comes to."""
    return asyncio.Event().wait()


@in_virtual_time
async def test_outputs_that_hang_in_a_read_are_no_longer_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = virtual_clock()
    async with Process(tmp_path, clock, ScriptedAdapter(clock), {"BTCUSDT": []}) as process:
        await clock.sleep(10_000)
        idle = WorkerProbe(process.daemon).alive()
        with monkeypatch.context() as patch:
            patch.setattr(aiosqlite.Connection, "execute_fetchall", never)
            process.worker.feeds["BTCUSDT"].add(signal(0))
            await clock.sleep(READ_S_MAX + 2 * SILENCE_S_MAX)
            hung = WorkerProbe(process.daemon).alive()

    assert idle is None
    assert hung == "no sign of life from outputs"
    (told,) = process.named("whereabouts")
    assert "_in_silence" in told["tasks"]["projector"]
    assert "_connection_worker_thread" in str(told["threads"])


@in_virtual_time
async def test_outputs_that_wait_for_the_store_are_alive(tmp_path: Path) -> None:
    clock = virtual_clock()
    never_free: Callable[[], Any] = asyncio.Event().wait
    async with Process(tmp_path, clock, ScriptedAdapter(clock), {"BTCUSDT": []}) as process:
        await clock.sleep(10)
        waiting = asyncio.create_task(process.projector._in_silence(never_free()))
        await clock.sleep(10_000)
        alive = WorkerProbe(process.daemon).alive()
        waiting.cancel()

    assert alive is None


@in_virtual_time
async def test_positions_of_deleted_files_are_forgotten_by_the_running_daemon(tmp_path: Path) -> None:
    clock = virtual_clock()
    folder = tmp_path / "ready" / "signal" / "BTCUSDT"
    folder.mkdir(parents=True)
    (folder / "signals_20231114_2201.jsonl").write_text("")
    async with Process(tmp_path, clock, ScriptedAdapter(clock), {"BTCUSDT": []}) as process:
        await process.worker.writer.commit(rig.share(positions=[rig.position(3)]))
        await clock.sleep(PRUNE_S)
        before = process.worker.ledger.positions("BTCUSDT", "jsonl")
        await clock.sleep(3 * SELDOM_S)
        after = process.worker.ledger.positions("BTCUSDT", "jsonl")
        told = process.named("positions_forgotten")

    assert [position.name for position in before] == ["a.jsonl"]
    assert after == []
    assert [one["count"] for one in told] == [1]
