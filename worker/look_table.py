"""Tables for people and cells for spreadsheets. Pure: rows in, lines out."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

# What a spreadsheet would take for a formula when it stands first in a cell.
_FORMULA = tuple("=+-@\t\r\n")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
# Control characters of a terminal in somebody else's text would move the cursor or worse.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_GAP = "  "
_CUT = "~"
# Columns of this weight and more go before any text is cut: they say little that others do not.
_GOES_BEFORE_CUTS = 6


class Column(NamedTuple):
    """A column of a table: `weight` says which goes first where the terminal is too narrow (0: never goes).

    `width_min` is how far its text may be cut; 0: not at all.
    """

    title: str
    right: bool = False
    weight: int = 0
    width_min: int = 0


def clean(text: object) -> str:
    """Text for a terminal: one line, without control characters."""
    return "" if text is None else _CONTROL.sub("?", str(text))


def table(columns: Sequence[Column], rows: Sequence[Sequence[object]], width: int | None) -> list[str]:
    """Head and rows in columns that fit `width`; None: as wide as they are.

    The heaviest columns go first, then text that may be cut is cut, then other columns go by weight.
    """
    cells = [[column.title for column in columns], *([clean(cell) for cell in row] for row in rows)]
    kept = list(range(len(columns)))
    widths = _widths(cells, kept)
    while width is not None and _total(widths) > width:
        gone = max(kept, key=lambda number: columns[number].weight)
        if columns[gone].weight < _GOES_BEFORE_CUTS and _cut(columns, kept, widths, width):
            break
        if not columns[gone].weight:
            break
        kept.remove(gone)
        widths = _widths(cells, kept)
    return [
        _GAP.join(_fitted(line[number], widths[number], columns[number].right) for number in kept).rstrip()
        for line in cells
    ]


def _widths(cells: Sequence[Sequence[str]], kept: Iterable[int]) -> dict[int, int]:
    return {number: max(len(line[number]) for line in cells) for number in kept}


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + len(_GAP) * (len(widths) - 1)


def _cut(columns: Sequence[Column], kept: Sequence[int], widths: dict[int, int], width: int) -> bool:
    """Make columns narrower until they fit; false when that is not enough."""
    soft = [number for number in kept if columns[number].width_min]
    while _total(widths) > width:
        candidates = [number for number in soft if widths[number] > columns[number].width_min]
        if not candidates:
            return False
        longest = max(candidates, key=lambda number: widths[number])
        widths[longest] -= 1
    return True


def _fitted(text: str, width: int, right: bool) -> str:
    if len(text) > width:
        text = text[: width - 1] + _CUT
    return text.rjust(width) if right else text.ljust(width)


def csv_line(values: Iterable[object]) -> str:
    """One line of CSV (RFC 4180, ending in CR LF); nothing in it is a formula to a spreadsheet.

    Text that begins like a formula gets an apostrophe before it, which spreadsheets take for "this is text".
    Numbers stay as they are, negative ones too.
    """
    written = io.StringIO()
    csv.writer(written).writerow([_cell(value) for value in values])
    return written.getvalue()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text
