"""What `execution-worker top` shows: one frame of a worker and its store, as lines. Reads only.

The running worker is asked for what only it knows; everything else stands in the store, so the frame is there
when no worker runs, too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from config.settings import Execution
from store import statements as sql
from store.lock import lock_holder
from worker.look_executions import table_lines
from worker.look_pages import Look, LookError, Wanted
from worker.look_table import Column, clean, table
from worker.look_times import span
from worker.parts import EXECUTIONS_FOLDER
from worker.status import ask_worker, halts_on_record
from worker.when import moment

Style = Literal["title", "head", "plain", "alarm"]
# Without a terminal: as many executions as are read at one glance.
EXECUTIONS_SHOWN = 10
_LANE = (
    Column("lane"),
    Column("queue", right=True),
    Column("newest signal", right=True),
    Column("newest order", right=True),
    Column("state", weight=1, width_min=10),
)
_COUNTS = ("signal_count", "success_count", "fail_count", "skip_count", "retry_count")


class Line(NamedTuple):
    """One line of a frame."""

    style: Style
    text: str


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen at one moment. `worker` is its own status; None where it does not answer."""

    at_ms: int
    at_s: float
    pid: int | None = None
    worker: Mapping[str, Any] | None = None
    mode: str = "?"
    rows: int = 0
    lanes: list[tuple[str, int, int]] = field(default_factory=list)
    unsettled: list[tuple[str, str, int, int]] = field(default_factory=list)
    halts: list[str] = field(default_factory=list)
    newest: list[tuple[Any, ...]] = field(default_factory=list)
    trouble: str | None = None


def look(execution: Execution, at_ms: int, at_s: float, rows: int) -> Sight:
    """See what is there now, with the newest executions, at most `rows`."""
    folder = execution.output_dir / EXECUTIONS_FOLDER
    try:
        with Look(folder) as opened:
            pid = lock_holder(folder)
            ask = opened.connection.execute
            return Sight(
                at_ms=at_ms,
                at_s=at_s,
                pid=pid,
                worker=ask_worker(execution) if pid is not None else None,
                mode=str(dict(ask(sql.STAMPS).fetchall()).get("mode", "?")),
                rows=ask(sql.LAST_ROW).fetchone()[0],
                lanes=ask(sql.LANES).fetchall(),
                unsettled=ask(sql.UNSETTLED_SUMMARY).fetchall(),
                halts=[
                    f"{halt.scope or 'everything'} by {halt.who or 'a file'}: {halt.why}"
                    + (f", until {moment(halt.until_ms)}" if halt.until_ms is not None else "")
                    for halt in halts_on_record(opened.connection, folder)
                ],
                newest=list(opened.newest(Wanted(), rows)),
            )
    except (LookError, sqlite3.Error) as error:
        return Sight(at_ms, at_s, trouble=str(error))


def frame(seen: Sight, before: Sight | None, width: int, height: int | None) -> list[Line]:
    """The lines of one moment, none longer than `width`; the executions fill what is left of `height`."""
    if seen.trouble is not None:
        return _cut([Line("title", _title(seen)), Line("alarm", seen.trouble)], width, height)
    lines = [Line("title", _title(seen)), *_health(seen), Line("plain", _counts(seen, before))]
    lines += [Line("alarm", f"HALTED {text}") for text in seen.halts]
    lines += [
        Line("alarm", f"unresolved {symbol}: {count} {state}, oldest {span(seen.at_ms - oldest_ms)} old")
        for symbol, state, count, oldest_ms in seen.unsettled
        if state in ("unknown", "quarantined")
    ]
    working = sum(row[2] for row in seen.unsettled if row[1] not in ("unknown", "quarantined"))
    if working:
        lines.append(Line("plain", f"not final  {working} orders are reserved or work at the venue"))
    lines += [Line("plain", ""), *_lanes(seen, width), Line("plain", "")]
    left = EXECUTIONS_SHOWN if height is None else height - len(lines) - 1
    if left > 0:
        head, *rows = table_lines(iter(seen.newest[:left]), width)
        lines += [Line("head", head), *(Line("plain", row) for row in rows)]
    return _cut(lines, width, height)


def _cut(lines: list[Line], width: int, height: int | None) -> list[Line]:
    return [Line(line.style, clean(line.text)[:width]) for line in lines[:height]]


def _title(seen: Sight) -> str:
    running = f"running, pid {seen.pid}" if seen.pid is not None else "not running"
    up = "" if seen.worker is None else f", up {span(float(seen.worker.get('uptime_s') or 0) * 1_000)}"
    return f"worker  {seen.mode}  {running}{up}  {moment(seen.at_ms)[:19]} UTC"


def _health(seen: Sight) -> list[Line]:
    worker = seen.worker
    if worker is None:
        return [Line("alarm", "the worker does not answer on its port")] if seen.pid is not None else []
    if worker.get("ready"):
        told = f"ready  lag {span(float(worker.get('lag_ms') or 0))}, queue {worker.get('queue_len', 0)}"
        trouble = worker.get("output_trouble")
        return [Line("plain", told), *([Line("alarm", f"output: {trouble}")] if trouble else [])]
    return [Line("alarm", f"NOT READY: {worker.get('why_not_ready')}")]


def _counts(seen: Sight, before: Sight | None) -> str:
    if seen.worker is None:
        earlier = None if before is None else before.rows
        return f"rows {seen.rows}{_rate(seen, before, seen.rows, earlier)}"
    told = []
    for name in _COUNTS:
        count, earlier = int(seen.worker.get(name) or 0), None
        if before is not None and before.worker is not None and before.pid == seen.pid:
            earlier = int(before.worker.get(name) or 0)
        told.append(f"{name.removesuffix('_count')} {count}{_rate(seen, before, count, earlier)}")
    return "  ".join([*told, f"rows {seen.rows}"])


def _rate(seen: Sight, before: Sight | None, count: int, earlier: int | None) -> str:
    """By the second since the frame before, or since the worker's start where there was none."""
    if before is not None and earlier is not None and seen.at_s > before.at_s:
        return f" ({(count - earlier) / (seen.at_s - before.at_s):.1f}/s)"
    uptime_s = 0.0 if seen.worker is None else float(seen.worker.get("uptime_s") or 0)
    return f" ({count / uptime_s:.1f}/s)" if uptime_s > 0 else ""


def _lanes(seen: Sight, width: int) -> list[Line]:
    told = {str(lane.get("symbol")): lane for lane in (seen.worker or {}).get("lanes", [])}
    times = {symbol: (signal_ms, order_ms) for symbol, signal_ms, order_ms in seen.lanes}
    rows = []
    for symbol in sorted({*told, *times}):
        lane, (signal_ms, order_ms) = told.get(symbol, {}), times.get(symbol, (0, 0))
        blocked, waiting = lane.get("blocked_by"), lane.get("waiting_for")
        state = f"blocked by {blocked}" if blocked else f"waits for {waiting}" if waiting else ""
        rows.append((symbol, lane.get("queue_len", ""), _age(seen, signal_ms), _age(seen, order_ms), state))
    head, *lines = table(_LANE, rows, width)
    return [Line("head", head), *(Line("plain", line) for line in lines)]


def _age(seen: Sight, at_ms: int) -> str:
    return "never" if at_ms <= 0 else f"{span(seen.at_ms - at_ms)} ago"
