"""How the page puts things: times, ages, numbers, and other people's text made safe to look at. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

TEXT_MAX = 400
DAY_MS = 86_400_000
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def shown(text: object, characters_max: int = TEXT_MAX) -> str:
    """Text of a stranger: what cannot be seen or turns the reading around becomes a mark, and it ends."""
    words = str(text)
    if len(words) > characters_max:
        words = words[:characters_max] + "…"
    return words if words.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in words)


def span(seconds: float) -> str:
    """`4 s`, `12 min`, `3 h 20 min`, `2 d 4 h`: the two units that matter."""
    left = max(0, int(seconds))
    for index, (size, unit) in enumerate(_UNITS):
        if left < size:
            continue
        text = f"{left // size} {unit}"
        # Below an hour one unit is enough.
        if size >= 3_600:
            next_size, next_unit = _UNITS[index + 1]
            rest = left % size // next_size
            text += f" {rest} {next_unit}" if rest else ""
        return text
    return "0 s"


def delay(ms: float) -> str:
    """`240 ms`, `12 s`: how late something is."""
    return f"{number(ms, 0)} ms" if ms < 10_000 else span(ms / 1000)


def ago(at_ms: int, now_ms: int) -> str:
    """`4 s ago`; `never` for 0."""
    return "never" if at_ms <= 0 else f"{span((now_ms - at_ms) / 1000)} ago"


def at_time(at_ms: int, now_ms: int) -> str:
    """UTC `12:04:11`, with the day where it is another one."""
    if at_ms // DAY_MS == now_ms // DAY_MS:
        minutes, seconds = divmod(at_ms % DAY_MS // 1000, 60)
        return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return shown(at_ms, 20)


def number(value: float, digits: int = 1) -> str:
    """`1 204`, `0.4`: no more digits than are worth reading."""
    text = f"{value:,.{digits}f}".replace(",", "\u202f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def grouped(decimal_text: str) -> str:
    """An exact decimal with its thousands apart; what is none stays as it is."""
    try:
        return f"{Decimal(decimal_text):,f}".replace(",", "\u202f")
    except (InvalidOperation, ValueError):
        return decimal_text


def plain(decimal_text: str | None) -> str:
    """An exact decimal without the zeros at its end, or nothing."""
    if decimal_text is None:
        return ""
    text = shown(decimal_text, 30)
    return text.rstrip("0").rstrip(".") if "." in text and "E" not in text.upper() else text
