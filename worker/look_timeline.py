"""The way of one signal in time: its phases with their durations, and every event with what was filled then.

Pure. A phase is told only where both of its ends are known; the venue's and the host's clocks are not mixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import NamedTuple

import msgspec

from worker.look_table import clean
from worker.look_times import span
from worker.when import moment

BAR_WIDTH = 32
# A phase so much longer than all others together would leave them without a bar.
_TOO_LONG = 50
_BLOCKS = " ▏▎▍▌▋▊▉█"
_PLAIN_BLOCKS = "#"


class Step(NamedTuple):
    """One event of an execution; `qty` and `price`: what was filled by then, None where it tells of none."""

    seq: int
    at_ms: int
    before: str | None
    after: str
    reason: str | None
    qty: str | None
    price: str | None


class Phase(NamedTuple):
    """A part of the way; times in UTC milliseconds."""

    name: str
    from_ms: float
    took_ms: float


class _Kept(msgspec.Struct, gc=False):
    """What meta_json tells of time."""

    lag_ms: int | None = None
    latency_ms: float | None = None
    sent_ts_ms: int | None = None
    ack_ts_ms: int | None = None


def phases(row: Mapping[str, object], steps: Sequence[Step]) -> list[Phase]:
    """The way from the signal to its outcome, as far as the row knows it."""
    try:
        kept = msgspec.json.decode(str(row["meta_json"]), type=_Kept)
    except msgspec.MsgspecError:
        kept = _Kept()
    signal_ms, reserved_ms = _number(row["signal_ts_ms"]), _number(row["reserved_ms"])
    marks: list[tuple[str, float | None]] = [
        ("signal", signal_ms),
        ("read", None if signal_ms is None or kept.lag_ms is None else signal_ms + kept.lag_ms),
        ("reserved", reserved_ms),
        ("sent", kept.sent_ts_ms),
        ("answered", kept.ack_ts_ms),
        ("first fill", next((step.at_ms for step in steps if step.qty is not None), None)),
        ("final", _number(row["exec_ts_ms"])),
    ]
    known = [(name, at_ms) for name, at_ms in marks if at_ms is not None]
    return [
        Phase(f"{before} -> {after}", from_ms, to_ms - from_ms)
        for (before, from_ms), (after, to_ms) in pairwise(known)
        if not (before == "first fill" and to_ms == from_ms)
    ]


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def phase_lines(parts: Sequence[Phase], *, plain: bool = False) -> list[str]:
    """A line a phase, with a bar where it stands in the whole; one that dwarfs all others is told without."""
    if not parts:
        return []
    drawn = list(parts)
    longest = max(parts, key=lambda part: part.took_ms)
    if len(parts) > 1 and longest.took_ms > _TOO_LONG * sum(p.took_ms for p in parts if p is not longest):
        drawn.remove(longest)
    whole = sum(max(part.took_ms, 0) for part in drawn) or 1
    width = max(len(part.name) for part in parts)
    lines, done = [], 0.0
    for part in parts:
        told = f"    {part.name:<{width}}  {span(part.took_ms):>10}"
        if part in drawn:
            share = max(part.took_ms, 0) / whole
            told += f"  {' ' * round(done * BAR_WIDTH)}{_bar(share, plain)}"
            done += share
        else:
            told += "  (not drawn: it would dwarf the others)"
        lines.append(told.rstrip())
    return lines


def _bar(share: float, plain: bool) -> str:
    if plain:
        return _PLAIN_BLOCKS * max(1, round(share * BAR_WIDTH))
    eighths = max(1, round(share * BAR_WIDTH * 8))
    return "█" * (eighths // 8) + _BLOCKS[eighths % 8].strip()


def step_lines(steps: Sequence[Step]) -> list[str]:
    """A line an event: when, how long after the one before, from where to where, why, and what was filled."""
    lines = []
    before_ms = None
    for step in steps:
        after = "" if before_ms is None else f"+{step.at_ms - before_ms} ms"
        line = f"    {moment(step.at_ms)}  {after:>10}  {step.before or 'read'} -> {step.after}"
        if step.qty is not None:
            line += f"  filled {_plain(step.qty)}" + (f" at {_plain(step.price)}" if step.price else "")
        if step.reason:
            line += f"  ({clean(step.reason)})"
        lines.append(line)
        before_ms = step.at_ms
    return lines


def _plain(text: str | None) -> str:
    """A number without exponent; what is none as it stands there."""
    try:
        return format(Decimal(text or ""), "f")
    except InvalidOperation:
        return clean(text)
