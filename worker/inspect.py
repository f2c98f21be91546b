"""`execution-worker inspect SIGNAL_ID`: one signal's whole history, why it ended so, and the original."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import msgspec

from config.load import Loaded
from store import statements as sql
from store.connection import open_reader
from store.paths import DATABASE
from streams.original import original_of
from worker.exits import Exit
from worker.parts import EXECUTIONS_FOLDER
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
    execution = loaded.settings.execution
    path = execution.output_dir / EXECUTIONS_FOLDER / DATABASE
    for prefix in _ORDER_ID_PREFIXES:
        signal_id = signal_id.removeprefix(prefix)
    try:
        found = read_history(path, signal_id)
    except sqlite3.Error as error:
        sys.stderr.write(f"store {path} cannot be read ({error}): name its folder with --output\n")
        return Exit.DATA
    if not found:
        sys.stderr.write(
            f"no execution has the signal id {signal_id} in {path}: "
            "the signal was not read yet, belongs to another symbol list, or was set aside as malformed "
            f"(see {path.parent / 'deadletter'})\n"
        )
        return Exit.DATA
    for row in found:
        row["original"] = original_of(
            execution.signals_dir,
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


def read_history(path: Path, signal_id: str) -> list[Row]:
    """The rows of a signal with their events. Raises sqlite3.Error when there is no store."""
    with closing(open_reader(path)) as reader:
        cursor = reader.execute(sql.ROWS_OF, (signal_id,))
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]
        for row in rows:
            first = _first_event(reader, _number(row["reserved_ms"]))
            row["events"] = [
                {"at_ms": at_ms, "from": before, "to": after, "reason": reason}
                for at_ms, before, after, reason in reader.execute(sql.EVENTS_OF, (first, row["id"]))
            ]
    return rows


def _first_event(reader: sqlite3.Connection, at_ms: int) -> int:
    """The first sequence number at that time or later; times never decrease along the sequence."""
    low, high = 0, int(reader.execute(sql.LAST_EVENT_SEQ).fetchone()[0])
    while low < high:
        middle = (low + high) // 2
        if reader.execute(sql.EVENT_TIME, (middle,)).fetchone()[0] < at_ms:
            low = middle + 1
        else:
            high = middle
    return low


def _lines(row: Row) -> list[str]:
    lines = [f"execution {row['id']} of signal {row['signal_id']}"]
    lines.append(f"  {'signal time':<13} {moment(row['signal_ts_ms'])}")
    lines += [f"  {name:<13} {row[name]}" for name in _SHOWN if row[name] is not None]
    lines.append("  history")
    events = row["events"]
    assert isinstance(events, list)
    for event in events:
        step = f"{event['from'] or 'read'} -> {event['to']}"
        why = f"  ({event['reason']})" if event["reason"] else ""
        lines.append(f"    {moment(event['at_ms'])}  {step}{why}")
    lines.append(f"  original      {row['place_file']} at {row['place_offset']}")
    lines.append(f"    {row['original'] or 'is no longer there (the file was changed, moved or deleted)'}")
    return lines


def _number(value: object) -> int:
    assert isinstance(value, int), value
    return value
