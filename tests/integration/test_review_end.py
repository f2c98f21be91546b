"""However a worker ends: what is open is closed, and nothing keeps the process from ending."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from rig.floor import signal
from rig.process import Process
from rig.scripted_adapter import ScriptedAdapter
from rig.virtual_clock import in_virtual_time, virtual_clock


@in_virtual_time
async def test_a_venue_that_cannot_be_closed_leaves_no_source_open(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    closed: list[str] = []

    async def breaks():
        closed.append("venue")
        raise RuntimeError("a bug in the venue's own task")

    venue.close = breaks

    async def close():
        closed.append("source")

    process = Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]})
    process.daemon.source.close = close
    async with process:
        await clock.sleep(1)
        process.daemon.stop()
        await asyncio.wait({process.task})
        with pytest.raises(RuntimeError):
            await process.task
        process.task = asyncio.create_task(clock.sleep(0))

    assert closed == ["venue", "source"]


@in_virtual_time
async def test_a_source_that_cannot_begin_leaves_no_venue_open(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    closed: list[str] = []

    async def close():
        closed.append("venue")

    async def breaks():
        raise OSError(28, "no watches left")

    venue.close = close
    process = Process(tmp_path, clock, venue, {"BTCUSDT": []})
    process.daemon.source.start = breaks
    with pytest.raises(OSError, match="no watches"):
        async with process:
            await asyncio.wait({process.task})

    assert closed == ["venue"]
