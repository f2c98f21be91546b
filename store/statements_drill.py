"""What a drill asks of the store that it has drilled, and what its producer does to a table of signals."""

from __future__ import annotations

# The store, read only.
ROWS = """\
SELECT id, signal_ts_ms, symbol, signal_id, state, status, side, exec_ts_ms, qty, price, error_code,
       error_msg, client_order_id, meta_json, reserved_ms
  FROM executions ORDER BY id"""
PROGRESS = """\
SELECT count(*), count(*) FILTER (WHERE exec_ts_ms IS NULL) FROM executions"""
HALTS = "SELECT scope, why FROM halts"
LATE_FILLS = "SELECT execution_id, status FROM late_fills"

# The producer's table: is the batch there that was under way, and the same rows in another order.
HAS_SIGNAL = "SELECT count(*) FROM signals WHERE ts_ms = ? AND symbol = ?"
KEEP_SIGNALS = "CREATE TEMP TABLE kept AS SELECT * FROM signals"
DROP_SIGNALS = "DROP TABLE signals"
REFILL_SIGNALS = "INSERT INTO signals SELECT * FROM kept ORDER BY ts_ms DESC"
DROP_KEPT = "DROP TABLE kept"
