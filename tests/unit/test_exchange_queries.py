"""What the exchange remembers of orders and trades, for how long, and who gets to see it when."""

from __future__ import annotations

from typing import Any

import pytest
from rig.box import START_MS, Box

from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import Key

DAY_MS = 86_400_000


def names(orders: Any) -> list[str]:
    return [order["clientOrderId"] for order in orders]


def test_a_query_needs_a_name_and_a_symbol() -> None:
    box = Box()

    nameless = box.ask("GET", "/fapi/v1/order", symbol="BTCUSDT")
    no_symbol = box.ask("GET", "/fapi/v1/order", origClientOrderId="a")
    unknown = box.query("a")
    strange = box.query("a", symbol="XXXUSDT")

    assert [one.code for one in (nameless, no_symbol, unknown, strange)] == [-1102, -1102, -2013, -1121]


def test_an_order_is_found_by_number_or_name_under_its_own_symbol_and_account() -> None:
    box = Box(keys={"loopback-key": "loopback-secret", "other": Key("s", account="second")})
    number = box.place("a").body["orderId"]

    assert box.query("a").body["orderId"] == number
    assert box.query(None, orderId=number).body["clientOrderId"] == "a"
    assert box.query("a", symbol="ETHUSDT").code == -2013
    assert box.query(None, orderId=number, symbol="ETHUSDT").code == -2013
    assert box.query("a", key="other", secret="s").code == -2013


def test_two_keys_of_one_account_see_the_same_orders() -> None:
    box = Box(keys={"loopback-key": "loopback-secret", "other": Key("s")})

    box.place("a", key="other", secret="s")

    assert box.query("a").status == 200


@pytest.mark.parametrize(
    ("filled", "days", "remembered"),
    [(False, 2.9, True), (False, 3, False), (True, 3, True), (True, 89.9, True), (True, 90, False)],
)
def test_unfilled_orders_are_forgotten_after_three_days_and_all_after_ninety(
    filled: bool, days: float, remembered: bool
) -> None:
    box = Box()
    number = box.place("a", price=None if filled else "59000").body["orderId"]
    box.cancel("a")

    box.wait(int(days * DAY_MS))

    span = {"startTime": START_MS - 1, "endTime": START_MS + 1}
    assert box.query("a").code == (None if remembered else -2013)
    assert box.query(None, orderId=number).code == (None if remembered else -2013)
    assert names(box.listed("allOrders", **span)) == (["a"] if remembered else [])


def test_an_open_order_is_never_forgotten() -> None:
    box = Box()
    box.place("a", price="59000")

    box.wait(100 * DAY_MS)

    assert box.query("a").body["status"] == "NEW"


@pytest.mark.parametrize("name", ["allOrders", "userTrades"])
def test_a_span_of_more_than_seven_days_is_refused(name: str) -> None:
    box = Box()
    ask = {"method": "GET", "path": f"/fapi/v1/{name}", "symbol": "BTCUSDT"}

    longest = box.ask(**ask, startTime=START_MS - 7 * DAY_MS, endTime=START_MS)
    too_long = box.ask(**ask, startTime=START_MS - 7 * DAY_MS - 1, endTime=START_MS)

    assert (longest.status, too_long.code) == (200, -1127)


def test_without_a_span_the_last_seven_days_are_told_and_with_a_beginning_seven_from_there() -> None:
    box = Box()
    box.place("a")
    box.wait(8 * DAY_MS)
    box.place("b")

    assert names(box.listed("allOrders")) == ["b"]
    assert names(box.listed("allOrders", startTime=START_MS)) == ["a"]
    assert names(box.listed("allOrders", startTime=START_MS + 1)) == []
    assert len(box.listed("userTrades")) == 1


def test_lists_are_paged_oldest_first() -> None:
    box = Box()
    numbers = []
    for name in "abcde":
        numbers.append(box.place(name).body["orderId"])
        box.wait(1)

    assert names(box.listed("allOrders", limit=2)) == ["d", "e"]
    assert names(box.listed("allOrders", limit=2, startTime=START_MS)) == ["a", "b"]
    assert names(box.listed("allOrders", limit=2, orderId=numbers[1])) == ["b", "c"]
    assert names(box.listed("allOrders", startTime=START_MS + 2, endTime=START_MS + 3)) == ["c", "d"]
    assert [fill["id"] for fill in box.listed("userTrades", fromId=4)] == [4, 5]
    assert [fill["id"] for fill in box.listed("userTrades", limit=2)] == [4, 5]
    assert [fill["orderId"] for fill in box.listed("userTrades", orderId=numbers[2])] == [numbers[2]]


