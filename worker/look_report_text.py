"""The report as text for a terminal. Pure."""

from __future__ import annotations

from collections import Counter
from textwrap import wrap
from typing import TYPE_CHECKING

from worker.look_figures import assumptions, by_day, by_symbol, lag_line, money, spread_line, title
from worker.look_table import Column, table

if TYPE_CHECKING:
    from worker.look_report import Report

DAYS_SHOWN_MAX = 31
REASONS_SHOWN_MAX = 12
NOTE_WIDTH = 100


def as_text(report: Report) -> str:
    """All of it, the figures first."""
    if not report.outcomes.by_status and not report.book.by_symbol:
        return f"nothing ended between {title(report)}\n"
    lines = [title(report), ""]
    lines += _table(*by_symbol(report))
    head, days = by_day(report)
    if len({row[0] for row in days}) > 1:
        lines += ["", *_table(head, days[-DAYS_SHOWN_MAX:])]
    lines += ["", f"answers   {spread_line(report)}", f"signals   {lag_line(report)} old when they were read"]
    lines += [
        f"equity    {asset} {money(curve.total)} realised after fees, deepest fall {money(curve.drawdown)}"
        for asset, curve in sorted(report.curves.items())
    ]
    lines += _reasons("skipped", report.outcomes.skips) + _reasons("failed", report.outcomes.failures)
    return "\n".join([*lines, "", *_notes(report)]) + "\n"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    columns = [Column(name, right=name not in ("symbol", "day (UTC)")) for name in head]
    return table(columns, rows, None)


def _reasons(name: str, reasons: Counter[str]) -> list[str]:
    if not reasons:
        return []
    told = ", ".join(f"{code} {count}" for code, count in reasons.most_common(REASONS_SHOWN_MAX))
    return [f"{name:<9} {told}"]


def _notes(report: Report) -> list[str]:
    return [
        line
        for one in assumptions(report)
        for line in wrap(one, NOTE_WIDTH, initial_indent="* ", subsequent_indent="  ")
    ]
