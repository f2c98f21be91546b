"""What the daemon shows of its source and its tasks: in the metrics, in /status and to the watchdog."""

from __future__ import annotations

from pathlib import Path

from rig.process import Process
from rig.scripted_adapter import ScriptedAdapter
from rig.virtual_clock import in_virtual_time, virtual_clock

from worker.daemon import HOUSEKEEPING_S, WorkerProbe


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
