"""Rows in, records out: the same rules as for lines."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import pytest

from streams.codec import decode_lines, decode_row
from streams.signal import Malformed, Place, Record, Signal

SYMBOL = "BTCUSDT"
PLACE = Place("signals.db", 7, 0)
GOOD: dict[str, object] = {"ts_ms": 1_763_225_940_400, "symbol": SYMBOL, "score": 0.7, "confirm": 1}


def decode(**fields: object) -> Record:
    return decode_row({**GOOD, **fields}, symbol=SYMBOL, place=PLACE)


def the_signal(**fields: object) -> Signal:
    record = decode(**fields)
    assert isinstance(record, Signal), record
    return record


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"score": None}, "missing_field"),
        ({"score": math.inf}, "out_of_range"),
        ({"score": math.nan}, "out_of_range"),
        ({"score": "0.7"}, "wrong_type"),
        ({"score": b"\x00"}, "wrong_type"),
        ({"regime": b"\xff"}, "not_utf8"),
        ({"ts_ms": 1}, "out_of_range"),
        ({"ts_ms": 1.763e12}, "wrong_type"),
        ({"confirm": 2}, "out_of_range"),
        ({"gating": "[1]"}, "wrong_type"),
        ({"gating": "[" * 100_000}, "wrong_type"),
        ({"gating": "[oops"}, "not_json"),
        ({"price": math.inf}, "out_of_range"),
        ({"price": "dear"}, "wrong_type"),
        ({"symbol": "../X"}, "bad_symbol"),
        ({"symbol": "ETHUSDT"}, "symbol_mismatch"),
        ({"expiry_ms": -1}, "out_of_range"),
        ({"signal_id": "a" * 129}, "bad_signal_id"),
        ({"schema_version": "signal/v2", "gating": 0}, "v2_rule"),
    ],
)
def test_a_row_that_breaks_a_rule_is_a_dead_letter(fields: dict[str, object], reason: str) -> None:
    record = decode(**fields)

    assert isinstance(record, Malformed)
    assert record.reason == reason
    assert record.place == PLACE
    assert 0 < len(record.raw) <= 4_096


def test_null_and_missing_columns_are_absent_fields_and_extra_ones_are_ignored() -> None:
    assert the_signal(regime=None, note="x", blob=b"\xff") == the_signal()


@pytest.mark.parametrize(
    ("gating", "passes"),
    [('["ok"]', True), ('["a_passed", "b_passed"]', True), ('["late"]', False), ("[]", True), ("ok", True)],
)
def test_a_list_in_text_is_read_as_a_list(gating: str, passes: bool) -> None:
    assert the_signal(gating=gating).gate_passed is passes


@pytest.mark.parametrize(("value", "price"), [(97_000.1, "97000.1"), (5, "5"), (0.1, "0.1"), (0.0, None)])
def test_a_real_price_is_the_number_that_was_written(value: float, price: str | None) -> None:
    assert the_signal(price=value).price == (None if price is None else Decimal(price))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"score": -0.0},
        {"score": 3},
        {"regime": "quiet", "div_type": "bull"},
        {"signal_id": "r1-7"},
        {"gating": 0, "guard_reason": "warmup"},
        {"schema_version": "signal/v2", "gating": 1, "decision_code": "OK", "side_hint": "sell"},
        {"price": 12.25, "cooldown_ms": 5, "expiry_ms": 60_000, "warmup": 1, "consistency": 0.5},
    ],
)
def test_a_line_and_a_row_with_the_same_fields_are_the_same_signal(fields: dict[str, object]) -> None:
    line = json.dumps({**GOOD, **fields}).encode()

    (from_line,) = decode_lines(line, base_offset=0, symbol=SYMBOL, file="f", max_line_bytes=4_096)
    from_row = the_signal(**fields)

    assert isinstance(from_line, Signal)
    assert _content(from_line) == _content(from_row)


def _content(signal: Signal) -> dict[str, object]:
    return {name: getattr(signal, name) for name in signal.__struct_fields__ if name != "place"}
