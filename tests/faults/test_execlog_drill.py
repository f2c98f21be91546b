"""Workers that are killed while they write and publish the execution log, and the judge of that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from execlog_drill.judge import FIELDS, Event, judge
from execlog_drill.kills import ENDS, LogDrill

SEED = 20_251_121
FILE = "BTCUSDT/exec_20231114_2213.jsonl"
AT_MS = 1_700_000_000_000


def test_a_killed_worker_tells_of_each_order_once_and_readers_see_whole_files(tmp_path: Path) -> None:
    drill = LogDrill(SEED, tmp_path / "drill")

    report = drill.run(events=1_000)

    assert report.objections == []
    assert report.verdict.signals * 2 <= report.verdict.events == report.verdict.lines
    assert set(report.lives) == {*ENDS, "drained"}
    assert report.kills >= len(ENDS) // 2


def line(number: int, event: str) -> bytes:
    """A line as the worker writes it, as far as the judge looks."""
    known = {
        "ts_ms": AT_MS,
        "symbol": "BTCUSDT",
        "event": event,
        "signal_row_id": number,
        "client_order_id": f"dryrun:fed-{number}",
    }
    return json.dumps({name: known.get(name) for name in FIELDS}).encode() + b"\n"


EVENTS: list[Event] = [
    (number, "BTCUSDT", AT_MS, before, after)
    for number in (1, 2)
    for before, after in ((None, "reserved"), ("reserved", "filled"))
]
LINES = [line(number, event) for number in (1, 2) for event in ("submit", "filled")]

WRONG: dict[str, tuple[Callable[[], dict[str, bytes]], str]] = {
    "lost": (lambda: {FILE: b"".join(LINES[:-1])}, "is lost"),
    "doubled": (lambda: {FILE: b"".join([*LINES, LINES[0]])}, "once too often"),
    "cut": (lambda: {FILE: b"".join(LINES)[:-5]}, "its last line is cut"),
    "out of order": (lambda: {FILE: b"".join([LINES[1], LINES[0], *LINES[2:]])}, "another order"),
    "in a foreign file": (lambda: {FILE.replace("2213", "2214"): b"".join(LINES)}, "another file"),
    "a stranger": (lambda: {FILE: b"".join([*LINES, line(3, "submit")])}, "never fed"),
    "other fields": (lambda: {FILE: b"".join(LINES).replace(b"px_sent", b"px_said")}, "has the fields"),
}


def test_the_judge_has_no_objection_to_what_is_right() -> None:
    assert judge(["fed-1", "fed-2"], EVENTS, {FILE: b"".join(LINES)}).complaints == ()


@pytest.mark.parametrize("wrong", WRONG)
def test_the_judge_objects(wrong: str) -> None:
    files, words = WRONG[wrong]

    complaints = judge(["fed-1", "fed-2"], EVENTS, files()).complaints

    assert any(words in complaint for complaint in complaints), complaints
