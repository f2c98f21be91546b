"""Changing a working order on the exchange: new terms, or none at all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from rig.box import Box, Heard

from adapters.exchange.terms import FillPolicy


def amend(box: Box, name: str = "a", **changes: Any) -> Heard:
    given = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "origClientOrderId": name,
        "quantity": "0.020",
        "price": "59100",
    }
    return box.ask("PUT", "/fapi/v1/order", **{**given, **changes})


def test_a_working_order_goes_on_under_its_new_terms() -> None:
    box = Box()
    number = box.place("a", price="59000").body["orderId"]
    box.listen()

    heard = amend(box)

    order = box.query("a").body
    assert heard.body["orderId"] == number
    assert (order["origQty"], order["price"], order["status"]) == ("0.020", "59100.00", "NEW")
    assert [event["o"]["x"] for event in box.events()] == ["AMENDMENT"]
    assert [entry["kind"] for entry in box.journal] == ["accepted", "amended"]
    assert box.place("a", price="59000").code == -4116


def test_new_terms_that_cross_fill_at_once() -> None:
    box = Box()
    box.place("a", price="59000")

    amend(box, price="60000.1")

    assert box.query("a").body["status"] == "FILLED"
    assert box.position() == Decimal("0.020")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantity": "0.010", "price": "59000"}, -5027),
        ({"quantity": "0.0105"}, -1111),
        ({"price": "59000.05"}, -4014),
        ({"quantity": "0.0"}, -4003),
        ({"price": None}, -1102),
        ({"quantity": None}, -1102),
        ({"side": "SELL"}, -2013),
        ({"origClientOrderId": "b"}, -2013),
        ({"origClientOrderId": None}, -1102),
    ],
)
def test_a_change_that_is_refused_leaves_the_order_as_it_is(changes: dict[str, Any], code: int) -> None:
    box = Box()
    box.place("a", price="59000")
    before = box.query("a").body

    assert amend(box, **changes).code == code
    assert box.query("a").body == before


def test_a_finished_order_cannot_be_changed() -> None:
    box = Box()
    box.place("a", price="59000")
    box.cancel("a")

    assert amend(box).code == -2013


def test_an_order_that_wants_no_more_than_it_has_ends() -> None:
    box = Box(policy=FillPolicy(depth_qty=Decimal("0.4")))
    box.place("a", qty="1", price="60000.1")

    heard = amend(box, quantity="0.400", price="60000.1")

    assert (heard.body["status"], heard.body["executedQty"]) == ("CANCELED", "0.400")


def test_a_maker_order_that_would_take_ends() -> None:
    box = Box()
    box.place("a", price="59000", timeInForce="GTX")

    assert amend(box, price="60000.1").body["status"] == "CANCELED"
    assert box.position() == 0


def test_new_terms_survive_a_restart() -> None:
    box = Box()
    box.place("a", price="59000")
    amend(box)

    again = Box()
    again.exchange.restore(msgspec.json.decode(msgspec.json.encode(box.journal)))

    assert again.query("a").body == box.query("a").body
