"""Promises about preparing: pure, true to the signal, never larger than wanted, and a reason for every no."""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec
from rig.promise import promise
from rig.stand import BTC, ETH, Stand

from adapters.contract import Order, OrderCtx, Reject

CODE = re.compile(r"[a-z]+(_[a-z]+)*")
NO_PRICES = [None, *map(Decimal, ("0", "-1", "NaN", "sNaN", "Infinity"))]


def assert_refused(stand: Stand, ctx: OrderCtx) -> Reject:
    """The answer is a no with a code and a sentence."""
    answer = stand.adapter.prepare(ctx)
    assert isinstance(answer, Reject), answer
    assert CODE.fullmatch(answer.code), answer
    assert len(answer.text.split()) >= 3, answer
    assert answer.text[-1] != ".", answer
    return answer


def value_of(order: Order) -> Decimal:
    """What it is worth at the price that it was sized with."""
    price = order.price if order.price is not None else order.intent_price
    assert price is not None
    return order.qty * price


@promise()
async def preparing_is_pure_and_keeps_the_identity_of_the_signal(stand: Stand) -> None:
    for symbol, side in ((BTC, "buy"), (ETH, "sell")):
        ctx = stand.wanted(7, symbol, side=side)
        first, second = stand.prepared(7, symbol, side=side), stand.prepared(7, symbol, side=side)

        assert first == second
        identity = (first.client_order_id, first.symbol, first.side, first.signal_id)
        assert identity == (ctx.client_order_id, symbol, side, ctx.signal_id)
        assert (first.order_type, first.tif) == (ctx.order_type, ctx.tif)
        assert first.qty.is_finite()
        assert first.qty > 0
    assert stand.accepted() == []


@promise()
async def a_prepared_order_survives_the_row_to_the_last_digit(stand: Stand) -> None:
    order = stand.prepared()

    again = msgspec.json.decode(msgspec.json.encode(order), type=Order)

    assert again == order
    assert (str(again.qty), str(again.price)) == (str(order.qty), str(order.price))


@promise()
async def a_renewed_order_is_the_same_order_with_another_window(stand: Stand) -> None:
    order = stand.prepared()
    await stand.clock.sleep(3.0)

    renewed = stand.adapter.renew(order, None)

    window = {"send_before_ms": order.send_before_ms, "recv_window_ms": order.recv_window_ms}
    assert msgspec.structs.replace(renewed, **window) == order
    if order.send_before_ms is not None:
        assert renewed.send_before_ms == order.send_before_ms + 3_000


@promise("sizes")
async def a_quantity_is_never_rounded_up(stand: Stand) -> None:
    for text in ("0.0123456789", "0.0199999999", "0.5", "1.0009999"):
        wanted = Decimal(text)
        order = stand.prepared(qty=wanted)
        diff = Decimal((order.rounding_diff or {}).get("qty_diff", "0"))
        assert wanted * Decimal("0.9") < order.qty <= wanted
        assert order.qty + diff == wanted


@promise("sizes")
async def the_size_that_is_asked_for_decides_the_quantity_and_is_never_exceeded(stand: Stand) -> None:
    sizes = [Decimal(text) for text in ("300", "777.77", "1500", "20000")]
    orders = [stand.prepared(size_usd=size) for size in sizes]

    for size, order in zip(sizes, orders, strict=True):
        assert size * Decimal("0.75") < value_of(order) <= size
    assert len({order.qty for order in orders}) == len(orders)


@promise("limits", "sizes")
async def a_limit_price_goes_to_the_nearest_tick_and_what_was_rounded_is_told(stand: Stand) -> None:
    wanted = stand.far + Decimal("0.0337")
    order = stand.resting(price=wanted)

    assert order.price is not None
    assert abs(order.price - wanted) <= Decimal("0.05")
    assert order.price + Decimal((order.rounding_diff or {}).get("price_diff", "0")) == wanted


@promise("sizes")
async def what_the_rules_do_not_allow_is_refused_with_a_code_and_a_sentence(stand: Stand) -> None:
    symbol, qty = stand.cheap

    assert_refused(stand, stand.wanted(symbol="NOSUCHUSDT", price=Decimal("5")))
    small = assert_refused(stand, stand.wanted(qty=stand.no_quantity))
    cheap = assert_refused(stand, stand.wanted(symbol=symbol, qty=qty))
    assert_refused(stand, stand.wanted(size_usd=Decimal("0.5")))

    assert (small.code, cheap.code) == ("invalid_quantity", "min_notional")
    assert stand.accepted() == []


@promise("sizes")
async def a_price_that_is_none_never_gets_into_an_order(stand: Stand) -> None:
    for order_type in ("market", "limit") if stand.traits.limits else ("market",):
        for price in NO_PRICES:
            answer = stand.adapter.prepare(stand.wanted(order_type=order_type, price=price))
            if isinstance(answer, Order):
                numbers = (answer.qty, answer.price, answer.intent_price)
                assert all(one.is_finite() and one > 0 for one in numbers if one is not None), answer
            else:
                assert_refused(stand, stand.wanted(order_type=order_type, price=price))


@promise("priced_by_signal")
async def without_a_price_in_the_signal_there_is_no_order(stand: Stand) -> None:
    codes = {assert_refused(stand, stand.wanted(price=price)).code for price in NO_PRICES}

    assert codes == {"no_price", "bad_price"}
    assert_refused(stand, stand.wanted(price=None))
