"""The judge of the log drill: what was published, against the store's events and against the feed's own list.

Pure, and written from the contract alone: what each step of an order is called is worked out here a second
time, so that a fault in the worker's own table cannot hide itself.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# (seq is the order) execution id, symbol, when, the state before (None at birth) and after.
Event = tuple[int, str, int, str | None, str]
Line = dict[str, Any]

FIELDS = [
    *("ts_ms", "symbol", "event", "signal_row_id", "client_order_id", "exchange_order_id", "side", "qty"),
    *("px_intent", "px_sent", "px_fill", "rounding_diff", "slippage_bps", "status", "reason"),
    *("sent_ts_ms", "ack_ts_ms", "fill_ts_ms", "meta"),
]
COMPLAINTS_MAX = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures of a drill, and every objection; none means that it passed."""

    signals: int
    events: int
    lines: int
    files: int
    complaints: tuple[str, ...]


def name_of(before: str | None, after: str) -> str | None:
    """What the contract calls a step; None where it makes no line."""
    if before is None:
        return {"reserved": "submit", "rejected": "rejected"}.get(after)
    if before in ("quarantined", "rejected", "skipped", "canceled", "expired"):
        return "resolved"
    if after == "reserved":
        return "resolved" if before == "unknown" else None
    other = {"open": "ack", "quarantined": "unknown", "skipped": "canceled"}
    return other.get(after, after)


def lines_of(name: str, data: bytes) -> tuple[list[Line], list[str]]:
    """The lines of one published file, and what is wrong with them as lines."""
    if not data.endswith(b"\n"):
        return [], [f"{name}: its last line is cut: {data[-60:]!r}"]
    lines, complaints = [], []
    for number, raw in enumerate(data.split(b"\n")[:-1], 1):
        try:
            line = json.loads(raw)
        except ValueError:
            complaints.append(f"{name}:{number}: is no JSON: {raw[:60]!r}")
            continue
        if list(line) != FIELDS:
            complaints.append(f"{name}:{number}: has the fields {list(line)}")
        lines.append(line)
    return lines, complaints


def place_complaints(name: str, lines: Sequence[Line]) -> Iterator[str]:
    """Each line stands in the file of its symbol and minute."""
    for number, line in enumerate(lines, 1):
        at = datetime.fromtimestamp(line["ts_ms"] // 1000, UTC)
        if name != f"{line['symbol']}/exec_{at:%Y%m%d_%H%M}.jsonl":
            yield f"{name}:{number}: belongs into another file"


def table_complaints(events: Sequence[Event], lines: Sequence[Line], symbol: str) -> Iterator[str]:
    """The lines of a symbol are its events, in their order."""
    wanted = [
        (row_id, at_ms, name)
        for row_id, of, at_ms, before, after in events
        if of == symbol and (name := name_of(before, after)) is not None
    ]
    found = [(line["signal_row_id"], line["ts_ms"], line["event"]) for line in lines]
    lost, doubled = Counter(wanted) - Counter(found), Counter(found) - Counter(wanted)
    yield from (f"{symbol}: {one} is lost" for one in lost.elements())
    yield from (f"{symbol}: {one} is there once too often" for one in doubled.elements())
    if not lost and not doubled and wanted != found:
        yield f"{symbol}: the lines stand in another order than the events"


def witness_complaints(fed: Sequence[str], lines: Sequence[Line]) -> Iterator[str]:
    """Each signal of the feed's list was submitted once and filled once, and nothing else was."""
    found = Counter((line["client_order_id"], line["event"]) for line in lines)
    for signal_id in fed:
        for event in ("submit", "filled"):
            if found[f"dryrun:{signal_id}", event] != 1:
                yield f"feed: {signal_id} has {found[f'dryrun:{signal_id}', event]} lines {event}, not one"
    for stranger in {order for order, _ in found} - {f"dryrun:{signal_id}" for signal_id in fed}:
        yield f"feed: {stranger} was never fed"


def parsed(files: Mapping[str, bytes]) -> tuple[dict[str, list[Line]], list[str]]:
    """The lines of each symbol in the order of the files, and what is wrong with files and lines as such."""
    by_symbol: dict[str, list[Line]] = {}
    complaints: list[str] = []
    for name in sorted(files):
        lines, bad = lines_of(name, files[name])
        complaints += [*bad, *place_complaints(name, lines)]
        by_symbol.setdefault(name.partition("/")[0], []).extend(lines)
    return by_symbol, complaints


def against_table(events: Sequence[Event], files: Mapping[str, bytes]) -> list[str]:
    """What was published against the events by ascending seq."""
    by_symbol, complaints = parsed(files)
    for symbol in sorted({symbol for _, symbol, *_ in events} | by_symbol.keys()):
        complaints += table_complaints(events, by_symbol.get(symbol, []), symbol)
    return complaints[:COMPLAINTS_MAX]


def judge(fed: Sequence[str], events: Sequence[Event], files: Mapping[str, bytes]) -> Verdict:
    """What was published (`SYMBOL/exec_….jsonl`) against the events and against the feed's own list."""
    told = [line for lines in parsed(files)[0].values() for line in lines]
    complaints = [*against_table(events, files), *witness_complaints(fed, told)]
    return Verdict(
        signals=len(fed),
        events=sum(name_of(before, after) is not None for *_, before, after in events),
        lines=len(told),
        files=len(files),
        complaints=tuple(complaints[:COMPLAINTS_MAX]),
    )
