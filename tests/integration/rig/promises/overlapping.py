"""Promises about calls that overlap, are cut short, or come after the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from rig.promise import promise
from rig.stand import BTC, ETH, PATIENCE_S, Stand
from rig.virtual_clock import START_MS

from adapters.contract import Accepted, SubmitResult

# Where a call is cut short: after so many turns of the loop, then so many virtual seconds.
CUTS = ((0, 0.0), (1, 0.0), (2, 0.0), (4, 0.0), (0, 0.002), (0, 0.006), (0, 0.009), (0, 0.03))


@promise()
async def orders_of_different_symbols_overlap_and_do_not_disturb_each_other(stand: Stand) -> None:
    started_s = stand.clock.monotonic_s()
    await stand.submit(stand.prepared(99))
    one_takes_s = stand.clock.monotonic_s() - started_s
    ear = stand.listen()
    orders = [stand.prepared(number, BTC if number % 2 else ETH) for number in range(12)]

    started_s = stand.clock.monotonic_s()
    answers: list[SubmitResult] = await asyncio.gather(*map(stand.submit, orders))
    all_took_s = stand.clock.monotonic_s() - started_s

    assert all_took_s <= 3 * one_takes_s
    for order, answer in zip(orders, answers, strict=True):
        if isinstance(answer, Accepted) and not stand.leaves_open(order):
            assert answer.update.client_order_id == order.client_order_id
            said = await ear.end_of(order, answer)
            assert (said[-1].state, said[-1].filled_qty) == ("filled", order.qty)
    placed = [o.client_order_id for o, a in zip(orders, answers, strict=True) if isinstance(a, Accepted)]
    if stand.traits.witnessed:
        assert sorted(set(stand.accepted()) & set(placed)) == sorted(placed)
        assert len(set(stand.accepted())) == len(stand.accepted())


@promise("witnessed", "takes_all")
async def a_call_that_is_cut_short_leaves_venue_and_lookup_of_one_mind(stand: Stand) -> None:
    fates = []
    for number, (turns, seconds) in enumerate(CUTS):
        order = stand.prepared(number)
        sending = asyncio.create_task(stand.adapter.submit(order, lambda: None))  # type: ignore[arg-type]  # a coroutine
        for _ in range(turns):
            await asyncio.sleep(0)
        if seconds:
            await stand.clock.sleep(seconds)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        fates.append(await stand.assert_fate_is_true(order))

    await stand.clock.sleep(5.0)
    assert len(stand.accepted()) == sum(fates), "an order was accepted after its absence was proven"
    last = stand.prepared(100)
    assert isinstance(await stand.submit(last), Accepted)
    assert stand.accepted().count(last.client_order_id) == 1
    assert False in fates


@promise()
async def closing_ends_the_updates_and_may_be_repeated(stand: Stand) -> None:
    ear = stand.listen()
    await asyncio.sleep(0)  # the ear begins to listen

    await stand.adapter.close()
    await stand.adapter.close()

    await asyncio.wait([ear.task], timeout=5)
    assert ear.task.done()
    assert ear.updates == []


@promise()
async def questions_after_the_end_do_not_hang(stand: Stand) -> None:
    order = stand.prepared(1)
    late = stand.prepared(2)
    await stand.submit(order)
    adapter = stand.adapter
    await adapter.close()

    questions: list[Callable[[], Awaitable[object]]] = [
        lambda: adapter.lookup(order.client_order_id, order),
        lambda: adapter.cancel(order.client_order_id, BTC),
        lambda: adapter.amend(order.client_order_id, BTC, order.qty, stand.far),
        lambda: adapter.open_orders(BTC),
        lambda: adapter.past_orders(BTC, START_MS),
        lambda: adapter.fetch_fills(BTC, START_MS),
        lambda: adapter.get_position(BTC),
        adapter.get_balance,
        adapter.flush,
        lambda: adapter.submit(late, lambda: "the worker has ended"),
    ]
    for number, question in enumerate(questions):
        try:
            async with asyncio.timeout(PATIENCE_S):
                await question()
        except TimeoutError:
            raise AssertionError(f"question {number} hangs") from None
    assert late.client_order_id not in stand.accepted()
    again = stand.listen()
    await asyncio.wait([again.task], timeout=5)
    assert again.task.done()
