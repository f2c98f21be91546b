"""Strangers at the exchange's door: whatever arrives is answered, and nothing of it becomes an order."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.box import KEY, SECRET, START_MS, Box, sign

from adapters.exchange.gateway import LEGAL
from adapters.exchange.messages import Incoming
from adapters.exchange.routes import ROUTES
from adapters.exchange.terms import SymbolRules

PATHS = sorted({path for routes in ROUTES.values() for _, path in routes})
METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"])
MARKETS = st.sampled_from(["futures", "spot"])
NAMES = st.sampled_from([*LEGAL, "signature", "newOrderRespType", "x"])
# More digits than a Decimal computes with, a line end that a careless pattern lets pass.
ODD = ("9" * 20 + "." + "9" * 20, "0." + "0" * 19 + "1", "0.01\n", str(START_MS))
VALUES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ("BTCUSDT", "BUY", "LIMIT", "MARKET", "GTC", "FOK", "1", "0.01", "60000", "true", "9" * 19, *ODD)
    ),
)


@settings(deadline=None)
@given(
    MARKETS,
    METHODS,
    st.sampled_from(
        [*PATHS, "/", "/control/faults", "/control/price", "/control/symbol", "/control/journal"]
    ),
    st.text(max_size=60),
    st.binary(max_size=60),
    st.dictionaries(
        st.sampled_from(["x-mbx-apikey", "content-type"]),
        st.one_of(st.text(max_size=20), st.sampled_from([KEY, "application/x-www-form-urlencoded"])),
    ),
)
def test_any_bytes_are_answered(
    market: Any, method: str, path: str, query: str, body: bytes, headers: dict[str, str]
) -> None:
    box = Box(market=market)

    reply = box.exchange.handle(Incoming(method, path, query, body, headers), START_MS)

    assert 200 <= reply.status < 500
    msgspec.json.decode(reply.body)
    assert box.facts("accepted") == []


@settings(deadline=None)
@given(MARKETS, METHODS, st.sampled_from(PATHS), st.lists(st.tuples(NAMES, VALUES), max_size=10))
def test_any_parameters_that_are_signed_are_answered(
    market: Any, method: str, path: str, params: list[tuple[str, str]]
) -> None:
    box = Box(market=market)
    box.place("resting", price="59000")
    pairs = [*params, ("timestamp", str(START_MS))]
    text = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)
    query = f"{text}&signature={sign(text, SECRET)}"

    heard = box.raw(method, path, query, x_mbx_apikey=KEY)

    assert 200 <= heard.status < 500
    assert heard.reply.body


@pytest.mark.parametrize("market", ["futures", "spot"])
@pytest.mark.parametrize("price", [None, "60000", *ODD])
@pytest.mark.parametrize("qty", ["0.01", *ODD])
def test_numbers_beyond_all_measure_are_refused(market: Any, qty: str, price: str | None) -> None:
    box = Box(market=market)

    heard = box.place(qty=qty, price=price)

    odd = qty in ODD or price in ODD
    assert heard.status == (400 if odd else 200)
    assert heard.code in (-1100, -1111, -1013, -4005, -4002, None)


@pytest.mark.parametrize("text", ["/fapi/v1/\udcff", "/fapi/v1/é"])
def test_an_address_outside_ascii_is_refused(text: str) -> None:
    box = Box()

    assert box.raw("GET", text).code == -1100
    assert box.raw("GET", "/fapi/v1/time", text).code == -1100


@pytest.mark.parametrize(("market", "code"), [("futures", -2025), ("spot", -1013)])
def test_a_symbol_holds_only_so_many_open_orders_of_an_account(market: Any, code: int) -> None:
    box = Box(market=market)
    info = box.raw("GET", box.path("exchangeInfo")).body["symbols"][0]
    rules = next(one for one in info["filters"] if one["filterType"] == "MAX_NUM_ORDERS")
    for number in range(100):
        box.place(f"first{number}", price="59000")
    box.wait(10_000)
    for number in range(100):
        box.place(f"second{number}", price="59000")
    box.wait(10_000)

    refused = box.place("one-more", price="59000")
    box.cancel("first0")
    taken = box.place("one-more", price="59000")

    assert 200 in rules.values()
    assert (refused.code, taken.status) == (code, 200)


def test_a_symbol_of_ones_own_trades_by_its_own_rules() -> None:
    box = Box()
    one = {"tick": "0.5", "step": "2", "min_qty": "2", "min_notional": "1", "start_price": "10"}
    box.exchange.add_symbol(msgspec.convert({"symbol": "OWNUSDT", **one}, SymbolRules, strict=False))

    odd, even = (box.place(name, symbol="OWNUSDT", qty=qty) for name, qty in (("a", "3"), ("b", "4")))

    assert (odd.code, even.status) == (-4023, 200)
