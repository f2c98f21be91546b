"""What somebody who looks on reads: the newest executions and what is unresolved; bounded, never a scan."""

from __future__ import annotations

# A producer's words may be as long as a line of its file; a look shows their beginning.
_COLUMNS = """
x.id, x.symbol, substr(x.signal_id, 1, 200), x.signal_ts_ms, x.reserved_ms, x.exec_ts_ms, x.state, x.status,
x.side, x.qty, x.price, x.error_code, substr(x.error_msg, 1, 500), substr(x.guard_reason, 1, 200),
x.client_order_id
"""
LATEST = f"SELECT {_COLUMNS} FROM executions AS x ORDER BY x.id DESC LIMIT ?"
# Of the newest rows those that are no skip: how far back is looked is bounded, however rare they are.
LATEST_ORDERS = f"""
SELECT {_COLUMNS} FROM executions AS x
 WHERE x.id > (SELECT coalesce(max(id), 0) FROM executions) - ?1 AND x.status <> 'skip'
 ORDER BY x.id DESC LIMIT ?2
"""
# The index of what is not final is small, whatever the size of the table.
UNRESOLVED = f"""
SELECT {_COLUMNS} FROM executions AS x INDEXED BY executions_unsettled
 WHERE x.exec_ts_ms IS NULL AND x.state IN ('unknown', 'quarantined') ORDER BY x.id LIMIT ?
"""
