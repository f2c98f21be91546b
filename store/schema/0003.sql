-- Version 3: the execution log. What an order had filled when an event happened, so that the line of that event
-- does not change with what comes after it.

ALTER TABLE events ADD COLUMN qty TEXT;    -- filled so far, exact decimal; null: the event tells of no fill
ALTER TABLE events ADD COLUMN price TEXT;  -- average price of that, exact decimal; null: not known

-- With `execlog: jsonl` the minute files have rows in projected_files while they are being written and for as long
-- as their minute may go on; their paths are relative to the output folder, not to the store's.

-- With `execlog: sqlite` the log stands here.
CREATE TABLE exec_events (
    seq      INTEGER PRIMARY KEY,  -- events.seq
    ts_ms    INTEGER NOT NULL,     -- when, never decreasing
    symbol   TEXT    NOT NULL,     -- upper case
    event    TEXT    NOT NULL,     -- submit, ack, partial, filled, canceled, rejected, expired, unknown, resolved
    state    TEXT    NOT NULL,     -- of the execution after it, see store/lifecycle.py
    order_id TEXT,                 -- the client order id; where there is none, the order id
    price    TEXT,                 -- exact decimal: filled at, else sent with
    qty      TEXT,                 -- exact decimal: filled so far, else ordered
    fee      TEXT,                 -- exact decimal: all fees of the order that were known when the row was written
    reason   TEXT                  -- reason code or sentence
) STRICT;
