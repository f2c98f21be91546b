"""The statements of backup, verify and prune. Parameters only; nothing here is on the way of an order."""

from __future__ import annotations

from store.statements import RECORD

COUNT_ROWS = "SELECT count(*) FROM executions"
COUNT_EVENTS = "SELECT count(*) FROM events"
SCHEMA = "SELECT type, name, coalesce(sql, '') FROM sqlite_master ORDER BY type, name"

# Verify: the events in order, each beside the row as it stands now.
EVENTS = """
SELECT e.seq, e.execution_id, e.at_ms, e.from_state, e.to_state, e.final, e.qty,
       x.state, x.status, x.exec_ts_ms, l.at_ms, l.line
  FROM events AS e
  LEFT JOIN executions AS x ON x.id = e.execution_id
  LEFT JOIN late_fills AS l ON l.execution_id = e.execution_id
 WHERE e.seq > ? ORDER BY e.seq LIMIT ?
"""
ROWS = """
SELECT id, signal_ts_ms, symbol, signal_id, state, status, exec_ts_ms, order_id, side, qty, price, meta_json,
       client_order_id, order_json, reserved_ms, place_file
  FROM executions WHERE id > ? AND id <= ? ORDER BY id LIMIT ?
"""
LAST_EVENT = "SELECT coalesce(max(seq), 0) FROM events"

# Keys, looked for in the table and not in the index that is to keep them. A plus keeps the planner off it.
DOUBLED_KEYS = """
SELECT symbol, signal_id, count(*) FROM executions NOT INDEXED
 GROUP BY signal_ts_ms, symbol, signal_id HAVING count(*) > 1 LIMIT ?
"""
DOUBLED_GIVEN_IDS = """
SELECT symbol, signal_id, count(*) FROM executions NOT INDEXED
 WHERE id_given = 1 AND error_code IS NOT 'id_reused'
 GROUP BY symbol, signal_id HAVING count(*) > 1 LIMIT ?
"""
DOUBLED_ORDERS = """
SELECT symbol, client_order_id, count(*) FROM executions NOT INDEXED
 WHERE client_order_id IS NOT NULL GROUP BY client_order_id HAVING count(*) > 1 LIMIT ?
"""
POSITIONS = "SELECT symbol, source, name, offset FROM source_positions"
HOLDINGS = "SELECT symbol, qty FROM holdings"
WIRE_FILLS = """
SELECT symbol, side, qty, order_json FROM executions
 WHERE client_order_id IS NOT NULL AND exec_ts_ms IS NOT NULL
   AND (state = 'filled' OR (state IN ('canceled', 'expired') AND status = 'success'))
"""
LATE_WITHOUT_ROW = """
SELECT l.execution_id FROM late_fills AS l LEFT JOIN executions AS x ON x.id = l.execution_id
 WHERE x.id IS NULL OR x.state <> 'filled' LIMIT ?
"""
DEAD_LETTERS = "SELECT id, ts_ms, source FROM dead_letters WHERE id > ? ORDER BY id LIMIT ?"
EXEC_EVENTS = """
SELECT t.seq, t.ts_ms, t.state, e.at_ms, e.to_state
  FROM exec_events AS t LEFT JOIN events AS e ON e.seq = t.seq
 WHERE t.seq > ? ORDER BY t.seq LIMIT ?
"""
OWNER = "SELECT count(*), coalesce(max(epoch), 0) FROM owner"

# Verify: the lines of the hourly files, in the order in which they were written.
FINAL_LINES = f"""
SELECT e.seq, x.symbol, x.exec_ts_ms / 3600000, coalesce(l.line, {RECORD})
  FROM events AS e JOIN executions AS x ON x.id = e.execution_id
  LEFT JOIN late_fills AS l ON l.execution_id = e.execution_id
 WHERE e.seq > ? AND e.seq <= ? AND e.final = 1 ORDER BY e.seq LIMIT ?
"""

# Prune: what may go, and taking it out. Ids and events come as a JSON list.
PRUNE_ROWS = """
SELECT x.id, x.symbol, x.signal_ts_ms, x.reserved_ms, x.exec_ts_ms, x.state, x.status, x.side, x.qty,
       x.client_order_id, x.order_json, l.at_ms
  FROM executions AS x LEFT JOIN late_fills AS l ON l.execution_id = x.id
 WHERE x.id > ? ORDER BY x.id LIMIT ?
"""
EVENT_FROM = "SELECT seq, at_ms FROM events WHERE seq >= ? ORDER BY seq LIMIT 1"
EVENTS_OF_ROWS = """
SELECT seq, execution_id FROM events
 WHERE seq >= ? AND seq < ? AND execution_id IN (SELECT value FROM json_each(?))
"""
SYMBOLS = "SELECT symbol FROM lanes ORDER BY symbol"
COUNT_LATE = "SELECT count(*) FROM late_fills WHERE execution_id IN (SELECT value FROM json_each(?))"
PRUNE_LATE = "DELETE FROM late_fills WHERE execution_id IN (SELECT value FROM json_each(?))"
PRUNE_EVENTS = "DELETE FROM events WHERE seq IN (SELECT value FROM json_each(?))"
PRUNE_LOG = "DELETE FROM exec_events WHERE seq IN (SELECT value FROM json_each(?))"
PRUNE_EXECUTIONS = """
DELETE FROM executions WHERE exec_ts_ms IS NOT NULL AND id IN (SELECT value FROM json_each(?))
"""
