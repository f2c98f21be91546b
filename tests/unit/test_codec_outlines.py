"""A line that is like one before it is judged with it, and a repeated key is found all the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import KNOWN_FIELDS, decode_lines
from streams.signal import Malformed, Signal

HEAD = '{"ts_ms":1763225940400,"symbol":"BTCUSDT","score":0.7,"confirm":true'
# Names that are known, and names that become like them without the bytes of numbers and ids.
NAMES = sorted(KNOWN_FIELDS | {"price1", "pri", "regim", "regime2", "m", "meta3", "gting", "x", "x1"})


def reasons_of(*lines: str) -> list[str | None]:
    data = "\n".join(lines).encode()
    found = decode_lines(data, base_offset=0, symbol="BTCUSDT", file="a.jsonl", max_line_bytes=65_536)
    return [record.reason if isinstance(record, Malformed) else None for record in found]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('"price1":1,"price":2', '"price":1,"price":2'),
        ('"price1":1,"price1":2', '"price":1,"price":2'),
        ('"pri":1,"price":2', '"price":1,"price":2'),
        ('"x":{"price":1},"price":2', '"x":{"price":1},"price":2,"price":3'),
        ('"z_ofi":1,"z_oi":2', '"z_ofi":1,"z_ofi":2'),
    ],
)
def test_a_line_that_is_only_like_the_one_before_is_looked_at_again(first: str, second: str) -> None:
    for _ in range(2):
        assert reasons_of(f"{HEAD},{first}}}", f"{HEAD},{second}}}") == [None, "duplicate_key"]


@given(st.lists(st.lists(st.sampled_from(NAMES), max_size=5), min_size=1, max_size=6))
def test_a_repeated_known_key_is_found_whatever_was_read_before(lines: list[list[str]]) -> None:
    texts = ["".join([HEAD, *(f',"{name}":null' for name in names), "}"]) for names in lines]

    found = reasons_of(*texts)

    for text, reason in zip(texts, found, strict=True):
        keys = [key for key, _ in json.loads(text, object_pairs_hook=list)]
        known = [key for key in keys if key in KNOWN_FIELDS]
        assert (reason is not None) == (len(known) != len(set(known))), text


def test_without_a_symbol_each_line_is_of_the_one_that_it_names() -> None:
    lines = [HEAD + "}", HEAD.replace("BTCUSDT", "ethusdt") + "}", HEAD.replace("BTCUSDT", "no symbol") + "}"]

    found = decode_lines(
        "\n".join(lines).encode(), base_offset=0, symbol=None, file="a.jsonl", max_line_bytes=65_536
    )

    signals = [record.symbol for record in found if isinstance(record, Signal)]
    assert signals == ["BTCUSDT", "ETHUSDT"]
    assert [(record.symbol, record.reason) for record in found if isinstance(record, Malformed)] == [
        ("", "bad_symbol")
    ]
