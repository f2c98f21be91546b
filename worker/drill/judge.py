"""The judge of a drill: the feed's own list against the rows, the lines and the journal of the orders.

Pure. The feed says which signals there were, the exchange's journal which orders it accepted; rows and
lines have to tell that very story. The worker's word counts for nothing here.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from worker.drill.expected import Expected, Fields, Key, client_order_id, expectations

# More of one kind tell nothing new.
COMPLAINTS_OF_A_KIND_MAX = 5
SIDES = {"long": "BUY", "short": "SELL"}
# An average of fills is a quotient: exact to the digits of the arithmetic, not further.
AVERAGE_TOLERANCE = Decimal("1e-12")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a drill left behind.

    `feed` is the feed's list; `rows` the table by ascending id; `lines` those of the hourly files, `letters`
    those of the dead letters; `journal` what the venue wrote, None where no order leaves. `alarms` is what
    else somebody has to explain: halts, fills out of time, files that are damaged.
    """

    feed: Sequence[Fields]
    rows: Sequence[Fields]
    lines: Sequence[Fields]
    journal: Sequence[Fields] | None = None
    letters: Sequence[Fields] = ()
    alarms: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures, and every objection; none means that it passed. `accepted` None: no venue took part."""

    signals: int
    eligible: int
    rows: int
    lines: int
    accepted: int | None
    duplicates: int
    lost: int
    complaints: tuple[str, ...]


@dataclass(slots=True)
class Placed:
    """What the journal has under one client order id."""

    orders: list[Fields] = field(default_factory=list)
    fills: list[Fields] = field(default_factory=list)


def placed_by_id(journal: Sequence[Fields]) -> dict[str, Placed]:
    """Accepted orders and their fills, by client order id."""
    found: dict[str, Placed] = defaultdict(Placed)
    for entry in journal:
        if entry["kind"] == "accepted":
            found[entry["client_order_id"]].orders.append(entry)
        elif entry["kind"] == "fill":
            found[entry["client_order_id"]].fills.append(entry)
    return dict(found)


def key_of(row: Fields) -> Key:
    """The identity of a row or line."""
    return row["symbol"], row["signal_ts_ms"], row["signal_id"]


def _name(key: Key) -> str:
    return f"{key[0]} {key[2]} of {key[1]}"


def _counted(what: str, wanted: Sequence[Key], found: Counter[Key]) -> Iterator[str]:
    """Each wanted key stands there exactly once, and nothing else does."""
    for key in wanted:
        if found[key] == 0:
            yield f"lost {what}: {_name(key)} has none"
        elif found[key] > 1:
            yield f"doubled {what}: {_name(key)} has {found[key]}"
    for key in found.keys() - set(wanted):
        yield f"strange {what}: {_name(key)} was never written by the feed"


def _decided(what: str, wanted: Mapping[Key, Expected], found: Sequence[Fields]) -> Iterator[str]:
    """Each row or line tells the outcome that the decision table gives."""
    for row in found:
        signal = wanted.get(key_of(row))
        if signal is None:
            continue
        told = (row["status"], row["side"], row["error_code"])
        if told != (signal.status, signal.side, signal.code):
            yield (
                f"wrong {what}: {_name(signal.key)} is {_outcome(*told)}, "
                f"must be {_outcome(signal.status, signal.side, signal.code)}"
            )


def _outcome(status: str, side: str, code: str | None) -> str:
    return f"{status} {side}" + (f" ({code})" if code else "")


def _agreeing(rows: Sequence[Fields], lines: Sequence[Fields]) -> Iterator[str]:
    """A line says what its row says."""
    by_key = {key_of(row): row for row in rows}
    for line in lines:
        row = by_key.get(key_of(line))
        if row is not None:
            for name in ("status", "side", "exec_ts_ms", "error_code"):
                if line[name] != row[name]:
                    what = f"{_name(key_of(line))} has {name} {line[name]} in its line"
                    yield f"wrong line: {what} and {row[name]} in its row"


def _in_order_of_time(lines: Sequence[Fields]) -> Iterator[str]:
    """Outcomes became final in the order of the lines of their symbol."""
    last: dict[str, int] = {}
    for line in lines:
        if line["exec_ts_ms"] < last.get(line["symbol"], 0):
            yield f"wrong line: {_name(key_of(line))} became final before the line above it"
        last[line["symbol"]] = line["exec_ts_ms"]


def _orders(
    wanted: Mapping[str, Expected], placed: Mapping[str, Placed], rows: Mapping[Key, Fields]
) -> Iterator[str]:
    """Every eligible signal has exactly one accepted order, every other one none, and nobody else has any."""
    for name, signal in wanted.items():
        count = len(placed[name].orders) if name in placed else 0
        row = rows.get(signal.key)
        told = "there is no row" if row is None else f"the row says {row['state']} {row['error_code'] or ''}"
        if signal.eligible and count == 0:
            yield f"lost order: {_name(signal.key)} has none at the venue; {told.strip()}"
        elif signal.eligible and count > 1:
            yield f"doubled order: {_name(signal.key)} has {count} at the venue; {told.strip()}"
        elif not signal.eligible and count:
            yield f"strange order: {_name(signal.key)} must not be executed and has {count} at the venue"
    for name in placed.keys() - wanted.keys():
        orders = placed[name].orders
        where = f" of {orders[0]['symbol']}" if orders else ""
        yield f"strange order: {name}{where} was accepted and belongs to no signal of the feed"


def _contradictions(rows: Sequence[Fields], placed: Mapping[str, Placed]) -> Iterator[str]:
    """What rows say of fills is what the journal says, to the last digit; orders follow their rows."""
    for row in rows:
        order = placed.get(row["client_order_id"])
        if order is None or not order.orders:
            if row["state"] in ("filled", "open", "partial"):
                yield f"contradiction: {_name(key_of(row))} is {row['state']}, the venue has no order of it"
            continue
        if order.orders[0]["now_ms"] < row["reserved_ms"]:
            yield f"contradiction: {_name(key_of(row))} was accepted before its row was written"
        if row["state"] != "filled":
            yield f"contradiction: {_name(key_of(row))} is {row['state']}, the venue accepted its order"
        for what, ours, theirs in _compared(row, order):
            if ours != theirs:
                yield f"contradiction: {_name(key_of(row))} has {what} {ours}, the venue's journal {theirs}"


def _compared(row: Fields, placed: Placed) -> Iterator[tuple[str, object, object]]:
    meta, order, fills = json.loads(row["meta_json"]), placed.orders[0], placed.fills
    qty = sum((Decimal(fill["qty"]) for fill in fills), Decimal(0))
    fee = sum((Decimal(fill["fee"]) for fill in fills), Decimal(0))
    quote = sum((Decimal(fill["qty"]) * Decimal(fill["price"]) for fill in fills), Decimal(0))
    yield "side", SIDES.get(row["side"]), order["side"]
    yield "order number", meta.get("exchange_order_id"), str(order["order_id"])
    yield "filled quantity", _number(row["qty"]), qty
    if qty:
        average, told = quote / qty, _number(row["price"])
        near = told is not None and abs(told - average) <= AVERAGE_TOLERANCE
        yield "average price", told, told if near else average
    yield "fee", _number(meta.get("fee")), fee


def _number(text: str | None) -> Decimal | None:
    try:
        return Decimal(text or 0)
    except InvalidOperation:
        return None


def _set_aside(feed: Sequence[Fields], letters: Sequence[Fields]) -> Iterator[str]:
    """Every malformed line has a dead letter, and nothing else has one.

    A file that was read twice, because it was cut or replaced, may have told of the same line twice.
    """
    wanted = {entry["raw"] for entry in feed if entry["kind"] == "malformed"}
    wanted -= {entry["raw"] for entry in feed if entry["kind"] == "void_malformed"}
    found = {letter["raw"].rstrip("\r\n") for letter in letters}
    for raw in sorted(wanted - found):
        yield f"lost dead letter: the malformed line {raw[:60]!r} has none"
    for raw in sorted(found - wanted):
        yield f"strange dead letter: {raw[:60]!r} is none of the feed's malformed lines"


def bounded(complaints: Sequence[str]) -> tuple[str, ...]:
    """The first few complaints of each kind, and how many more there are."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for complaint in complaints:
        kinds[complaint.partition(":")[0]].append(complaint)
    shown: list[str] = []
    for kind, those in kinds.items():
        shown += those[:COMPLAINTS_OF_A_KIND_MAX]
        if len(those) > COMPLAINTS_OF_A_KIND_MAX:
            shown.append(f"{kind}: and {len(those) - COMPLAINTS_OF_A_KIND_MAX} more")
    return tuple(shown)


