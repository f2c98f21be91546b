"""A store that has lived: millions of executed signals and thousands of finished source files.

The worker itself makes the store and reads the finished files, so that positions and stamps are real;
then the rows of the past are generated inside SQLite, with their events, in the order of their times.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import signals_made
import workers

FILES = 5_000
FILES_FROM_MS = 1_763_000_000_000 - 1_763_000_000_000 % 60_000
# The past: one signal a symbol every 60 ms, before the first finished file.
PAST_STEP_MS = 60
CHUNK = 100_000
HOUR_MS = 3_600_000

ROWS = """
WITH RECURSIVE number (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :first + :count),
     signal AS (
         SELECT n, :from_ms + n / 2 * :step_ms AS ts_ms, lower(hex(randomblob(16))) AS signal_id,
                iif(n % 2, 'ETHUSDT', 'BTCUSDT') AS symbol, n % 5 > 0 AS sent FROM number)
INSERT INTO executions (
    signal_ts_ms, symbol, signal_id, id_given, state, status, exec_ts_ms, order_id, side, qty, gating,
    guard_reason, error_code, error_msg, run_source, meta_json, order_json, score, place_file,
    place_offset, place_length, reserved_ms)
SELECT ts_ms, symbol, signal_id, 0, iif(sent, 'filled', 'skipped'), iif(sent, 'success', 'skip'), ts_ms + 40,
       iif(sent, 'dryrun:' || signal_id, NULL), iif(sent, 'long', 'skip'), iif(sent, '100.0', NULL), sent,
       iif(sent, NULL, 'warmup'), iif(sent, NULL, 'not_confirmed'),
       iif(sent, NULL, 'the producer did not confirm the signal'), 'prod',
       '{"mode":"dry_run","adapter":"dry_run","lag_ms":40,"run_id":"r42","regime":"active","attempts":1,"latency_ms":0.002}',
       iif(sent, '{"client_order_id":"dryrun:' || signal_id || '","symbol":"' || symbol
           || '","side":"buy","order_type":"market","tif":"GTC","qty":"100.0","price":null,"signal_id":"'
           || signal_id || '","position_side":"BOTH","send_before_ms":null,"recv_window_ms":null}', NULL),
       0.5, 'ready/signal/' || symbol || '/signals-20251001-00.jsonl', n * 217, 217, ts_ms + 40
  FROM signal
"""
BIRTHS = """
INSERT INTO events (execution_id, at_ms, from_state, to_state, final, reason)
SELECT id, reserved_ms, NULL, iif(state = 'skipped', 'skipped', 'reserved'), state = 'skipped', error_code
  FROM executions WHERE id > ? ORDER BY id
"""
ENDS = """
INSERT INTO events (execution_id, at_ms, from_state, to_state, final, reason)
SELECT id, exec_ts_ms, 'reserved', 'filled', 1, NULL
  FROM executions WHERE id > ? AND state = 'filled' ORDER BY id
"""
FILE = "INSERT INTO projected_files VALUES (?, 'executions', ?, ?, ?, ?, ?)"
BYTES_A_FILE = 1_000_000


def build(signals: Path, output: Path, rows: int) -> Path:
    """Make the store in `output` with `rows` rows of the past and all of `FILES` finished; its database."""
    signals_made.write_finished_files(signals, FILES, start_ms=FILES_FROM_MS)
    workers.drain(signals, output)
    database = output / "executions" / "executions.db"
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode=OFF")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA cache_size=-1000000")
    from_ms = FILES_FROM_MS - (rows // 2 + 1) * PAST_STEP_MS
    for first in range(0, rows, CHUNK):
        _write_chunk(connection, first, min(CHUNK, rows - first), from_ms)
    _write_files(connection, output / "executions", from_ms)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    return database


def _write_chunk(connection: sqlite3.Connection, first: int, count: int, from_ms: int) -> None:
    before = connection.execute("SELECT coalesce(max(id), 0) FROM executions").fetchone()[0]
    values = {"first": first, "count": count, "from_ms": from_ms, "step_ms": PAST_STEP_MS}
    connection.execute("BEGIN")
    connection.execute(ROWS, values)
    connection.execute(BIRTHS, (before,))
    connection.execute(ENDS, (before,))
    connection.execute("COMMIT")


def _write_files(connection: sqlite3.Connection, folder: Path, from_ms: int) -> None:
    """Hourly output files of the past, full of nothing, and the cursor behind the last event."""
    seq = connection.execute("SELECT max(seq) FROM events").fetchone()[0]
    for symbol in signals_made.SYMBOLS:
        for hour in range(from_ms // HOUR_MS, FILES_FROM_MS // HOUR_MS + 1):
            stamp = datetime.fromtimestamp(hour * 3600, UTC).strftime("%Y%m%d_%H")
            path = folder / symbol / f"exec_{stamp}.jsonl"
            with open(path, "wb") as file:
                file.truncate(BYTES_A_FILE)
            connection.execute(FILE, (f"{symbol}/{path.name}", symbol, hour, BYTES_A_FILE, 1, seq))
    connection.execute("UPDATE projections SET seq = ?", (seq,))
