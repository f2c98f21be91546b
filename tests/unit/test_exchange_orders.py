"""An order's life on the exchange: accepted, filled, canceled, expired, and what its client id is worth."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from rig.box import Box

from adapters.exchange.terms import FillPolicy


def test_the_reply_to_an_order_tells_nothing_of_fills() -> None:
    box = Box()

    acknowledged = box.place("a").body
    told = box.place("b", newOrderRespType="RESULT").body

    assert (acknowledged["status"], acknowledged["executedQty"]) == ("NEW", "0.000")
    assert (told["status"], told["executedQty"]) == ("FILLED", "0.010")
    assert not {"avgPrice", "cumQuote"} & (set(acknowledged) | set(told))


def test_a_market_order_fills_at_once_at_the_other_side_of_the_book() -> None:
    box = Box()

    box.place("buy")
    box.place("sell", side="SELL", qty="0.004")

    bought, sold = box.query("buy").body, box.query("sell").body
    assert (bought["status"], bought["avgPrice"], bought["cumQuote"]) == (
        "FILLED",
        "60000.10000",
        "600.00100",
    )
    assert (sold["status"], sold["avgPrice"]) == ("FILLED", "59999.90000")
    assert box.position() == Decimal("0.006")


def test_fees_and_profit_go_to_the_wallet() -> None:
    box = Box()
    box.place("a", qty="1")
    box.price("61000")

    box.place("b", side="SELL", qty="1")

    fills = box.listed("userTrades")
    profit, fees = Decimal("999.8"), sum(Decimal(fill["commission"]) for fill in fills)
    balance = box.ask("GET", "/fapi/v3/balance").body[0]
    assert fees == Decimal("60000.1") * Decimal("0.0005") + Decimal("60999.9") * Decimal("0.0005")
    assert Decimal(fills[1]["realizedPnl"]) == profit
    assert Decimal(balance["balance"]) == 10_000_000 + profit - fees
    assert box.position() == 0


def test_a_position_through_zero_opens_at_the_new_price() -> None:
    box = Box()
    box.place("a", qty="1")
    box.price("50000")

    box.place("b", side="SELL", qty="3")

    (position,) = box.ask("GET", "/fapi/v3/positionRisk").body
    assert (position["positionAmt"], position["entryPrice"]) == ("-2.000", "49999.90000000")


def test_market_orders_fill_in_parts_at_their_moments() -> None:
    box = Box(policy=FillPolicy(parts=3, part_delay_ms=100, fill_delay_ms=50))
    box.place("a", qty="0.010")

    seen = [(box.query("a").body["status"], box.query("a").body["executedQty"])]
    for delay_ms in (50, 100, 100):
        box.wait(delay_ms)
        order = box.query("a").body
        seen.append((order["status"], order["executedQty"]))

    assert seen == [
        ("NEW", "0.000"), ("PARTIALLY_FILLED", "0.003"), ("PARTIALLY_FILLED", "0.006"), ("FILLED", "0.010"),
    ]  # fmt: skip
    assert len(box.listed("userTrades")) == 3


def test_parts_of_one_moment_are_trades_of_their_own() -> None:
    box = Box(policy=FillPolicy(parts=4))

    box.place("a", qty="0.010")

    assert [fill["qty"] for fill in box.listed("userTrades")] == ["0.002"] * 4 + ["0.002"]


def test_limit_orders_rest_until_the_price_crosses_theirs() -> None:
    box = Box()
    box.place("a", price="59000")
    resting = box.query("a").body["status"]

    box.price("59000")
    above = box.query("a").body["status"]
    box.price("58999.9")
    crossed = box.query("a").body

    assert (resting, above, crossed["status"]) == ("NEW", "NEW", "FILLED")
    assert crossed["avgPrice"] == "59000.00000"
    assert box.listed("userTrades")[0]["maker"] is True


def test_a_limit_order_that_crosses_takes_the_better_price() -> None:
    box = Box()

    box.place("a", price="60500")

    assert box.query("a").body["avgPrice"] == "60000.10000"
    assert box.listed("userTrades")[0]["maker"] is False


@pytest.mark.parametrize(
    ("tif", "price", "depth", "code", "status", "executed"),
    [
        ("IOC", "60000.1", None, None, "FILLED", "1.000"),
        ("IOC", "60000.1", "0.4", None, "EXPIRED", "0.400"),
        ("IOC", "60000.0", None, None, "EXPIRED", "0.000"),
        ("GTC", "60000.1", "0.4", None, "PARTIALLY_FILLED", "0.400"),
        ("GTX", "60000.0", None, None, "NEW", "0.000"),
        ("GTX", "60000.1", None, -5022, None, None),
        ("FOK", "60000.1", None, None, "FILLED", "1.000"),
        ("FOK", "60000.1", "0.4", -5021, None, None),
        ("FOK", "60000.0", None, -5021, None, None),
    ],
)
def test_time_in_force_says_what_may_stay(
    tif: str, price: str, depth: str | None, code: int | None, status: str | None, executed: str | None
) -> None:
    box = Box(policy=FillPolicy(depth_qty=Decimal(depth) if depth else None))

    heard = box.place("a", qty="1", price=price, timeInForce=tif)

    order = box.query("a")
    assert heard.code == code
    assert (order.body.get("status"), order.body.get("executedQty")) == (status, executed)
    # A refused FOK or GTX was never there.
    assert order.code == (-2013 if code else None)
    assert len(box.listed("allOrders")) == (code is None)


def test_what_the_book_cannot_fill_of_a_market_order_expires() -> None:
    box = Box(policy=FillPolicy(depth_qty=Decimal("0.4")))

    box.place("a", qty="1")

    order = box.query("a").body
    assert (order["status"], order["executedQty"]) == ("EXPIRED", "0.400")


@pytest.mark.parametrize(("market", "code"), [("futures", -4116), ("spot", -2010)])
def test_a_client_order_id_is_unique_among_open_orders_only(market: Any, code: int) -> None:
    box = Box(market=market)
    first = box.place("a", price="59000").body["orderId"]

    while_open = box.place("a", price="59000")
    box.cancel("a")
    after_cancel = box.place("a", price="59000").body["orderId"]
    box.price("58000")
    after_fill = box.place("a").body["orderId"]

    assert while_open.code == code
    assert first < after_cancel < after_fill
    assert box.query("a").body["orderId"] == after_fill
    assert box.query(None, orderId=first).body["status"] == "CANCELED"
    assert box.accepted("a") == 3


def test_a_filled_market_order_sent_again_fills_twice() -> None:
    box = Box()

    box.place("a")
    box.place("a")

    assert box.position() == Decimal("0.020")


def test_cancel_stops_an_open_order_and_no_other() -> None:
    box = Box(policy=FillPolicy(depth_qty=Decimal("0.4")))
    box.place("open", price="59000")
    box.place("part", qty="1", price="60000.1")
    box.place("done")

    stopped, part, done, unknown = (box.cancel(name) for name in ("open", "part", "done", "nobody"))
    again = box.cancel("open")

    assert (stopped.body["status"], part.body["status"]) == ("CANCELED", "CANCELED")
    assert part.body["executedQty"] == "0.400"
    assert [one.code for one in (done, unknown, again)] == [-2011] * 3
    assert box.listed("openOrders") == []


def test_cancel_all_and_the_countdown_stop_one_symbol() -> None:
    box = Box()
    box.place("a", price="59000")
    box.place("b", price="59000")
    box.place("c", symbol="ETHUSDT", price="2900", qty="1")

    heard = box.ask("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
    box.place("d", price="59000")
    box.ask("POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=1_000)
    box.wait(900)
    box.ask("POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=1_000)
    box.wait(900)
    still = [order["clientOrderId"] for order in box.listed("openOrders")]
    box.wait(100)

    assert heard.body["code"] == 200
    assert still == ["d"]
    assert [order["clientOrderId"] for order in box.listed("openOrders", symbol=None)] == ["c"]


def test_a_countdown_of_zero_is_off() -> None:
    box = Box()
    box.place("a", price="59000")
    box.ask("POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=1_000)

    box.ask("POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=0)
    box.wait(10_000)

    assert len(box.listed("openOrders")) == 1


def test_reduce_only_never_adds_to_a_position() -> None:
    box = Box()
    flat = box.place("a", reduceOnly="true")
    box.place("b", qty="0.010")

    same_side = box.place("c", reduceOnly="true")
    box.place("d", side="SELL", qty="0.030", reduceOnly="true")

    assert (flat.code, same_side.code) == (-2022, -2022)
    order = box.query("d").body
    assert (order["status"], order["executedQty"], box.position()) == ("EXPIRED", "0.010", Decimal(0))


def test_reduce_only_is_exempt_from_the_least_notional() -> None:
    box = Box()
    box.place("a", symbol="ETHUSDT", qty="0.010")

    assert box.place("b", symbol="ETHUSDT", side="SELL", qty="0.001").code == -4164
    assert box.place("c", symbol="ETHUSDT", side="SELL", qty="0.001", reduceOnly="true").status == 200


def test_margin_that_is_not_there_refuses_what_adds_and_lets_out_what_closes() -> None:
    box = Box(balances={"USDT": Decimal(1_000)})
    box.place("a", qty="0.300")

    more = box.place("b", qty="0.100")
    resting = box.place("c", qty="0.100", price="59000")
    close = box.place("d", side="SELL", qty="0.300")

    assert (more.code, resting.code, close.status) == (-2019, -2019, 200)


def test_leverage_changes_the_margin() -> None:
    box = Box(balances={"USDT": Decimal(1_000)})

    heard = box.ask("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=100)

    assert heard.body["leverage"] == 100
    assert box.place("a", qty="1").status == 200
    assert box.ask("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=126).code == -4028


def test_a_hedge_account_wants_a_side_and_a_one_way_account_none() -> None:
    box = Box()
    one_way = box.place("a", positionSide="LONG")
    box.ask("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")

    both = box.place("b", positionSide="BOTH")
    absent = box.place("c")
    long, short = box.place("d", positionSide="LONG"), box.place("e", side="SELL", positionSide="SHORT")
    reduce = box.place("f", side="SELL", positionSide="LONG", reduceOnly="true")
    too_much = box.place("g", side="SELL", positionSide="LONG", qty="1")

    assert [one.code for one in (one_way, both, absent)] == [-4061] * 3
    assert (long.status, short.status, reduce.code, too_much.code) == (200, 200, -1106, -2022)
    sides = {row["positionSide"]: row["positionAmt"] for row in box.ask("GET", "/fapi/v3/positionRisk").body}
    assert sides == {"LONG": "0.010", "SHORT": "-0.010"}


def test_the_position_mode_changes_only_on_an_empty_account() -> None:
    box = Box()
    change = {"path": "/fapi/v1/positionSide/dual", "method": "POST"}

    same = box.ask(**change, dualSidePosition="false")
    box.place("a", price="59000")
    with_order = box.ask(**change, dualSidePosition="true")
    box.cancel("a")
    box.place("b")
    with_position = box.ask(**change, dualSidePosition="true")

    assert [one.code for one in (same, with_order, with_position)] == [-4059, -4067, -4068]
    assert box.ask("GET", "/fapi/v1/positionSide/dual").body == {"dualSidePosition": False}


def test_a_test_order_is_checked_and_not_placed() -> None:
    box = Box()
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET"}

    good = box.ask("POST", "/fapi/v1/order/test", quantity="0.01", **order)
    bad = box.ask("POST", "/fapi/v1/order/test", quantity="0", **order)

    assert (good.body, bad.code, box.journal) == ({}, -4003, [])
