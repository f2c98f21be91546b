"""The rules of the simulated venue: the built-in ones are the exchange's own, others those of a file."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.binance.market import Market
from adapters.binance.symbol_rules import rules_of
from adapters.binance.wire_exchange_info import read_exchange_info
from adapters.contract import StartRefusal
from adapters.exchange.engine import Exchange
from adapters.exchange.messages import Incoming
from adapters.exchange.terms import MarketName
from adapters.paper.symbol_rules import built_in_rules, read_rules

SYMBOLS = ("BTCUSDT", "ETHUSDT")


def told(market: MarketName) -> bytes:
    """What the exchange in the box answers to exchangeInfo."""
    path = "/fapi/v1/exchangeInfo" if market == "futures" else "/api/v3/exchangeInfo"
    incoming = Incoming("GET", path, "", b"", {})
    return Exchange(start_ms=0, market=market).handle(incoming, 0).body


def changed(**filters: Any) -> bytes:
    """That answer with other numbers in BTCUSDT's price filter."""
    info = json.loads(told("futures"))
    info["symbols"][0]["filters"][0].update(filters)
    return json.dumps(info).encode()


def test_the_built_in_rules_are_those_that_are_read_from_the_exchange_in_the_box() -> None:
    info = read_exchange_info(told("futures"))
    assert info is not None

    read = {reply.symbol: rules_of(Market.FUTURES, reply) for reply in info.symbols}

    assert built_in_rules() == read


@pytest.mark.parametrize(("market", "tick"), [("futures", "0.1"), ("spot", "0.01")])
def test_a_saved_answer_of_either_market_is_read_as_that_market_reads_it(
    market: MarketName, tick: str, tmp_path: Path
) -> None:
    path = tmp_path / "rules.json"
    path.write_bytes(told(market))

    found = read_rules(path, SYMBOLS)

    assert not isinstance(found, StartRefusal)
    assert found["BTCUSDT"].price.step == Decimal(tick)
    assert found["BTCUSDT"].notional.reduce_only_exempt is (market == "futures")
    assert found.keys() == set(SYMBOLS)


def test_symbols_that_the_file_does_not_have_are_no_fault_of_the_start(tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_bytes(told("futures"))

    found = read_rules(path, ("BTCUSDT", "NOSUCHUSDT"))

    assert not isinstance(found, StartRefusal)
    assert found.keys() == {"BTCUSDT"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is not what the exchange answers to exchangeInfo"),
        (b"[]", "is not what the exchange answers to exchangeInfo"),
        (b"\xff\xfe", "is not what the exchange answers to exchangeInfo"),
        (changed(tickSize="-1"), "has rules of BTCUSDT that make no sense"),
        (changed(tickSize="NaN"), "has rules of BTCUSDT that make no sense"),
    ],
)
def test_a_file_that_means_nothing_is_refused_in_one_sentence(body: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_bytes(body)

    found = read_rules(path, SYMBOLS)

    assert isinstance(found, StartRefusal)
    assert found.kind == "configuration"
    assert found.text.startswith(f"rules file {path} ")
    assert said in found.text


def test_a_file_that_is_not_there_is_named_with_its_setting(tmp_path: Path) -> None:
    found = read_rules(tmp_path / "no.json", SYMBOLS)

    assert isinstance(found, StartRefusal)
    assert found.text.endswith("(no such file or directory): name it with execution.paper.rules_file")
