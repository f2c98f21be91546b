"""The simulated venue between two lives: a store that was lost, and a start that is given up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rig.floor import Worker, drain, signal
from rig.paper_life import Kept, made
from rig.paper_life import life as a_paper_life
from rig.paper_orders import limit, wanted
from rig.paper_stand import Board
from rig.rows import rows
from rig.venue import Memory, settings_of
from rig.virtual_clock import in_virtual_time, until, virtual_clock

from adapters.contract import Accepted, StartRefusal
from adapters.paper.connect import open_paper
from adapters.paper.facts import Fact
from adapters.paper.journal_file import JournalFile
from adapters.paper.trade_sim import TradeSim
from adapters.paper.venue_orders import VenueOrder
from streams.signal import Signal

D = Decimal
SIGNALS = [signal(number, price=D(60_000)) for number in range(3)]


async def life(tmp_path: Path, store: str, *signals: Signal, **execution: Any) -> Worker:
    """One life of a worker on the one journal and a store of that name."""
    clock = virtual_clock()
    adapter = open_paper(settings_of("paper", sink={"base_dir": str(tmp_path)}, **execution), clock)
    assert not isinstance(adapter, StartRefusal), adapter
    assert await adapter.start(Memory()) is None
    try:
        return await drain(tmp_path / store, clock, adapter, *signals)
    finally:
        await adapter.close()


@in_virtual_time
async def test_orders_that_a_lost_store_had_placed_are_adopted_with_the_order_ids_of_the_mode(
    tmp_path: Path,
) -> None:
    before = await life(tmp_path, "first", *SIGNALS[:2])
    after = await life(tmp_path, "second", *SIGNALS)

    told = rows(after.folder, "order_id, state, qty, price")
    assert [order_id for order_id, *_ in told] == [f"paper:BTCUSDT-{number}" for number in range(3)]
    assert told[:2] == rows(before.folder, "order_id, state, qty, price")
    assert (tmp_path / "paper" / "orders.jsonl").read_bytes().count(b'"placed"') == 3


@in_virtual_time
async def test_a_start_that_is_given_up_ends_the_reading_of_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_paper_life(tmp_path) as one:
        for number in range(5):
            await one.submit(one.prepared(wanted(number)))
    adapter, loop, applied = made(tmp_path, Board()), asyncio.get_running_loop(), []
    apply = TradeSim.apply

    def given_up(sim: TradeSim, fact: Fact) -> VenueOrder:
        applied.append(fact)
        asyncio.run_coroutine_threadsafe(adapter.close(), loop).result(10)
        return apply(sim, fact)

    monkeypatch.setattr(TradeSim, "apply", given_up)
    refusal = await asyncio.wait_for(adapter.start(Kept()), 10)

    assert isinstance(refusal, StartRefusal)
    assert "given up" in refusal.text
    assert len(applied) == 1


@in_virtual_time
async def test_reading_what_was_forgotten_holds_up_no_order_and_ends_with_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, go_on, seen = threading.Event(), threading.Event(), []
    read_again = JournalFile.read_again

    def slowly(journal: JournalFile, symbol: str | None = None) -> Iterator[Fact]:
        for fact in read_again(journal, symbol):
            seen.append(fact)
            yield fact
            reading.set()
            go_on.wait(10)

    monkeypatch.setattr(JournalFile, "read_again", slowly)
    async with a_paper_life(tmp_path, remembered=1) as one:
        for number in range(5):
            await one.submit(one.prepared(wanted(number)))
        asking = asyncio.create_task(one.adapter.past_orders("BTCUSDT", 0))
        await asyncio.to_thread(reading.wait, 10)
        assert isinstance(await one.submit(one.prepared(wanted(9))), Accepted)
        asking.cancel()
        closing = asyncio.create_task(one.adapter.close())
        # Virtual time stands still for as long as a thread works.
        for _ in range(10):
            await asyncio.sleep(0)
        go_on.set()
        await asyncio.wait_for(closing, 10)

    assert len(seen) == 1


@in_virtual_time
async def test_the_past_is_the_same_whether_it_is_remembered_or_read(tmp_path: Path) -> None:
    board = Board()
    async with a_paper_life(tmp_path, board, partial_share=0.5) as one:
        for number in range(6):
            await one.submit(one.prepared(wanted(number)))
            await one.submit(one.prepared(limit(10 + number, "buy", f"{59_000 + number}")))
            await virtual_clock().sleep(1)
        await one.adapter.cancel(limit(11, "buy", "1").client_order_id, "BTCUSDT")
        board.middles["BTCUSDT"] = D(59_003)
        await virtual_clock().sleep(1)
        moments = [0, virtual_clock().wall_ms() - 4_500, virtual_clock().wall_ms() + 1]
        remembered = [await one.adapter.past_orders("BTCUSDT", since_ms) for since_ms in moments]
    async with a_paper_life(tmp_path, Board(), remembered=1) as again:
        read = [await again.adapter.past_orders("BTCUSDT", since_ms) for since_ms in moments]

    assert [len(past) for past in remembered] == [12, 9, 3]
    assert read == remembered


@in_virtual_time
async def test_an_order_that_was_over_long_ago_is_told_of_again_to_who_asks(tmp_path: Path) -> None:
    async with a_paper_life(tmp_path, partial_share=1.0) as one:
        orders = [one.prepared(wanted(number)) for number in range(5)]
        for order in orders:
            await one.submit(order)
    async with a_paper_life(tmp_path, remembered=1) as again:
        again.adapter.watch(orders[0])
        await until(lambda: bool(again.told), virtual_clock(), within_s=1)

    assert {update.client_order_id for update in again.told} == {orders[0].client_order_id}
    assert again.told[-1].state == "filled"
