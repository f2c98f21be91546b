"""The judge of a point: the feed's own list and the exchange's own journal against what the store says.

Written from the contract alone: which signal is executed and under which id is worked out here a second time.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Context, Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Any

from streams.signal import Record, Signal

Entry = Mapping[str, object]
Row = Mapping[str, Any]

ROUNDED = Context(prec=28)
EXACT = Context(prec=200)
ENDED = ("filled", "canceled", "expired")
NEVER = ("skipped", "rejected")


def wire_id(one: Signal) -> str:
    """The client order id that the contract gives this signal."""
    digest = blake2b(f"{one.symbol}|{one.signal_id}".encode(), digest_size=15).digest()
    return "ew1-" + base64.b32encode(digest).decode().lower()


def is_eligible(one: Signal) -> bool:
    """Whether the decision table makes it an order, its age aside."""
    return one.confirm and one.gate_passed and abs(one.score) > 0.5


class Witness:
    """The exchange's journal, by client order id."""

    def __init__(self, journal: Sequence[Entry]) -> None:
        self.accepted: Counter[str] = Counter()
        self.fills: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in journal:
            name = str(entry.get("client_order_id", ""))
            if entry["kind"] == "accepted":
                self.accepted[name] += 1
            elif entry["kind"] == "fill":
                self.fills[name].append(entry)

    def amount(self, name: str) -> Decimal:
        """What was filled."""
        return sum((Decimal(str(fill["qty"])) for fill in self.fills[name]), Decimal(0))

    def average(self, name: str) -> Decimal | None:
        """At which price, to 28 digits; None where nothing was filled."""
        value = Decimal(0)
        for fill in self.fills[name]:
            value = EXACT.add(value, EXACT.multiply(Decimal(str(fill["qty"])), Decimal(str(fill["price"]))))
        return ROUNDED.divide(value, self.amount(name)) if self.fills[name] else None

    def fee(self, name: str) -> Decimal:
        """For how much."""
        return sum((Decimal(str(fill["fee"])) for fill in self.fills[name]), Decimal(0))


def judge(
    feed: Sequence[Record], journal: Sequence[Entry], folder: Path, *, excused: bool, over_ms: int
) -> list[str]:
    """Every objection; none means that each signal has its one outcome and at most its one order.

    `excused`: a signal whose life was over at `over_ms` (its end) may have been skipped as expired.
    """
    signals = {wire_id(one): one for one in feed if isinstance(one, Signal)}
    witness = Witness(journal)
    rows = _rows(folder)
    said = [
        *_of_orders(witness, signals),
        *_of_rows(rows, signals),
        *_of_lines(folder, signals),
    ]
    by_key = {(row["symbol"], row["signal_id"]): row for row in rows}
    for name, one in signals.items():
        row = by_key.get((one.symbol, one.signal_id))
        if row is None:
            said.append(f"lost: {one.signal_id} has no row")
        elif not is_eligible(one):
            said += _of_skip(row)
        elif witness.accepted[name]:
            said += _of_order(row, name, witness)
        else:
            said += _without_order(row, one, excused=excused, over_ms=over_ms)
    return said


def _rows(folder: Path) -> list[Row]:
    with closing(sqlite3.connect(folder / "executions.db")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM executions ORDER BY id")]


def _of_orders(witness: Witness, signals: Mapping[str, Signal]) -> Iterator[str]:
    for name, count in witness.accepted.items():
        if name not in signals or not is_eligible(signals[name]):
            yield f"duplicate: order {name} was accepted, and no signal asks for it"
        elif count > 1:
            yield f"duplicate: {signals[name].signal_id} has {count} accepted orders"


def _of_rows(rows: Sequence[Row], signals: Mapping[str, Signal]) -> Iterator[str]:
    known = {(one.symbol, one.signal_id) for one in signals.values()}
    counts = Counter((row["symbol"], row["signal_id"]) for row in rows)
    for key, count in counts.items():
        if key not in known or count > 1:
            yield f"rows: {key} stands there {count} times"
    for row in rows:
        if row["exec_ts_ms"] is None:
            yield f"unsettled: {row['signal_id']} is {row['state']}"


def _of_lines(folder: Path, signals: Mapping[str, Signal]) -> Iterator[str]:
    found: Counter[tuple[str, str]] = Counter()
    for symbol in {one.symbol for one in signals.values()}:
        for path in (folder / symbol).glob("exec_*.jsonl"):
            for line in path.read_bytes().splitlines():
                fields = json.loads(line)
                found[fields["symbol"], fields["signal_id"]] += 1
    for one in signals.values():
        count = found[one.symbol, one.signal_id]
        if count != 1:
            yield f"lines: {one.signal_id} has {count} lines"


def _of_skip(row: Row) -> Iterator[str]:
    if row["state"] != "skipped":
        yield f"outcome: {row['signal_id']} is {row['state']}, must be skipped"


def _of_order(row: Row, name: str, witness: Witness) -> Iterator[str]:
    """What the row says of an order that the exchange has."""
    amount, average = witness.amount(name), witness.average(name)
    signal_id = row["signal_id"]
    if row["state"] not in ENDED:
        yield f"disagrees: {signal_id} is {row['state']} ({row['error_code']}), the exchange accepted it"
        return
    if row["client_order_id"] != name:
        yield f"disagrees: {signal_id} has client order id {row['client_order_id']}"
    if (row["status"] == "success") is not (amount > 0):
        yield f"disagrees: {signal_id} is {row['status']}, filled {amount}"
    if not amount:
        return
    fee = json.loads(row["meta_json"]).get("fee")
    if Decimal(row["qty"]) != amount or Decimal(row["price"]) != average:
        yield f"disagrees: {signal_id} {row['qty']} at {row['price']}, the exchange {amount} at {average}"
    if fee is None or Decimal(fee) != witness.fee(name):
        yield f"disagrees: {signal_id} fee {fee}, the exchange {witness.fee(name)}"


def _without_order(row: Row, one: Signal, *, excused: bool, over_ms: int) -> Iterator[str]:
    if row["state"] not in NEVER:
        yield f"disagrees: {one.signal_id} is {row['state']}, the exchange never accepted it"
    elif not (excused and row["error_code"] == "expired" and over_ms > one.ts_ms):
        yield f"lost: {one.signal_id} is {row['state']} ({row['error_code']}: {row['error_msg']})"
