"""Requests that speak of nothing, or of nothing that there is: every endpoint refuses them alike."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rig.box import Box

from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import FillPolicy, RateLimits

ORDER = {"side": "BUY", "quantity": "0.02", "price": "59000"}


@pytest.mark.parametrize(
    ("market", "method", "name", "params"),
    [
        ("futures", "GET", "order", {}),
        ("futures", "GET", "openOrder", {}),
        ("futures", "DELETE", "order", {}),
        ("futures", "PUT", "order", ORDER),
        ("futures", "GET", "allOrders", {}),
        ("futures", "GET", "userTrades", {}),
        ("futures", "DELETE", "allOpenOrders", {}),
        ("futures", "POST", "countdownCancelAll", {"countdownTime": 1}),
        ("futures", "POST", "leverage", {"leverage": 5}),
        ("futures", "GET", "depth", {}),
        ("spot", "GET", "order", {}),
        ("spot", "GET", "myTrades", {}),
        ("spot", "DELETE", "openOrders", {}),
    ],
)
def test_a_symbol_is_asked_for_and_must_trade_here(
    market: Any, method: str, name: str, params: dict[str, Any]
) -> None:
    box = Box(market=market)

    none = box.ask(method, box.path(name), origClientOrderId="a", **params)
    strange = box.ask(method, box.path(name), symbol="XXXUSDT", origClientOrderId="a", **params)

    assert (none.code, strange.code) == (-1102, -1121)
    assert "'symbol'" in none.body["msg"]


@pytest.mark.parametrize("name", ["v1/openOrders", "v3/positionRisk", "v2/positionRisk", "v1/premiumIndex"])
def test_a_symbol_that_may_be_left_out_must_still_trade_here(name: str) -> None:
    box = Box()

    assert box.ask("GET", f"/fapi/{name}").status == 200
    assert box.ask("GET", f"/fapi/{name}", symbol="XXXUSDT").code == -1121


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_an_order_without_a_name_is_none(method: str) -> None:
    box = Box()

    assert box.ask(method, "/fapi/v1/order", symbol="BTCUSDT", **ORDER).code == -1102


def test_settings_need_their_value() -> None:
    box = Box()

    assert box.ask("POST", "/fapi/v1/positionSide/dual").code == -1102
    assert box.ask("POST", "/fapi/v1/leverage", symbol="BTCUSDT").code == -1102
    assert box.ask("POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT").code == -1102


def test_a_position_side_that_does_not_exist_is_refused() -> None:
    box = Box()

    assert box.place(positionSide="UP").code == -4060
    test = box.ask("POST", "/fapi/v1/order/test", symbol="BTCUSDT", side="BUY", type="MARKET")
    assert test.code == -1102


def test_an_open_order_is_told_while_it_is_open_and_visible() -> None:
    box = Box(FaultRule("invisible", delay_ms=100, client_id_prefix="hidden"))
    ask = {"method": "GET", "path": "/fapi/v1/openOrder", "symbol": "BTCUSDT"}
    box.place("open", price="59000")
    box.place("done")
    box.place("hidden", price="59000")

    codes = [box.ask(**ask, origClientOrderId=name).code for name in ("open", "done", "hidden", "nobody")]

    assert codes == [None, -2013, -2013, -2013]


def test_a_limit_order_whose_price_goes_while_it_fills_rests_again() -> None:
    box = Box(policy=FillPolicy(parts=2, part_delay_ms=100))
    box.place("a", qty="0.010", price="60000.1")
    box.wait(0)

    box.price("60500")
    box.wait(100)
    resting = box.query("a").body
    box.price("60000")
    box.wait(200)

    assert (resting["status"], resting["executedQty"]) == ("PARTIALLY_FILLED", "0.005")
    assert box.query("a").body["status"] == "FILLED"


def test_an_order_that_is_canceled_between_its_parts_stays_as_it_is() -> None:
    box = Box(policy=FillPolicy(parts=2, part_delay_ms=100))
    box.place("a", qty="0.010")
    box.wait(0)

    box.cancel("a")
    box.wait(1_000)

    order = box.query("a").body
    assert (order["status"], order["executedQty"], box.position()) == ("CANCELED", "0.005", Decimal("0.005"))


def test_a_change_counts_as_an_order() -> None:
    box = Box(limits=RateLimits(orders_per_10_s=1))
    box.place("a", price="59000")

    heard = box.ask("PUT", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="a", **ORDER)

    assert (heard.status, heard.code) == (429, -1015)


def test_a_key_of_another_kind_signs_nothing() -> None:
    public = generate_private_key(65537, 2048).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    assert Box(keys={"loopback-key": pem}).place().code == -1022


@pytest.mark.parametrize(
    ("method", "status"), [("ping", 200), ("time", 200), ("userDataStream.unsubscribe", 400)]
)
def test_the_websocket_api_answers_its_small_methods(method: str, status: int) -> None:
    message = msgspec.json.encode({"id": "x", "method": method})

    box = Box(market="spot")
    reply = msgspec.json.decode(box.exchange.handle_socket("c", message, box.now_ms))

    assert (reply["id"], reply["status"]) == ("x", status)


@pytest.mark.parametrize("missing", ["apiKey", "timestamp", "signature"])
def test_a_subscription_names_what_it_lacks(missing: str) -> None:
    params = {"apiKey": "loopback-key", "timestamp": 1, "signature": "x"}
    del params[missing]
    message = msgspec.json.encode({"id": 1, "method": "userDataStream.subscribe.signature", "params": params})

    box = Box(market="spot")
    reply = msgspec.json.decode(box.exchange.handle_socket("c", message, box.now_ms))

    assert missing in reply["error"]["msg"]
