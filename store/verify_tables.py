"""What the smaller tables must say, and what the rows add up to."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from decimal import Decimal

from store import statements_care as care
from store.findings import TOLD_MAX, Findings, Rules
from store.holdings import NOTHING, added, number, signed
from store.prune import PRUNED_STAMP

LETTERS_A_SLICE = 5_000
_NEEDED_STAMPS = ("store_id", "created_ms", "mode", "account")


def verify_tables(
    reader: sqlite3.Connection, rules: Rules, findings: Findings, stamps: Mapping[str, str], *, deep: bool
) -> None:
    """Stamps, owner, positions, holdings, late fills, dead letters; doubled keys when `deep`."""
    for key in _NEEDED_STAMPS:
        if key not in stamps:
            findings.add("stamp", f"the stamp {key} is missing: nobody knows what this store belongs to")
    if reader.execute(care.OWNER).fetchone()[0] != 1:
        findings.add("owner", "the owner's row is missing: no worker could claim this store")
    _verify_positions(reader, rules, findings, stamps)
    _verify_holdings(reader, findings, stamps)
    for (row_id,) in reader.execute(care.LATE_WITHOUT_ROW, (TOLD_MAX,)):
        findings.add("late_fill", f"a late fill is kept for row {row_id}, which is not there or not filled")
    _verify_letters(reader, rules, findings)
    if deep:
        _verify_keys(reader, findings)
        _verify_exec_events(reader, findings)


def _verify_positions(
    reader: sqlite3.Connection, rules: Rules, findings: Findings, stamps: Mapping[str, str]
) -> None:
    kind = stamps.get("source_kind")
    if kind is not None and kind not in rules.sources:
        findings.add("position", f"the stamp source_kind is {kind}, which is no source")
    for symbol, source, name, offset in reader.execute(care.POSITIONS):
        if source not in rules.sources:
            findings.add(
                "position", f"the position of {symbol} in {name} belongs to source {source}, which is none"
            )
        if offset < 0 or not name or not symbol:
            findings.add("position", f"the position of {symbol!r} in {name!r} is {offset}")


def _verify_holdings(reader: sqlite3.Connection, findings: Findings, stamps: Mapping[str, str]) -> None:
    """The kept sums against a recount; in one moment, so that no order becomes final in between."""
    sums: dict[str, Decimal] = {
        key.removeprefix(PRUNED_STAMP): number(value)
        for key, value in stamps.items()
        if key.startswith(PRUNED_STAMP)
    }
    reader.execute("BEGIN")
    try:
        for symbol, side, qty, order_json in reader.execute(care.WIRE_FILLS):
            sums[symbol] = added(sums.get(symbol, NOTHING), signed(side, qty, order_json))
        kept = {symbol: number(qty) for symbol, qty in reader.execute(care.HOLDINGS)}
    finally:
        reader.execute("COMMIT")
    for symbol in sorted(sums.keys() | kept.keys()):
        counted, held = sums.get(symbol, NOTHING), kept.get(symbol, NOTHING)
        if counted.is_nan() or held.is_nan():
            findings.note(f"what {symbol} holds cannot be told: a filled quantity could not be read")
        elif counted != held:
            findings.add("holdings", f"{symbol} is said to hold {held}, its final orders add up to {counted}")


def _verify_letters(reader: sqlite3.Connection, rules: Rules, findings: Findings) -> None:
    last, at_ms = 0, 0
    while True:
        rows = reader.execute(care.DEAD_LETTERS, (last, LETTERS_A_SLICE)).fetchall()
        for row_id, ts_ms, source in rows:
            if ts_ms < at_ms:
                findings.add(
                    "time", f"dead letter {row_id} is of {ts_ms}, the one before it of {at_ms}: time ran back"
                )
            if source not in rules.sources:
                findings.add("dead_letter", f"dead letter {row_id} is of source {source}, which is none")
            at_ms = max(at_ms, ts_ms)
        if len(rows) < LETTERS_A_SLICE:
            return
        last = rows[-1][0]


def _verify_keys(reader: sqlite3.Connection, findings: Findings) -> None:
    for statement, what in (
        (care.DOUBLED_KEYS, "the key of signal"),
        (care.DOUBLED_GIVEN_IDS, "the producer's id"),
        (care.DOUBLED_ORDERS, "the client order id"),
    ):
        for symbol, name, count in reader.execute(statement, (TOLD_MAX,)):
            findings.add("doubled", f"{what} {name} of {symbol} stands in {count} rows")


def _verify_exec_events(reader: sqlite3.Connection, findings: Findings) -> None:
    last = 0
    while True:
        rows = reader.execute(care.EXEC_EVENTS, (last, LETTERS_A_SLICE)).fetchall()
        for seq, ts_ms, state, at_ms, to_state in rows:
            if (ts_ms, state) != (at_ms, to_state):
                findings.add(
                    "log_row",
                    f"row {seq} of exec_events says {state} at {ts_ms}, the event {to_state} at {at_ms}",
                )
        if len(rows) < LETTERS_A_SLICE:
            return
        last = rows[-1][0]
