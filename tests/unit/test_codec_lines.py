"""Lines in, records out: each rule that a line can break, and that its neighbours survive it."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import MALFORMED_REASONS, RAW_BYTES_MAX, decode_lines
from streams.signal import Malformed, Record, Signal

SYMBOL = "BTCUSDT"
GOOD = b'{"ts_ms":1763225940400,"symbol":"BTCUSDT","score":0.7,"confirm":true}'
LINE_BYTES_MAX = 200_000


def decode(data: bytes, *, base_offset: int = 0, max_line_bytes: int = LINE_BYTES_MAX) -> list[Record]:
    return decode_lines(
        data, base_offset=base_offset, symbol=SYMBOL, file="a.jsonl", max_line_bytes=max_line_bytes
    )


def with_fields(fields: str) -> bytes:
    return GOOD[:-1] + b"," + fields.encode() + b"}"


def the_signal(line: bytes) -> Signal:
    (record,) = decode(line + b"\n")
    assert isinstance(record, Signal), record
    return record


BROKEN = {
    "line_too_long": with_fields('"x":"' + "a" * LINE_BYTES_MAX + '"'),
    "not_utf8 in an unknown field": with_fields('"x":1').replace(b"1}", b'"\xff"}'),
    "not_utf8 cut inside a character": GOOD[:-1] + ',"regime":"é'.encode()[:-1],
    "not_json nan": GOOD.replace(b"0.7", b"NaN"),
    "not_json infinity": GOOD.replace(b"0.7", b"-Infinity"),
    "not_json nan in an unknown field": with_fields('"z_ofi":NaN'),
    "not_json cut": GOOD[:-9],
    "not_json two objects": GOOD + GOOD,
    "not_json lone surrogate": with_fields('"regime":"\\ud800"'),
    "not_json nul inside": with_fields('"regime":"a\0b"'),
    "not_json byte order mark inside the file": b" \xef\xbb\xbf" + GOOD,
    "not_object list": b"[1]",
    "not_object number": b"5",
    "not_object null": b"null",
    "too_deep unknown field": with_fields('"x":' + "[" * 100_000),
    "too_deep closed": with_fields('"x":' + "[" * 50_000 + "]" * 50_000),
    "duplicate_key": with_fields('"score":0.7'),
    "duplicate_key that is not used": with_fields('"z_ofi":1,"z_ofi":2'),
    "duplicate_key escaped": with_fields('"scor\\u0065":1'),
    "duplicate_key spaced": with_fields('"score" :1'),
    "duplicate_key tabbed": with_fields('"score"\t:1'),
    "duplicate_key beside an object": with_fields('"meta":{"a":1,"a":2},"score":1'),
    "missing_field": b"{}",
    "missing_field null": GOOD.replace(b"0.7", b"null"),
    "wrong_type score": GOOD.replace(b"0.7", b'"0.7"'),
    "wrong_type ts": GOOD.replace(b"1763225940400", b"1763225940400.0"),
    "wrong_type gating": with_fields('"gating":1.5'),
    "wrong_type gating item": with_fields('"gating":[1]'),
    "wrong_type gating object": with_fields('"gating":{}'),
    "wrong_type price text": with_fields('"price":"1.5"'),
    "wrong_type price flag": with_fields('"price":true'),
    "wrong_type price list": with_fields('"price":[1]'),
    "out_of_range ts": GOOD.replace(b"1763225940400", b"1763225940"),
    "out_of_range ts beyond": GOOD.replace(b"1763225940400", b"1" + b"0" * 30),
    "out_of_range score integer": GOOD.replace(b"0.7", b"1" + b"0" * 30),
    "out_of_range score float": GOOD.replace(b"0.7", b"1e400"),
    "out_of_range confirm": GOOD.replace(b"true", b"2"),
    "out_of_range expiry": with_fields('"expiry_ms":-1'),
    "out_of_range cooldown": with_fields('"cooldown_ms":9223372036854775808'),
    "out_of_range gating": with_fields('"gating":99999999999999999999'),
    "out_of_range warmup": with_fields('"warmup":2'),
    "out_of_range price": with_fields('"price":1e999'),
    "out_of_range price digits": with_fields('"price":1.' + "0" * 1_000),
    "out_of_range mid": with_fields('"mid":1e-40'),
    "bad_symbol path": GOOD.replace(b"BTCUSDT", b"../../etc"),
    "bad_symbol letter that upper-cases to ascii": GOOD.replace(b"BTCUSDT", "BTCU\u017fDT".encode()),
    "bad_symbol short": GOOD.replace(b"BTCUSDT", b"B"),
    "bad_symbol newline": GOOD.replace(b"BTCUSDT", b"BTCUSDT\\n"),
    "symbol_mismatch": GOOD.replace(b"BTCUSDT", b"ETHUSDT"),
    "bad_signal_id long": with_fields(f'"signal_id":"{"a" * 129}"'),
    "bad_signal_id control": with_fields('"signal_id":"a\\u0007"'),
    "bad_signal_id foreign": with_fields('"signal_id":"é"'),
    "bad_side_hint": with_fields(
        '"schema_version":"signal/v2","gating":1,"decision_code":"OK","side_hint":"BUY"'
    ),
    "v2_rule gating": with_fields('"schema_version":"signal/v2","gating":0,"decision_code":"OK"'),
    "v2_rule decision": with_fields('"schema_version":"signal/v2","gating":1,"decision_code":"NO"'),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_line_that_breaks_a_rule_is_a_dead_letter_and_its_neighbours_are_not(case: str) -> None:
    line = BROKEN[case]

    before, bad, after = decode(GOOD + b"\n" + line + b"\n" + GOOD + b"\n", base_offset=1_000)

    assert isinstance(before, Signal)
    assert isinstance(after, Signal)
    assert isinstance(bad, Malformed)
    assert bad.reason == case.split()[0]
    assert bad.raw == line[:RAW_BYTES_MAX]
    assert (bad.place.offset, bad.place.length) == (1_000 + len(GOOD) + 1, len(line))


def test_every_reason_has_a_line_that_shows_it() -> None:
    assert {case.split()[0] for case in BROKEN} == set(MALFORMED_REASONS)


@pytest.mark.parametrize("line", [b"", b"\r", b"  \t", b"\0\0\0", b"\0\r"])
def test_a_blank_line_gives_no_record_and_moves_the_places_on(line: bytes) -> None:
    (record,) = decode(line + b"\n" + GOOD + b"\n", base_offset=7)

    assert record.place.offset == 7 + len(line) + 1


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\0" * 4_096, b"\xef\xbb\xbf\0", b""])
def test_what_a_power_cut_or_an_editor_left_before_the_first_line_is_ignored(before: bytes) -> None:
    first, second = decode(before + GOOD + b"\r\n" + GOOD + b"\n")

    assert isinstance(first, Signal)
    assert isinstance(second, Signal)
    assert (first.place.offset, first.place.length) == (0, len(before) + len(GOOD) + 1)


def test_a_nul_run_longer_than_a_line_may_be_does_not_cost_the_line() -> None:
    (record,) = decode(b"\0" * 5_000 + GOOD + b"\n", max_line_bytes=1_024)

    assert isinstance(record, Signal)


def test_an_unterminated_last_line_counts_when_the_caller_hands_it_over() -> None:
    assert len(decode(GOOD + b"\n" + GOOD)) == 2


@pytest.mark.parametrize(
    "fields",
    [
        '"x":{"score":1,"ts_ms":2}',
        '"meta":{"meta":{"score":1}}',
        '"x":1,"x":2',
        '"regime":"\\"score\\":1"',
        '"regime":"score"',
        '"regime" : "a : b"',
    ],
)
def test_only_a_known_key_at_the_top_level_counts_as_repeated(fields: str) -> None:
    assert the_signal(with_fields(fields)).score == 0.7


@pytest.mark.parametrize(
    ("fields", "price"),
    [
        ('"price":97000.50', "97000.50"),
        ('"price":0.1234567890123456789012345', "0.1234567890123456789012345"),
        ('"price":1E+2', "1E+2"),
        ('"price":null,"mid":5', "5"),
        ('"price":0,"mid":5', "5"),
        ('"price":-1,"mid":2.50', "2.50"),
        ('"mid":3', "3"),
        ('"price":-0.0', None),
        ('"score2":1', None),
    ],
)
def test_the_price_is_exactly_what_was_written_else_the_mid(fields: str, price: str | None) -> None:
    found = the_signal(with_fields(fields)).price

    assert found == (None if price is None else Decimal(price))


def test_a_symbol_in_small_letters_is_the_same_symbol() -> None:
    assert the_signal(GOOD.replace(b"BTCUSDT", b"btcUsdt")) == the_signal(
        GOOD.replace(b"BTCUSDT", b"BTCUsdt")
    )
    assert the_signal(GOOD.replace(b"BTCUSDT", b"btcusdt")).symbol == SYMBOL


def test_an_integer_score_is_the_same_as_its_float() -> None:
    assert (
        the_signal(GOOD.replace(b"0.7", b"2")).signal_id == the_signal(GOOD.replace(b"0.7", b"2.0")).signal_id
    )


@pytest.mark.parametrize("confirm", [b"0", b"false"])
def test_flags_may_be_written_as_numbers(confirm: bytes) -> None:
    assert the_signal(GOOD.replace(b"true", confirm)).confirm is False


def test_a_side_hint_decides_for_schema_v2_only() -> None:
    v1 = the_signal(with_fields('"side_hint":"buy"'))
    v2 = the_signal(
        with_fields('"schema_version":"signal/v2","gating":1,"decision_code":"OK","side_hint":"buy"')
    )

    assert (v1.side_hint, v2.side_hint) == (None, "buy")


def good_line(index: int) -> bytes:
    return json.dumps(
        {"ts_ms": 1_763_225_940_000 + index, "symbol": SYMBOL, "score": index / 7, "confirm": index % 2}
    ).encode()


_garbage = st.one_of(
    st.binary(max_size=80).map(lambda data: data.replace(b"\n", b"")),
    st.sampled_from(sorted(BROKEN.values(), key=len)[:-3]),
    st.just(b""),
)
_lines = st.lists(st.one_of(_garbage, st.integers(0, 99).map(good_line)), max_size=12)


@given(st.binary(max_size=400))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    for record in decode(data):
        assert data[record.place.offset : record.place.offset + record.place.length].count(b"\n") == 0


@given(_lines, st.integers(0, 2**40))
def test_good_lines_survive_whatever_stands_around_them(lines: list[bytes], base_offset: int) -> None:
    data = b"".join(line + b"\n" for line in lines)

    records = decode(data, base_offset=base_offset)

    places = {record.place.offset - base_offset: record for record in records}
    offset = 0
    for line in lines:
        if line.startswith(b'{"ts_ms": 1763'):
            assert isinstance(places[offset], Signal)
        offset += len(line) + 1


@given(_lines, st.data())
def test_cutting_at_any_line_boundary_gives_equal_records(lines: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(lines)))
    head = b"".join(line + b"\n" for line in lines[:cut])
    tail = b"".join(line + b"\n" for line in lines[cut:])

    assert decode(head + tail) == decode(head) + decode(tail, base_offset=len(head))
