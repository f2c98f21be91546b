-- The execution store, version 1. Every time is UTC epoch milliseconds.

CREATE TABLE executions (
    id             INTEGER PRIMARY KEY,  -- the signal row id; ascending in reading order within a symbol
    signal_ts_ms   INTEGER NOT NULL,     -- the signal's own time
    symbol         TEXT    NOT NULL,     -- upper case
    signal_id      TEXT    NOT NULL,     -- the producer's, or derived from the signal's fields
    id_given       INTEGER NOT NULL,     -- 1: the producer gave signal_id, 0: derived
    state          TEXT    NOT NULL,     -- see store/lifecycle.py
    status         TEXT    NOT NULL,     -- the contract's word: pending, success, skip, failed, retry
    exec_ts_ms     INTEGER,              -- when the outcome became final; null before
    order_id       TEXT,                 -- dryrun:…, paper:…, the client order id, or null for skips
    side           TEXT    NOT NULL,     -- long, short, flat, skip
    qty            TEXT,                 -- exact decimal: ordered, then filled quantity
    price          TEXT,                 -- exact decimal: intended, then average fill price
    gating         INTEGER NOT NULL,     -- 1: the gate passed, 0: it blocked
    guard_reason   TEXT,                 -- why the gate blocked, in the producer's words
    error_code     TEXT,                 -- the reason code of a skip or failure
    error_msg      TEXT,                 -- the same as a sentence
    run_source     TEXT    NOT NULL,     -- prod, maintenance, smoke, async_test
    meta_json      TEXT    NOT NULL,     -- mode, adapter, ids, attempts, lags, as a JSON object
    client_order_id TEXT,                -- the id on the wire; null where no wire is touched
    order_json     TEXT,                 -- the order exactly as it is sent; a re-send uses it
    score          REAL,                 -- the signal's score
    place_file     TEXT    NOT NULL,     -- source file, relative to the signals folder
    place_offset   INTEGER NOT NULL,     -- byte offset or rowid there, -1 for none
    place_length   INTEGER NOT NULL,     -- bytes of the line, 0 for a row
    reserved_ms    INTEGER NOT NULL      -- when the row was written first
) STRICT;

-- The identity. The time stands first so that inserts stay at the right edge of the index.
CREATE UNIQUE INDEX executions_key ON executions (signal_ts_ms, symbol, signal_id);

-- A producer's id is used once per symbol, whatever time it carries.
CREATE UNIQUE INDEX executions_given_id ON executions (symbol, signal_id)
    WHERE id_given = 1 AND error_code IS NOT 'id_reused';

CREATE UNIQUE INDEX executions_client_order_id ON executions (client_order_id)
    WHERE client_order_id IS NOT NULL;

-- What is not final yet: tiny, so that start-up never scans the table. (A predicate with IN over the
-- state would cost as much as the whole row: its list is built anew for every row written.)
CREATE INDEX executions_unsettled ON executions (symbol, id)
    WHERE exec_ts_ms IS NULL;

CREATE TABLE events (
    seq          INTEGER PRIMARY KEY,  -- order of commitment; projections follow it
    execution_id INTEGER NOT NULL,     -- executions.id
    at_ms        INTEGER NOT NULL,     -- when, never decreasing
    from_state   TEXT,                 -- null at birth
    to_state     TEXT    NOT NULL,     -- see store/lifecycle.py
    final        INTEGER NOT NULL,     -- 1: the outcome became final here (once per execution)
    reason       TEXT                  -- reason code or sentence
) STRICT;

-- No index on execution_id: at_ms never decreases, so the events of a row are found by halving, and
-- every commit writes one page less before an order may leave.

CREATE TABLE source_positions (
    symbol    TEXT    NOT NULL,  -- the lane
    source    TEXT    NOT NULL,  -- jsonl, sqlite_v1, sqlite_v2
    name      TEXT    NOT NULL,  -- file or table
    device    INTEGER NOT NULL,  -- st_dev when last read
    inode     INTEGER NOT NULL,  -- st_ino when last read
    offset    INTEGER NOT NULL,  -- byte offset, rowid or ts_ms
    marker    TEXT    NOT NULL,  -- what stood just before the offset
    mtime_ns  INTEGER NOT NULL,  -- st_mtime_ns when the offset was the size, else 0
    detail    TEXT    NOT NULL,  -- JSON object or empty
    PRIMARY KEY (symbol, source, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE lanes (
    symbol            TEXT PRIMARY KEY,   -- one row per symbol ever read
    high_water_ts_ms  INTEGER NOT NULL,   -- greatest signal time seen; for people, skips nothing
    last_order_ts_ms  INTEGER NOT NULL    -- signal time of the last order, for cooldowns; 0 = none
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letters (
    id      INTEGER PRIMARY KEY,  -- order of commitment
    ts_ms   INTEGER NOT NULL,     -- when it was set aside, never decreasing
    symbol  TEXT    NOT NULL,     -- the lane that met it
    source  TEXT    NOT NULL,     -- jsonl, sqlite_v1, sqlite_v2
    file    TEXT    NOT NULL,     -- relative to the signals folder
    offset  INTEGER NOT NULL,     -- byte offset or rowid
    hash    TEXT    NOT NULL,     -- of raw, so that the same line is set aside once
    reason  TEXT    NOT NULL,     -- fixed code
    raw     BLOB    NOT NULL,     -- at most 4 KiB of the original
    UNIQUE (source, file, offset, hash)
) STRICT;

CREATE TABLE projections (
    name  TEXT PRIMARY KEY,  -- executions, skipped, deadletter
    seq   INTEGER NOT NULL   -- last events.seq or dead_letters.id written out
) STRICT, WITHOUT ROWID;

CREATE TABLE projected_files (
    path      TEXT PRIMARY KEY,   -- relative to the store's folder
    name      TEXT    NOT NULL,   -- projections.name
    symbol    TEXT    NOT NULL,   -- '' where the file holds all symbols
    hour      INTEGER NOT NULL,   -- hours since the epoch; -1: one file for all time
    size      INTEGER NOT NULL,   -- bytes that are known to be on disk
    first_seq INTEGER NOT NULL,   -- the file's first fact, for rebuilding
    last_seq  INTEGER NOT NULL    -- the file's last fact
) STRICT, WITHOUT ROWID;

CREATE TABLE stamps (
    key    TEXT PRIMARY KEY,  -- store_id, mode, account, source_kind, start, created_ms
    value  TEXT NOT NULL      -- what this store belongs to
) STRICT, WITHOUT ROWID;

CREATE TABLE owner (
    id          INTEGER PRIMARY KEY CHECK (id = 1),  -- one row
    epoch       INTEGER NOT NULL,  -- grows with every start; a worker of an older epoch is fenced
    commits     INTEGER NOT NULL,  -- counts transactions: tells whether an interrupted one happened
    pid         INTEGER NOT NULL,  -- of the worker
    started_ms  INTEGER NOT NULL,  -- when it took the store
    host        TEXT    NOT NULL   -- where it runs
) STRICT;

INSERT INTO owner (id, epoch, commits, pid, started_ms, host) VALUES (1, 0, 0, 0, 0, '');
