"""`execution-worker status`: is it running, and how far is it? Reads only; can never disturb the worker."""

from __future__ import annotations

import http.client
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import msgspec

from config.load import Loaded
from config.settings import Execution
from store import statements as sql
from store.connection import open_reader
from store.halt_file import HaltFileFaultError, read_halt
from store.halts import halts_of
from store.lock import lock_holder
from store.paths import DATABASE
from store.records import Halt
from worker.asked_at import asked_at
from worker.check_output import store_rows
from worker.doubt import Level
from worker.exits import Exit
from worker.parts import EXECUTIONS_FOLDER
from worker.when import moment

# Counting by status reads the whole table; above this only the total is told.
ROWS_COUNTED_MAX = 2_000_000
HTTP_TIMEOUT_S = 1.0
HALTS_VERSION = 2
HTTP_BYTES_MAX = 1_048_576


def print_status(loaded: Loaded, *, as_json: bool) -> int:
    """Print what the store and the running worker say; exit 0 when one runs, 3 when none does."""
    execution = loaded.settings.execution
    folder = execution.output_dir / EXECUTIONS_FOLDER
    try:
        found = read_status(folder)
    except sqlite3.Error as error:
        sys.stderr.write(_why_unread(folder, error) + "\n")
        return Exit.NOT_RUNNING
    found["worker"] = ask_worker(execution) if found["pid"] is not None else None
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
    else:
        sys.stdout.write("\n".join(_lines(found)) + "\n")
    return Exit.OK if found["pid"] is not None else Exit.NOT_RUNNING


def _why_unread(folder: Path, error: sqlite3.Error) -> str:
    """One sentence: what is wrong with the store as `check` would say it, or that there is none yet."""
    for row in store_rows(folder, {}):
        if row.level is Level.FAIL:
            return f"{row.subject} {row.finding}: {row.remedy}"
    if not (folder / DATABASE).exists():
        return (
            f"store {folder / DATABASE} does not exist yet: "
            "start the worker once, or name its folder with --output"
        )
    return f"store {folder / DATABASE} cannot be read ({error}): execution-worker check says more"


def read_status(folder: Path) -> dict[str, object]:
    """What the store says. Raises sqlite3.Error when there is none."""
    with closing(open_reader(folder / DATABASE)) as reader:
        total = reader.execute(sql.LAST_ROW).fetchone()[0]
        counted = dict(reader.execute(sql.BY_STATUS)) if total <= ROWS_COUNTED_MAX else {}
        owner = reader.execute(sql.OWNER).fetchone()
        return {
            "store": str(folder / DATABASE),
            "pid": lock_holder(folder),
            "started_ms": owner[1],
            "starts": owner[2],
            "stamps": dict(reader.execute(sql.STAMPS)),
            "rows": total,
            "by_status": counted,
            "dead_letters": reader.execute(sql.LAST_DEAD_LETTER).fetchone()[0],
            "lanes": [
                {"symbol": symbol, "high_water_ts_ms": high_ms, "last_order_ts_ms": order_ms}
                for symbol, high_ms, order_ms in reader.execute(sql.LANES)
            ],
            "halts": [
                {"scope": halt.scope, "why": halt.why, "who": halt.who, "until_ms": halt.until_ms}
                for halt in halts_on_record(reader, folder)
            ],
            "unsettled": [
                {"symbol": symbol, "state": state, "rows": rows, "oldest_ms": oldest_ms}
                for symbol, state, rows, oldest_ms in reader.execute(sql.UNSETTLED_SUMMARY)
            ],
        }


def halts_on_record(reader: sqlite3.Connection, folder: Path) -> list[Halt]:
    """The halts on record, and the file's, unless the worker has made it a row already."""
    # A store that an older version wrote gets the table with the next start.
    halts = halts_of(reader) if reader.execute("PRAGMA user_version").fetchone()[0] >= HALTS_VERSION else []
    try:
        in_file = read_halt(folder)
    except HaltFileFaultError as error:
        in_file = Halt(scope="", why=str(error), who="file", at_ms=0)
    if in_file is not None and in_file.scope not in {halt.scope for halt in halts}:
        halts.append(in_file)
    return halts


def ask_worker(execution: Execution) -> dict[str, object] | None:
    """The running worker's own /status; None when it does not answer."""
    if execution.http.port == 0:
        return None
    host = asked_at(execution.http.host)
    connection = http.client.HTTPConnection(host, execution.http.port, timeout=HTTP_TIMEOUT_S)
    try:
        connection.request("GET", "/status")
        answer = connection.getresponse()
        decoded = msgspec.json.decode(answer.read(HTTP_BYTES_MAX), type=dict[str, object])
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return None
    finally:
        connection.close()
    return decoded


def _lines(found: dict[str, object]) -> list[str]:
    stamps, lanes, unsettled = found["stamps"], found["lanes"], found["unsettled"]
    by_status, worker = found["by_status"], found["worker"]
    assert isinstance(stamps, dict)
    assert isinstance(by_status, dict)
    assert isinstance(lanes, list)
    assert isinstance(unsettled, list)
    running = f"running, pid {found['pid']}" if found["pid"] is not None else "not running"
    counts = ", ".join(f"{status} {count}" for status, count in by_status.items()) or "not counted"
    lines = [
        f"worker     {running}, last start {moment(found['started_ms'])}, {found['starts']} starts so far",
        f"store      {found['store']}",
        f"mode       {stamps.get('mode')}, source {stamps.get('source_kind', 'not yet chosen')}",
        f"rows       {found['rows']} ({counts}), dead letters {found['dead_letters']}",
    ]
    lines += [
        f"lane       {lane['symbol']}: newest signal {moment(lane['high_water_ts_ms'])}, "
        f"newest order {moment(lane['last_order_ts_ms'])}"
        for lane in lanes
    ]
    lines += [
        f"unsettled  {row['symbol']}: {row['rows']} {row['state']}, oldest {moment(row['oldest_ms'])}"
        for row in unsettled
    ]
    if not unsettled:
        lines.append("unsettled  none")
    halts = found["halts"]
    assert isinstance(halts, list)
    lines += [
        f"HALTED     {halt['scope'] or 'everything'} by {halt['who'] or 'a file'}: {halt['why']}"
        + (f", until {moment(halt['until_ms'])}" if halt["until_ms"] is not None else "")
        for halt in halts
    ]
    if isinstance(worker, dict):
        lines.append(_health(worker))
    elif found["pid"] is not None:
        lines.append("health     unknown: the worker does not answer at execution.http.port")
    return lines


def _health(worker: dict[str, object]) -> str:
    if worker.get("ready"):
        return f"health     ready, lag {worker.get('lag_ms')} ms, queue {worker.get('queue_len')}"
    return f"health     not ready: {worker.get('why_not_ready')}"
