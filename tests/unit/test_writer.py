"""The writer: what waits goes into one commit, nobody is released early, a full disk is waited out."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rig import rows as rig
from rig.virtual_clock import VirtualClock, in_virtual_time, until, virtual_clock

from config.seams import arm_crash_points
from store.errors import FencedError, StoreReplacedError
from store.ledger import Ledger
from store.writer import RETRY_DELAY_S, Writer


class Opened:
    """A writer on a real store, closed in the end."""

    def __init__(self, folder: Path, clock: VirtualClock) -> None:
        self.ledger: Ledger = rig.open_ledger(folder, clock)
        self.executor = ThreadPoolExecutor(max_workers=1)
        self.took: list[float] = []
        self.work: list[bool] = []
        self.writer = Writer(
            self.ledger,
            executor=self.executor,
            clock=clock,
            on_commit=self.took.append,
            on_work=self.work.append,
        )
        # The store's thread stands here until it is let through.
        self.gate = threading.Event()
        self.gate.set()
        arm_crash_points(lambda name: self.gate.wait(20) if name == "in_reserve" else None)

    async def __aenter__(self) -> Opened:
        return self

    async def __aexit__(self, *_: object) -> None:
        arm_crash_points(None)
        self.gate.set()
        self.executor.shutdown(wait=True)
        self.ledger._connection.close()
        rig.store_of(self.ledger).lock.release()

    def start(self, number: int, symbol: str = rig.SYMBOL) -> asyncio.Task:
        """Begin to commit one reservation."""
        share = rig.share(rig.reservation(number, symbol=symbol), symbol=symbol)
        return asyncio.create_task(self.writer.commit(share))


async def turns(count: int = 20) -> None:
    """Let every task that can run do so."""
    for _ in range(count):
        await asyncio.sleep(0)


@in_virtual_time
async def test_everything_that_waits_while_the_store_is_busy_is_one_commit(tmp_path: Path) -> None:
    async with Opened(tmp_path, virtual_clock()) as opened:
        opened.gate.clear()
        first = opened.start(0)
        await turns()
        others = [opened.start(0, f"S{number}USDT") for number in range(20)]
        await turns()
        opened.gate.set()
        receipts = await asyncio.gather(first, *others)

        assert opened.writer.commits == 2
        assert rig.rows(tmp_path, "commits", "owner") == [(2,)]
        assert sorted(receipt.row_ids[0] for receipt in receipts) == list(range(1, 22))
        assert len(opened.took) == 2


@in_virtual_time
async def test_nobody_is_released_before_the_commit_is_on_disk(tmp_path: Path) -> None:
    async with Opened(tmp_path, virtual_clock()) as opened:
        opened.gate.clear()
        task = opened.start(1)
        await turns(200)
        early, seen = task.done(), rig.rows(tmp_path, "id")
        opened.gate.set()
        receipt = await task

        assert (early, seen) == (False, [])
        assert receipt.row_ids == [1]


@in_virtual_time
async def test_a_disk_that_refuses_is_tried_again_until_it_takes_everything_once(tmp_path: Path) -> None:
    clock = virtual_clock()
    async with Opened(tmp_path, clock) as opened:
        opened.ledger._connection.execute("PRAGMA query_only=ON")
        tasks = [opened.start(0), opened.start(0, "ETHUSDT")]
        await clock.sleep(10 * RETRY_DELAY_S)
        waiting, trouble = [task.done() for task in tasks], opened.writer.trouble
        late = opened.start(1)
        opened.ledger._connection.execute("PRAGMA query_only=OFF")
        receipts = await asyncio.gather(*tasks, late)

        assert waiting == [False, False]
        assert "readonly" in (trouble or "")
        assert opened.writer.trouble is None
        assert [receipt.row_ids for receipt in receipts] == [[1], [2], [3]]
        assert len(rig.rows(tmp_path, "id")) == 3
        assert opened.work[-1] is False


@in_virtual_time
async def test_a_store_that_is_gone_ends_everybody_and_everything_after(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    async with Opened(folder, virtual_clock()) as opened:
        opened.gate.clear()
        first = opened.start(0)
        await turns()
        waiting = [opened.start(0, "ETHUSDT"), opened.start(1)]
        await turns()
        folder.rename(tmp_path / "moved")
        opened.gate.set()
        results = await asyncio.gather(first, *waiting, return_exceptions=True)

        assert [type(result) for result in results[1:]] == [StoreReplacedError] * 2
        assert not opened.writer.intact()
        with pytest.raises(StoreReplacedError):
            await opened.writer.commit(rig.share())


@in_virtual_time
async def test_an_overtaken_worker_never_writes_again_even_when_it_could(tmp_path: Path) -> None:
    async with Opened(tmp_path, virtual_clock()) as opened:
        opened.ledger._connection.execute("UPDATE owner SET epoch = epoch + 1")
        with pytest.raises(FencedError):
            await opened.start(0)
        opened.ledger._connection.execute("UPDATE owner SET epoch = epoch - 1")
        with pytest.raises(FencedError):
            await opened.start(1)

        assert rig.rows(tmp_path, "id") == []
        assert not opened.writer.intact()


@in_virtual_time
async def test_cancelling_gives_up_the_wait_and_not_the_write(tmp_path: Path) -> None:
    async with Opened(tmp_path, virtual_clock()) as opened:
        opened.gate.clear()
        first, second = opened.start(0), opened.start(0, "ETHUSDT")
        await turns()
        first.cancel()
        await turns()
        third = opened.start(1)
        await turns()
        opened.gate.set()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        receipts = await asyncio.gather(second, third)

        assert first.cancelled()
        assert [receipt.row_ids for receipt in receipts] == [[2], [3]]
        assert [row for (row,) in rig.rows(tmp_path, "symbol")] == [rig.SYMBOL, "ETHUSDT", rig.SYMBOL]


@in_virtual_time
async def test_cancelling_while_the_disk_is_full_ends_at_once(tmp_path: Path) -> None:
    clock = virtual_clock()
    async with Opened(tmp_path, clock) as opened:
        opened.ledger._connection.execute("PRAGMA query_only=ON")
        task = opened.start(0)
        await clock.sleep(3)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

        assert task.cancelled()
        opened.ledger._connection.execute("PRAGMA query_only=OFF")
        await until(lambda: opened.writer.trouble is None, clock)
        assert len(rig.rows(tmp_path, "id")) == 1


@in_virtual_time
async def test_a_fault_of_our_own_reaches_every_lane_that_waited(tmp_path: Path) -> None:
    clock = virtual_clock()
    async with Opened(tmp_path, clock) as opened:
        opened.gate.clear()
        first = opened.start(0)
        await turns()
        wrong = rig.share(rig.reservation(1, state="no state"))
        others = [asyncio.create_task(opened.writer.commit(wrong)), opened.start(2, "ETHUSDT")]
        await turns()
        opened.gate.set()
        await first
        async with asyncio.timeout(60):
            results = await asyncio.gather(*others, return_exceptions=True)

        assert all(isinstance(result, Exception) for result in results)
        assert len(rig.rows(tmp_path, "id")) == 1
