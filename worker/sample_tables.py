"""The producer's tables, so that sample signals come in them.

The statements are the producer's own down to the blanks: the database keeps their text, and what reads
these tables must cope with exactly that. The columns mean what CONTRACTS 1.2 says.
"""

from __future__ import annotations

V1_TABLE = """\
CREATE TABLE IF NOT EXISTS signals (
                ts_ms INTEGER NOT NULL,
                symbol TEXT NOT NULL,
                score REAL,
                z_ofi REAL,
                z_cvd REAL,
                regime TEXT,
                div_type TEXT,
                signal_type TEXT,
                confirm INTEGER,
                gating INTEGER,
                guard_reason TEXT,
                run_id TEXT NOT NULL,
                created_at TEXT DEFAULT (DATETIME('now')),
                PRIMARY KEY (run_id, ts_ms, symbol)
            )"""
V2_TABLE = """\
CREATE TABLE IF NOT EXISTS signals (
                    ts_ms INTEGER NOT NULL,
                    symbol TEXT NOT NULL,
                    signal_id TEXT NOT NULL,
                    schema_version TEXT NOT NULL DEFAULT 'signal/v2',
                    score REAL NOT NULL,
                    side_hint TEXT NOT NULL,
                    z_ofi REAL,
                    z_cvd REAL,
                    div_type TEXT,
                    regime TEXT NOT NULL,
                    gating INTEGER NOT NULL,
                    confirm INTEGER NOT NULL,
                    cooldown_ms INTEGER NOT NULL,
                    expiry_ms INTEGER NOT NULL,
                    decision_code TEXT NOT NULL,
                    decision_reason TEXT,
                    config_hash TEXT NOT NULL,
                    run_id TEXT NOT NULL,
                    meta TEXT,
                    PRIMARY KEY(symbol, ts_ms, signal_id)
                ) WITHOUT ROWID"""
INDEX = "CREATE INDEX IF NOT EXISTS idx_signals_symbol_ts ON signals(symbol, ts_ms)"
# A key that is there already is left alone, so that a feed may be written twice.
V1_INSERT = """\
INSERT INTO signals (ts_ms, symbol, score, z_ofi, z_cvd, regime, div_type, signal_type, confirm, gating,
                     guard_reason, run_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id, ts_ms, symbol) DO NOTHING"""
V2_INSERT = """\
INSERT INTO signals (ts_ms, symbol, signal_id, schema_version, score, side_hint, z_ofi, z_cvd, div_type,
                     regime, gating, confirm, cooldown_ms, expiry_ms, decision_code, decision_reason,
                     config_hash, run_id, meta)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (symbol, ts_ms, signal_id) DO NOTHING"""