@pytest.mark.parametrize("scope", ["query", "all"])
def test_an_accepted_order_may_stay_invisible_for_a_while(scope: Any) -> None:
    box = Box(FaultRule("invisible", delay_ms=20_000, scope=scope))
    accepted = box.place("a", price="59000")

    box.wait(19_999)
    hidden = box.query("a")
    listed = names(box.listed("openOrders")) + names(box.listed("allOrders"))
    duplicate = box.place("a", price="59000")
    box.wait(1)

    assert accepted.status == 200
    assert (hidden.code, duplicate.code) == (-2013, -4116)
    assert listed == (["a", "a"] if scope == "query" else [])
    assert box.query("a").body["status"] == "NEW"
    assert names(box.listed("openOrders")) == ["a"]


def test_trades_of_an_invisible_order_are_hidden_with_the_lists_alone() -> None:
    shown = Box(FaultRule("invisible", delay_ms=1_000))
    hidden = Box(FaultRule("invisible", delay_ms=1_000, scope="all"))

    for box in (shown, hidden):
        box.place("a")

    assert len(shown.listed("userTrades")) == 1
    assert hidden.listed("userTrades") == []
    hidden.wait(1_000)
    assert len(hidden.listed("userTrades")) == 1


def test_the_account_tells_positions_orders_and_margin() -> None:
    box = Box()
    box.place("a", qty="0.010")
    box.place("b", price="59000", qty="0.010")

    account = box.ask("GET", "/fapi/v3/account").body
    (risk,) = box.ask("GET", "/fapi/v3/positionRisk").body
    older = box.ask("GET", "/fapi/v2/positionRisk").body

    assert account["totalPositionInitialMargin"] == "30.00000000"
    assert account["totalOpenOrderInitialMargin"] == "29.50000000"
    assert [one["symbol"] for one in account["positions"]] == ["BTCUSDT"]
    assert (risk["positionAmt"], risk["unRealizedProfit"]) == ("0.010", "-0.00100000")
    assert {one["symbol"]: one["positionAmt"] for one in older} == {"BTCUSDT": "0.010", "ETHUSDT": "0.000"}


def test_a_flat_position_is_told_only_while_an_order_would_change_it() -> None:
    box = Box()
    nothing = box.ask("GET", "/fapi/v3/positionRisk").body

    box.place("a", price="59000")
    working = box.ask("GET", "/fapi/v3/positionRisk").body
    box.cancel("a")

    assert nothing == []
    assert [(row["symbol"], row["positionAmt"]) for row in working] == [("BTCUSDT", "0.000")]
    assert box.ask("GET", "/fapi/v3/positionRisk").body == []


def test_looking_changes_nothing() -> None:
    box = Box()
    box.place("a")
    before = box.exchange.snapshot()

    for path in ("v3/account", "v2/account", "v3/balance", "v3/positionRisk", "v2/positionRisk"):
        assert box.ask("GET", f"/fapi/{path}").status == 200

    assert box.exchange.snapshot() == before


def test_the_rights_of_a_key_are_told() -> None:
    box = Box(keys={"a": Key("s"), "b": Key("s", may_trade=False, may_withdraw=True, ip_restricted=False)})

    safe = box.ask("GET", "/sapi/v1/account/apiRestrictions", key="a", secret="s").body
    unsafe = box.ask("GET", "/sapi/v1/account/apiRestrictions", key="b", secret="s").body

    assert (safe["enableFutures"], safe["enableWithdrawals"], safe["ipRestrict"]) == (True, False, True)
    assert (unsafe["enableFutures"], unsafe["enableWithdrawals"], unsafe["ipRestrict"]) == (
        False,
        True,
        False,
    )


def test_anybody_may_ask_for_time_and_prices() -> None:
    box = Box()

    def get(path: str, query: str = "") -> Any:
        return box.raw("GET", f"/fapi/v1/{path}", query).body

    assert get("ping") == {}
    assert get("time") == {"serverTime": START_MS}
    ticker = get("ticker/bookTicker", "symbol=BTCUSDT")
    assert (ticker["bidPrice"], ticker["askPrice"]) == ("59999.90", "60000.10")
    assert [one["symbol"] for one in get("ticker/bookTicker")] == ["BTCUSDT", "ETHUSDT"]
    assert get("ticker/price", "symbol=ETHUSDT")["price"] == "3000.00"
    assert get("premiumIndex", "symbol=BTCUSDT")["markPrice"] == "60000.00000000"
    depth = get("depth", "symbol=BTCUSDT&limit=5")
    assert (len(depth["bids"]), depth["asks"][0][0], depth["asks"][1][0]) == (5, "60000.10", "60000.20")
    assert get("ticker/price", "symbol=XXXUSDT")["code"] == -1121
    assert get("depth")["code"] == -1102
