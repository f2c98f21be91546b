"""Every SQL statement of the store, by name. Parameters only; no value is ever put into the text.

Many rows go into one statement: each step of a statement gives the interpreter lock away and has to
win it back, which costs more than the step.
"""

from __future__ import annotations

from functools import lru_cache

from store.execlog_line import all_steps, event_of

# SQLite's limit on parameters in one statement since 3.32.
PARAMETERS_MAX = 32_766

RESERVATION_COLUMNS = (
    "signal_ts_ms",
    "symbol",
    "signal_id",
    "id_given",
    "state",
    "status",
    "exec_ts_ms",
    "order_id",
    "side",
    "qty",
    "price",
    "gating",
    "guard_reason",
    "error_code",
    "error_msg",
    "run_source",
    "meta_json",
    "client_order_id",
    "order_json",
    "score",
    "place_file",
    "place_offset",
    "place_length",
    "reserved_ms",
)
RESERVATIONS_MAX = PARAMETERS_MAX // len(RESERVATION_COLUMNS)


def _placeholders(rows: int, values: int) -> str:
    return ", ".join([f"({', '.join('?' * values)})"] * rows)


@lru_cache(maxsize=32)
def reserve(rows: int) -> str:
    """Insert `rows` reservations; only those that were not there come back."""
    columns = RESERVATION_COLUMNS
    return (
        f"INSERT INTO executions ({', '.join(columns)}) VALUES {_placeholders(rows, len(columns))} "
        "ON CONFLICT (signal_ts_ms, symbol, signal_id) DO NOTHING RETURNING id, signal_ts_ms, signal_id"
    )


CLAIM = "UPDATE owner SET epoch = epoch + 1, pid = ?, started_ms = ?, host = ? RETURNING epoch"
TABLES = "SELECT count(*) FROM sqlite_master"
COUNT_COMMIT = "UPDATE owner SET commits = commits + 1 WHERE epoch = ?"
COMMITS = "SELECT epoch, commits FROM owner"

LAST_ROW = "SELECT coalesce(max(id), 0) FROM executions"
# The birth of every row from an id on.
BIRTHS = """
INSERT INTO events (execution_id, at_ms, from_state, to_state, final, reason)
SELECT id, ?, NULL, state, exec_ts_ms IS NOT NULL, error_code FROM executions WHERE id >= ? ORDER BY id
"""

EVENT_VALUES = 8
EVENTS_MAX = PARAMETERS_MAX // EVENT_VALUES


@lru_cache(maxsize=32)
def events(rows: int) -> str:
    """Append `rows` events."""
    return (
        "INSERT INTO events (execution_id, at_ms, from_state, to_state, final, reason, qty, price) "
        f"VALUES {_placeholders(rows, EVENT_VALUES)}"
    )


LAST_EVENT_MS = "SELECT at_ms FROM events ORDER BY seq DESC LIMIT 1"

MOVE_VALUES = 11
MOVES_MAX = PARAMETERS_MAX // MOVE_VALUES


@lru_cache(maxsize=32)
def move(rows: int) -> str:
    """Take `rows` steps at once; the ids of those that were in the expected state come back.

    A row that is skipped after all loses its side and order id: it never became an order.
    """
    return f"""
WITH step (id, before, state, status, exec_ts_ms, qty, price, error_code, error_msg, patch, order_json)
  AS (VALUES {_placeholders(rows, MOVE_VALUES)})
UPDATE executions
   SET state = step.state, status = step.status, exec_ts_ms = step.exec_ts_ms,
       qty = coalesce(step.qty, executions.qty), price = coalesce(step.price, executions.price),
       error_code = coalesce(step.error_code, executions.error_code),
       error_msg = coalesce(step.error_msg, executions.error_msg),
       side = iif(step.state = 'skipped', 'skip', side),
       order_id = iif(step.state = 'skipped', NULL, order_id),
       meta_json = json_patch(meta_json, step.patch),
       order_json = coalesce(step.order_json, executions.order_json)
  FROM step
 WHERE executions.id = step.id AND executions.state = step.before
RETURNING executions.id"""


# The same for rows that all take the same step, none with a new order: without a table of steps to join
# it costs half.
MOVE_ALIKE = """
UPDATE executions
   SET state = ?2, status = ?3, exec_ts_ms = ?4, qty = coalesce(?5, qty), price = coalesce(?6, price),
       error_code = coalesce(?7, error_code), error_msg = coalesce(?8, error_msg),
       side = iif(?2 = 'skipped', 'skip', side), order_id = iif(?2 = 'skipped', NULL, order_id),
       meta_json = json_patch(meta_json, ?9)
 WHERE state = ?1 AND id IN (SELECT value FROM json_each(?10))
RETURNING id
"""
# Fewer than these are no crowd: one statement for many kinds of steps is cheaper.
ALIKE_MIN = 16

