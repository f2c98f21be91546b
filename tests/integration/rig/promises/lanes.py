"""Promises that the same worker keeps with every adapter: one row for each signal, one order for each row."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal
from itertools import chain

from rig.floor import Worker, drain
from rig.process import Process
from rig.promise import promise
from rig.rows import rows
from rig.stand import BTC, ETH, Stand
from rig.virtual_clock import START_MS

from streams.signal import Record

PLACED = {"open", "partial", "filled", "canceled", "expired"}
ENDED = {"filled", "rejected", "skipped"}
# Thirty virtual seconds.
LOOKS_MAX = 120
# A life ends after so many turns of the loop.
TURNS = (1, 60)


def inputs(stand: Stand, count: int) -> dict[str, list[Record]]:
    """So many signals of each symbol, each of them twice, and one that is not confirmed."""
    found: dict[str, list[Record]] = {}
    for symbol in (BTC, ETH):
        signals: list[Record] = [stand.signal(number, symbol) for number in range(count)]
        found[symbol] = [*signals, stand.signal(count, symbol, confirm=False), *signals]
    return found


def assert_one_order_for_each_row(stand: Stand) -> None:
    """By the venue's own record each row that says so has one order, and no other order exists."""
    if not stand.traits.witnessed:
        return
    table = rows(stand.folder, "coalesce(client_order_id, order_id), state")
    placed = [order_id for order_id, state in table if state in PLACED]
    assert Counter(stand.accepted()) == Counter(dict.fromkeys(placed, 1))


def assert_one_row_for_each_signal(stand: Stand, count: int) -> None:
    """Whatever happened."""
    names = {f"{symbol}-{number}" for symbol in (BTC, ETH) for number in range(count + 1)}
    assert Counter(name for (name,) in rows(stand.folder, "signal_id")) == Counter(dict.fromkeys(names, 1))


def assert_order_ids(stand: Stand) -> None:
    """An order id of the adapter's own where it has one, and the client order id wherever a wire is."""
    prefix = stand.adapter.order_id_prefix
    columns = "signal_id, order_id, client_order_id"
    for signal_id, order_id, client_order_id in rows(
        stand.folder, columns, "executions WHERE state NOT IN ('skipped')"
    ):
        assert order_id == (f"{prefix}{signal_id}" if prefix else client_order_id)
        assert (client_order_id is not None) == (stand.adapter.batch_max == 1)


@promise()
async def the_same_lane_comes_to_one_row_for_each_signal_and_duplicates_change_nothing(stand: Stand) -> None:
    signals = [one for some in inputs(stand, 6).values() for one in some]

    worker = await drain(stand.folder, stand.clock, stand.adapter, *signals)
    states = worker.states()
    again = await drain(stand.folder, stand.clock, stand.adapter, *signals, *signals)

    assert again.states() == states
    assert set(states.values()) <= {*PLACED, "rejected", "skipped"}
    assert states[f"{BTC}-6"] == states[f"{ETH}-6"] == "skipped"
    assert_one_row_for_each_signal(stand, 6)
    assert_one_order_for_each_row(stand)
    assert_order_ids(stand)
    if stand.traits.takes_all:
        assert list(states.values()).count("skipped") == 2
        assert "rejected" not in states.values()


@promise()
async def a_worker_that_is_stopped_anywhere_goes_on_to_one_order_for_each_signal(stand: Stand) -> None:
    given = inputs(stand, 6)
    stops = [lambda turns=turns: some_turns(turns) for turns in TURNS]
    if stand.traits.witnessed:
        # The venue has the order, and the answer is on its way.
        stops += [lambda count=count: accepted(stand, count) for count in (1, 4, 8)]
    for stop in stops:
        async with Worker(stand.folder, stand.clock, stand.adapter, given):
            await stop()
        # What was on its way arrives.
        await stand.clock.sleep(0.5)
        if stand.traits.survives:
            await stand.again()

    worker = await drain(stand.folder, stand.clock, stand.adapter, *chain.from_iterable(given.values()))

    assert set(worker.states().values()) <= {*PLACED, "rejected", "skipped"}
    assert_one_row_for_each_signal(stand, 6)
    assert_one_order_for_each_row(stand)


async def some_turns(turns: int) -> None:
    """The loop turns so often, wherever that leads."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def accepted(stand: Stand, count: int) -> None:
    """Until the venue has accepted so many orders; for a second at most."""
    for _ in range(500):
        if len(stand.accepted()) >= count:
            return
        await stand.clock.sleep(0.002)


@promise("loses", "witnessed", "!account", ways_max=2)
async def answers_that_get_lost_leave_one_order_or_a_reason(stand: Stand) -> None:
    given = [stand.signal(number) for number in range(3)]

    worker = await drain(stand.folder, stand.clock, stand.adapter, *given)

    states = worker.states()
    assert len(states) == 3
    # Whoever is proven absent is sent again, three times at most.
    assert set(states.values()) <= {*PLACED, "rejected"}
    assert_one_order_for_each_row(stand)


@promise("wire", "account", "parts", parts=True)
async def a_whole_worker_brings_every_row_to_its_end_with_what_was_filled(stand: Stand) -> None:
    await work_to_the_end(stand, 4)

    assert_one_row_for_each_signal(stand, 4)
    assert {state for (state,) in rows(stand.folder, "state")} == {"filled", "skipped"}
    await assert_rows_agree_with_trades(stand)


@promise("wire", "account", "parts", "loses", parts=True, ways_max=2)
async def a_whole_worker_comes_to_the_truth_behind_lost_answers_and_partial_fills(stand: Stand) -> None:
    await work_to_the_end(stand, 2)

    assert_one_row_for_each_signal(stand, 2)
    assert_one_order_for_each_row(stand)
    await assert_rows_agree_with_trades(stand)


async def work_to_the_end(stand: Stand, count: int) -> None:
    """A whole worker, until no row can come to more."""
    async with Process(stand.folder, stand.clock, stand.adapter, inputs(stand, count)) as process:
        for _ in range(LOOKS_MAX):
            states = process.worker.states()
            if len(states) == 2 * (count + 1) and set(states.values()) <= ENDED:
                break
            await stand.clock.sleep(0.25)
    assert set(process.worker.states().values()) <= ENDED, process.worker.states()
    assert rows(stand.folder, "*", "late_fills") == []
    # The worker has closed it.
    await stand.again()


async def assert_rows_agree_with_trades(stand: Stand) -> None:
    """Quantity and price of each row are those of its trades, of which there are several."""
    trades = []
    for symbol in (BTC, ETH):
        trades += await stand.asked(stand.adapter.fetch_fills, symbol, START_MS)
    table = rows(stand.folder, "client_order_id, qty, price", "executions WHERE state = 'filled'")
    assert {one.client_order_id for one in trades} == {client_order_id for client_order_id, _, _ in table}
    for client_order_id, qty, price in table:
        mine = [one for one in trades if one.client_order_id == client_order_id]
        total = sum((one.qty for one in mine), Decimal(0))
        value = sum((one.qty * one.price for one in mine), Decimal(0))
        assert total == Decimal(qty)
        assert abs(Decimal(price) - value / total) < Decimal("1e-9")
        assert len(mine) > 1
