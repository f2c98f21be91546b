"""What the values of the `strategy_mode` node may look like, word by word.

Pure. Each kind takes the text as it stands in the file, because YAML would read 9:00 as 540 and 010 as 8;
what is no value of its kind is None, and `expected` ends the sentence that says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

from config.strategy_mode import DAY_MINUTES, DayWindow

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

ORDER_SIZE_USD_MAX = 1_000_000_000
WORD_CHARACTERS_MAX = 80

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_WHOLE = re.compile(r"[+-]?(0|[1-9][0-9_]*)", re.ASCII)
_WINDOW = re.compile(r"([0-9]{1,2}):([0-9]{2}) ?- ?([0-9]{1,2}):([0-9]{2})", re.ASCII)
_TRUE = ("true", "yes", "on")
_FALSE = ("false", "no", "off")


class Kind(msgspec.Struct, Generic[T], frozen=True):
    """One kind of value: how its text is read, and what it has to be."""

    read: Callable[[str], T | None]
    expected: str
    nullable: bool = False


def whole(low: int, high: int) -> Kind[int]:
    """A whole number; not in octal, and no minutes with a colon."""

    def read(text: str) -> int | None:
        if len(text) > WORD_CHARACTERS_MAX or not _WHOLE.fullmatch(text):
            return None
        value = int(text.replace("_", ""))
        return value if low <= value <= high else None

    return Kind(read, f"a whole number from {low} to {high}")


def number(low: float, high: float, *, nullable: bool = False) -> Kind[float]:
    """A finite number."""

    def read(text: str) -> float | None:
        try:
            value = float(text)
        except ValueError:
            return None
        return value if math.isfinite(value) and low <= value <= high else None

    return Kind(read, f"a number from {low:.9g} to {high:.9g}", nullable)


def _flag(text: str) -> bool | None:
    word = text.lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _money(text: str) -> Decimal | None:
    if len(text) > WORD_CHARACTERS_MAX:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and 0 < value <= ORDER_SIZE_USD_MAX else None


def _word(text: str) -> str | None:
    word = text.strip()
    return word if word and word.isprintable() and len(word) <= WORD_CHARACTERS_MAX else None


def _weekday(text: str) -> int | None:
    word = text.strip().lower()
    if len(word) == 1 and word in "1234567":
        return int(word)
    return next((n for n, day in enumerate(WEEKDAYS, 1) if word in (day, day[:3])), None)


def _window(text: str) -> DayWindow | None:
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        return None
    start_hour, start_minute, end_hour, end_minute = map(int, match.groups())
    start, end = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    if max(start_minute, end_minute) > 59 or start >= DAY_MINUTES or end > DAY_MINUTES or start == end:
        return None
    # An end at midnight is the end of the day it began on, whichever way it is written.
    return DayWindow(start, end or DAY_MINUTES)


def choice(words: type[E]) -> Kind[E]:
    """One of the words of an enumeration."""
    return Kind({str(word): word for word in words}.get, f"one of {', '.join(words)}")


FLAG = Kind(_flag, "true or false")
MONEY = Kind(_money, f"a number above 0, at most {ORDER_SIZE_USD_MAX}")
WORD = Kind(_word, "a text")
WORDS = Kind(_word, "texts")
WEEKDAY = Kind(_weekday, "weekdays: Mon to Sun, monday to sunday, or 1 (Monday) to 7")
WINDOW = Kind(
    _window,
    'windows such as "09:00-12:00" or "21:30-02:00" in quotes, with two different ends, the last one 24:00',
)
