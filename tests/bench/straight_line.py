"""The yardstick: the same rows, the same lines and as many fsyncs, in one straight loop of the stdlib.

No lanes, no recovery, no checks of any kind: it knows that every line is good and that nothing fails.
Run as `straight_line.py SIGNALS OUTPUT PASSES`; prints the seconds as JSON.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import blake2b, md5
from itertools import islice
from pathlib import Path
from typing import Any

from workers import ROOT

# What 256 KiB hold, the worker's own batch.
BATCH = 1_190
EXECUTION = (
    "INSERT INTO executions (id, signal_ts_ms, symbol, signal_id, id_given, state, status, exec_ts_ms, "
    "order_id, side, qty, price, gating, guard_reason, error_code, error_msg, run_source, meta_json, "
    f"client_order_id, order_json, score, place_file, place_offset, place_length, reserved_ms) "
    f"VALUES ({', '.join('?' * 25)})"
)
EVENT = (
    "INSERT INTO events (execution_id, at_ms, from_state, to_state, final, reason) VALUES (?, ?, ?, ?, ?, ?)"
)
POSITION = "INSERT OR REPLACE INTO source_positions VALUES (?, 'jsonl', ?, ?, ?, ?, ?, 0, '')"
LANE = "INSERT OR REPLACE INTO lanes VALUES (?, ?, ?)"
CURSOR = "INSERT OR REPLACE INTO projections VALUES ('executions', ?)"
FILE = "INSERT OR REPLACE INTO projected_files VALUES (?, 'executions', ?, ?, ?, 1, ?)"
LINE_KEYS = (
    "exec_ts_ms",
    "signal_ts_ms",
    "symbol",
    "signal_id",
    "order_id",
    "side",
    "qty",
    "price",
    "gating",
    "guard_reason",
    "status",
    "error_code",
    "error_msg",
    "run_source",
    "meta_json",
)
SKIPS = {
    "not_confirmed": "the producer did not confirm the signal",
    "below_threshold": "the score lies between the thresholds",
}


def open_database(folder: Path) -> sqlite3.Connection:
    """An empty store with the worker's schema and pragmas."""
    folder.mkdir(parents=True)
    connection = sqlite3.connect(folder / "executions.db", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=4000", "cache_size=-8192"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("PRAGMA secure_delete=OFF")
    for schema in sorted((ROOT / "store" / "schema").glob("*.sql")):
        connection.executescript(f"BEGIN; {schema.read_text()} COMMIT;")
    return connection


def dumps(value: object) -> str:
    """JSON without blanks."""
    return json.dumps(value, separators=(",", ":"))


def decide(signal: dict[str, Any]) -> tuple[str, str | None]:
    """The side and, for a skip, its code."""
    if not signal["confirm"]:
        return "skip", "not_confirmed"
    if signal["score"] > 0.5:
        return "long", None
    return ("short", None) if signal["score"] < -0.5 else ("skip", "below_threshold")


class Row:
    """Everything that one line becomes."""

    def __init__(self, line: bytes, row_id: int, place: str, offset: int, now_ms: int) -> None:
        signal = json.loads(line)
        symbol, ts_ms, score = signal["symbol"], signal["ts_ms"], signal["score"]
        text = f"{symbol}|{ts_ms}|{score + 0.0:.4f}|{signal['regime'] or ''}|{signal['div_type'] or ''}"
        signal_id = md5(text.encode(), usedforsecurity=False).hexdigest()
        side, code = decide(signal)
        self.ts_ms = ts_ms
        self.ordered = code is None
        meta = meta_of(signal, now_ms, self.ordered)
        order_id = f"dryrun:{signal_id}" if self.ordered else None
        order = dumps(order_of(order_id, symbol, side, signal_id)) if order_id else None
        state, status, qty = ("filled", "success", "100.0") if self.ordered else ("skipped", "skip", None)
        message = SKIPS[code] if code else None
        why = (signal["gating"], signal["guard_reason"] or None, code, message, "prod")
        outcome = (state, status, now_ms, order_id, side, qty, None, *why, dumps(meta), None, order)
        where = (score, place, offset, len(line) - 1, now_ms)
        self.values = (row_id, ts_ms, symbol, signal_id, 0, *outcome, *where)
        self.events = events_of(row_id, now_ms, code)
        who = (now_ms, ts_ms, symbol, signal_id, order_id, side, 100.0 if self.ordered else None, None)
        facts = (*who, *why[:2], status, *why[2:], meta)
        self.line = dumps(dict(zip(LINE_KEYS, facts, strict=True)))


def meta_of(signal: dict[str, Any], now_ms: int, ordered: bool) -> dict[str, Any]:
    """What stands in meta_json."""
    meta = {
        "mode": "dry_run",
        "adapter": "dry_run",
        "lag_ms": now_ms - signal["ts_ms"],
        "run_id": signal["run_id"],
        "regime": signal["regime"],
    }
    return meta | {"attempts": 1, "latency_ms": 0.002} if ordered else meta


def order_of(order_id: str, symbol: str, side: str, signal_id: str) -> dict[str, Any]:
    """What stands in order_json."""
    return {
        "client_order_id": order_id,
        "symbol": symbol,
        "side": "buy" if side == "long" else "sell",
        "order_type": "market",
        "tif": "GTC",
        "qty": "100.0",
        "price": None,
        "signal_id": signal_id,
        "position_side": "BOTH",
        "send_before_ms": None,
        "recv_window_ms": None,
    }


def events_of(row_id: int, now_ms: int, code: str | None) -> list[tuple[Any, ...]]:
    """Birth and end of a row; a skip is born at its end."""
    if code is not None:
        return [(row_id, now_ms, None, "skipped", 1, code)]
    return [(row_id, now_ms, None, "reserved", 0, None), (row_id, now_ms, "reserved", "filled", 1, None)]


def save_position(connection: sqlite3.Connection, path: Path, offset: int, last: bytes) -> None:
    """How far the file is read."""
    marker = blake2b(last[-64:], digest_size=16).hexdigest()
    found = path.stat()
    place = (path.parent.name, path.name, found.st_dev, found.st_ino)
    connection.execute(POSITION, (*place, offset, marker))


class Outputs:
    """The hourly lines, gathered and written out a few times, each time with its cursor."""

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder
        self._waiting: dict[str, list[str]] = {}
        self._seq = 0

    def add(self, symbol: str, rows: list[Row]) -> None:
        """Lines for the next pass."""
        self._waiting.setdefault(symbol, []).extend(row.line for row in rows)
        self._seq += sum(len(row.events) for row in rows)

    def write(self) -> None:
        """One pass: append, fdatasync, cursor."""
        hour = time.strftime("%Y%m%d_%H", time.gmtime())
        self._connection.execute("BEGIN IMMEDIATE")
        for symbol, lines in self._waiting.items():
            path = self._folder / symbol / f"exec_{hour}.jsonl"
            path.parent.mkdir(exist_ok=True)
            with open(path, "ab", buffering=0) as file:
                file.write(("\n".join(lines) + "\n").encode())
                os.fdatasync(file.fileno())
                size = file.tell()
            hours = int(time.time()) // 3600
            self._connection.execute(FILE, (f"{symbol}/{path.name}", symbol, hours, size, self._seq))
        self._connection.execute(CURSOR, (self._seq,))
        self._connection.execute("COMMIT")
        self._waiting.clear()


def batches(signals: Path) -> Iterator[tuple[Path, list[bytes]]]:
    """Lines of all files, a batch of each in turn."""
    with ExitStack() as stack:
        paths = sorted(signals.glob("ready/signal/*/*.jsonl"))
        files = [(path, stack.enter_context(open(path, "rb"))) for path in paths]
        while files:
            for path, file in list(files):
                lines = list(islice(file, BATCH))
                if lines:
                    yield path, lines
                else:
                    files.remove((path, file))


def run(signals: Path, output: Path, passes: int) -> None:
    """Everything, in one loop."""
    connection = open_database(output)
    outputs = Outputs(connection, output)
    size = sum(path.stat().st_size for path in signals.glob("ready/signal/*/*.jsonl"))
    offsets: dict[Path, int] = {}
    row_id = done = passed = 0
    began_s = time.perf_counter()
    for path, lines in batches(signals):
        now_ms, offset = time.time_ns() // 1_000_000, offsets.get(path, 0)
        place = str(path.relative_to(signals))
        rows = []
        for line in lines:
            row_id += 1
            rows.append(Row(line, row_id, place, offset, now_ms))
            offset += len(line)
        offsets[path] = offset
        commit(connection, rows, path, offset, lines[-1])
        outputs.add(path.parent.name, rows)
        done += sum(len(line) for line in lines)
        if done * passes // size > passed:
            passed = done * passes // size
            outputs.write()
    sys.stdout.write(dumps({"seconds": time.perf_counter() - began_s, "signals": row_id}))


def commit(connection: sqlite3.Connection, rows: list[Row], path: Path, offset: int, last: bytes) -> None:
    """One batch with all that belongs to it."""
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(EXECUTION, [row.values for row in rows])
    connection.executemany(EVENT, [event for row in rows for event in row.events])
    save_position(connection, path, offset, last)
    last_order_ms = max((row.ts_ms for row in rows if row.ordered), default=0)
    connection.execute(LANE, (path.parent.name, rows[-1].ts_ms, last_order_ms))
    connection.execute("UPDATE owner SET commits = commits + 1")
    connection.execute("COMMIT")


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
