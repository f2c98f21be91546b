"""A doubt about starting: what was looked at, what was found, and what to do about it. Pure."""

from __future__ import annotations

import re
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


def as_table(rows: list[Row], *, runs: int | None = None) -> str:
    """Aligned lines; the remedy stands below its finding, where the eye is.

    `runs` is the pid of the worker that holds this very store, where there is one.
    """
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
    if runs is not None:
        verdict = _runs_already(rows, runs)
    return "\n".join([*lines, "", f"May the worker start? {verdict}"])


def _runs_already(rows: list[Row], pid: int) -> str:
    """Nobody who looks after a running worker shall stop it because it is in its own way."""
    failed = [row for row in rows if row.level is Level.FAIL]
    its_own = [row.subject for row in failed if re.search(rf"\bpid {pid}\b", row.finding)]
    verdict = f"it runs already, as pid {pid}: leave it; only {', '.join(its_own)} failed by that"
    others = len(failed) - len(its_own)
    return f"{verdict}, {others} more to mend" if others else verdict
