"""The journal of the exchange: the witness, and the memory after a restart."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from rig.box import START_MS, Box

from adapters.exchange.faults import FaultRule
from adapters.exchange.journal import JournalError
from adapters.exchange.terms import FillPolicy


def test_every_fact_is_one_entry_in_order() -> None:
    box = Box(policy=FillPolicy(parts=2))

    box.place("a")
    box.wait(5)
    box.place("b", price="59000", side="BUY")
    box.cancel("b")
    box.place("c", price="59000", timeInForce="IOC")
    box.place("d", qty="0")

    assert [entry["kind"] for entry in box.journal] == [
        "accepted", "fill", "fill", "accepted", "canceled", "accepted", "expired",
    ]  # fmt: skip
    assert [entry["seq"] for entry in box.journal] == list(range(1, 8))
    assert box.exchange.journal == box.journal
    accepted, fill = box.journal[3], box.journal[1]
    assert accepted == {
        "seq": 4, "kind": "accepted", "now_ms": START_MS + 5, "exchange_ms": START_MS + 5, "account": "main",
        "symbol": "BTCUSDT", "order_id": 8_000_000_001, "client_order_id": "b", "side": "BUY",
        "type": "LIMIT", "tif": "GTC", "qty": "0.010", "price": "59000", "position_side": "BOTH",
        "reduce_only": False,
    }  # fmt: skip
    assert (fill["qty"], fill["price"], fill["fee"], fill["executed"], fill["status"]) == (
        "0.005", "60000.10", "0.15000025", "0.005", "PARTIALLY_FILLED",
    )  # fmt: skip


def busy(market: Any) -> Box:
    box = Box(
        FaultRule("reset_after", nth=2),
        FaultRule("late", nth=3, delay_ms=10),
        market=market,
        policy=FillPolicy(depth_qty=Decimal("0.6")),
    )
    if market == "futures":
        box.ask("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=50)
    box.place("a", qty="0.5")
    box.place("b", qty="1", side="SELL")
    box.place("c", qty="0.01")
    box.wait(10)
    box.place("d", qty="1", price="60100")
    box.place("e", qty="1", price="59000")
    box.place("f", qty="1", price="58000")
    box.cancel("f")
    return box


def entries(box: Box) -> list[Any]:
    """The journal as it comes back from a file."""
    return msgspec.json.decode(msgspec.json.encode(box.journal))


def comparable(box: Box) -> dict[str, object]:
    return {name: value for name, value in box.exchange.snapshot().items() if name not in ("faults",)}


@pytest.mark.parametrize("market", ["futures", "spot"])
def test_an_exchange_comes_back_with_its_orders_fills_and_balances(market: Any) -> None:
    box = busy(market)

    again = Box(market=market, policy=FillPolicy(depth_qty=Decimal("0")))
    again.now_ms = box.now_ms
    again.exchange.restore(entries(box))
    again.exchange.advance(again.now_ms)

    assert comparable(again) == comparable(box)
    for name in "abcdef":
        assert again.query(name).body == box.query(name).body
    trades = "userTrades" if market == "futures" else "myTrades"
    for name in ("openOrders", "allOrders", trades):
        assert again.listed(name) == box.listed(name)
    assert again.place("e", price="59000").code == (-4116 if market == "futures" else -2010)


def test_numbers_go_on_where_they_ended() -> None:
    box = busy("futures")
    last = max(int(str(entry["order_id"])) for entry in box.facts("accepted"))

    again = Box()
    again.exchange.restore(entries(box))
    number = again.place("z").body["orderId"]

    assert number == last + 1
    assert again.journal[-1]["seq"] == len(again.exchange.journal)
    ids = [fill["id"] for fill in again.listed("userTrades")]
    assert len(ids) == len(set(ids))


def test_an_order_that_was_filling_when_the_exchange_died_goes_on() -> None:
    policy = FillPolicy(parts=2, part_delay_ms=1_000)
    box = Box(policy=policy)
    box.place("a", qty="0.010")
    box.wait(0)

    again = Box(policy=policy)
    again.exchange.restore(entries(box))
    again.wait(2_000)

    assert again.query("a").body["status"] == "FILLED"


def test_the_position_mode_comes_back() -> None:
    box = Box()
    box.ask("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    box.place("a", positionSide="LONG")

    again = Box()
    again.exchange.restore(entries(box))

    assert again.ask("GET", "/fapi/v1/positionSide/dual").body["dualSidePosition"] is True
    assert [row["positionSide"] for row in again.ask("GET", "/fapi/v3/positionRisk").body] == ["LONG"]


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "lunch"},
        {"kind": "accepted"},
        {"kind": "canceled", "now_ms": 1, "exchange_ms": 1, "order_id": 5},
        {
            "kind": "accepted", "now_ms": 1, "exchange_ms": 1, "order_id": 1, "account": "main",
            "symbol": "XXXUSDT", "client_order_id": "a", "side": "BUY", "type": "MARKET", "tif": "GTC",
            "qty": "1", "price": None, "position_side": "BOTH", "reduce_only": False,
        },
    ],
)  # fmt: skip
def test_a_journal_of_something_else_is_refused(entry: dict[str, object]) -> None:
    with pytest.raises(JournalError, match="journal"):
        Box().exchange.restore([entry])


def test_the_same_calls_lead_to_the_same_bytes() -> None:
    def run(seed: int) -> tuple[list[bytes], list[Any]]:
        box = Box(FaultRule("unknown_503", probability=0.5), seed=seed, policy=FillPolicy(parts=2))
        box.listen()
        replies = [box.place(None if number % 3 else f"n{number}").reply.body for number in range(50)]
        return replies + [push.message for push in box.pushes()], box.journal

    assert run(3) == run(3)
    assert run(3) != run(4)
