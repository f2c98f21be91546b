-- A store as version 1 wrote it: settled and unsettled orders, made once and never changed.
PRAGMA application_id=1163348785;
PRAGMA user_version=1;
BEGIN TRANSACTION;
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
INSERT INTO "dead_letters" VALUES(1,1763222420000,'BTCUSDT','jsonl','ready/signal/BTCUSDT/signals-20251115-16.jsonl',4500,'ab','not_json',X'7BFF');
CREATE TABLE events (
    seq          INTEGER PRIMARY KEY,  -- order of commitment; projections follow it
    execution_id INTEGER NOT NULL,     -- executions.id
    at_ms        INTEGER NOT NULL,     -- when, never decreasing
    from_state   TEXT,                 -- null at birth
    to_state     TEXT    NOT NULL,     -- see store/lifecycle.py
    final        INTEGER NOT NULL,     -- 1: the outcome became final here (once per execution)
    reason       TEXT                  -- reason code or sentence
) STRICT;
INSERT INTO "events" VALUES(1,1,1763222401000,NULL,'reserved',0,NULL);
INSERT INTO "events" VALUES(2,1,1763222401200,'reserved','filled',1,NULL);
INSERT INTO "events" VALUES(3,2,1763222402000,NULL,'skipped',1,'not_confirmed');
INSERT INTO "events" VALUES(4,3,1763222403000,NULL,'reserved',0,NULL);
INSERT INTO "events" VALUES(5,3,1763222403200,'reserved','filled',1,NULL);
INSERT INTO "events" VALUES(6,4,1763222404000,NULL,'skipped',1,'gate_blocked');
INSERT INTO "events" VALUES(7,5,1763222405000,NULL,'reserved',0,NULL);
INSERT INTO "events" VALUES(8,5,1763222405200,'reserved','rejected',1,'min_notional');
INSERT INTO "events" VALUES(9,6,1763222406000,NULL,'reserved',0,NULL);
INSERT INTO "events" VALUES(10,6,1763222406200,'reserved','filled',1,NULL);
INSERT INTO "events" VALUES(11,15,1763222415000,NULL,'reserved',0,NULL);
INSERT INTO "events" VALUES(12,16,1763222416000,NULL,'skipped',1,'below_threshold');
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
INSERT INTO "executions" VALUES(1,1763222400880,'BTCUSDT','00000000000000000000000000000001',0,'filled','success',1763222401200,'dryrun:00000000000000000000000000000001','long','0.010','50000.1',1,NULL,NULL,NULL,'prod','{"mode":"dry_run","adapter":"dry_run","lag_ms":120}',NULL,'{"client_order_id":"dryrun:00000000000000000000000000000001","symbol":"BTCUSDT","side":"buy","order_type":"market","tif":"GTC","qty":"0.010","price":null,"signal_id":"00000000000000000000000000000001","send_before_ms":1763222460000,"recv_window_ms":5000}',0.75,'ready/signal/BTCUSDT/signals-20251115-16.jsonl',300,300,1763222401000);
INSERT INTO "executions" VALUES(2,1763222401880,'BTCUSDT','00000000000000000000000000000002',0,'skipped','skip',1763222402000,NULL,'skip',NULL,NULL,1,NULL,'not_confirmed','the producer did not confirm the signal','prod','{"mode":"dry_run","adapter":"dry_run","lag_ms":120}',NULL,NULL,0.75,'ready/signal/BTCUSDT/signals-20251115-16.jsonl',600,300,1763222402000);
INSERT INTO "executions" VALUES(3,1763222402880,'ETHUSDT','00000000000000000000000000000003',0,'filled','success',1763222403200,'dryrun:00000000000000000000000000000003','short','0.010','50000.1',1,NULL,NULL,NULL,'prod','{"mode":"dry_run","adapter":"dry_run","lag_ms":120}',NULL,'{"client_order_id":"dryrun:00000000000000000000000000000003","symbol":"ETHUSDT","side":"sell","order_type":"market","tif":"GTC","qty":"0.010","price":null,"signal_id":"00000000000000000000000000000003","send_before_ms":1763222460000,"recv_window_ms":5000}',0.75,'ready/signal/ETHUSDT/signals-20251115-16.jsonl',900,300,1763222403000);
INSERT INTO "executions" VALUES(4,1763222403880,'ETHUSDT','00000000000000000000000000000004',0,'skipped','skip',1763222404000,NULL,'skip',NULL,NULL,0,'low_consistency','gate_blocked','the producer''s gate blocked it: low_consistency','prod','{"mode":"dry_run","adapter":"dry_run","lag_ms":120}',NULL,NULL,0.75,'ready/signal/ETHUSDT/signals-20251115-16.jsonl',1200,300,1763222404000);
INSERT INTO "executions" VALUES(5,1763222404880,'BTCUSDT','00000000000000000000000000000005',0,'rejected','failed',1763222405200,'dryrun:00000000000000000000000000000005','long','0.010','50000.1',1,NULL,'min_notional','the order is too small','prod','{"mode":"dry_run","adapter":"dry_run","lag_ms":120}',NULL,'{"client_order_id":"dryrun:00000000000000000000000000000005","symbol":"BTCUSDT","side":"buy","order_type":"market","tif":"GTC","qty":"0.010","price":null,"signal_id":"00000000000000000000000000000005","send_before_ms":1763222460000,"recv_window_ms":5000}',0.75,'ready/signal/BTCUSDT/signals-20251115-16.jsonl',1500,300,1763222405000);
INSERT INTO "executions" VALUES(6,1763222405880,'BTCUSDT','btcusdt-6',1,'filled','success',1763222406200,'dryrun:btcusdt-6','long','0.010','50000.1',1,NULL,NULL,NULL,'prod','{"mode":"dry_run","adapter":"dry_run","lag_ms":120}',NULL,'{"client_order_id":"dryrun:btcusdt-6","symbol":"BTCUSDT","side":"buy","order_type":"market","tif":"GTC","qty":"0.010","price":null,"signal_id":"btcusdt-6","send_before_ms":1763222460000,"recv_window_ms":5000}',0.75,'ready/signal/BTCUSDT/signals-20251115-16.jsonl',1800,300,1763222406000);
INSERT INTO "executions" VALUES(15,1763222414880,'BTCUSDT','0000000000000000000000000000000f',0,'reserved','pending',NULL,'dryrun:0000000000000000000000000000000f','long','0.010','50000.1',1,NULL,NULL,NULL,'prod','{"mode":"dry_run","adapter":"dry_run","lag_ms":120}',NULL,'{"client_order_id":"dryrun:0000000000000000000000000000000f","symbol":"BTCUSDT","side":"buy","order_type":"market","tif":"GTC","qty":"0.010","price":null,"signal_id":"0000000000000000000000000000000f","send_before_ms":1763222460000,"recv_window_ms":5000}',0.75,'ready/signal/BTCUSDT/signals-20251115-16.jsonl',4500,300,1763222415000);
INSERT INTO "executions" VALUES(16,1763222415880,'ETHUSDT','00000000000000000000000000000010',0,'skipped','skip',1763222416000,NULL,'skip',NULL,NULL,1,NULL,'below_threshold',NULL,'prod','{"mode":"dry_run","adapter":"dry_run","lag_ms":120}',NULL,NULL,0.75,'ready/signal/ETHUSDT/signals-20251115-16.jsonl',4800,300,1763222416000);
CREATE TABLE lanes (
    symbol            TEXT PRIMARY KEY,   -- one row per symbol ever read
    high_water_ts_ms  INTEGER NOT NULL,   -- greatest signal time seen; for people, skips nothing
    last_order_ts_ms  INTEGER NOT NULL    -- signal time of the last order, for cooldowns; 0 = none
) STRICT, WITHOUT ROWID;
INSERT INTO "lanes" VALUES('BTCUSDT',1763222416000,1763222415000);
INSERT INTO "lanes" VALUES('ETHUSDT',1763222416000,1763222415000);
CREATE TABLE owner (
    id          INTEGER PRIMARY KEY CHECK (id = 1),  -- one row
    epoch       INTEGER NOT NULL,  -- grows with every start; a worker of an older epoch is fenced
    commits     INTEGER NOT NULL,  -- counts transactions: tells whether an interrupted one happened
    pid         INTEGER NOT NULL,  -- of the worker
    started_ms  INTEGER NOT NULL,  -- when it took the store
    host        TEXT    NOT NULL   -- where it runs
) STRICT;
INSERT INTO "owner" VALUES(1,3,40,4121,1763222400000,'trader');
CREATE TABLE projected_files (
    path      TEXT PRIMARY KEY,   -- relative to the store's folder
    name      TEXT    NOT NULL,   -- projections.name
    symbol    TEXT    NOT NULL,   -- '' where the file holds all symbols
    hour      INTEGER NOT NULL,   -- hours since the epoch; -1: one file for all time
    size      INTEGER NOT NULL,   -- bytes that are known to be on disk
    first_seq INTEGER NOT NULL,   -- the file's first fact, for rebuilding
    last_seq  INTEGER NOT NULL    -- the file's last fact
) STRICT, WITHOUT ROWID;
CREATE TABLE projections (
    name  TEXT PRIMARY KEY,  -- executions, skipped, deadletter
    seq   INTEGER NOT NULL   -- last events.seq or dead_letters.id written out
) STRICT, WITHOUT ROWID;
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
INSERT INTO "source_positions" VALUES('BTCUSDT','jsonl','signals-20251115-16.jsonl',66,1234,4800,'00112233445566778899aabbccddeeff',0,'');
INSERT INTO "source_positions" VALUES('ETHUSDT','jsonl','signals-20251115-16.jsonl',66,1234,5100,'00112233445566778899aabbccddeeff',0,'');
CREATE TABLE stamps (
    key    TEXT PRIMARY KEY,  -- store_id, mode, account, source_kind, start, created_ms
    value  TEXT NOT NULL      -- what this store belongs to
) STRICT, WITHOUT ROWID;
INSERT INTO "stamps" VALUES('account','none');
INSERT INTO "stamps" VALUES('created_ms','1763222400000');
INSERT INTO "stamps" VALUES('mode','dry_run');
INSERT INTO "stamps" VALUES('source_kind','jsonl');
INSERT INTO "stamps" VALUES('start:jsonl:BTCUSDT','beginning');
INSERT INTO "stamps" VALUES('start:jsonl:ETHUSDT','beginning');
INSERT INTO "stamps" VALUES('store_id','19a8-1');
CREATE UNIQUE INDEX executions_key ON executions (signal_ts_ms, symbol, signal_id);
CREATE UNIQUE INDEX executions_given_id ON executions (symbol, signal_id)
    WHERE id_given = 1 AND error_code IS NOT 'id_reused';
CREATE UNIQUE INDEX executions_client_order_id ON executions (client_order_id)
    WHERE client_order_id IS NOT NULL;
CREATE INDEX executions_unsettled ON executions (symbol, id)
    WHERE exec_ts_ms IS NULL;
COMMIT;
