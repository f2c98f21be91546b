-- Version 2: orders over a wire. Halts, the audit trail, late fills and holdings.

-- Orders per minute over all symbols, and what an exchange's budgets have to start with.
CREATE INDEX executions_wire_time ON executions (reserved_ms)
    WHERE client_order_id IS NOT NULL;

CREATE TABLE halts (
    scope    TEXT PRIMARY KEY,   -- a symbol, or '' for all
    why      TEXT    NOT NULL,   -- the reason, as a sentence
    who      TEXT    NOT NULL,   -- the person or safeguard
    at_ms    INTEGER NOT NULL,   -- since when
    new_only INTEGER NOT NULL,   -- 1: working orders are left alone, 0: they are canceled
    until_ms INTEGER             -- when it ends by itself; null: a resume ends it
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,  -- order of commitment
    at_ms   INTEGER NOT NULL,     -- when it was recorded, never decreasing
    action  TEXT    NOT NULL,     -- halt, resume, resolve, …
    subject TEXT    NOT NULL,     -- a signal id, a symbol or all
    who     TEXT    NOT NULL,     -- the person or safeguard
    why     TEXT    NOT NULL,     -- the reason given
    detail  TEXT    NOT NULL      -- more words, or empty
) STRICT;

-- A fill that became known after the outcome was final: the row tells of it, the line in the output
-- file stays as it was and is kept here.
CREATE TABLE late_fills (
    execution_id INTEGER PRIMARY KEY,  -- executions.id
    at_ms        INTEGER NOT NULL,     -- when it became known
    status       TEXT    NOT NULL,     -- the status that the line tells
    line         TEXT    NOT NULL      -- the line of the hourly file, without its line feed
) STRICT;

-- What the final orders of a symbol add up to. Version 1 had no orders over a wire: nothing to add up yet.
CREATE TABLE holdings (
    symbol TEXT PRIMARY KEY,  -- upper case
    qty    TEXT NOT NULL      -- exact decimal, signed; NaN where a filled quantity could not be read
) STRICT, WITHOUT ROWID;
