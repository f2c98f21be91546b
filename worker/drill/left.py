"""What a drill left behind, read from its files: rows, lines, dead letters, the journal, and alarms."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from store import statements_drill as sql
from store.paths import DATABASE, read_only_uri
from worker.drill.expected import Fields
from worker.drill.feed_list import read_list
from worker.drill.judge import Evidence

PAPER_JOURNAL = Path("paper") / "orders.jsonl"
BUSY_S = 10.0
LINE_CHARACTERS_MAX = 300
# What only a fault of the worker, or an account that others use, can make it say.
ALARMING_WORDS = (
    "Traceback",
    "second_order",
    "update_unexplained",
    "update_not_recorded",
    "position_differs",
    "late_fill",
    "task_failed",
    "lane_quarantined",
    "signal_not_recordable",
)


class Progress:
    """How far a drill is: cheap to ask again and again."""

    def __init__(self, output: Path, feed_list: Path) -> None:
        self._database = output / "executions" / DATABASE
        self._list = feed_list
        self._offset = 0
        self._fed = 0
        self._lives = 0

    def fed(self) -> int:
        """How many signals the feed's list holds."""
        self._read_on()
        return self._fed

    def lives(self) -> int:
        """How many lives of the feed have begun to write."""
        self._read_on()
        return self._lives

    def recorded(self) -> tuple[int, int]:
        """How many signals have a row, and how many rows have no outcome yet."""
        if not self._database.exists():
            return 0, 0
        try:
            with closing(_opened(self._database)) as store:
                rows, unsettled = store.execute(sql.PROGRESS).fetchone()
        except sqlite3.OperationalError:
            # A store that was killed while it was made has no tables yet.
            return 0, 0
        return rows, unsettled

    def is_settled(self) -> bool:
        """Whether every signal fed has a row and every row its outcome."""
        rows, unsettled = self.recorded()
        return rows >= self.fed() and not unsettled

    def _read_on(self) -> None:
        if not self._list.exists():
            return
        with self._list.open("rb") as file:
            file.seek(self._offset)
            whole, _, _ = file.read().rpartition(b"\n")
        for line in whole.splitlines():
            kind = line[: len(b'{"kind":"signal"')]
            self._fed += kind == b'{"kind":"signal"'
            self._fed -= line.startswith(b'{"kind":"void",')
            self._lives += line.startswith(b'{"kind":"life"')
        self._offset += len(whole) + 1 if whole else 0


def _opened(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(read_only_uri(database), uri=True, timeout=BUSY_S)
    connection.row_factory = sqlite3.Row
    return connection


def gathered(folder: Path, output: Path, journal: Sequence[Fields] | None) -> Evidence:
    """All the evidence of a drill in `folder` after everybody has stopped; `journal` is the exchange's."""
    executions = output / "executions"
    alarms = list(_said(folder))
    lines: list[Fields] = []
    for path in sorted(executions.glob("*/exec_*.jsonl")):
        lines += _whole_lines(path, alarms)
    letters: list[Fields] = []
    for path in sorted(executions.glob("deadletter/*.jsonl")):
        letters += _whole_lines(path, alarms)
    with closing(_opened(executions / DATABASE)) as store:
        rows = [dict(row) for row in store.execute(sql.ROWS)]
        alarms += [f"halt of {row['scope'] or 'all'}: {row['why']}" for row in store.execute(sql.HALTS)]
        alarms += [f"late fill of row {row['execution_id']}" for row in store.execute(sql.LATE_FILLS)]
    if (output / PAPER_JOURNAL).exists():
        journal = list(venue_entries(_whole_lines(output / PAPER_JOURNAL, alarms)))
    return Evidence(read_list(folder / "feed-list.jsonl"), rows, lines, journal, letters, alarms)


def venue_entries(facts: Sequence[Fields]) -> Iterator[Fields]:
    """The journal of the simulated venue in the words of the exchange's."""
    for fact in facts:
        order = fact.get("order", {})
        if fact["fact"] == "placed":
            yield {
                "kind": "accepted",
                "client_order_id": order["client_order_id"],
                "order_id": fact["number"],
                "symbol": order["symbol"],
                "side": order["side"].upper(),
                "now_ms": fact["at_ms"],
            }
        name = fact.get("client_order_id") or order.get("client_order_id")
        for part in fact.get("parts", ()):
            yield {"kind": "fill", "client_order_id": name, **part}


def _whole_lines(path: Path, alarms: list[str]) -> list[Fields]:
    """The lines of a file; what is wrong with them as lines goes to `alarms`."""
    content, found = path.read_bytes(), []
    if content and not content.endswith(b"\n"):
        alarms.append(f"{path.name}: its last line is cut: {content[-80:]!r}")
    for number, raw in enumerate(content.split(b"\n")[:-1], 1):
        try:
            found.append(msgspec.json.decode(raw, type=dict))
        except (msgspec.DecodeError, UnicodeDecodeError):
            alarms.append(f"{path.name} line {number} is no JSON object: {raw[:80]!r}")
    return found


def _said(folder: Path) -> Iterator[str]:
    """What a worker said that nothing in a drill gives a reason for."""
    for path in sorted(folder.glob("worker-*.log")):
        for line in path.read_text(errors="replace").splitlines():
            if any(word in line for word in ALARMING_WORDS):
                yield f"{path.name}: {line[:LINE_CHARACTERS_MAX]}"


def fingerprint(output: Path, journal: Sequence[Fields] | None) -> str:
    """The outcome of a drill as one text: a further start over the same input must not change it."""
    executions = output / "executions"
    with closing(_opened(executions / DATABASE)) as store:
        rows = [list(row) for row in store.execute(sql.ROWS)]
    files = [(str(path), path.read_bytes().decode()) for path in sorted(executions.glob("*/*.jsonl"))]
    orders = [entry for entry in journal or () if entry["kind"] in ("accepted", "fill")]
    return json.dumps([rows, files, orders], default=str)
