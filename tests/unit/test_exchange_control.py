"""The side door of the exchange: prices, faults and the journal while it runs, from this machine alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from rig.box import KEY, Box, read

from adapters.exchange.messages import Incoming


def control(box: Box, method: str, name: str, body: object = None, *, peer: str = "127.0.0.1") -> Any:
    path, _, query = name.partition("?")
    data = b"" if body is None else msgspec.json.encode(body)
    incoming = Incoming(method, f"/control/{path}", query, data, peer=peer)
    return read(box.exchange.handle(incoming, box.now_ms))


def test_faults_are_replaced_added_and_counted() -> None:
    box = Box()

    control(box, "POST", "faults", [{"kind": "reset_before", "times": 1}])
    control(box, "POST", "faults", {"add": [{"kind": "unknown_503"}]})
    wires = [(box.place(name).reply.wire, box.accepted(name)) for name in "ab"]
    counted = control(box, "GET", "faults").body
    control(box, "POST", "faults", [])

    assert wires == [("reset", 0), ("whole", 0)]
    assert [(one["rule"]["kind"], one["matched"], one["fired"]) for one in counted] == [
        ("reset_before", 2, 1), ("unknown_503", 1, 1),
    ]  # fmt: skip
    assert box.place("c").status == 200


def test_a_price_that_is_set_fills_what_it_crosses() -> None:
    box = Box()
    box.place("a", price="59000")

    heard = control(box, "POST", "price", {"symbol": "BTCUSDT", "price": "58000.5"})

    assert heard.body == {"symbol": "BTCUSDT", "price": "58000.5"}
    assert box.query("a").body["status"] == "FILLED"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("price", {"symbol": "XXXUSDT", "price": "1"}),
        ("price", {"symbol": "BTCUSDT", "price": "0"}),
        ("price", {"symbol": "BTCUSDT", "price": "NaN"}),
        ("price", {"symbol": "BTCUSDT"}),
        ("price", [1]),
        ("faults", [{"kind": "lunch"}]),
        ("faults", {"add": [{"kind": "late"}] * 1_001}),
        ("symbol", {"symbol": "SOLUSDT"}),
        ("account", {"hedge": True, "account": "nobodys"}),
        ("key", {"key": "nobodys", "may_trade": True}),
        ("key", {"key": "loopback-key", "secret": "other"}),
    ],
)
def test_what_cannot_be_understood_changes_nothing(name: str, body: object) -> None:
    box = Box()

    assert control(box, "POST", name, body).status == 400
    assert box.place("a").status == 200
    assert box.query("a").body["avgPrice"] == "60000.10000"


def test_a_symbol_may_be_listed_while_it_runs() -> None:
    box = Box()
    rules = {"symbol": "SOLUSDT", "tick": "0.01", "step": "0.1", "min_qty": "0.1"}
    rules |= {"min_notional": "5", "start_price": "150"}

    heard = control(box, "POST", "symbol", rules)

    assert heard.status == 200
    assert box.place("a", symbol="SOLUSDT", qty="1").status == 200


def test_a_key_loses_the_right_to_trade_and_gets_it_back() -> None:
    box = Box()

    changed = control(box, "POST", "key", {"key": KEY, "may_trade": False}).body
    read_only = (box.place("a").code, box.ask("POST", "/fapi/v1/order/test").code, box.query("a").code)
    control(box, "POST", "key", {"key": KEY, "may_trade": True})

    assert changed == {"key": KEY, "known": True, "may_trade": False}
    assert read_only == (-2015, -2015, -2013)
    assert box.place("a").status == 200


def test_a_key_may_be_bound_to_an_address() -> None:
    box = Box()

    control(box, "POST", "key", {"key": KEY, "allowed_ips": ["192.0.2.1"]})
    elsewhere = box.query("a").code
    control(box, "POST", "key", {"key": KEY, "allowed_ips": ["127.0.0.1"]})

    assert (elsewhere, box.query("a").code) == (-2015, -2013)


def test_a_revoked_key_is_gone_for_good() -> None:
    box = Box()

    control(box, "POST", "key", {"key": KEY, "known": False})

    assert (box.place("a").status, box.query("a").code) == (401, -2015)
    assert control(box, "POST", "key", {"key": KEY}).status == 400
    assert box.journal == []


def test_a_key_that_may_withdraw_says_so() -> None:
    box = Box()

    control(box, "POST", "key", {"key": KEY, "may_withdraw": True})

    rights = box.ask("GET", "/sapi/v1/account/apiRestrictions").body
    assert rights["enableWithdrawals"] is True


def test_an_account_changes_its_position_mode_while_it_is_flat() -> None:
    box = Box()

    heard = control(box, "POST", "account", {"hedge": True})
    one_sided = box.place("a").code
    control(box, "POST", "account", {"hedge": False})
    box.place("b")

    assert heard.body == {"account": "main", "hedge": True}
    assert one_sided == -4061
    assert [entry["hedge"] for entry in box.facts("mode")] == [True, False]
    assert control(box, "POST", "account", {"hedge": True}).status == 400


def test_the_journal_is_read_from_where_one_was() -> None:
    box = Box()
    box.place("a")
    box.place("b")

    whole = control(box, "GET", "journal").body
    rest = control(box, "GET", "journal?from=2").body

    assert whole == box.journal
    assert [entry["seq"] for entry in rest] == [3, 4]
    assert control(box, "GET", "journal?from=x").status == 400


def test_the_state_is_told() -> None:
    box = Box()
    box.place("a")

    state = control(box, "GET", "state").body

    assert state["orders"] == {"FILLED": 1}
    assert state["accounts"]["main"]["positions"][0]["qty"] == "0.010"
    assert state == msgspec.to_builtins(box.exchange.snapshot())


def test_streams_are_cut_on_demand() -> None:
    box = Box()
    key = box.listen()

    control(box, "POST", "cut")

    assert [(push.listen_key, push.close) for push in box.pushes()] == [(key, True)]


def test_only_this_machine_may_control_the_exchange() -> None:
    box = Box()

    assert control(box, "GET", "state", peer="192.0.2.1").status == 403
    assert control(box, "GET", "state", peer="somewhere").status == 403
    assert control(box, "GET", "state", peer="::1").status == 200


def test_what_is_not_there_is_named() -> None:
    heard = control(Box(), "GET", "nothing")

    assert heard.status == 404
    assert "GET /control/journal" in heard.body["msg"]


def test_control_needs_no_key_and_uses_no_weight() -> None:
    box = Box()

    control(box, "GET", "state")

    assert box.query("a").headers["X-MBX-USED-WEIGHT-1M"] == "1"


def test_listen_keys_end_on_demand() -> None:
    box = Box()
    key = box.listen()

    control(box, "POST", "expire")

    assert [event["e"] for event in box.events()] == ["listenKeyExpired"]
    assert not box.exchange.open_stream(key, box.now_ms)
    box.wait(7_200_000)
    assert box.pushes() == []
