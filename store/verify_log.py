"""The published files of the execution log against the events: each line there, once, in order.

A file may begin in the middle of its minute, where the log was switched on then; a file that is not there may
have been deleted by age. Neither is a finding.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from store import execlog
from store import statements as sql
from store.execlog_files import MINUTE_MS, READY, Minute, minute_of
from store.execlog_line import Fact, line_of
from store.findings import Findings
from store.prune import PRUNED_BEFORE_STAMP

FACTS_A_SLICE = 4_000
# The log was switched off and on again at some time.
SWITCHED_STAMP = "execlog_left:"


def verify_log(reader: sqlite3.Connection, output: Path, findings: Findings, *, in_use: bool) -> int:
    """How many files were compared; memory is that of the minutes with files that are open at once."""
    cursor = dict(reader.execute(sql.PROJECTIONS)).get(execlog.NAME, 0)
    files = {minute_of(str(path)): path for path in (output / READY).glob("*/exec_????????_????.jsonl")}
    waiting = set(files)
    first, newest = min((each.minute for each in files), default=0), _newest(reader, cursor)
    stamps = dict(reader.execute(sql.STAMPS))
    switched = any(key.startswith(SWITCHED_STAMP) for key in stamps)
    pruned_before_ms = int(stamps.get(PRUNED_BEFORE_STAMP, "0"))
    compared = 0
    for minute, lines in _minutes(reader, cursor):
        if minute in waiting:
            waiting.discard(minute)
            compared += 1
            _compare(
                files[minute],
                lines,
                findings,
                may_begin_late=switched or minute.minute == first,
                may_go_on=minute.minute >= newest,
                pruned=minute.minute * MINUTE_MS < pruned_before_ms,
            )
    for minute in sorted(waiting):
        if not in_use and not _is_pruned(reader, minute):
            findings.add(
                "log_unknown", f"{files[minute]} belongs to no event: of another store; move it away"
            )
    return compared


def _minutes(reader: sqlite3.Connection, cursor: int) -> Iterator[tuple[Minute, list[bytes]]]:
    """The lines of each minute and symbol; events never go back in time, so a minute ends with the next."""
    after, at = 0, -1
    lines: dict[Minute, list[bytes]] = {}
    while True:
        facts = [Fact(*row) for row in reader.execute(sql.EXECLOG_FACTS, (after, cursor, FACTS_A_SLICE))]
        for fact in facts:
            minute = fact.at_ms // MINUTE_MS
            if minute != at:
                yield from lines.items()
                lines, at = {}, minute
            lines.setdefault(Minute(minute, fact.symbol), []).append(line_of(fact))
        if len(facts) < FACTS_A_SLICE:
            yield from lines.items()
            return
        after = facts[-1].seq


def _compare(
    path: Path, lines: list[bytes], findings: Findings, *, may_begin_late: bool, may_go_on: bool, pruned: bool
) -> None:
    try:
        found = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return
    # A minute in which the log was switched on lacks its beginning; one that goes on, its end.
    starts = range(len(lines)) if may_begin_late else (0,)
    for start in starts:
        if lines[start : start + len(found)] == found and (may_go_on or start + len(found) == len(lines)):
            return
    told = set(found)
    missing = sum(line not in told for line in lines)
    doubled = len(found) - len(told)
    foreign = len(told - set(lines))
    if pruned and not missing and not doubled and found[-1:] and found[-1].endswith(b"\n"):
        # The lines of rows that are not there any more.
        return
    cut = " and a line that is cut" if found and not found[-1].endswith(b"\n") else ""
    findings.add(
        "log_differs",
        f"{path} is not what its events say: {missing} lines missing, {doubled} doubled, "
        f"{foreign} that no event tells of{cut}",
    )


def _newest(reader: sqlite3.Connection, cursor: int) -> int:
    """The minute that may still go on: the one of the last event that is told."""
    row = reader.execute(sql.EVENT_TIME, (cursor,)).fetchone()
    return int(row[0]) // MINUTE_MS if row else 0


def _is_pruned(reader: sqlite3.Connection, minute: Minute) -> bool:
    """Whether the events of a minute may be gone: everything older than the oldest one that is left."""
    row = reader.execute(sql.EVENT_TIME, (0,)).fetchone()
    return row is None or minute.minute <= row[0] // MINUTE_MS
