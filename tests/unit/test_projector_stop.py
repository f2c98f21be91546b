"""A stop while the last lines cannot be written: it ends in time, and the next start writes them."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from rig.outputs import Outputs, files, ids

from config.seams import SystemClock, arm_crash_points
from store.paths import DATABASE
from store.records import Share


async def test_a_locked_store_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    async with Outputs(tmp_path, SystemClock()) as outputs:
        await outputs.skips(1)
        with closing(sqlite3.connect(tmp_path / DATABASE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await asyncio.wait_for(outputs.projector.drain(0.2), 5)
        told = outputs.projector.trouble
        await outputs.writer.commit(Share(symbol=""))
    async with Outputs(tmp_path, SystemClock()) as outputs:
        await outputs.drain()

    assert told == f"outputs in {tmp_path} are behind the store: the next start writes them"
    assert ids(tmp_path) == ["id-1"]


async def test_the_last_pass_waits_for_the_thread_of_the_one_that_was_cancelled(tmp_path: Path) -> None:
    inside, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    written: list[int] = []

    def hold(name: str) -> None:
        if name == "after_projection_write":
            written.append(sum(map(len, files(tmp_path).values())))
            loop.call_soon_threadsafe(inside.set)
            assert go_on.wait(10)

    async with Outputs(tmp_path, SystemClock()) as outputs:
        await outputs.skips(1)
        arm_crash_points(hold)
        try:
            first = asyncio.create_task(outputs.drain())
            await inside.wait()
            first.cancel()
            await asyncio.wait({first})
            last = asyncio.create_task(outputs.drain())
            await asyncio.wait({last}, timeout=0.2)
            passages = len(written)
            go_on.set()
            await last
        finally:
            go_on.set()
            arm_crash_points(None)

    assert passages == 1
    assert ids(tmp_path) == ["id-1"]


async def test_a_stop_in_the_middle_of_the_repairs_leaves_none_of_them_undone(tmp_path: Path) -> None:
    async with Outputs(tmp_path, SystemClock()) as outputs:
        await outputs.skips(1)
        await outputs.drain()
    whole = files(tmp_path)
    for path in whole:
        os.truncate(tmp_path / path, 10)

    async with Outputs(tmp_path, SystemClock()) as outputs:
        first = asyncio.create_task(outputs.projector.run())
        while not outputs.projector._cursors:  # noqa: ASYNC110  # the very moment is meant
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait({first})
        await outputs.projector.drain()

    assert files(tmp_path) == whole
