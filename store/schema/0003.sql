-- Version 3: the execution log. What an order had filled when an event happened, so that the line of that event
-- does not change with what comes after it.

ALTER TABLE events ADD COLUMN qty TEXT;    -- filled so far, exact decimal; null: nothing new is known
ALTER TABLE events ADD COLUMN price TEXT;  -- average price of that, exact decimal

CREATE TABLE exec_events (
    seq      INTEGER PRIMARY KEY,  -- events.seq
    ts_ms    INTEGER NOT NULL,     -- when, never decreasing
    symbol   TEXT    NOT NULL,     -- upper case
    event    TEXT    NOT NULL,     -- submit, ack, partial, filled, canceled, rejected, expired, unknown, resolved
    state    TEXT    NOT NULL,     -- of the execution after it, see store/lifecycle.py
    order_id TEXT,                 -- executions.order_id
    price    TEXT,                 -- exact decimal: filled at, else sent with
    qty      TEXT,                 -- exact decimal: filled so far, else ordered
    fee      TEXT,                 -- exact decimal, so far
    reason   TEXT                  -- reason code or sentence
) STRICT;