# A late fill: the row is put right, the moment of its outcome and its line stay.
LATE_ROW = "SELECT side, status, qty, order_json FROM executions WHERE id = ? AND state = ?"
MOVE_LATE = """
UPDATE executions
   SET state = 'filled', status = 'success', side = ?2, order_id = coalesce(order_id, client_order_id),
       qty = coalesce(?3, qty), price = coalesce(?4, price), error_code = coalesce(?5, error_code),
       error_msg = coalesce(?6, error_msg), meta_json = json_patch(meta_json, ?7)
 WHERE id = ?1
"""

ANY_OVER_A_WIRE = (
    "SELECT 1 FROM executions INDEXED BY executions_wire_time WHERE client_order_id IS NOT NULL LIMIT 1"
)
# A wire order that just became final, with what its symbol held before.
ENDED = """
SELECT x.symbol, x.side, x.qty, x.order_json, h.qty
  FROM executions AS x LEFT JOIN holdings AS h ON h.symbol = x.symbol
 WHERE x.id = ? AND x.client_order_id IS NOT NULL
"""
HOLDING_OF = "SELECT qty FROM holdings WHERE symbol = ?"
HOLDING = """
INSERT INTO holdings (symbol, qty) VALUES (?, ?) ON CONFLICT (symbol) DO UPDATE SET qty = excluded.qty
"""

BY_KEY = (
    "SELECT id, score, gating, coalesce(guard_reason, '') FROM executions "
    "WHERE signal_ts_ms = ? AND symbol = ? AND signal_id = ?"
)

GIVEN_ID = (
    "SELECT 1 FROM executions WHERE symbol = ? AND signal_id = ? AND id_given = 1 "
    "AND error_code IS NOT 'id_reused'"
)

POSITION = """
INSERT INTO source_positions (symbol, source, name, device, inode, offset, marker, mtime_ns, detail)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (symbol, source, name) DO UPDATE
   SET device = excluded.device, inode = excluded.inode, offset = excluded.offset,
       marker = excluded.marker, mtime_ns = excluded.mtime_ns, detail = excluded.detail
"""
POSITIONS = (
    "SELECT symbol, source, name, device, inode, offset, marker, mtime_ns, detail "
    "FROM source_positions WHERE symbol = ? AND source = ? ORDER BY name"
)

LANE = """
INSERT INTO lanes (symbol, high_water_ts_ms, last_order_ts_ms) VALUES (?, ?, ?)
    ON CONFLICT (symbol) DO UPDATE
   SET high_water_ts_ms = max(high_water_ts_ms, excluded.high_water_ts_ms),
       last_order_ts_ms = max(last_order_ts_ms, excluded.last_order_ts_ms)
"""
LANE_OF = "SELECT high_water_ts_ms, last_order_ts_ms FROM lanes WHERE symbol = ?"

DEAD_LETTER = """
INSERT INTO dead_letters (ts_ms, symbol, source, file, offset, hash, reason, raw)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (source, file, offset, hash) DO NOTHING
"""
LAST_DEAD_LETTER_MS = "SELECT ts_ms FROM dead_letters ORDER BY id DESC LIMIT 1"

STAMP = "INSERT INTO stamps (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
STAMPS = "SELECT key, value FROM stamps ORDER BY key"
FORGET_STAMP = "DELETE FROM stamps WHERE key = ?"

_UNSETTLED = """
SELECT id, symbol, signal_id, signal_ts_ms, state, client_order_id, order_json, side, meta_json, reserved_ms
  FROM executions INDEXED BY executions_unsettled
 WHERE exec_ts_ms IS NULL"""
