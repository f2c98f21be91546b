"""Every SQL statement of the commands that look back, by name. Parameters only.

They read in short pieces: each is bounded by event numbers or by row ids, so that none holds a view of the
store open for long. Outcomes stand in `events` in the order of their time, which no index has to repeat.
"""

from __future__ import annotations

from store.statements import RECORD

SCHEMA_VERSION = "PRAGMA user_version"
APPLICATION = "PRAGMA application_id"
SEQ_ENDS = "SELECT coalesce(min(seq), 0), coalesce(max(seq), 0) FROM events"

# What a filter leaves; a parameter that is null asks for nothing. Lists are JSON.
_FILTER = """
   AND (:symbols IS NULL OR x.symbol IN (SELECT value FROM json_each(:symbols)))
   AND (:statuses IS NULL OR x.status IN (SELECT value FROM json_each(:statuses)))
   AND (:reason IS NULL OR x.error_code = :reason)
   AND (:side IS NULL OR x.side = :side)"""

# The keys of the contract, in its order.
RECORD_KEYS = (
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
_KEYS = ", ".join(f"x.{key}" for key in RECORD_KEYS)
_ORDER_KEYS = "x.symbol, x.side, x.qty, x.price, x.exec_ts_ms, x.reserved_ms, x.order_json, x.meta_json"

# The join's order is fixed: events first, by number, then each one's row. The other way round would read
# the whole table.
_ENDED = "FROM events AS e CROSS JOIN executions AS x ON x.id = e.execution_id"
_BETWEEN = "WHERE e.seq >= :first AND e.seq <= :last AND e.final = 1"

ENDED_BACKWARDS = (
    f"SELECT e.seq, {_KEYS}, x.state {_ENDED} {_BETWEEN} {_FILTER} ORDER BY e.seq DESC LIMIT :rows"
)
ENDED_FORWARDS = f"SELECT e.seq, {_KEYS}, x.state {_ENDED} {_BETWEEN} {_FILTER} ORDER BY e.seq"
# The line of the hourly file as the row tells it now.
LINES_BACKWARDS = f"SELECT e.seq, {RECORD} {_ENDED} {_BETWEEN} {_FILTER} ORDER BY e.seq DESC LIMIT :rows"
LINES_FORWARDS = f"SELECT e.seq, {RECORD} {_ENDED} {_BETWEEN} {_FILTER} ORDER BY e.seq"

# What is not final stands in a small index of its own, whatever the size of the table.
_UNSETTLED = """
  FROM executions AS x INDEXED BY executions_unsettled
 WHERE x.exec_ts_ms IS NULL AND x.reserved_ms >= :since_ms AND x.reserved_ms <= :until_ms"""
UNSETTLED_ROWS = f"SELECT x.reserved_ms, {_KEYS}, x.state {_UNSETTLED} {_FILTER} ORDER BY x.id DESC"
UNSETTLED_LINES = f"SELECT x.reserved_ms, {RECORD} {_UNSETTLED} {_FILTER} ORDER BY x.id DESC"

# For reports: how many ended how, and every order with a fill.
REPORT_COUNTS = f"""
SELECT x.symbol, x.exec_ts_ms / 86400000, x.status, x.error_code, count(*)
  {_ENDED} {_BETWEEN} {_FILTER} GROUP BY 1, 2, 3, 4
"""
REPORT_ORDERS = f"""
SELECT {_ORDER_KEYS}, e.reason {_ENDED} {_BETWEEN} {_FILTER} AND x.status = 'success' ORDER BY e.seq
"""
REPORT_PARTIAL = f"""
SELECT {_ORDER_KEYS}, NULL FROM executions AS x INDEXED BY executions_unsettled
 WHERE x.exec_ts_ms IS NULL AND x.state = 'partial' {_FILTER} ORDER BY x.id
"""

# One signal: its rows by either of its ids. The key's index holds the ids, so it is read instead of the
# table, in pieces by the signal's time.
IDS_BY_ORDER = "SELECT id FROM executions WHERE client_order_id = ?"
IDS_GIVEN = """
SELECT id FROM executions INDEXED BY executions_given_id
 WHERE symbol = ? AND signal_id = ? AND id_given = 1 AND error_code IS NOT 'id_reused'
"""
KEY_PIECE = """
SELECT signal_ts_ms FROM executions INDEXED BY executions_key
 WHERE signal_ts_ms < ?1 ORDER BY signal_ts_ms DESC LIMIT 1 OFFSET ?2
"""
NEWEST_KEY = "SELECT max(signal_ts_ms) FROM executions INDEXED BY executions_key"
IDS_IN_PIECE = """
SELECT id FROM executions INDEXED BY executions_key
 WHERE signal_ts_ms >= ?1 AND signal_ts_ms < ?2 AND signal_id = ?3
"""
ROW_BY_ID = "SELECT * FROM executions WHERE id = ?"
LATE_FILL_OF = "SELECT 1 FROM late_fills WHERE execution_id = ?"

_STEP_KEYS = "e.seq, e.at_ms, e.from_state, e.to_state, e.reason"
_STEPS = "FROM events AS e WHERE e.seq >= ? AND e.seq <= ? AND e.execution_id = ? ORDER BY e.seq"
STEPS_OF = f"SELECT {_STEP_KEYS}, e.qty, e.price {_STEPS}"
# A store of version 1 or 2 tells of no fills in its events.
STEPS_OF_OLD = f"SELECT {_STEP_KEYS}, NULL, NULL {_STEPS}"
