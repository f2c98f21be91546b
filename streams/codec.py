"""The codec: bytes or a row in, one signal or one malformed record out.

Pure. Both shapes end in the same build step, so a line and a row that carry the same fields become
the same signal (CONTRACTS 1.2). No input makes it raise: what breaks a rule comes back as `Malformed`
with a fixed reason, and the lines around it are not touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from math import isfinite
from typing import Annotated, Literal

import msgspec

from streams.signal import Malformed, Place, Record, SideHint, Signal, derived_signal_id, gate_passes

RAW_BYTES_MAX = 4_096
SIGNAL_ID_CHARS_MAX = 128
# A price beyond these cannot be meant, and formatting 1E+999999 would fill the memory.
PRICE_CHARS_MAX = 64
PRICE_EXPONENT_MAX = 18

MALFORMED_REASONS = (
    "line_too_long",
    "not_utf8",
    "not_json",
    "not_object",
    "too_deep",
    "duplicate_key",
    "missing_field",
    "wrong_type",
    "out_of_range",
    "bad_symbol",
    "symbol_mismatch",
    "bad_signal_id",
    "bad_side_hint",
    "v2_rule",
)

_INT64_MAX = 2**63 - 1
_SCHEMA_V2 = "signal/v2"
_SIDE_HINTS: dict[str | None, SideHint | None] = {None: None, "buy": "buy", "sell": "sell", "flat": "flat"}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SYMBOL = re.compile(r"[A-Z0-9]{2,20}")
_JSON_SPACE = b" \t\r"
# Between a key and its colon JSON allows blanks; then counting `":` does not count the keys.
_BLANKS = (b" ", b"\t", b"\r")
# What numbers, times and hexadecimal ids are made of: without it, the lines of one producer are alike.
_VALUE_BYTES = b"0123456789+-.abcdefTZ"
# Outlines of lines in which no known key repeats: some hundred bytes each.
_OUTLINES_MAX = 4_096

_Milliseconds = Annotated[int, msgspec.Meta(ge=10**12, le=10**13)]
_Duration = Annotated[int, msgspec.Meta(ge=0, le=_INT64_MAX)]
_Integer = Annotated[int, msgspec.Meta(ge=-_INT64_MAX - 1, le=_INT64_MAX)]
_Flag = bool | Literal[0, 1]
_ABSENT = msgspec.Raw(b"")


class RawSignal(msgspec.Struct):
    """The fields that decide something, as the producer wrote them; all others are ignored.

    `price` and `mid` keep their text, because a number read as a float is no longer the price.
    """

    ts_ms: _Milliseconds
    symbol: str
    score: _Integer | float
    confirm: _Flag
    gating: str | list[str] | bool | _Integer | None = None
    gating_blocked: _Flag | None = None
    guard_reason: str | None = None
    signal_id: str | None = None
    schema_version: str | None = None
    side_hint: str | None = None
    cooldown_ms: _Duration | None = None
    expiry_ms: _Duration | None = None
    decision_code: str | None = None
    regime: str | None = None
    div_type: str | None = None
    run_id: str | None = None
    scenario: str | None = None
    warmup: _Flag | None = None
    consistency: float | None = None
    weak_signal_throttle: _Flag | None = None
    price: msgspec.Raw = _ABSENT
    mid: msgspec.Raw = _ABSENT


ROW_FIELDS = RawSignal.__struct_fields__
_PRICES = ("price", "mid")
_ROW_NAMES = frozenset(ROW_FIELDS) - set(_PRICES)
# Every field of CONTRACTS 1.2: a line that names one of them twice says two things at once.
KNOWN_FIELDS = frozenset(ROW_FIELDS) | {
    "z_ofi",
    "z_cvd",
    "gate_reason",
    "signal_type",
    "quality_tier",
    "quality_flags",
    "created_at",
    "decision_reason",
    "config_hash",
    "meta",
}

_SHORTENED = frozenset(name.encode().translate(None, _VALUE_BYTES) for name in KNOWN_FIELDS)
_outlines: set[bytes] = set()

_decode_signal = msgspec.json.Decoder(RawSignal).decode
_decode_anything = msgspec.json.Decoder().decode


def decode_lines(
    data: bytes, *, base_offset: int, symbol: str | None, file: str, max_line_bytes: int
) -> list[Record]:
    r"""The records of whole lines, in order; blank lines give none.

    Each line ends with `\n`, except perhaps the last. `base_offset` is the absolute byte offset of
    `data` in `file`; a record's place is its line without the `\n`. With None for `symbol` each line is of
    the symbol that it names, and a malformed one of "". Never raises.
    """
    records: list[Record] = []
    offset = base_offset
    plain = _is_utf8(data)
    tricky = _is_tricky(data)
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    for line in lines:
        length = len(line)
        place = Place(file, offset, length)
        found = _read_line(line, plain, tricky, max_line_bytes)
        if found.__class__ is str and (bare := _without_leftovers(line, at_start=offset == 0)) != line:
            found = _read_line(bare, plain, tricky, max_line_bytes)
        if found is not None:
            built = found if isinstance(found, str) else _signal_of(found, symbol, place)
            records.append(malformed(symbol or "", built, place, line) if isinstance(built, str) else built)
        offset += length + 1
    return records


def decode_row(row: Mapping[str, object], *, symbol: str | None, place: Place) -> Record:
    """The record of one table row: the same rules as for a line, NULL and missing columns alike.

    Text that was not UTF-8 comes as `bytes`. Never raises.
    """
    found = _read_row(row)
    built = found if isinstance(found, str) else _signal_of(found, symbol, place)
    return malformed(symbol or "", built, place, _row_bytes(row)) if isinstance(built, str) else built


def malformed(symbol: str, reason: str, place: Place, raw: bytes) -> Malformed:
    """A dead letter with its bytes bounded to 4 KiB."""
    assert reason in MALFORMED_REASONS, reason
    return Malformed(symbol, reason, place, raw[:RAW_BYTES_MAX])


def _without_leftovers(line: bytes, *, at_start: bool) -> bytes:
    """The line without a byte order mark at the file's start and without a run of NUL before it.

    A power cut of the producer's host leaves NULs where data had not reached the disk.
    """
    if at_start and line.startswith(_BYTE_ORDER_MARK):
        line = line[len(_BYTE_ORDER_MARK) :]
    return line.lstrip(b"\0")


def _read_line(line: bytes, plain: bool, tricky: bool, length_max: int) -> RawSignal | str | None:
    """The fields of one line, the reason why there are none, or None for a blank line."""
    if len(line) > length_max:
        return "line_too_long"
    if not plain and not _is_utf8(line):
        return "not_utf8"
    try:
        raw = _decode_signal(line)
        return "duplicate_key" if _repeats_a_known_key(line, tricky) else raw
    except msgspec.ValidationError as error:
        return _reason_of(str(error))
    except RecursionError:
        return "too_deep"
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "not_json" if line.strip(_JSON_SPACE) else None


def _reason_of(message: str) -> str:
    """The code for what msgspec found; the sentences are pinned by the tests of each reason."""
    if message.startswith("Expected `object`"):
        return "not_object"
    if "missing required field" in message or "got `null`" in message:
        return "missing_field"
    return "wrong_type" if "got `" in message else "out_of_range"


def _is_utf8(data: bytes) -> bool:
    # msgspec does not look into the strings of fields that it skips.
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_tricky(data: bytes) -> bool:
    """Whether keys may be spelt so that counting `":` does not count them."""
    # One byte is found ten times as fast as two, and lines without blanks have no blank before a colon.
    return b"\\" in data or any(blank in data and blank + b":" in data for blank in _BLANKS)


def _repeats_a_known_key(line: bytes, tricky: bool) -> bool:
    """Whether a known key stands twice at the top level of a valid object; nested ones do not matter.

    Without escapes and blanks `":` stands exactly once for each key, so when there are as many as distinct
    keys, none repeats. Everything else is looked at pair by pair, ten times slower. A line is counted once
    for all lines with its outline, which is the line without the bytes that numbers, times and ids are made
    of: equal outlines have, in that form, the same keys in the same places.
    """
    if tricky and _is_tricky(line):
        return _repeats_by_pairs(line)
    outline = line.translate(None, _VALUE_BYTES)
    if outline in _outlines:
        return False
    fields = _decode_anything(line)
    keys = line.count(b'":')
    if keys != len(fields):
        nested = sum(len(value) for value in fields.values() if type(value) is dict)
        if keys != len(fields) + nested:
            return _repeats_by_pairs(line)
    shortened = [key.encode().translate(None, _VALUE_BYTES) for key in fields]
    # Another line with this outline could repeat a key that is only like one of these.
    if not any(key in _SHORTENED and shortened.count(key) > 1 for key in shortened):
        if len(_outlines) >= _OUTLINES_MAX:
            _outlines.clear()
        _outlines.add(outline)
    return False


def _repeats_by_pairs(line: bytes) -> bool:
    pairs = json.loads(line, object_pairs_hook=list, parse_int=str, parse_float=str)
    known = [key for key, _ in pairs if key in KNOWN_FIELDS]
    return len(known) != len(set(known))


def _read_row(row: Mapping[str, object]) -> RawSignal | str:
    values = {name: value for name, value in row.items() if value is not None and name in _ROW_NAMES}
    gating = values.get("gating")
    try:
        if isinstance(gating, str) and gating.startswith("["):
            values["gating"] = msgspec.json.decode(gating, type=list[str])
        raw = msgspec.convert(values, RawSignal)
    except msgspec.ValidationError as error:
        broken = any(isinstance(value, bytes) and not _is_utf8(value) for value in values.values())
        return "not_utf8" if broken else _reason_of(str(error))
    except RecursionError:
        return "too_deep"
    except msgspec.DecodeError:
        return "not_json"
    if not (isfinite(raw.score) and (raw.consistency is None or isfinite(raw.consistency))):
        return "out_of_range"
    for name in _PRICES:
        if (value := row.get(name)) is not None:
            # repr is the shortest text that gives the same float, which is what the producer wrote.
            text = str(value) if isinstance(value, Decimal) else repr(value)
            setattr(raw, name, msgspec.Raw(text.encode()))
    return raw


def _row_bytes(row: Mapping[str, object]) -> bytes:
    return json.dumps(dict(row), default=repr, ensure_ascii=True, separators=(",", ":")).encode()


def _signal_of(raw: RawSignal, symbol: str | None, place: Place) -> Signal | str:
    """The signal, or the reason why it is malformed: the one build step of both shapes."""
    if symbol is None and (symbol := own_symbol(raw.symbol)) is None:
        return "bad_symbol"
    is_v2 = raw.schema_version == _SCHEMA_V2
    given = raw.signal_id
    if given or is_v2 or raw.symbol != symbol:
        fault = _fault_of(raw, symbol, is_v2=is_v2)
        if fault is not None:
            return fault
    price = None
    if raw.price is not _ABSENT or raw.mid is not _ABSENT:
        found = _price_of(raw)
        if isinstance(found, str):
            return found
        price = found
    guard_reason = raw.guard_reason or ""
    blocked, warmup, weak = raw.gating_blocked, raw.warmup, raw.weak_signal_throttle
    gate_passed = gate_passes(
        raw.gating,
        is_v2=is_v2,
        gating_blocked=None if blocked is None else bool(blocked),
        guard_reason=guard_reason,
    )
    score = float(raw.score)
    # By position, in the order of the fields: by name the call takes three times as long.
    return Signal(
        raw.ts_ms,
        symbol,
        given or derived_signal_id(symbol, raw.ts_ms, score, raw.regime, raw.div_type),
        bool(given),
        score,
        bool(raw.confirm),
        gate_passed,
        place,
        guard_reason,
        _SIDE_HINTS[raw.side_hint] if is_v2 else None,
        raw.cooldown_ms or 0,
        raw.expiry_ms or 0,
        price,
        raw.regime,
        raw.div_type,
        raw.run_id,
        raw.scenario,
        None if warmup is None else bool(warmup),
        raw.consistency,
        None if weak is None else bool(weak),
    )


def _fault_of(raw: RawSignal, symbol: str, *, is_v2: bool) -> str | None:
    if raw.symbol != symbol:
        fault = _symbol_fault(raw.symbol, symbol)
        if fault is not None:
            return fault
    given = raw.signal_id
    if given and not (len(given) <= SIGNAL_ID_CHARS_MAX and given.isascii() and given.isprintable()):
        return "bad_signal_id"
    if is_v2:
        if raw.side_hint not in _SIDE_HINTS:
            return "bad_side_hint"
        if raw.confirm and (raw.gating != 1 or raw.decision_code != "OK"):
            return "v2_rule"
    return None


def _symbol_fault(written: str, symbol: str) -> str | None:
    own = own_symbol(written)
    if own is None:
        return "bad_symbol"
    return None if own == symbol else "symbol_mismatch"


@lru_cache(maxsize=4_096)
def own_symbol(written: str) -> str | None:
    """The symbol behind what a producer wrote, upper case; None when it cannot be one."""
    # Upper-casing turns some foreign letters into ASCII ones, so ASCII is asked for first.
    if not written.isascii() or _SYMBOL.fullmatch(written.upper()) is None:
        return None
    return written.upper()


def _price_of(raw: RawSignal) -> Decimal | str | None:
    """The exact price, else the exact mid; None when neither is above zero, or the reason of a fault."""
    price = None if raw.price is _ABSENT else _positive_number(bytes(raw.price))
    if price is None and raw.mid is not _ABSENT:
        return _positive_number(bytes(raw.mid))
    return price


def _positive_number(text: bytes) -> Decimal | str | None:
    if text == b"null":
        return None
    if len(text) > PRICE_CHARS_MAX:
        return "wrong_type" if text[:1] in b'"[{' else "out_of_range"
    try:
        value = Decimal(text.decode())
    except InvalidOperation:
        return "wrong_type"
    if not value.is_finite() or abs(value.adjusted()) > PRICE_EXPONENT_MAX:
        return "out_of_range"
    return value if value > 0 else None