UNSETTLED = f"{_UNSETTLED} AND symbol = ? ORDER BY id"
# Over all symbols: the index is small, whatever the size of the table.
UNSETTLED_BY_ID = f"{_UNSETTLED} AND (signal_id = ?1 OR client_order_id = ?1) ORDER BY id"
UNSETTLED_SUMMARY = """
SELECT symbol, state, count(*), min(reserved_ms)
  FROM executions INDEXED BY executions_unsettled
 WHERE exec_ts_ms IS NULL GROUP BY symbol, state
"""
QUANTITY_OF = "SELECT qty FROM executions WHERE id = ?"
OUTCOME_OF = "SELECT state, status, qty FROM executions WHERE id = ?"
VENUE_ID_OF = "SELECT json_extract(meta_json, '$.exchange_order_id') FROM executions WHERE id = ?"
SYMBOL_OF = "SELECT symbol FROM executions WHERE id = ?"
KNOWN = """
SELECT client_order_id FROM executions WHERE client_order_id IN (SELECT value FROM json_each(?))
"""
VENUE_ORDERS = """
SELECT client_order_id, state, json_extract(meta_json, '$.exchange_order_id') FROM executions
 WHERE client_order_id IN (SELECT value FROM json_each(?))
"""
# Every order of a symbol whose end is open, and the words that its direction and quantities stand in.
IN_FLIGHT = """
SELECT client_order_id, state, side, qty, order_json FROM executions INDEXED BY executions_unsettled
 WHERE symbol = ? AND exec_ts_ms IS NULL ORDER BY id
"""
SENDS = "SELECT reserved_ms FROM executions WHERE client_order_id IS NOT NULL AND reserved_ms >= ? ORDER BY 1"
COUNT_SENDS = "SELECT count(*) FROM executions WHERE client_order_id IS NOT NULL AND reserved_ms > ?"
# Everything that the limits look at, in one statement: an order waits for it. A row without its order's text
# makes the list unreadable, which refuses the order.
LIMIT_STATE = """
SELECT (SELECT count(*) FROM executions WHERE client_order_id IS NOT NULL AND reserved_ms > ?1),
       (SELECT qty FROM holdings WHERE symbol = ?2),
       (SELECT value FROM stamps WHERE key = ?3),
       (SELECT '[' || coalesce(group_concat(coalesce(order_json, 'null')), '') || ']'
          FROM executions INDEXED BY executions_unsettled
         WHERE symbol = ?2 AND exec_ts_ms IS NULL AND client_order_id IS NOT NULL)
"""
STAMP_OF = "SELECT value FROM stamps WHERE key = ?"
BY_CLIENT_ORDER_ID = "SELECT id, state FROM executions WHERE client_order_id = ?"

PROJECTION = (
    "INSERT INTO projections (name, seq) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq"
)
PROJECTIONS = "SELECT name, seq FROM projections"
PROJECTED_FILE = """
INSERT INTO projected_files (path, name, symbol, hour, size, first_seq, last_seq) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (path) DO UPDATE SET size = excluded.size, last_seq = excluded.last_seq
"""
PROJECTED_FILES = "SELECT path, name, symbol, hour, size, first_seq, last_seq FROM projected_files"
FORGET_PROJECTED_FILE = "DELETE FROM projected_files WHERE path = ?"

# The line of an hourly file, a function of the row alone. json(qty) copies the exact decimal text; what
# is no number (a venue's NaN, say) becomes null, so that it holds back no other line.
RECORD = """
json_object('exec_ts_ms', x.exec_ts_ms, 'signal_ts_ms', x.signal_ts_ms, 'symbol', x.symbol,
            'signal_id', x.signal_id, 'order_id', x.order_id, 'side', x.side,
            'qty', iif(json_valid(x.qty), json(x.qty), NULL),
            'price', iif(json_valid(x.price), json(x.price), NULL), 'gating', x.gating,
            'guard_reason', x.guard_reason, 'status', x.status, 'error_code', x.error_code,
            'error_msg', x.error_msg, 'run_source', x.run_source, 'meta_json', json(x.meta_json))
"""
# After a late fill the line is the one that was kept.
KEEP_LINE = f"""
INSERT INTO late_fills (execution_id, at_ms, status, line)
SELECT x.id, ?, x.status, {RECORD} FROM executions AS x WHERE x.id = ?
"""
_FINAL = f"""
SELECT e.seq, x.symbol, x.exec_ts_ms / 3600000, coalesce(l.line, {RECORD})
  FROM events AS e JOIN executions AS x ON x.id = e.execution_id
  LEFT JOIN late_fills AS l ON l.execution_id = e.execution_id
 WHERE e.seq > ? AND e.seq <= ? AND e.final = 1"""
FINAL_RECORDS = f"{_FINAL} ORDER BY e.seq LIMIT ?"
FINAL_SKIPS = f"{_FINAL} AND coalesce(l.status, x.status) = 'skip' ORDER BY e.seq LIMIT ?"
DEAD_LETTERS = """
SELECT id, ts_ms, source, file, offset, reason, raw FROM dead_letters
 WHERE id > ? AND id <= ? ORDER BY id LIMIT ?
"""

