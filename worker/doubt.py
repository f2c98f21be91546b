"""A doubt about starting: what was looked at, what was found, and what to do about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """`warn` starts, perhaps not as meant; `fail` would not start, or would lose something."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Row:
    """One doubt. `remedy` is what to do, empty where nothing is wrong."""

    level: Level
    subject: str
    finding: str
    remedy: str = ""


def ok(subject: str, finding: str) -> Row:
    """Nothing is wrong."""
    return Row(Level.OK, subject, finding)


def warn(subject: str, finding: str, remedy: str) -> Row:
    """It would start; a person should look."""
    return Row(Level.WARN, subject, finding, remedy)


def fail(subject: str, finding: str, remedy: str) -> Row:
    """It would not start."""
    return Row(Level.FAIL, subject, finding, remedy)


def as_table(rows: list[Row]) -> str:
    """Aligned lines; the remedy stands below its finding, where the eye is."""
    width = max(len(row.subject) for row in rows)
    lines = []
    for row in rows:
        lines.append(f"{row.level.value:<4}  {row.subject:<{width}}  {row.finding}")
        if row.remedy:
            lines.append(f"{'':<4}  {'':<{width}}  → {row.remedy}")
    counts = {level: sum(row.level is level for row in rows) for level in Level}
    if counts[Level.FAIL]:
        verdict = f"no: {counts[Level.FAIL]} to mend"
    else:
        verdict = "yes" if not counts[Level.WARN] else f"yes, with {counts[Level.WARN]} to look at"
    return "\n".join([*lines, "", f"May the worker start? {verdict}"])
