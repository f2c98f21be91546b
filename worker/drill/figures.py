"""What a person wants to know of a drill: the numbers of each row, and one table. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

COLUMNS = (
    "drill",
    "kills",
    "signals",
    "rows",
    "lines",
    "accepted",
    "duplicates",
    "lost",
    "p50",
    "p99",
    "",
)
TEXT_COLUMN = 0


class Moment(msgspec.Struct, frozen=True):
    """Something that happened in a drill, so many seconds after its begin."""

    at_s: float
    what: str


class RowResult(msgspec.Struct, frozen=True):
    """One drill: its figures, its verdict, where its evidence lies. `accepted` null: no venue took part."""

    kind: str
    drill: str
    kills: int
    signals: int
    rows: int
    lines: int
    accepted: int | None
    duplicates: int
    lost: int
    recovery_p50_s: float | None
    recovery_p99_s: float | None
    passed: bool
    why: str
    folder: str
    took_s: float
    recoveries_s: tuple[float, ...] = ()
    complaints: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    timeline: tuple[Moment, ...] = ()


class DrillResult(msgspec.Struct, frozen=True):
    """What `result.json` holds."""

    kind: str
    seed: int
    started_ms: int
    ended_ms: int
    passed: bool
    rows: tuple[RowResult, ...]
    version: str = ""


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which `share` of the values lie; None when there are none."""
    ascending = sorted(values)
    if not ascending:
        return None
    return round(ascending[min(len(ascending) - 1, int(len(ascending) * share))], 3)


def seconds(value: float | None) -> str:
    """A duration for people; a dash when there is none."""
    return "-" if value is None else f"{value:.2f} s"


def counted(value: int | None) -> str:
    """A count for people; a dash when there is none."""
    return "-" if value is None else f"{value:,}".replace(",", " ")


def cells(row: RowResult) -> tuple[str, ...]:
    """One row of the table, in the order of COLUMNS."""
    return (
        row.drill,
        *map(counted, (row.kills, row.signals, row.rows, row.lines, row.accepted, row.duplicates, row.lost)),
        seconds(row.recovery_p50_s),
        seconds(row.recovery_p99_s),
        "passed" if row.passed else "FAILED",
    )


def totals(rows: Sequence[RowResult]) -> tuple[str, ...]:
    """The last row: sums, and the percentiles over all recoveries."""
    every = [value for row in rows for value in row.recoveries_s]
    sums = [
        sum(getattr(row, name) for row in rows)
        for name in ("kills", "signals", "rows", "lines", "duplicates", "lost")
    ]
    venues = [row.accepted for row in rows if row.accepted is not None]
    accepted = sum(venues) if venues else None
    return (
        "all",
        *map(counted, (*sums[:4], accepted, *sums[4:])),
        seconds(percentile(every, 0.5)),
        seconds(percentile(every, 0.99)),
        "passed" if all(row.passed for row in rows) else "FAILED",
    )


def table(rows: Sequence[RowResult]) -> list[str]:
    """The table as lines; numbers are set to the right."""
    body = [COLUMNS, *map(cells, rows)]
    if len(rows) > 1:
        body.append(totals(rows))
    widths = [max(len(line[at]) for line in body) for at in range(len(COLUMNS))]
    return [
        "  ".join(
            cell.ljust(width) if at in (TEXT_COLUMN, len(COLUMNS) - 1) else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in body
    ]