# The execution log: the steps that have a name there, and what a line is made of (store/execlog_line.py).
_STEP = "(coalesce(e.from_state, '') || '>' || e.to_state)"
_STEPS = {f"{before or ''}>{after}": event_of(before, after) for before, after in all_steps()}
_IS_TOLD = f"{_STEP} NOT IN ({', '.join(repr(step) for step, event in _STEPS.items() if event is None)})"
_EVENT = " ".join(f"WHEN '{step}' THEN '{event}'" for step, event in _STEPS.items() if event is not None)
EXECLOG_FACTS = f"""
SELECT e.seq, x.symbol, e.at_ms, e.from_state, e.to_state, e.reason, e.qty, e.price, x.id, x.side,
       x.order_json, x.meta_json, x.guard_reason, coalesce(x.client_order_id, x.order_id)
  FROM events AS e JOIN executions AS x ON x.id = e.execution_id
 WHERE e.seq > ? AND e.seq <= ? AND {_IS_TOLD}
 ORDER BY e.seq LIMIT ?
"""
# The same in the table, for those who ask the store itself. What is told already stays: a commit may land
# although the wait for it was given up.
TELL_EVENTS = f"""
INSERT INTO exec_events (seq, ts_ms, symbol, event, state, order_id, price, qty, fee, reason)
SELECT e.seq, e.at_ms, x.symbol, CASE {_STEP} {_EVENT} END, e.to_state,
       coalesce(x.order_json ->> '$.client_order_id', x.client_order_id, x.order_id),
       coalesce(iif(e.qty IS NULL, NULL, e.price), x.order_json ->> '$.price'),
       coalesce(e.qty, x.order_json ->> '$.qty'), x.meta_json ->> '$.fee', e.reason
  FROM events AS e JOIN executions AS x ON x.id = e.execution_id
 WHERE e.seq > ? AND e.seq <= ? AND {_IS_TOLD}
 ORDER BY e.seq
    ON CONFLICT (seq) DO NOTHING
"""

HALT = """
INSERT INTO halts (scope, why, who, at_ms, new_only, until_ms) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (scope) DO UPDATE
   SET why = excluded.why, who = excluded.who, at_ms = excluded.at_ms, new_only = excluded.new_only,
       until_ms = excluded.until_ms
"""
HALTS = "SELECT scope, why, who, at_ms, new_only, until_ms FROM halts ORDER BY scope"
HALT_OF = "SELECT scope, why, who, at_ms, new_only, until_ms FROM halts WHERE scope = ?"
# The empty scope ends all of them.
RESUME = "DELETE FROM halts WHERE scope = ?1 OR ?1 = ''"
AUDIT = "INSERT INTO audit (at_ms, action, subject, who, why, detail) VALUES (?, ?, ?, ?, ?, ?)"
AUDITS = "SELECT at_ms, action, subject, who, why, detail FROM audit ORDER BY id DESC LIMIT ?"

# What people's commands read.
OWNER = "SELECT pid, started_ms, epoch FROM owner"
LAST_DEAD_LETTER = "SELECT coalesce(max(id), 0) FROM dead_letters"
BY_STATUS = "SELECT status, count(*) FROM executions GROUP BY status ORDER BY status"
LANES = "SELECT symbol, high_water_ts_ms, last_order_ts_ms FROM lanes ORDER BY symbol"
ROWS_OF = "SELECT * FROM executions WHERE signal_id = ?1 OR client_order_id = ?1 ORDER BY id LIMIT 20"
LAST_EVENT_SEQ = "SELECT coalesce(max(seq), 0) FROM events"
EVENT_TIME = "SELECT at_ms FROM events WHERE seq >= ? ORDER BY seq LIMIT 1"
EVENTS_OF = (
    "SELECT at_ms, from_state, to_state, reason FROM events WHERE seq >= ? AND execution_id = ? ORDER BY seq"
)

# Which positions there are, and those of files that are gone; a position that has moved on since stays.
POSITION_PLACES = "SELECT name, device, inode, offset FROM source_positions WHERE symbol = ? AND source = ?"
FORGET_POSITION = """
DELETE FROM source_positions
 WHERE symbol = ? AND source = ? AND name = ? AND device = ? AND inode = ? AND offset = ?
"""
