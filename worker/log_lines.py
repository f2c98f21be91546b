"""How one event becomes a line: JSON for machines, aligned text for a person at 3 a.m.

Pure. A line never holds a control character, a value that is not finite, an unbounded value or a
registered secret, whatever the fields hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from urllib.parse import quote

import msgspec

# A value longer than this is cut: a whole chunk of input in one field would bury the log.
VALUE_CHARACTERS_MAX = 2_000
ITEMS_MAX = 32
DEPTH_MAX = 3
REDACTED = "[redacted]"
HEADER = frozenset(("ts", "level", "event"))
EVENT_WIDTH = 20
LEVEL_NAMES = {"debug": "debug", "info": "info ", "warning": "WARN ", "error": "ERROR"}

Plain = str | int | float | bool | None | list["Plain"] | dict[str, "Plain"]

_encoder = msgspec.json.Encoder()


class Redactor:
    """Takes registered secrets out of texts, also where a URL or JSON spells them differently."""

    def __init__(self) -> None:
        self._secrets: tuple[str, ...] = ()

    def add(self, secret: str) -> None:
        """From now on `secret` never appears; the empty text is no secret."""
        spellings = {secret, quote(secret, safe="", errors="surrogatepass"), json.dumps(secret)[1:-1]} - {""}
        # The longest first: a secret that contains another must go as a whole.
        self._secrets = tuple(sorted({*self._secrets, *spellings}, key=len, reverse=True))

    def clean(self, text: str) -> str:
        """`text` without any secret."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, REDACTED)
        return text


class Stamps:
    """UTC time as text; the part down to the second is made once per second."""

    def __init__(self) -> None:
        self._second = -1
        self._day = self._time = ""
        self.hour = ""

    def of(self, wall_ms: int) -> tuple[str, str]:
        """`2026-01-02T03:04:05.678Z` and `03:04:05.678`; `hour` is then `20260102_03`."""
        second, ms = divmod(wall_ms, 1_000)
        if second != self._second:
            moment = datetime.fromtimestamp(second, UTC)
            self._second = second
            self._day, self._time = moment.strftime("%Y-%m-%d"), moment.strftime("%H:%M:%S")
            self.hour = moment.strftime("%Y%m%d_%H")
        time = f"{self._time}.{ms:03d}"
        return f"{self._day}T{time}Z", time


def plain_fields(fields: Mapping[str, object], redactor: Redactor) -> dict[str, Plain]:
    """The fields as plain bounded values; a name that the header uses gets a trailing underscore."""
    plain = {name: _plain(value, redactor, DEPTH_MAX) for name, value in fields.items()}
    if not HEADER.isdisjoint(plain):
        for name in HEADER.intersection(plain):
            plain[name + "_"] = plain.pop(name)
    return plain


def _plain(value: object, redactor: Redactor, depth: int) -> Plain:
    # The usual kinds first, without a match: a line has six of them.
    kind = type(value)
    if kind is str or kind is Decimal:
        return _text(value, redactor)
    match value:
        case str():
            return _text(value, redactor)
        case bool() | None:
            return value
        case int():
            return value if -(2**63) <= value < 2**63 else _text(value, redactor)
        case float():
            return value if math.isfinite(value) else str(value)
        case Enum():
            return _plain(value.value, redactor, depth)
        case Mapping() if depth:
            items = list(value.items())[:ITEMS_MAX]
            return {_text(key, redactor): _plain(item, redactor, depth - 1) for key, item in items}
        case list() | tuple() | set() | frozenset() if depth:
            return [_plain(item, redactor, depth - 1) for item in list(value)[:ITEMS_MAX]]
        case bytes():
            return _text(value[: 4 * VALUE_CHARACTERS_MAX].decode("utf-8", "backslashreplace"), redactor)
        case _:
            return _text(value, redactor)


def _text(value: object, redactor: Redactor) -> str:
    try:
        text = redactor.clean(str(value))
    except ValueError:
        # An integer of more than 4 300 digits has no text in Python.
        return f"{type(value).__name__} without a text"
    if len(text) > VALUE_CHARACTERS_MAX:
        return f"{text[:VALUE_CHARACTERS_MAX]}... ({len(text)} characters)"
    return text


def json_line(stamp: str, level: str, event: str, fields: Mapping[str, Plain]) -> bytes:
    """One JSON object and a line feed; ASCII whenever a character could act on a terminal."""
    record = {"ts": stamp, "level": level, "event": event, **fields}
    try:
        line = _encoder.encode(record)
    except UnicodeEncodeError:
        # Half a surrogate pair, as in a file name that is no UTF-8.
        return _ascii_json(record)
    return line + b"\n" if line.isascii() and b"\x7f" not in line else _ascii_json(record)


def _ascii_json(record: Mapping[str, Plain]) -> bytes:
    text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    return text.replace("\x7f", "\\u007f").encode() + b"\n"


def human_line(time: str, level: str, event: str, fields: Mapping[str, Plain]) -> bytes:
    """`12:04:11.123 info  order_filled  BTCUSDT long 100.0 @ 91234.5 signal_id=...` and a line feed."""
    words = [f"{time} {LEVEL_NAMES.get(level, level)} {event:<{EVENT_WIDTH}}"]
    for name in ("symbol", "side", "qty", "price"):
        value = fields.get(name)
        if value is not None:
            words.append(f"@ {_word(value)}" if name == "price" else _word(value))
    for name, value in fields.items():
        if name not in ("symbol", "side", "qty", "price"):
            words.append(f"{_word(name)}={_word(value)}")
    return " ".join(words).rstrip().encode() + b"\n"


def _word(value: Plain) -> str:
    if isinstance(value, str) and value.isprintable() and value and " " not in value:
        return value
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = json.dumps(value, separators=(",", ":")) if isinstance(value, list | dict) else str(value)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if text and " " not in text:
        return text
    return '"' + text.replace('"', '\\"') + '"'
