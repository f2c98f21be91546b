"""Paper behind the adapter contract, in virtual time: latency, parts, resting orders, lost answers."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from rig.paper_life import BTC, Kept, Life, life, made
from rig.paper_orders import limit, wanted
from rig.paper_stand import Board
from rig.virtual_clock import START_MS, in_virtual_time, until, virtual_clock

from adapters.contract import (
    Accepted,
    Found,
    NotSent,
    ProvenAbsent,
    Reject,
    Rejected,
    StartRefusal,
    Unknown,
)
from adapters.paper.signal_quotes import SignalQuotes

D = Decimal


@in_virtual_time
async def test_an_answer_takes_as_long_as_it_was_set_to(tmp_path: Path) -> None:
    clock = virtual_clock()
    async with life(tmp_path, latency_ms=80) as one:
        answer = await one.submit(one.prepared(wanted()))

    assert isinstance(answer, Accepted)
    assert clock.wall_ms() == START_MS + 80
    assert (answer.sent_ts_ms, answer.update.event_ms, answer.ack_ts_ms) == (
        START_MS,
        START_MS + 40,
        START_MS + 80,
    )


@in_virtual_time
async def test_the_guard_is_asked_when_the_order_is_about_to_be_accepted(tmp_path: Path) -> None:
    clock = virtual_clock()
    asked: list[int] = []

    def guard() -> str | None:
        asked.append(clock.wall_ms())
        return "halted meanwhile"

    async with life(tmp_path, latency_ms=80) as one:
        order = one.prepared(wanted())
        answer = await one.adapter.submit(order, guard)
        assert answer == NotSent("held", "halted meanwhile")
        assert asked == [START_MS + 40]
        assert await one.adapter.lookup(order.client_order_id, order) == ProvenAbsent()


@in_virtual_time
async def test_later_parts_are_told_at_their_time_after_the_answer(tmp_path: Path) -> None:
    clock = virtual_clock()
    async with life(tmp_path, partial_share=1.0) as one:
        order = one.prepared(wanted())
        answer = await one.submit(order)
        assert isinstance(answer, Accepted)
        assert answer.update.state == "partial"
        assert one.told == []

        await until(lambda: bool(one.told) and one.told[-1].state == "filled", clock, within_s=1)

        assert one.told[-1].filled_qty == order.qty
        assert clock.wall_ms() >= (one.told[-1].event_ms or 0)
        fills = await one.adapter.fetch_fills(BTC, 0)
        assert sum((fill.qty for fill in fills), D(0)) == order.qty
        assert await one.adapter.fetch_fills(BTC, clock.wall_ms() + 60_000) == []


@in_virtual_time
async def test_what_rests_is_filled_when_the_book_moves_without_any_signal(tmp_path: Path) -> None:
    clock, board = virtual_clock(), Board()
    async with life(tmp_path, board) as one:
        order = one.prepared(limit(1, "buy", "59000"))
        answer = await one.submit(order)
        assert answer.update.state == "open"
        assert [past.update.client_order_id for past in await one.adapter.open_orders(BTC)] == [
            order.client_order_id
        ]

        board.middles[BTC] = D(58900)
        await clock.sleep(0.25)

        assert [(update.state, update.average_price) for update in one.told] == [("filled", D(59000))]
        assert await one.adapter.open_orders(BTC) == []
        assert await one.adapter.get_position(BTC) == 1


@in_virtual_time
async def test_what_rests_is_filled_by_the_price_of_a_later_signal(tmp_path: Path) -> None:
    clock = virtual_clock()
    async with life(tmp_path, SignalQuotes(fallback_price=D(1))) as one:
        order = one.prepared(limit(1, "buy", "59000.04"))
        assert order.price == D(59000)
        assert (await one.submit(order)).update.state == "open"

        # The fall-back price belongs to no moment: time alone fills nothing.
        await clock.sleep(5.1)
        assert one.told == []
        one.prepared(wanted(2, price=D(58999)))
        await clock.sleep(0.01)

    assert [(update.client_order_id, update.state, update.average_price) for update in one.told] == [
        (order.client_order_id, "filled", D(59000))
    ]


@in_virtual_time
async def test_what_must_fill_at_once_gets_several_looks_at_a_book_that_moves(tmp_path: Path) -> None:
    clock, board = virtual_clock(), Board()
    async with life(tmp_path, board, fill_attempts=5) as one:
        meets = one.prepared(limit(1, "buy", "59000", tif="IOC"))
        misses = one.prepared(limit(2, "buy", "50000", tif="FOK"))

        async def move() -> None:
            await clock.sleep(0.03)
            board.middles[BTC] = D(58000)

        moving = asyncio.create_task(move())
        met, missed = await one.submit(meets), await one.submit(misses)
        await moving

    assert met.update.state == "filled"
    assert met.update.average_price == D("58000.1")
    assert (missed.update.state, missed.update.reason) == ("expired", "no_fill_after_retries")


@in_virtual_time
async def test_of_a_lost_answer_the_venue_knows_whether_it_took_the_order(tmp_path: Path) -> None:
    fates = set()
    async with life(tmp_path, timeouts=["btcusdt=1.0"]) as one:
        for number in range(12):
            order = one.prepared(wanted(number))
            assert isinstance(await one.submit(order), Unknown)
            found = await one.adapter.lookup(order.client_order_id, order)
            fates.add(type(found))
            if found == ProvenAbsent():
                assert isinstance(await one.submit(order), Accepted)
            else:
                assert isinstance(await one.submit(order), Unknown)
        assert await one.adapter.get_position(BTC) == 12 * order.qty

    assert fates == {Found, ProvenAbsent}


@in_virtual_time
async def test_the_same_id_under_other_terms_is_found_as_another_order(tmp_path: Path) -> None:
    async with life(tmp_path) as one:
        await one.submit(one.prepared(limit(1, "buy", "50000")))
        other = one.prepared(limit(1, "buy", "50001"))

        found = await one.adapter.lookup(other.client_order_id, other)

    assert isinstance(found, Found)
    assert not found.same_terms


@in_virtual_time
async def test_cancel_and_amend_are_told_and_outlive_the_process(tmp_path: Path) -> None:
    clock = virtual_clock()
    async with life(tmp_path) as one:
        first = one.prepared(limit(1, "buy", "50000"))
        second = one.prepared(limit(2, "buy", "50000"))
        await one.submit(first)
        await one.submit(second)

        assert (await one.adapter.cancel(first.client_order_id, BTC)).done
        assert (await one.adapter.amend(second.client_order_id, BTC, D(2), D(51000))).done
        await clock.sleep(0.01)
        assert [update.state for update in one.told] == ["canceled"]

    async with life(tmp_path) as again:
        (past,) = await again.adapter.open_orders(BTC)
        assert (past.update.client_order_id, past.qty, past.price) == (second.client_order_id, D(2), D(51000))
        assert [past.update.state for past in await again.adapter.past_orders(BTC, START_MS)] == [
            "canceled",
            "open",
        ]
        # The row has the terms of the placement, and it is the same order still.
        assert (await again.adapter.lookup(second.client_order_id, second)).same_terms


@in_virtual_time
async def test_an_amendment_that_crosses_is_filled(tmp_path: Path) -> None:
    clock = virtual_clock()
    async with life(tmp_path) as one:
        order = one.prepared(limit(1, "buy", "50000"))
        await one.submit(order)
        await one.adapter.amend(order.client_order_id, BTC, D(1), D(60500))
        await clock.sleep(0.01)

    assert [update.state for update in one.told] == ["filled"]


@in_virtual_time
async def test_the_balance_is_what_trading_earned(tmp_path: Path) -> None:
    board = Board()
    async with life(tmp_path, board) as one:
        await one.submit(one.prepared(wanted(1, "buy", qty=D(1))))
        board.middles[BTC] += D("100.2")
        await one.submit(one.prepared(wanted(2, "sell", qty=D(1))))

        assert await one.adapter.get_balance() == {"USDT": D(100)}
        assert await one.adapter.get_position(BTC) == 0


@pytest.mark.parametrize("text", ["BTCUSDT", "BTCUSDT=", "=0.5", "BTCUSDT=2", "BTCUSDT=-1", "BTCUSDT=nan"])
@in_virtual_time
async def test_a_share_of_timeouts_that_is_none_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    refusal = await made(tmp_path, Board(), timeouts=[text]).start(Kept())

    assert isinstance(refusal, StartRefusal)
    assert refusal.kind == "configuration"
    assert "execution.paper.timeouts" in refusal.text
    assert "BTCUSDT=0.01" in refusal.text


@in_virtual_time
async def test_before_its_start_and_after_its_end_the_venue_takes_nothing_and_proves_nothing(
    tmp_path: Path,
) -> None:
    one = Life(made(tmp_path, Board()))
    order = one.prepared(wanted())

    answers = [await one.submit(order), await one.adapter.lookup(order.client_order_id, order)]
    assert await one.adapter.start(Kept()) is None
    await one.adapter.close()
    answers += [await one.submit(order), await one.adapter.lookup(order.client_order_id, order)]

    assert [type(answer).__name__ for answer in answers] == ["NotSent", "NotYet"] * 2
    assert answers[0].code == "venue_unavailable"


@in_virtual_time
async def test_a_refusal_has_the_reason_of_the_venue(tmp_path: Path) -> None:
    async with life(tmp_path, error_share=1.0) as one:
        answer = await one.submit(one.prepared(wanted()))
        rejected = one.adapter.prepare(wanted(2, symbol="DOGEUSDT"))

    assert isinstance(answer, Rejected)
    assert answer.code == "venue_error"
    assert isinstance(rejected, Reject)
    assert rejected.code == "no_symbol_rules"
