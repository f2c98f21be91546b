"""Promises about fills: told in full, never too much, and in agreement with trades and position."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from rig.promise import promise
from rig.stand import BTC, ETH, Stand
from rig.virtual_clock import START_MS

from adapters.contract import Accepted, Fill, Found, Order, OrderSide, OrderUpdate
from store.lifecycle import State, may_move

NEAR_ENOUGH = Decimal("1e-12")


def assert_told_well(order: Order, said: list[OrderUpdate]) -> None:
    """Cumulative, monotone, never above the quantity, each step one that a row can take."""
    filled = [one.filled_qty for one in said]
    assert filled == sorted(filled)
    assert filled[-1] <= order.qty
    for one in said:
        assert (one.state == "filled") == (one.filled_qty == order.qty), one
        assert (one.state == "partial") <= (0 < one.filled_qty < order.qty), one
        assert (one.average_price is not None) or not one.filled_qty, one
    states = [State.RESERVED, *(State(one.state) for one in said)]
    for before, after in pairwise(states):
        assert before == after or may_move(before, after), said


async def fills_of(stand: Stand, order: Order) -> list[Fill]:
    """The trades of one order."""
    trades = await stand.asked(stand.adapter.fetch_fills, order.symbol, START_MS)
    assert len({one.trade_id for one in trades}) == len(trades)
    return [one for one in trades if one.client_order_id == order.client_order_id]


async def assert_trades_agree(stand: Stand, order: Order, last: OrderUpdate) -> list[Fill]:
    """The trades add up to what was told, in quantity and in price."""
    trades = await fills_of(stand, order)
    qty = sum((one.qty for one in trades), Decimal(0))
    assert qty == last.filled_qty
    value = sum((one.qty * one.price for one in trades), Decimal(0))
    if qty:
        assert last.average_price is not None
        assert abs(last.average_price - value / qty) < NEAR_ENOUGH * value
    return trades


@promise()
async def an_order_that_fills_at_once_is_told_to_its_end(stand: Stand) -> None:
    ear = stand.listen()
    for number, symbol in enumerate((BTC, ETH, BTC)):
        order = stand.prepared(number, symbol)
        answer = await stand.submit(order)
        if isinstance(answer, Accepted) and not stand.leaves_open(order):
            said = await ear.end_of(order, answer)
            assert said[-1].state == "filled"
            assert_told_well(order, said)


@promise("parts", "account", parts=True)
async def partial_fills_are_told_one_by_one_and_add_up(stand: Stand) -> None:
    ear = stand.listen()
    order = stand.prepared(1)

    said = await ear.end_of(order, await stand.submit(order))

    assert_told_well(order, said)
    assert said[-1].state == "filled"
    assert any(one.state == "partial" for one in said)
    assert len(await assert_trades_agree(stand, order, said[-1])) > 1
    assert list(await stand.asked(stand.adapter.open_orders, BTC)) == []
    found = await stand.fate(order)
    assert isinstance(found, Found)
    assert (found.update.state, found.update.filled_qty) == ("filled", order.qty)


@promise("wire", "account")
async def whoever_is_to_watch_an_order_again_is_told_again(stand: Stand) -> None:
    ear = stand.listen()
    order = stand.prepared(1)
    await ear.end_of(order, await stand.submit(order))
    before = len(ear.of(order))

    stand.adapter.watch(order)
    await stand.clock.sleep(5.0)

    again = ear.of(order)[before:]
    assert again
    assert (again[-1].state, again[-1].filled_qty) == ("filled", order.qty)


@promise("account")
async def position_trades_and_updates_agree(stand: Stand) -> None:
    ear = stand.listen()
    sides: list[OrderSide] = ["buy", "buy", "sell", "buy", "sell", "sell", "sell"]
    signed = Decimal(0)
    for number, side in enumerate(sides):
        order = stand.prepared(number, side=side, size_usd=Decimal(700 + 300 * number))
        said = await ear.end_of(order, await stand.submit(order))
        await assert_trades_agree(stand, order, said[-1])
        signed += said[-1].filled_qty if side == "buy" else -said[-1].filled_qty

        held = await stand.asked(stand.adapter.get_position, BTC) - stand.flat(BTC)
        if stand.adapter.position_is_exact:
            assert held == signed
        else:
            # Fees are taken from what is bought.
            assert abs(held - signed) <= Decimal("0.01") * sum((order.qty for _ in sides), Decimal(0))
    assert signed < 0
    assert await stand.asked(stand.adapter.get_position, ETH) == stand.flat(ETH)


@promise("account")
async def a_market_order_fills_at_what_the_book_asks_and_its_fee_is_told(stand: Stand) -> None:
    ear = stand.listen()
    for number, (symbol, side) in enumerate([(BTC, "buy"), (BTC, "sell"), (ETH, "buy")]):
        order = stand.prepared(number, symbol, side=side)
        said = await ear.end_of(order, await stand.submit(order))
        average, intent = said[-1].average_price, order.intent_price

        assert average is not None
        assert intent is not None
        # Ten basis points: more than every stand assumes as slippage.
        assert abs(average / intent - 1) < Decimal("0.001")
        assert (average >= intent) if side == "buy" else (average <= intent)
        fees = [one.fee for one in await fills_of(stand, order)]
        assert all(fee > 0 for fee in fees)
        assert said[-1].fee == sum(fees)
