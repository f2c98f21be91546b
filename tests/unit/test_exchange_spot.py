"""Spot on the same engine: assets instead of positions, its own words and codes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from rig.box import START_MS, Box

from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import FillPolicy

DAY_MS = 86_400_000


def spot(*rules: FaultRule, **given: Any) -> Box:
    return Box(*rules, market="spot", **given)


def balance(box: Box, asset: str) -> tuple[Decimal, Decimal]:
    rows = {row["asset"]: row for row in box.ask("GET", "/api/v3/account").body["balances"]}
    return Decimal(rows[asset]["free"]), Decimal(rows[asset]["locked"])


def test_a_market_order_tells_its_fills_unless_asked_not_to() -> None:
    box = spot(policy=FillPolicy(parts=2))

    full = box.place("a", qty="0.01").body
    result = box.place("b", qty="0.01", newOrderRespType="RESULT").body
    ack = box.place("c", qty="0.01", newOrderRespType="ACK").body

    assert (full["status"], full["cummulativeQuoteQty"], len(full["fills"])) == ("FILLED", "600.00010000", 2)
    assert full["fills"][0]["commissionAsset"] == "BTC"
    assert ("fills" in result, result["status"]) == (False, "FILLED")
    assert set(ack) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}


def test_assets_change_hands_and_the_fee_is_taken_from_what_comes_in() -> None:
    box = spot(balances={"USDT": Decimal(1_000), "BTC": Decimal(1)})

    box.place("a", qty="0.01")
    after_buy = balance(box, "BTC")[0], balance(box, "USDT")[0]
    box.place("b", side="SELL", qty="0.01")

    assert after_buy == (Decimal("1.009995"), Decimal("399.9999"))
    assert balance(box, "BTC")[0] == Decimal("0.999995")
    assert balance(box, "USDT")[0] == Decimal("399.9999") + Decimal("599.9999") * Decimal("0.9995")


def test_open_orders_hold_back_what_they_need() -> None:
    box = spot(balances={"USDT": Decimal(1_000), "BTC": Decimal(1)})

    box.place("a", price="50000", qty="0.01")
    box.place("b", side="SELL", price="70000", qty="0.4")

    assert balance(box, "USDT") == (Decimal(500), Decimal(500))
    assert balance(box, "BTC") == (Decimal("0.6"), Decimal("0.4"))
    assert box.place("c", price="50000", qty="0.011").code == -2010
    box.cancel("a")
    assert balance(box, "USDT") == (Decimal(1_000), Decimal(0))


@pytest.mark.parametrize(
    ("price", "depth", "tif", "status", "executed"),
    [
        ("60000.01", None, "FOK", "FILLED", "1.00000000"),
        ("60000.01", "0.5", "FOK", "EXPIRED", "0.00000000"),
        ("60000.00", None, "FOK", "EXPIRED", "0.00000000"),
        ("60000.01", "0.5", "IOC", "EXPIRED", "0.50000000"),
    ],
)
def test_spot_records_what_could_not_fill_at_once(
    price: str, depth: str | None, tif: str, status: str, executed: str
) -> None:
    box = spot(policy=FillPolicy(depth_qty=Decimal(depth) if depth else None))

    box.place("a", qty="1", price=price, timeInForce=tif)

    order = box.query("a").body
    assert (order["status"], order["executedQty"]) == (status, executed)


def test_a_maker_order_that_would_take_is_refused() -> None:
    box = spot()
    maker = {"type": "LIMIT_MAKER", "timeInForce": None}

    assert box.place("a", price="60000.01", **maker).code == -2010
    assert box.place("b", price="60000", **maker).status == 200
    assert box.place("c", price="60000", type="LIMIT_MAKER").code == -1106


def test_cancelling_answers_under_an_id_of_its_own() -> None:
    box = spot()
    box.place("a", price="59000")

    canceled = box.cancel("a").body
    none_left = box.ask("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    box.place("b", price="59000")
    all_of_them = box.ask("DELETE", "/api/v3/openOrders", symbol="BTCUSDT").body

    assert canceled["origClientOrderId"] == "a" != canceled["clientOrderId"]
    assert (canceled["status"], none_left.code) == ("CANCELED", -2011)
    assert [one["origClientOrderId"] for one in all_of_them] == ["b"]


def test_spot_spans_are_a_day_and_the_past_is_open_without_one() -> None:
    box = spot()
    box.place("a")
    box.wait(10 * DAY_MS)

    too_long = box.ask("GET", "/api/v3/allOrders", symbol="BTCUSDT", startTime=START_MS, endTime=box.now_ms)

    assert too_long.code == -1127
    assert [order["clientOrderId"] for order in box.listed("allOrders")] == ["a"]
    assert [fill["commissionAsset"] for fill in box.listed("myTrades")] == ["BTC"]


def test_spot_has_neither_positions_nor_listen_keys() -> None:
    box = spot()

    assert box.ask("GET", "/fapi/v3/positionRisk").code == -5000
    assert box.ask("POST", "/api/v3/userDataStream").code == -5000


def test_an_order_that_comes_too_late_is_refused_at_the_last_check() -> None:
    box = spot(FaultRule("late", delay_ms=5_001))

    box.place("a")
    box.wait(10_000)

    assert [entry["code"] for entry in box.facts("refused_late")] == [-1021]


def test_the_rights_of_a_spot_key_are_told() -> None:
    rights = spot().ask("GET", "/sapi/v1/account/apiRestrictions").body

    assert (rights["enableSpotAndMarginTrading"], rights["enableFutures"]) == (True, False)


def test_spot_prices_have_no_time() -> None:
    ticker = spot().raw("GET", "/api/v3/ticker/bookTicker", "symbol=BTCUSDT").body

    assert set(ticker) == {"symbol", "bidPrice", "bidQty", "askPrice", "askQty"}
    assert (ticker["bidPrice"], ticker["askPrice"]) == ("59999.99000000", "60000.01000000")
