"""The table and the report of a drill: what a person reads, and that nothing in it is taken for markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from worker.drill.figures import COLUMNS, DrillResult, Moment, RowResult, cells, table, totals
from worker.drill.report import page

FOLDER = Path("/data/drills/20251115-170000-all")
WILD = "<script>alert('x')</script>&\"'"
# What has no end tag and no slash.
VOID = {"meta", "br"}


def row(**more: object) -> RowResult:
    """A drill that passed."""
    fields: dict[str, object] = {
        "kind": "exchange", "drill": "exchange: lost answers", "kills": 34, "signals": 1200, "rows": 1200,
        "lines": 1200, "accepted": 700, "duplicates": 0, "lost": 0, "recovery_p50_s": 1.0,
        "recovery_p99_s": 2.5, "passed": True, "why": "", "folder": "exchange", "took_s": 60.0,
        "recoveries_s": (1.0, 2.5), "timeline": (Moment(1.0, "ready"), Moment(2.0, "the worker killed")),
    }  # fmt: skip
    return msgspec.convert({**fields, **more}, RowResult)


def result(*rows: RowResult) -> DrillResult:
    """The result of a command."""
    return DrillResult("all", 7, 1_763_226_000_000, 1_763_226_090_000, all(one.passed for one in rows), rows)


class Page(HTMLParser):
    """Counts what is opened and closed, and keeps what would leave the file."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []
        self.scripts = 0
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One more open element."""
        self.scripts += tag == "script"
        self.outside += [name for name, _ in attrs if name in ("src", "href", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """It has to be the last that was opened."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """What a person sees."""
        self.texts.append(data)


def test_the_table_lines_up_and_ends_with_the_sums() -> None:
    bare = row(drill="feed: table", accepted=None, recoveries_s=(), recovery_p50_s=None, recovery_p99_s=None)

    lines = table([row(), bare])

    assert len({len(line) for line in lines[1:]}) == 1
    assert lines[0].split()[:3] == ["drill", "kills", "signals"]
    assert lines[2].split()[-4:] == ["0", "-", "-", "passed"]
    assert totals([row(), bare])[1:6] == ("68", "2 400", "2 400", "2 400", "700")
    assert len(cells(bare)) == len(COLUMNS)


def test_one_failed_drill_fails_them_all() -> None:
    assert totals([row(), row(passed=False)])[-1] == "FAILED"


@pytest.mark.parametrize(
    "rows",
    [(row(),), (row(), row(passed=False, complaints=("lost row: BTCUSDT a of 1",), notes=("no disk",)))],
)
def test_the_report_is_one_whole_file_that_needs_nobody(rows: tuple[RowResult, ...]) -> None:
    text = page(result(*rows), FOLDER)

    shown = Page(text)
    assert shown.open == []
    assert shown.outside == []
    assert shown.scripts == 0
    assert not re.search(r"https?://|@import|url\(", text)
    assert 'name="viewport"' in text
    assert "@media print" in text


def test_a_failed_report_says_what_was_objected_and_what_to_do() -> None:
    text = page(result(row(passed=False, complaints=("lost row: BTCUSDT a of 1",))), FOLDER)

    assert "lost row: BTCUSDT a of 1" in text
    assert "What to do" in text
    assert "Do not trade with this installation" in text
    assert "What to do" not in page(result(row()), FOLDER)


def test_nothing_that_was_said_is_taken_for_markup() -> None:
    wild = row(
        drill=WILD, passed=False, why=WILD, complaints=(WILD,), notes=(WILD,),
        timeline=(Moment(1.0, "the worker killed " + WILD),),
    )  # fmt: skip

    shown = Page(page(result(wild), Path("/data") / WILD))

    assert shown.scripts == 0
    assert shown.open == []
    assert WILD in "".join(shown.texts)


def test_a_drill_in_which_nothing_became_ready_has_a_report_too() -> None:
    nothing = row(kills=0, recoveries_s=(), timeline=(), took_s=0.0, passed=False, why="no memory")

    assert "No worker became ready" in page(result(nothing), FOLDER)
