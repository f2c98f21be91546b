"""Charts as inline SVG: lines over time and bars. Pure; colours come from the page's style sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape
from math import ceil, floor, isfinite, log10
from typing import NamedTuple

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 28
_TICKS = 5
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000


class Line(NamedTuple):
    """A line of a chart: its name, its style class, and its points (UTC ms, value) in order of time."""

    name: str
    kind: str
    points: Sequence[tuple[int, float]]


class Bar(NamedTuple):
    """A bar: what stands below it, its height, and what is told of it."""

    label: str
    value: int
    told: str


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high` or a little beyond, some five of them."""
    if not (isfinite(low) and isfinite(high)) or high <= low:
        return [low, low + 1]
    rough = (high - low) / _TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def line_chart(
    title: str, lines: Sequence[Line], ends: tuple[int, int], shown: Callable[[float], str]
) -> str:
    """Lines between two times; a value at a point is told when the pointer rests on it."""
    values = [value for line in lines for _, value in line.points]
    if not values:
        return ""
    marks = ticks(min(0.0, *values), max(0.0, *values))
    first, last = ends
    last = max(last, first + 1)

    def x_of(at_ms: int) -> float:
        return LEFT + (at_ms - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    y_of = _scale(marks)
    parts = [_rules(marks, y_of, shown), _times(first, last, x_of)]
    for line in lines:
        path = " ".join(f"{x_of(at_ms):.1f},{y_of(value):.1f}" for at_ms, value in line.points)
        parts.append(f'<polyline class="{line.kind}" points="{path}"/>')
        parts += [
            f'<circle class="dot {line.kind}" cx="{x_of(at_ms):.1f}" cy="{y_of(value):.1f}" r="2.5"><title>'
            f"{escape(f'{line.name}: {shown(value)}, {_told(at_ms)}')}</title></circle>"
            for at_ms, value in line.points
        ]
    return _framed(title, parts)


def bar_chart(title: str, bars: Sequence[Bar]) -> str:
    """Bars beside each other."""
    highest = max((bar.value for bar in bars), default=0)
    if not highest:
        return ""
    marks = ticks(0.0, float(highest))
    y_of = _scale(marks)
    step = (WIDTH - LEFT - RIGHT) / len(bars)
    parts = [_rules(marks, y_of, lambda value: f"{value:g}")]
    for number, bar in enumerate(bars):
        left, top = LEFT + number * step, y_of(bar.value)
        parts.append(
            f'<rect class="bar" x="{left + 1:.1f}" y="{top:.1f}" width="{step - 2:.1f}" '
            f'height="{y_of(0.0) - top:.1f}"><title>{escape(bar.told)}</title></rect>'
            f'<text class="mid" x="{left + step / 2:.1f}" y="{HEIGHT - 10}">{escape(bar.label)}</text>'
        )
    return _framed(title, parts)


def _scale(marks: Sequence[float]) -> Callable[[float], float]:
    low, high = marks[0], marks[-1]
    return lambda value: TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)


def _rules(marks: Sequence[float], y_of: Callable[[float], float], shown: Callable[[float], str]) -> str:
    return "".join(
        f'<line class="{"zero" if not mark else "rule"}" x1="{LEFT}" x2="{WIDTH - RIGHT}" '
        f'y1="{y_of(mark):.1f}" y2="{y_of(mark):.1f}"/>'
        f'<text class="end" x="{LEFT - 6}" y="{y_of(mark) + 4:.1f}">{escape(shown(mark))}</text>'
        for mark in marks
    )


def _times(first: int, last: int, x_of: Callable[[int], float]) -> str:
    places = [first + (last - first) * number // 4 for number in range(5)]
    anchors = ("start", "mid", "mid", "mid", "end")
    return "".join(
        f'<text class="{anchor}" x="{x_of(at_ms):.1f}" y="{HEIGHT - 10}">{_short(at_ms, last - first)}</text>'
        for at_ms, anchor in zip(places, anchors, strict=True)
    )


def _short(at_ms: int, width_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    if width_ms < _HOUR_MS:
        return at.strftime("%H:%M:%S")
    return at.strftime("%H:%M" if width_ms < _DAY_MS else "%m-%d %H:%M")


def _told(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _framed(title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">'
        f"{''.join(parts)}</svg>"
    )
