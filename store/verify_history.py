"""Rows and events told from the beginning: each row was born once, and moved only as the lifecycle allows.

One pass in the order of the events. A slice of them and the rows that were born in it are read in one short
transaction, so that both tell of the same moment; what is open between slices is all that is remembered.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from store import statements_care as care
from store.findings import Findings, Rules
from store.lifecycle import BIRTH_STATES, LATE_FILL_STATES, TERMINAL_STATES, State, may_move
from store.verify_row import Row, check_row

EVENTS_A_SLICE = 5_000
ROWS_A_SLICE = 5_000
_STATES = {state.value: state for state in State}


class Step(NamedTuple):
    """One event, and its row as it stands in the same moment; None where there is none."""

    seq: int
    row_id: int
    at_ms: int
    before: str | None
    after: str
    final: int
    qty: str | None
    row_state: str | None
    row_status: str | None
    row_exec_ts_ms: int | None
    late_at_ms: int | None
    late_line: str | None


@dataclass(slots=True)
class _Open:
    """A row whose story is not at its end."""

    state: str
    row_state: str | None
    was_final: bool = False


def verify_history(reader: sqlite3.Connection, rules: Rules, findings: Findings) -> tuple[int, int]:
    """How many rows and events were looked at."""
    history = _History(findings)
    seq = rows = events = 0
    while True:
        reader.execute("BEGIN")
        try:
            steps = [Step(*row) for row in reader.execute(care.EVENTS, (seq, EVENTS_A_SLICE))]
            for step in steps:
                history.take(step)
            is_last = len(steps) < EVENTS_A_SLICE
            rows += _rows_up_to(reader, rules, findings, history, is_last=is_last)
            if is_last:
                history.end()
        finally:
            reader.execute("COMMIT")
        events += len(steps)
        if is_last:
            return rows, events
        seq = steps[-1].seq


def _rows_up_to(
    reader: sqlite3.Connection, rules: Rules, findings: Findings, history: _History, *, is_last: bool
) -> int:
    """Check the rows up to the last that was born, all of them at the end; how many."""
    count, upto = 0, 2**63 - 1 if is_last else history.last_born
    while True:
        rows = [Row(*row) for row in reader.execute(care.ROWS, (history.last_row, upto, ROWS_A_SLICE))]
        for row in rows:
            if row.row_id not in history.born:
                findings.add("no_birth", f"row {row.row_id} ({row.signal_id}) has no event of its birth")
            for code, text in check_row(row, rules.wire_id):
                findings.add(code, f"row {row.row_id} ({row.symbol} {row.signal_id}): {text}")
        count += len(rows)
        if rows:
            history.last_row = rows[-1].row_id
        if len(rows) < ROWS_A_SLICE:
            history.born.clear()
            return count


class _History:
    """Takes the events one by one."""

    def __init__(self, findings: Findings) -> None:
        self.last_born = 0
        self.last_row = 0
        # Of the slice.
        self.born: set[int] = set()
        self._findings = findings
        self._open: dict[int, _Open] = {}
        self._at_ms = 0

    def take(self, step: Step) -> None:
        """The next event."""
        if step.at_ms < self._at_ms:
            self._findings.add(
                "time",
                f"event {step.seq} is of {step.at_ms}, the one before it of {self._at_ms}: time ran back",
            )
        self._at_ms = max(self._at_ms, step.at_ms)
        if step.row_state is None:
            self._findings.add("no_row", f"event {step.seq} belongs to row {step.row_id}, which is not there")
        elif step.after not in _STATES or (step.before is not None and step.before not in _STATES):
            self._findings.add(
                "state", f"event {step.seq} leads from {step.before} to {step.after}: no such state"
            )
        elif step.before is None:
            self._birth(step)
        else:
            self._move(step)

    def _birth(self, step: Step) -> None:
        if step.row_id <= self.last_born:
            self._findings.add(
                "birth", f"event {step.seq} has row {step.row_id} born a second time, or too late"
            )
            return
        self.last_born = step.row_id
        self.born.add(step.row_id)
        if _STATES[step.after] not in BIRTH_STATES:
            self._findings.add(
                "move", f"event {step.seq} has row {step.row_id} born as {step.after}: not legal"
            )
        self._reached(step, _Open(step.after, step.row_state))

    def _move(self, step: Step) -> None:
        found = self._open.pop(step.row_id, None)
        before, after = _STATES[step.before or ""], _STATES[step.after]
        if found is None:
            self._findings.add(
                "move", f"event {step.seq} moves row {step.row_id} out of {step.before}, which was its end"
            )
            return
        if found.state != step.before:
            self._findings.add(
                "move",
                f"event {step.seq} moves row {step.row_id} from {step.before}, but it was {found.state}",
            )
        if found.was_final:
            self._late(step, before, after)
            return
        if not may_move(before, after):
            self._findings.add(
                "move", f"event {step.seq} moves row {step.row_id} from {before} to {after}: not legal"
            )
        found.state, found.row_state = step.after, step.row_state
        self._reached(step, found)

    def _late(self, step: Step, before: State, after: State) -> None:
        if before not in LATE_FILL_STATES or after is not State.FILLED or step.final:
            self._findings.add(
                "move",
                f"event {step.seq} moves row {step.row_id} from {before} to {after} "
                "after its end: no late fill",
            )
        elif step.late_line is None:
            self._findings.add(
                "late_fill", f"row {step.row_id} was filled late, and the line from before is not kept"
            )

    def _reached(self, step: Step, found: _Open) -> None:
        """A row has come to a state: is that its end, and does the row say the same?"""
        is_end = _STATES[step.after] in TERMINAL_STATES
        if bool(step.final) != is_end:
            word = "an end" if step.final else "no end"
            self._findings.add("final", f"event {step.seq} calls {step.after} of row {step.row_id} {word}")
        if not is_end:
            self._open[step.row_id] = found
            return
        if step.row_exec_ts_ms != step.at_ms:
            self._findings.add(
                "exec_time",
                f"row {step.row_id} became final at {step.at_ms} by event {step.seq}, "
                f"its exec_ts_ms is {step.row_exec_ts_ms}",
            )
        if step.row_state == step.after:
            return
        if step.row_state == State.FILLED.value and _STATES[step.after] in LATE_FILL_STATES:
            found.state, found.was_final = step.after, True
            self._open[step.row_id] = found
            return
        self._differs(step.row_id, step.row_state, step.after)

    def _differs(self, row_id: int, row_state: str | None, event_state: str) -> None:
        self._findings.add("differs", f"row {row_id} is {row_state}, its last event says {event_state}")

    def end(self) -> None:
        """There are no more events: what is open must be so in its row."""
        for row_id, found in self._open.items():
            if found.was_final or found.row_state != found.state:
                self._differs(row_id, found.row_state, found.state)
