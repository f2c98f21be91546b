"""The hourly files and the execution log as one thing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from rig import rows as rig
from rig.execlog import LogLife, published
from rig.virtual_clock import ManualClock

from store.errors import StoreError
from store.projector import Projector
from worker.outputs import Outputs


def outputs_of(life: LogLife) -> Outputs:
    """Both projectors on one store."""
    projector = Projector(life.output / "executions", life.writer, ManualClock(), with_skipped=False)
    return Outputs(projector, life.log)


async def test_one_end_writes_all_of_them_out(tmp_path: Path) -> None:
    async with LogLife(tmp_path, ManualClock()) as life:
        await life.orders(1)
        await outputs_of(life).drain()

    assert len(published(tmp_path)) == 1
    assert (tmp_path / "executions" / "BTCUSDT" / "exec_20231114_22.jsonl").is_file()


async def test_what_ends_one_of_them_ends_the_run_as_it_is(tmp_path: Path) -> None:
    async with LogLife(tmp_path, ManualClock()) as life:
        await life.orders(1)
        life.writer._dead = StoreError("the store was taken over")

        with pytest.raises(StoreError, match="taken over"):
            await asyncio.wait_for(outputs_of(life).run(), 10)


async def test_trouble_of_either_is_told(tmp_path: Path) -> None:
    async with LogLife(tmp_path, ManualClock()) as life:
        outputs = outputs_of(life)
        before = outputs.trouble
        life.log.trouble = "no room"

        assert (before, outputs.trouble) == (None, "no room")
        assert rig.rows(tmp_path / "executions", "count(*)", "events") == [(0,)]
