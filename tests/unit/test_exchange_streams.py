"""The user stream of the exchange: who hears what, in which order, and what a bad day does to it."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec
import pytest
from rig.box import START_MS, Box

from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import FillPolicy, Key

MINUTE_MS = 60_000


def told(events: list[Any]) -> list[tuple[str, str, str]]:
    """Each order event as execution type, status, cumulative quantity."""
    orders = [event["o"] for event in events if event["e"] == "ORDER_TRADE_UPDATE"]
    return [(order["x"], order["X"], order["z"]) for order in orders]


def test_an_order_is_told_from_acceptance_to_its_last_fill() -> None:
    box = Box(policy=FillPolicy(parts=2))
    box.listen()

    box.place("a", qty="0.010")

    events = box.events()
    assert told(events) == [
        ("NEW", "NEW", "0.000"), ("TRADE", "PARTIALLY_FILLED", "0.005"), ("TRADE", "FILLED", "0.010"),
    ]  # fmt: skip
    assert [event["e"] for event in events] == ["ORDER_TRADE_UPDATE"] + [
        "ACCOUNT_UPDATE",
        "ORDER_TRADE_UPDATE",
    ] * 2
    last, account = events[-1]["o"], events[-2]["a"]
    assert (last["c"], last["l"], last["L"], last["ap"], last["n"], last["N"], last["t"]) == (
        "a", "0.005", "60000.10", "60000.10000", "0.15000025", "USDT", 2,
    )  # fmt: skip
    assert account["P"][0]["pa"] == "0.010"


def test_cancellation_and_expiry_are_told() -> None:
    box = Box()
    box.listen()

    box.place("a", price="59000")
    box.cancel("a")
    box.place("b", price="59000", timeInForce="IOC")

    assert [one[:2] for one in told(box.events())] == [
        ("NEW", "NEW"), ("CANCELED", "CANCELED"), ("NEW", "NEW"), ("EXPIRED", "EXPIRED"),
    ]  # fmt: skip


def test_an_account_hears_of_itself_alone() -> None:
    box = Box(keys={"loopback-key": "loopback-secret", "other": Key("s", account="second")})
    box.listen()

    box.place("a", key="other", secret="s")

    assert box.pushes() == []


def test_an_account_has_one_listen_key_at_a_time() -> None:
    box = Box()

    assert box.listen() == box.listen()
    assert box.ask("DELETE", "/fapi/v1/listenKey").status == 200
    assert [push.close for push in box.pushes()] == [True]
    assert box.ask("DELETE", "/fapi/v1/listenKey").code == -1125
    assert box.ask("PUT", "/fapi/v1/listenKey").code == -1125


def test_a_listen_key_needs_the_key_header_and_no_signature() -> None:
    box = Box()

    assert box.raw("POST", "/fapi/v1/listenKey", x_mbx_apikey="loopback-key").status == 200
    assert box.raw("POST", "/fapi/v1/listenKey").code == -2014


def test_a_listen_key_lives_for_an_hour_from_its_last_extension() -> None:
    box = Box()
    key = box.listen()
    box.wait(59 * MINUTE_MS)
    extended = box.ask("PUT", "/fapi/v1/listenKey")
    box.wait(59 * MINUTE_MS)
    alive = box.exchange.open_stream(key, box.now_ms)

    box.wait(MINUTE_MS)

    (push,) = box.pushes()
    assert (extended.status, alive) == (200, True)
    # The connection is told and stays open, as on the real exchange.
    assert (push.listen_key, push.close) == (key, False)
    assert msgspec.json.decode(push.message)["e"] == "listenKeyExpired"
    assert not box.exchange.open_stream(key, box.now_ms)
    assert box.ask("PUT", "/fapi/v1/listenKey").code == -1125
    box.place("a")
    assert box.pushes() == []
    assert box.listen() != key


def test_a_gap_cuts_the_connections_and_loses_what_happens_meanwhile() -> None:
    box = Box(FaultRule("stream_gap", nth=2, delay_ms=1_000))
    key = box.listen()
    box.place("a", price="59000")
    box.pushes()

    box.cancel("a")
    box.place("b", price="59000")
    cuts = box.pushes()
    box.wait(1_000)
    box.cancel("b")

    assert [(push.listen_key, push.close) for push in cuts] == [(key, True)]
    assert told(box.events()) == [("CANCELED", "CANCELED", "0.000")]


def test_single_events_may_be_lost_or_doubled() -> None:
    box = Box(
        FaultRule("stream_loss", nth=1, endpoint="ORDER_TRADE_UPDATE"),
        FaultRule("stream_duplicate", nth=1, client_id_prefix="b"),
    )
    box.listen()

    box.place("a", price="59000")
    box.place("b", price="59000")

    events = box.events()
    assert [event["o"]["c"] for event in events] == ["b", "b"]
    assert events[0] == events[1]


def test_events_may_come_out_of_order() -> None:
    box = Box(FaultRule("stream_reorder", nth=1))
    box.listen()

    box.place("a", price="59000")
    held = box.events()
    box.cancel("a")

    assert held == []
    assert [one[0] for one in told(box.events())] == ["CANCELED", "NEW"]


def test_an_event_that_waits_for_a_successor_does_not_wait_for_ever() -> None:
    box = Box(FaultRule("stream_reorder", nth=1, delay_ms=200))
    box.listen()
    box.place("a", price="59000")

    box.wait(200)

    assert [one[0] for one in told(box.events())] == ["NEW"]


def test_events_may_come_late() -> None:
    box = Box(FaultRule("stream_delay", delay_ms=700))
    box.listen()
    box.place("a", price="59000")

    box.wait(699)
    early = box.events()
    box.wait(1)

    assert (early, len(box.events())) == ([], 1)


def subscribe(box: Box, *, secret: str = "loopback-secret", connection: str = "c1", **changes: Any) -> Any:
    params: dict[str, Any] = {"apiKey": "loopback-key", "timestamp": box.now_ms} | changes
    payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
    params["signature"] = hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
    message = {"id": 1, "method": "userDataStream.subscribe.signature", "params": params}
    reply = box.exchange.handle_socket(connection, msgspec.json.encode(message), box.now_ms)
    return msgspec.json.decode(reply)


def test_spot_tells_its_events_over_the_websocket_api() -> None:
    box = Box(market="spot")

    reply = subscribe(box)
    box.place("a", qty="0.010")
    events = box.events()
    box.exchange.close_socket("c1")
    box.place("b", qty="0.010")

    assert (reply["status"], reply["result"]) == (200, {"subscriptionId": 0})
    assert [event["event"]["e"] for event in events] == [
        "executionReport", "executionReport", "outboundAccountPosition",
    ]  # fmt: skip
    fill = events[1]["event"]
    assert (fill["x"], fill["X"], fill["z"], fill["N"]) == ("TRADE", "FILLED", "0.01000000", "BTC")
    assert box.pushes() == []


def test_a_spot_cancellation_has_a_name_of_its_own() -> None:
    box = Box(market="spot")
    subscribe(box)
    for name in "ab":
        box.place(name, price="59000")

    named = box.cancel("a", newClientOrderId="stop-a").body
    unnamed = box.cancel("b").body

    told = [event["event"] for event in box.events() if event["event"]["x"] == "CANCELED"]
    assert [(one["c"], one["C"]) for one in told] == [("stop-a", "a"), (unnamed["clientOrderId"], "b")]
    assert (named["clientOrderId"], named["origClientOrderId"]) == ("stop-a", "a")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"secret": "wrong"}, -1022),
        ({"apiKey": "nobody"}, -2015),
        ({"timestamp": START_MS - 6_000}, -1021),
        ({"timestamp": START_MS + 1_000}, -1021),
        ({"timestamp": "soon"}, -1102),
        ({"recvWindow": 60_001}, -1131),
    ],
)
def test_a_subscription_is_signed_like_a_request(changes: dict[str, Any], code: int) -> None:
    box = Box(market="spot")

    assert subscribe(box, **changes)["error"]["code"] == code
    box.place("a")
    assert box.pushes() == []


@pytest.mark.parametrize("message", [b"", b"{", b'{"id":[]}', b'{"id":1,"method":"order.place"}', b"\xff"])
def test_a_message_that_cannot_be_read_is_answered(message: bytes) -> None:
    reply = msgspec.json.decode(Box(market="spot").exchange.handle_socket("c", message, START_MS))

    assert (reply["status"], reply["error"]["code"]) == (400, -1000)