def judge(evidence: Evidence) -> Verdict:
    """Compare the witnesses; every difference is an objection."""
    wanted = expectations(evidence.feed)
    by_key = {signal.key: signal for signal in wanted}
    by_id = {client_order_id(signal.key[0], signal.key[2]): signal for signal in wanted}
    keys = list(by_key)
    in_rows, in_lines = Counter(map(key_of, evidence.rows)), Counter(map(key_of, evidence.lines))
    missing = {key for key in keys if not in_rows[key] or not in_lines[key]}
    doubled = (in_rows - Counter(keys)).total() + (in_lines - Counter(keys)).total()
    complaints = [*_counted("row", keys, in_rows), *_counted("line", keys, in_lines)]
    complaints += _decided("row", by_key, evidence.rows)
    complaints += _decided("line", by_key, evidence.lines)
    complaints += _agreeing(evidence.rows, evidence.lines)
    complaints += _in_order_of_time(evidence.lines)
    complaints += _set_aside(evidence.feed, evidence.letters)
    accepted = None
    if evidence.journal is not None:
        placed = placed_by_id(evidence.journal)
        complaints += _orders(by_id, placed, {key_of(row): row for row in evidence.rows})
        complaints += _contradictions(evidence.rows, placed)
        counts = {name: len(found.orders) for name, found in placed.items()}
        accepted = sum(counts.values())
        missing |= {signal.key for name, signal in by_id.items() if signal.eligible and not counts.get(name)}
        doubled += sum(
            count - (name in by_id and by_id[name].eligible) for name, count in counts.items() if count
        )
    complaints += [f"alarm: {alarm}" for alarm in evidence.alarms]
    return Verdict(
        signals=len(wanted),
        eligible=sum(signal.eligible for signal in wanted),
        rows=len(evidence.rows),
        lines=len(evidence.lines),
        accepted=accepted,
        duplicates=doubled,
        lost=len(missing),
        complaints=bounded(complaints),
    )
