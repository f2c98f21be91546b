"""Paper after a crash, on a full disk and under callers that go away: the journal is the truth."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from decimal import Decimal
from pathlib import Path

import pytest
from rig.disk import small_disk
from rig.paper_life import BTC, Kept, Life, life, made
from rig.paper_orders import limit, wanted
from rig.paper_stand import Board
from rig.virtual_clock import in_virtual_time, until, virtual_clock

from adapters.contract import (
    Accepted,
    Found,
    NotSent,
    NotYet,
    Order,
    ProvenAbsent,
    StartRefusal,
    SubmitResult,
    Unknown,
)
from adapters.paper.adapter import JOURNAL_NAME

D = Decimal


def journal_in(folder: Path) -> Path:
    return folder / "paper" / JOURNAL_NAME


@in_virtual_time
async def test_all_that_was_told_is_there_after_a_crash(tmp_path: Path) -> None:
    board, after = Board(), tmp_path / "after"
    async with life(tmp_path, board, partial_share=1.0) as one:
        filled, resting = one.prepared(wanted(1)), one.prepared(limit(2, "sell", "61000"))
        answer = await one.submit(filled)
        await one.submit(resting)
        assert isinstance(answer, Accepted)
        # As kill -9 leaves it: the file as it is, and nothing that the process knew.
        shutil.copytree(tmp_path / "paper", after / "paper")

    async with life(after, board, partial_share=1.0) as again:
        found = await again.adapter.lookup(filled.client_order_id, filled)
        assert isinstance(found, Found)
        assert found.same_terms
        assert (found.update.state, found.update.filled_qty) == ("filled", filled.qty)
        assert await again.adapter.get_position(BTC) == filled.qty

        # Those who wait for the rest of the parts are told of them again.
        again.adapter.watch(filled)
        await until(lambda: bool(again.told), virtual_clock(), within_s=1)
        assert again.told[-1].state == "filled"

        # What rested rests on, and fills as before.
        board.middles[BTC] = D(62000)
        await until(
            lambda: (
                again.told[-1].client_order_id == resting.client_order_id and again.told[-1].state == "filled"
            ),
            virtual_clock(),
            within_s=1,
        )
        never = again.prepared(wanted(3))
        assert await again.adapter.lookup(never.client_order_id, never) == ProvenAbsent()
        assert isinstance(await again.submit(filled), Unknown)


@in_virtual_time
async def test_a_caller_that_goes_away_at_any_moment_leaves_whole_orders(tmp_path: Path) -> None:
    async with life(tmp_path, partial_share=0.5, latency_ms=10) as one:
        orders = [one.prepared(wanted(number)) for number in range(24)]
        for turns, order in enumerate(orders):
            task = asyncio.create_task(one.submit(order))
            # Before, while and after it is accepted, which is half-way through its latency.
            await virtual_clock().sleep(0.005 * (turns % 3))
            for _ in range(turns // 3):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            found = await one.adapter.lookup(order.client_order_id, order)
            if isinstance(found, Found):
                assert found.update.filled_qty == order.qty
            else:
                assert found == ProvenAbsent()
        held = await one.adapter.get_position(BTC)
        taken = len(await one.adapter.past_orders(BTC, 0))
        assert 0 < taken < len(orders)
        assert held == taken * orders[0].qty

    async with life(tmp_path) as again:
        assert await again.adapter.get_position(BTC) == held
        assert len(await again.adapter.past_orders(BTC, 0)) == taken


@in_virtual_time
async def test_orders_that_come_at_once_are_taken_one_after_the_other(tmp_path: Path) -> None:
    async with life(tmp_path) as one:
        orders = [one.prepared(wanted(number)) for number in range(20)]
        answers = await asyncio.gather(*(one.submit(order) for order in [*orders, *orders]))

        assert sum(isinstance(answer, Accepted) for answer in answers) == 20
        assert sum(isinstance(answer, Unknown) for answer in answers) == 20
        numbers = {past.update.exchange_order_id for past in await one.adapter.past_orders(BTC, 0)}
        assert numbers == {str(number) for number in range(1, 21)}


async def use_up(one: Life, resting: list[Order]) -> list[SubmitResult]:
    """Place orders until none fits, then cancel until not even that does; what those orders were answered."""
    answers: list[SubmitResult] = []
    while not answers or not isinstance(answers[-1], NotSent):
        answers.append(await one.submit(one.prepared(wanted(100 + len(answers)))))
    while (await one.adapter.cancel(resting.pop().client_order_id, BTC)).done:
        pass
    return answers


@in_virtual_time
async def test_on_a_full_disk_nothing_is_accepted_and_later_everything_is(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "128k") as disk:
        async with life(disk.path) as one:
            resting = [one.prepared(limit(number, "buy", "59000")) for number in range(50)]
            for order in resting:
                await one.submit(order)
            ballast = disk.fill()
            answers = await use_up(one, resting)

            refused = answers[-1]
            assert isinstance(refused, NotSent)
            assert refused.code == "venue_unavailable"
            assert str(disk.path) in refused.text
            last = one.prepared(wanted(99 + len(answers)))
            assert await one.adapter.lookup(last.client_order_id, last) == ProvenAbsent()
            changed = await one.adapter.amend(resting[0].client_order_id, BTC, D(2), D(58000))
            assert not changed.done
            assert "no space" in changed.text

            ballast.unlink()
            assert isinstance(await one.submit(last), Accepted)
            assert (await one.adapter.cancel(resting[0].client_order_id, BTC)).done
            held = await one.adapter.get_position(BTC)
            working = await one.adapter.open_orders(BTC)

        async with life(disk.path) as again:
            assert await again.adapter.get_position(BTC) == held
            assert await again.adapter.open_orders(BTC) == working


@in_virtual_time
async def test_what_could_not_be_filled_on_a_full_disk_is_filled_when_there_is_room(tmp_path: Path) -> None:
    clock, board = virtual_clock(), Board()
    with small_disk(tmp_path / "small", "128k") as disk:
        async with life(disk.path, board) as one:
            resting = [one.prepared(limit(number, "buy", "59000")) for number in range(50)]
            for order in resting:
                await one.submit(order)
            ballast = disk.fill()
            await use_up(one, resting)
            await clock.sleep(0.01)
            one.told.clear()
            board.middles[BTC] = D(58000)
            await clock.sleep(1)
            assert one.told == []

            ballast.unlink()
            await until(lambda: one.told != [], clock, within_s=1)

            assert {update.state for update in one.told} == {"filled"}
            assert await one.adapter.open_orders(BTC) == []


@in_virtual_time
async def test_where_the_disk_leaves_a_doubt_nothing_is_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    async with life(tmp_path) as one:
        order = one.prepared(wanted(1))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", fails)
            assert isinstance(await one.submit(order), Unknown)
            assert isinstance(await one.adapter.lookup(order.client_order_id, order), NotYet)

        assert await one.adapter.lookup(order.client_order_id, order) == ProvenAbsent()
        assert isinstance(await one.submit(order), Accepted)
        assert await one.adapter.get_position(BTC) == order.qty


@in_virtual_time
async def test_a_store_that_has_orders_of_a_journal_that_is_gone_is_told_so(tmp_path: Path) -> None:
    kept = Kept()
    async with life(tmp_path, kept=kept) as one:
        await one.submit(one.prepared(wanted(1)))
    journal_in(tmp_path).unlink()

    refusal = await made(tmp_path, Board()).start(kept)

    assert isinstance(refusal, StartRefusal)
    assert refusal.kind == "configuration"
    assert "is gone" in refusal.text
    assert "--output" in refusal.text
    assert await made(tmp_path, Board()).start(Kept()) is None


@in_virtual_time
async def test_a_journal_that_is_in_use_or_damaged_refuses_the_start(tmp_path: Path) -> None:
    async with life(tmp_path) as one:
        await one.submit(one.prepared(wanted(1)))
        await one.submit(one.prepared(wanted(2)))
        in_use = await made(tmp_path, Board()).start(Kept())
        assert isinstance(in_use, StartRefusal)
        assert in_use.kind == "unavailable"
    path = journal_in(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"placed"', b'"plaxed"', 1))

    damaged = await made(tmp_path, Board()).start(Kept())

    assert isinstance(damaged, StartRefusal)
    assert damaged.kind == "configuration"
    assert "line 1" in damaged.text


@in_virtual_time
async def test_what_was_forgotten_in_memory_is_read_in_the_journal(tmp_path: Path) -> None:
    async with life(tmp_path, remembered=3) as one:
        orders = [one.prepared(wanted(number)) for number in range(10)]
        for order in orders:
            await one.submit(order)

        for order in orders:
            found = await one.adapter.lookup(order.client_order_id, order)
            assert isinstance(found, Found)
            assert (found.same_terms, found.update.filled_qty) == (True, order.qty)
            assert isinstance(await one.submit(order), Unknown)
        one.adapter.watch(orders[0])
        resting = one.prepared(limit(11, "buy", "59000"))
        await one.submit(resting)
        await one.submit(one.prepared(wanted(12, symbol="ETHUSDT")))
        now_ms = virtual_clock().wall_ms()
        assert len(await one.adapter.past_orders(BTC, 0)) == 11
        assert len(await one.adapter.past_orders("ETHUSDT", 0)) == 1
        assert len(await one.adapter.fetch_fills(BTC, 0)) == 10
        assert [past.update.client_order_id for past in await one.adapter.past_orders(BTC, now_ms + 1)] == [
            resting.client_order_id
        ]
        assert await one.adapter.fetch_fills(BTC, now_ms + 1) == []
        assert await one.adapter.get_position(BTC) == 10 * orders[0].qty
