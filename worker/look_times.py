"""Times and spans as people give them and read them. Pure; times are UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from worker.durations import seconds_of

_EPOCH_MS = re.compile(r"[1-9][0-9]{12}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?)?Z?")


class TimeError(ValueError):
    """A time that cannot be understood; the text says what may stand there."""


def given_ms(text: str, now_ms: int) -> int:
    """UTC milliseconds of `90s|15m|2h|1d` ago, `now`, 2026-01-31, 2026-01-31T12:00[:30], or of themselves.

    Raises TimeError.
    """
    if text == "now":
        return now_ms
    if _EPOCH_MS.fullmatch(text):
        return int(text)
    age_s = seconds_of(text)
    if age_s is not None:
        return max(0, now_ms - age_s * 1_000)
    try:
        if _DATE.fullmatch(text):
            return int(datetime.fromisoformat(text.rstrip("Z")).replace(tzinfo=UTC).timestamp()) * 1_000
    except ValueError:
        pass
    raise TimeError(
        f"{text!r} is no time: 90s, 15m, 2h or 1d (ago), now, 2026-01-31, 2026-01-31T12:00 (UTC), "
        "or UTC milliseconds such as 1700000000000"
    )


def span(ms: float) -> str:
    """`0.012 ms`, `84 ms`, `1.25 s`, `3 m 20 s`, `5 h 12 m`, `3 d 4 h`; a minus sign before the past."""
    if ms < 0:
        return f"-{span(-ms)}"
    if ms < 1:
        return f"{ms:.3f}".rstrip("0").rstrip(".") + " ms"
    if ms < 1_000:
        return f"{ms:.3g} ms" if ms != int(ms) else f"{int(ms)} ms"
    if ms < 60_000:
        return f"{ms / 1_000:.2f}".rstrip("0").rstrip(".") + " s"
    seconds = int(ms / 1_000)
    for unit, next_unit, size in (("d", "h", 86_400), ("h", "m", 3_600), ("m", "s", 60)):
        if seconds >= size:
            rest = seconds % size // {"h": 3_600, "m": 60, "s": 1}[next_unit]
            return f"{seconds // size} {unit} {rest} {next_unit}"
    raise AssertionError(ms)


def day(epoch_day: int) -> str:
    """`2026-01-31` of the days since the epoch."""
    return datetime.fromtimestamp(epoch_day * 86_400, UTC).strftime("%Y-%m-%d")
