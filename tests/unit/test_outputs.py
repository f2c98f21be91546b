"""The hourly files and the execution log as one thing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from rig import rows as rig
from rig.execlog import LogLife, published, told, two_lines
from rig.virtual_clock import ManualClock

from config.settings import ExecLog
from store.errors import StoreError
from store.projector import Projector
from worker.outputs import Outputs, begin_log


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


async def begun(life: LogLife, kind: ExecLog) -> str | None:
    return await begin_log(
        kind, life.output / "executions", life.output, life.ledger, life.writer, ManualClock()
    )


async def test_lines_that_cannot_be_written_when_the_log_is_switched_off_come_when_they_can(
    tmp_path: Path,
) -> None:
    async with LogLife(tmp_path, ManualClock()) as life:
        await begun(life, ExecLog.JSONL)
        await life.orders(1)  # and then it is killed
    (tmp_path / "spool").touch()

    troubles = []
    for kind in (ExecLog.OFF, ExecLog.SQLITE):
        async with LogLife(tmp_path, ManualClock()) as life:
            troubles.append(await begun(life, kind))
    (tmp_path / "spool").unlink()
    async with LogLife(tmp_path, ManualClock()) as life:
        troubles.append(await begun(life, ExecLog.SQLITE))

    assert [trouble is None for trouble in troubles] == [False, False, True]
    assert told(tmp_path) == two_lines(1)


async def test_a_log_that_is_switched_on_again_before_its_last_lines_were_written_lacks_none(
    tmp_path: Path,
) -> None:
    async with LogLife(tmp_path, ManualClock()) as life:
        await begun(life, ExecLog.JSONL)
        await life.orders(1)  # and then it is killed
    (tmp_path / "spool").touch()
    async with LogLife(tmp_path, ManualClock()) as life:
        await begun(life, ExecLog.OFF)
    (tmp_path / "spool").unlink()
    async with LogLife(tmp_path, ManualClock()) as life:
        await begun(life, ExecLog.JSONL)
        await life.log.drain()

    assert told(tmp_path) == two_lines(1)


async def test_rows_that_a_kill_left_untold_are_told_also_when_the_log_is_of_another_kind_now(
    tmp_path: Path,
) -> None:
    async with LogLife(tmp_path, ManualClock()) as life:
        await begun(life, ExecLog.SQLITE)
        await life.orders(1)  # and then it is killed
    async with LogLife(tmp_path, ManualClock()) as life:
        await begun(life, ExecLog.JSONL)
        await life.orders(2)
        await life.log.drain()

    assert rig.rows(tmp_path / "executions", "event", "exec_events", "seq") == [("submit",), ("filled",)]
    assert told(tmp_path) == two_lines(2)
