"""`execution-worker inspect SIGNAL_ID`: one signal's history in time, why it ended so, and the original."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import msgspec

from config.load import Loaded
from store.execlog_line import Fact, event_of, line_of
from store.lifecycle import State
from streams.original import original_of
from worker.exits import Exit
from worker.look_executions import folder_of, unreadable
from worker.look_pages import Look, LookError
from worker.look_table import clean
from worker.look_timeline import Phase, Step, phase_lines, phases, step_lines
from worker.when import moment

_SHOWN = (
    "symbol",
    "signal_id",
    "status",
    "state",
    "side",
    "qty",
    "price",
    "order_id",
    "score",
    "gating",
    "guard_reason",
    "error_code",
    "error_msg",
    "run_source",
    "meta_json",
    "order_json",
)
_ORDER_ID_PREFIXES = ("dryrun:", "paper:")

Row = dict[str, object]


def print_inspection(loaded: Loaded, signal_id: str, *, as_json: bool) -> int:
    """Print every execution with this signal id or order id; exit 65 when there is none."""
    folder = folder_of(loaded)
    for prefix in _ORDER_ID_PREFIXES:
        signal_id = signal_id.removeprefix(prefix)
    try:
        found = read_history(folder, signal_id)
    except LookError as error:
        sys.stderr.write(f"{error}\n")
        return Exit.DATA
    except sqlite3.Error as error:
        sys.stderr.write(unreadable(folder, error))
        return Exit.DATA
    if not found:
        sys.stderr.write(
            f"no execution has the signal id {clean(signal_id)} in {folder}: "
            "the signal was not read yet, belongs to another symbol list, or was set aside as malformed "
            f"(see {folder / 'deadletter'})\n"
        )
        return Exit.DATA
    for row in found:
        row["original"] = original_of(
            loaded.settings.execution.signals_dir,
            file=str(row["place_file"]),
            offset=_number(row["place_offset"]),
            length=_number(row["place_length"]),
            key=(_number(row["signal_ts_ms"]), str(row["symbol"]), str(row["signal_id"])),
        )
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
    else:
        sys.stdout.write("\n\n".join("\n".join(_lines(row)) for row in found) + "\n")
    return Exit.OK


def read_history(folder: Path, signal_id: str) -> list[Row]:
    """The rows of a signal, their events and the execution log's lines. Raises LookError, sqlite3.Error."""
    with Look(folder) as opened:
        rows = [row for row_id in opened.ids_of(signal_id) if (row := opened.row(row_id)) is not None]
        for row in rows:
            ended_ms = row["exec_ts_ms"]
            steps = [
                Step(*values)
                for values in opened.steps_of(
                    _number(row["id"]),
                    _number(row["reserved_ms"]),
                    None if ended_ms is None else _number(ended_ms),
                )
            ]
            row["events"] = [
                _event(step, before) for step, before in zip(steps, [None, *steps], strict=False)
            ]
            row["phases"] = [
                {"phase": part.name, "from_ms": part.from_ms, "took_ms": part.took_ms}
                for part in phases(row, steps)
            ]
            row["execution_log"] = [
                msgspec.Raw(line_of(fact).rstrip())
                for step in steps
                if (fact := _fact(row, step)) is not None
            ]
    return rows


def _event(step: Step, before: Step | None) -> dict[str, object]:
    return {
        "at_ms": step.at_ms,
        "from": step.before,
        "to": step.after,
        "reason": step.reason,
        "after_ms": None if before is None else step.at_ms - before.at_ms,
        "qty": step.qty,
        "price": step.price,
        "seq": step.seq,
    }


def _fact(row: Row, step: Step) -> Fact | None:
    """What the execution log's line is made of; None where a step makes none."""
    try:
        before = None if step.before is None else State(step.before)
        if event_of(before, State(step.after)) is None:
            return None
    except (ValueError, KeyError):
        return None
    return Fact(
        seq=step.seq,
        symbol=str(row["symbol"]),
        at_ms=step.at_ms,
        before=step.before,
        after=step.after,
        reason=step.reason,
        qty=step.qty,
        price=step.price,
        row_id=_number(row["id"]),
        side=str(row["side"]),
        order_json=_text(row["order_json"]),
        meta_json=str(row["meta_json"]),
        guard_reason=_text(row["guard_reason"]),
        order_id=_text(row["client_order_id"]) or _text(row["order_id"]),
    )


def _lines(row: Row) -> list[str]:
    lines = [f"execution {row['id']} of signal {clean(row['signal_id'])}"]
    lines.append(f"  {'signal time':<13} {moment(row['signal_ts_ms'])}")
    lines += [f"  {name:<13} {clean(row[name])}" for name in _SHOWN if row[name] is not None]
    parts, events, facts = row["phases"], row["events"], row["execution_log"]
    assert isinstance(parts, list)
    assert isinstance(events, list)
    assert isinstance(facts, list)
    if parts:
        lines.append("  took")
        drawn = [Phase(part["phase"], part["from_ms"], part["took_ms"]) for part in parts]
        lines += phase_lines(drawn, plain=not _speaks_utf8())
    lines.append("  history")
    lines += step_lines([_step_of(event) for event in events])
    if facts:
        lines.append("  execution log")
        lines += [f"    {clean(bytes(fact).decode())}" for fact in facts]
    lines.append(f"  original      {clean(row['place_file'])} at {row['place_offset']}")
    original = row["original"]
    missing = "is no longer there (the file was changed, moved or deleted)"
    lines.append(f"    {missing if original is None else clean(original)}")
    return lines


def _step_of(event: dict[str, object]) -> Step:
    return Step(
        _number(event["seq"]),
        _number(event["at_ms"]),
        _text(event["from"]),
        str(event["to"]),
        _text(event["reason"]),
        _text(event["qty"]),
        _text(event["price"]),
    )


def _speaks_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _number(value: object) -> int:
    assert isinstance(value, int), value
    return value
