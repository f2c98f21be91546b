"""The filters of the exchange: each refusal in its market's own code, and nothing accepted by mistake."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.box import Box

from adapters.exchange.filters import places
from adapters.exchange.terms import FUTURES_RULES, SPOT_RULES


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"qty": "0"}, -4003),
        ({"qty": "0.0001"}, -1111),
        ({"qty": "0.0100"}, None),
        ({"qty": "120"}, None),
        ({"qty": "120.001"}, -4005),
        ({"qty": "120.001", "price": "60000"}, None),
        ({"qty": "1000.001", "price": "60000"}, -4005),
        ({"qty": "0.001"}, None),
        ({"qty": "0.001", "price": "57000"}, None),
        ({"price": "261"}, -4013),
        ({"price": "809484.1"}, -4002),
        ({"price": "60000.15"}, -4014),
        ({"price": "60000.001"}, -1111),
        ({"price": "63000"}, None),
        ({"price": "63000.1"}, -4016),
        ({"side": "SELL", "price": "57000"}, None),
        ({"side": "SELL", "price": "56999.9"}, -4024),
        ({"symbol": "ETHUSDT", "qty": "0.006"}, -4164),
        ({"symbol": "ETHUSDT", "qty": "0.007"}, None),
        ({"symbol": "ETHUSDT", "qty": "0.007", "price": "2850"}, -4164),
        ({"newClientOrderId": "x" * 36}, None),
    ],
)
def test_futures_refuse_by_their_filters(order: dict[str, Any], code: int | None) -> None:
    box = Box(balances={"USDT": Decimal("1e9")})

    heard = box.place(**order)

    assert heard.code == code, heard.body
    assert len(box.facts("accepted")) == (code is None)


@pytest.mark.parametrize(
    ("order", "code", "word"),
    [
        ({"qty": "0"}, -1013, "Invalid quantity"),
        ({"qty": "0.000000001"}, -1111, "quantity"),
        ({"qty": "0.000001"}, -1013, "LOT_SIZE"),
        ({"qty": "0.000015"}, -1013, "LOT_SIZE"),
        ({"qty": "121"}, -1013, "MARKET_LOT_SIZE"),
        ({"qty": "0.00008"}, -1013, "NOTIONAL"),
        ({"qty": "0.00009"}, None, ""),
        ({"price": "0"}, -1013, "Invalid price"),
        ({"price": "60000.005"}, -1013, "PRICE_FILTER"),
        ({"price": "60000.000000001"}, -1111, "price"),
        ({"price": "11999.99"}, -1013, "PERCENT_PRICE"),
        ({"price": "12000"}, None, ""),
        ({"side": "SELL", "qty": "100.1"}, -2010, "insufficient balance"),
        ({"qty": "200", "price": "60000"}, -2010, "insufficient balance"),
    ],
)
def test_spot_refuses_by_its_filters(order: dict[str, Any], code: int | None, word: str) -> None:
    box = Box(market="spot")

    heard = box.place(**order)

    assert heard.code == code, heard.body
    assert word in str(heard.body)
    assert len(box.facts("accepted")) == (code is None)


@pytest.mark.parametrize(("market", "code"), [("futures", -4141), ("spot", -1013)])
def test_a_symbol_that_does_not_trade_takes_no_order(market: Any, code: int) -> None:
    rules = FUTURES_RULES if market == "futures" else SPOT_RULES
    box = Box(market=market)
    box.exchange.add_symbol(msgspec.structs.replace(rules[0], status="BREAK"))

    assert box.place().code == code


@pytest.mark.parametrize("market", ["futures", "spot"])
def test_exchange_info_tells_the_filters_that_are_in_force(market: Any) -> None:
    box = Box(market=market)

    info = box.raw("GET", box.path("exchangeInfo")).body

    symbols = {one["symbol"]: one for one in info["symbols"]}
    assert set(symbols) == {"BTCUSDT", "ETHUSDT"}
    by_type = {one["filterType"]: one for one in symbols["BTCUSDT"]["filters"]}
    sample = (FUTURES_RULES if market == "futures" else SPOT_RULES)[0]
    assert Decimal(by_type["PRICE_FILTER"]["tickSize"]) == sample.tick
    assert Decimal(by_type["LOT_SIZE"]["stepSize"]) == sample.step
    assert Decimal(by_type["MARKET_LOT_SIZE"]["maxQty"]) == sample.market_max_qty
    key = ("MIN_NOTIONAL", "notional") if market == "futures" else ("NOTIONAL", "minNotional")
    assert Decimal(by_type[key[0]][key[1]]) == sample.min_notional


def test_only_spot_narrows_exchange_info_to_a_symbol() -> None:
    futures, spot = Box(), Box(market="spot")

    all_of_them = futures.raw("GET", "/fapi/v1/exchangeInfo", "symbol=BTCUSDT").body["symbols"]
    one_of_them = spot.raw("GET", "/api/v3/exchangeInfo", "symbol=BTCUSDT").body["symbols"]
    none_of_them = spot.raw("GET", "/api/v3/exchangeInfo", "symbol=XXXUSDT")

    assert (len(all_of_them), len(one_of_them), none_of_them.code) == (2, 1, -1121)


@given(steps=st.integers(0, 200_000), more=st.sampled_from(["", "0", "00", "5", "05"]), market=st.booleans())
def test_what_is_accepted_lies_on_the_step_and_within_the_bounds(steps: int, more: str, market: bool) -> None:
    box = Box(balances={"USDT": Decimal("1e12")})
    qty = f"{Decimal(steps) / 1000:.3f}{more}"

    heard = box.place(qty=qty, price=None if market else "60000")

    fits = Decimal("0.001") <= Decimal(qty) <= (120 if market else 1000)
    fits = fits and Decimal(qty) % Decimal("0.001") == 0
    assert (heard.status == 200) is fits, (qty, heard.body)


@given(st.decimals(0, 10**6, places=6), st.integers(0, 5))
def test_trailing_zeros_are_no_precision(value: Decimal, zeros: int) -> None:
    text = f"{value:f}" + "0" * zeros

    assert places(Decimal(text)) == len(f"{value:.6f}".rstrip("0").partition(".")[2])
