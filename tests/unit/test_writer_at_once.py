"""A small share that an order waits for is written on the event loop, while the store's thread rests."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rig import rows as rig
from rig.virtual_clock import in_virtual_time, until, virtual_clock

from config.seams import arm_crash_points
from store.errors import StoreReplacedError
from store.records import Share
from store.writer import Writer


def share(number: int, symbol: str = rig.SYMBOL) -> Share:
    return rig.share(rig.reservation(number, symbol=symbol), symbol=symbol)


@in_virtual_time
async def test_it_needs_no_thread_while_the_store_rests_and_waits_its_turn_while_it_works(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    ledger = rig.open_ledger(tmp_path, clock)
    threads: list[str] = []
    gate, working = threading.Event(), threading.Event()

    def note(name: str) -> None:
        if name == "in_reserve":
            threads.append(threading.current_thread().name)
            if len(threads) == 2:
                working.set()
            assert len(threads) != 2 or gate.wait(20)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="store") as executor:
        writer = Writer(ledger, executor=executor, clock=clock)
        arm_crash_points(note)
        try:
            alone = await writer.commit(share(0), at_once=True)
            slow = asyncio.create_task(writer.commit(share(1)))
            await asyncio.get_running_loop().run_in_executor(None, working.wait, 20)
            behind = asyncio.create_task(writer.commit(share(2, "ETHUSDT"), at_once=True))
            await asyncio.sleep(0)
            gate.set()
            receipts = await asyncio.gather(slow, behind)
        finally:
            gate.set()
            arm_crash_points(None)

    assert [alone.row_ids, *(receipt.row_ids for receipt in receipts)] == [[1], [2], [3]]
    assert [name.startswith("store") for name in threads] == [False, True, True]
    assert writer.commits == 3
    ledger.close()


@in_virtual_time
async def test_on_a_full_disk_it_waits_like_any_other_and_is_written_once(tmp_path: Path) -> None:
    clock = virtual_clock()
    ledger = rig.open_ledger(tmp_path, clock)
    with ThreadPoolExecutor(max_workers=1) as executor:
        writer = Writer(ledger, executor=executor, clock=clock)
        ledger._connection.execute("PRAGMA query_only=ON")
        waiting = asyncio.create_task(writer.commit(share(0), at_once=True))
        await until(lambda: writer.trouble is not None, clock)
        ledger._connection.execute("PRAGMA query_only=OFF")

        receipt = await waiting

    assert receipt.row_ids == [1]
    assert len(rig.rows(tmp_path, "id")) == 1
    ledger.close()


@in_virtual_time
async def test_a_store_that_was_removed_ends_every_later_commit_too(tmp_path: Path) -> None:
    clock = virtual_clock()
    ledger = rig.open_ledger(tmp_path, clock)
    with ThreadPoolExecutor(max_workers=1) as executor:
        writer = Writer(ledger, executor=executor, clock=clock)
        (tmp_path / "executions.db").unlink()

        with pytest.raises(StoreReplacedError):
            await writer.commit(share(0), at_once=True)
        with pytest.raises(StoreReplacedError):
            await writer.commit(share(1))

    assert not writer.intact()
    ledger.close()
