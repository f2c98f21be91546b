"""The judge of the exchange drill: the feed's list, the exchange's journal, the store, the hourly lines.

Pure, and written from the contract alone. The feed says which signals there were, the exchange's own journal
which orders were accepted; the store and the lines have to tell that very story. Nothing is ignored: a signal
that was not executed, and an order that nobody asked for, are objections with their reason in them.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b

from drill.judge import (
    Expected,
    Fields,
    Key,
    bounded,
    count_complaints,
    dead_letter_complaints,
    expectations,
    line_complaints,
    order_complaints,
    outcome_complaints,
    parsed_lines,
    row_key,
    time_complaints,
)

BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
SIDES = {"long": "BUY", "short": "SELL"}
# An average of fills is a quotient: it is exact to the digits of the arithmetic, not further.
AVERAGE_TOLERANCE = Decimal("1e-12")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was left behind. `rows` by ascending id, `events` by ascending number; `files` below `executions`.

    `journal` is the exchange's, `feed` the feed's own list; `alarms` are what the store has besides rows:
    halts and late fills, none of which a drill gives a reason for.
    """

    feed: Sequence[Fields]
    journal: Sequence[Fields]
    rows: Sequence[Fields]
    events: Sequence[Fields]
    files: Mapping[str, bytes]
    alarms: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures, and every objection; none means that the drill passed."""

    signals: int
    eligible: int
    rows: int
    lines: int
    accepted: int
    fills: int
    doubled: int
    lost: int
    resolved_as_found: int
    proven_absent: int
    complaints: tuple[str, ...]


@dataclass(slots=True)
class Placed:
    """What the journal has under one client order id."""

    orders: list[Fields] = field(default_factory=list)
    fills: list[Fields] = field(default_factory=list)


def client_order_id(symbol: str, signal_id: str) -> str:
    """The id on the wire that the contract gives a signal: `ew1-` and 24 characters of base32."""
    digest = blake2b(f"{symbol}|{signal_id}".encode(), digest_size=15).digest()
    bits = "".join(f"{byte:08b}" for byte in digest)
    return "ew1-" + "".join(BASE32[int(bits[at : at + 5], 2)] for at in range(0, 120, 5))


def placed_by_id(journal: Sequence[Fields]) -> dict[str, Placed]:
    """Accepted orders and their fills, by client order id."""
    found: dict[str, Placed] = defaultdict(Placed)
    for entry in journal:
        if entry["kind"] == "accepted":
            found[entry["client_order_id"]].orders.append(entry)
        elif entry["kind"] == "fill":
            found[entry["client_order_id"]].fills.append(entry)
    return dict(found)


def ids_of(wanted: Sequence[Expected]) -> dict[str, Expected]:
    """The signals by the client order id that theirs has to be."""
    return {client_order_id(signal.key[0], signal.key[2]): signal for signal in wanted}


def order_count_complaints(
    wanted: Mapping[str, Expected], placed: Mapping[str, Placed], rows: Mapping[Key, Fields]
) -> Iterator[str]:
    """Every eligible signal has exactly one accepted order, every other one none, and nobody else has any."""
    for name, signal in wanted.items():
        count = len(placed[name].orders) if name in placed else 0
        if signal.status == "success" and count != 1:
            row = rows.get(signal.key)
            told = "no row" if row is None else f"{row['state']} ({row['error_code']}: {row['error_msg']})"
            what = "DOUBLED" if count > 1 else "LOST"
            yield f"{what}: {signal.key} has {count} accepted orders instead of one; the store says {told}"
        elif signal.status != "success" and count:
            yield f"skipped: {signal.key} must not be executed and has {count} accepted orders"
    for name in placed.keys() - wanted.keys():
        order = placed[name].orders[0]
        yield f"stranger: order {name} of {order['symbol']} was accepted and belongs to no signal of the feed"


def reservation_complaints(rows: Sequence[Fields], placed: Mapping[str, Placed]) -> Iterator[str]:
    """A reservation is on disk before its order leaves, and no order turns up that had none."""
    for row in rows:
        orders = placed[row["client_order_id"]].orders if row["client_order_id"] in placed else []
        if not orders:
            continue
        if json.loads(row["meta_json"]).get("adopted"):
            yield f"reservation: {row_key(row)} has an order that left before there was a row of it"
        elif orders[0]["now_ms"] < row["reserved_ms"]:
            early_ms = row["reserved_ms"] - orders[0]["now_ms"]
            yield f"reservation: {row_key(row)} was accepted {early_ms} ms before it was reserved"


def fill_complaints(rows: Sequence[Fields], placed: Mapping[str, Placed]) -> Iterator[str]:
    """The store knows every fill of every order as the journal has it: quantity, price, fee, number, side."""
    for row in rows:
        order = placed.get(row["client_order_id"])
        if order is None or not order.orders:
            if row["state"] == "filled":
                yield f"fills: {row_key(row)} is filled and the exchange accepted no order of it"
            continue
        for what, ours, theirs in _compared(row, order):
            if ours != theirs:
                yield f"fills: {row_key(row)} has {what} {ours}, the exchange's journal {theirs}"


def _compared(row: Fields, placed: Placed) -> Iterator[tuple[str, object, object]]:
    meta, order = json.loads(row["meta_json"]), placed.orders[0]
    fills = placed.fills
    qty = sum((Decimal(fill["qty"]) for fill in fills), Decimal(0))
    fee = sum((Decimal(fill["fee"]) for fill in fills), Decimal(0))
    quote = sum((Decimal(fill["qty"]) * Decimal(fill["price"]) for fill in fills), Decimal(0))
    yield "side", SIDES.get(row["side"]), order["side"]
    yield "order number", meta.get("exchange_order_id"), str(order["order_id"])
    yield "filled quantity", Decimal(row["qty"] or 0), qty
    if qty:
        average, told = quote / qty, Decimal(row["price"] or 0)
        yield "average price", told, told if abs(told - average) <= AVERAGE_TOLERANCE else average
    yield "fee", Decimal(meta.get("fee") or 0), fee


def state_complaints(wanted: Sequence[Expected], rows: Mapping[Key, Fields]) -> Iterator[str]:
    """An eligible signal ends filled; what ended otherwise says why."""
    for signal in wanted:
        row = rows.get(signal.key)
        if signal.status == "success" and row is not None and row["state"] != "filled":
            why = f"{row['error_code']}: {row['error_msg']}"
            yield f"states: {signal.key} is {row['state']} ({why}) instead of filled"


def event_complaints(events: Sequence[Fields]) -> Iterator[str]:
    """Every outcome becomes final once."""
    finals = Counter(event["execution_id"] for event in events if event["final"])
    for row_id, count in finals.items():
        if count > 1:
            yield f"events: row {row_id} became final {count} times"


def file_complaints(feed: Sequence[Fields], files: Mapping[str, bytes]) -> tuple[list[Fields], list[str]]:
    """All hourly lines, and what is wrong with the files by themselves."""
    complaints: list[str] = []
    parsed: dict[str, list[Fields]] = {}
    for name in sorted(files):
        parsed[name], bad = parsed_lines(name, files[name])
        complaints += bad
    letters = [line for name, lines in parsed.items() if name.startswith("deadletter/") for line in lines]
    hourly = {name: lines for name, lines in parsed.items() if not name.startswith("deadletter/")}
    complaints += time_complaints(hourly)
    complaints += dead_letter_complaints(feed, letters)
    return [line for name in sorted(hourly) for line in hourly[name]], complaints


def judge(evidence: Evidence) -> Verdict:
    """Compare the four witnesses."""
    wanted, rows = expectations(evidence.feed), evidence.rows
    by_id, placed = ids_of(wanted), placed_by_id(evidence.journal)
    by_key = {row_key(row): row for row in rows}
    lines, complaints = file_complaints(evidence.feed, evidence.files)
    keys = [signal.key for signal in wanted]
    complaints += order_count_complaints(by_id, placed, by_key)
    complaints += reservation_complaints(rows, placed)
    complaints += fill_complaints(rows, placed)
    complaints += state_complaints(wanted, by_key)
    complaints += count_complaints("rows", keys, Counter(map(row_key, rows)))
    complaints += count_complaints("lines", keys, Counter(map(row_key, lines)))
    complaints += order_complaints("order of rows", wanted, [row_key(row) for row in rows])
    complaints += outcome_complaints("rows", wanted, rows)
    complaints += outcome_complaints("lines", wanted, lines)
    complaints += line_complaints(rows, lines)
    complaints += event_complaints(evidence.events)
    complaints += [f"alarm: {alarm}" for alarm in evidence.alarms]
    eligible = [name for name, signal in by_id.items() if signal.status == "success"]
    orders = {name: len(found.orders) for name, found in placed.items()}
    moves = Counter((event["from_state"], event["to_state"]) for event in evidence.events)
    return Verdict(
        signals=len(wanted),
        eligible=len(eligible),
        rows=len(rows),
        lines=len(lines),
        accepted=sum(orders.values()),
        fills=sum(len(found.fills) for found in placed.values()),
        doubled=sum(count - 1 for count in orders.values() if count > 1),
        lost=sum(1 for name in eligible if name not in orders),
        resolved_as_found=sum(
            count
            for (before, after), count in moves.items()
            if before == "unknown" and after in ("open", "partial", "filled")
        ),
        proven_absent=moves["unknown", "reserved"],
        complaints=bounded(complaints),
    )
