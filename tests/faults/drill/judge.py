"""The judge of a drill: the feed's own list against what the worker left behind.

Pure, and written from the contract alone: which signal is executed, under which identity, is
worked out here a second time, so that a fault in the worker's own rules cannot hide itself.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import md5
from typing import Any

Fields = dict[str, Any]
Key = tuple[str, int, str]

# More of one kind tell nothing new.
COMPLAINTS_OF_A_KIND_MAX = 5


@dataclass(frozen=True, slots=True)
class Expected:
    """One signal of the feed's list and what has to become of it; `place` is its file."""

    key: Key
    place: str
    free: bool
    status: str
    side: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures of a drill, and every objection; none means that it passed."""

    signals: int
    rows: int
    lines: int
    lost: int
    doubled: int
    dead_letters: int
    complaints: tuple[str, ...]


def identity(fields: Fields) -> str:
    """The signal's id: the producer's, or the MD5 of what makes it itself."""
    if fields.get("signal_id"):
        return str(fields["signal_id"])
    text = (
        f"{fields['symbol']}|{fields['ts_ms']}|{fields['score']:.4f}|"
        f"{fields['regime'] or ''}|{fields['div_type'] or ''}"
    )
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def gate_is_open(fields: Fields) -> bool:
    """Whether the producer's gate let it pass, by the shape of `gating`."""
    gating, guarded = fields["gating"], bool(fields.get("guard_reason"))
    if isinstance(gating, str):
        return gating == "ok"
    if isinstance(gating, list):
        return not gating or "ok" in gating or all(item.endswith("_passed") for item in gating)
    if gating is None:
        return not guarded
    if fields.get("schema_version") == "signal/v2":
        return bool(gating == 1)
    blocked = fields.get("gating_blocked")
    return not guarded if blocked is None else not blocked


def outcome(fields: Fields) -> tuple[str, str]:
    """Status and side that the decision table gives this signal in dry-run."""
    if not fields["confirm"] or not gate_is_open(fields):
        return "skip", "skip"
    if fields.get("schema_version") == "signal/v2":
        sides = {"buy": ("success", "long"), "sell": ("success", "short"), "flat": ("skip", "flat")}
        return sides[fields["side_hint"]]
    if abs(fields["score"]) <= 0.5:
        return "skip", "skip"
    return "success", "long" if fields["score"] > 0 else "short"


def expectations(journal: Sequence[Fields]) -> list[Expected]:
    """The feed's list, with what the contract says of each signal."""
    found = []
    for entry in journal:
        if entry["kind"] == "signal":
            fields = entry["fields"]
            key = (fields["symbol"], fields["ts_ms"], identity(fields))
            found.append(Expected(key, entry["place"], entry["free"], *outcome(fields)))
    return found


def row_key(row: Mapping[str, Any]) -> Key:
    """The identity of a row or line."""
    return row["symbol"], row["signal_ts_ms"], row["signal_id"]


def count_complaints(what: str, wanted: Sequence[Key], found: Counter[Key]) -> Iterator[str]:
    """Each wanted key stands there exactly once, and nothing else does."""
    for key in wanted:
        if found[key] != 1:
            yield f"{what}: {key} stands there {found[key]} times instead of once"
    for key in found.keys() - set(wanted):
        yield f"{what}: {key} was never written by the feed"


def order_complaints(what: str, wanted: Sequence[Expected], order: Sequence[Key]) -> Iterator[str]:
    """Within a symbol, reading order is the feed's order.

    A late append to an older file may be overtaken by what a newer file already held, never by
    what the feed wrote after it; within one file nothing overtakes.
    """
    position = {key: index for index, key in enumerate(order)}
    reached: dict[str, dict[str, tuple[int, Key]]] = defaultdict(dict)
    for signal in wanted:
        if signal.free or signal.key not in position:
            continue
        here = position[signal.key]
        files = reached[signal.key[0]]
        before = [place for name, place in files.items() if name <= signal.place]
        if before and max(before)[0] > here:
            yield f"{what}: {signal.key} stands before {max(before)[1]}, which the feed wrote first"
        files[signal.place] = max(files.get(signal.place, (-1, signal.key)), (here, signal.key))


def parsed_lines(name: str, content: bytes) -> tuple[list[Fields], list[str]]:
    """The lines of one file, and what is wrong with them as lines."""
    if content and not content.endswith(b"\n"):
        return [], [f"{name}: its last line is cut: {content[-80:]!r}"]
    lines, complaints = [], []
    for number, raw in enumerate(content.split(b"\n")[:-1], 1):
        try:
            lines.append(json.loads(raw))
        except ValueError:
            complaints.append(f"{name}:{number}: is no JSON: {raw[:80]!r}")
    return lines, complaints


def time_complaints(files: Mapping[str, Sequence[Fields]]) -> Iterator[str]:
    """Outcomes become final in the order of the lines, and each stands in the file of its hour."""
    last: dict[str, int] = {}
    for name in sorted(files):
        symbol, _, file = name.partition("/")
        for number, line in enumerate(files[name], 1):
            at_ms = line["exec_ts_ms"]
            hour = datetime.fromtimestamp(at_ms / 1000, UTC)
            if file != f"exec_{hour:%Y%m%d_%H}.jsonl" or line["symbol"] != symbol:
                yield f"{name}:{number}: belongs into another file"
            if at_ms < last.get(symbol, 0):
                yield f"{name}:{number}: exec_ts_ms goes back from {last[symbol]} to {at_ms}"
            last[symbol] = at_ms


def outcome_complaints(what: str, wanted: Sequence[Expected], found: Sequence[Fields]) -> Iterator[str]:
    """Each row or line tells the outcome that the decision table gives."""
    by_key = {signal.key: signal for signal in wanted}
    for row in found:
        signal = by_key.get(row_key(row))
        if signal is not None and (row["status"], row["side"]) != (signal.status, signal.side):
            yield (
                f"{what}: {signal.key} is {row['status']} {row['side']}, "
                f"must be {signal.status} {signal.side}"
            )


def line_complaints(rows: Sequence[Fields], lines: Sequence[Fields]) -> Iterator[str]:
    """A line says what its row says."""
    by_key = {row_key(row): row for row in rows}
    for line in lines:
        row = by_key.get(row_key(line))
        if row is not None and any(line[name] != row[name] for name in ("status", "side", "exec_ts_ms")):
            yield f"lines: {row_key(line)} differs from its row: {line} against {row}"


def dead_letter_complaints(journal: Sequence[Fields], letters: Sequence[Fields]) -> Iterator[str]:
    """One dead letter for each malformed line, by file, and no place twice."""
    wanted = Counter((entry["raw"], entry["place"]) for entry in journal if entry["kind"] == "malformed")
    found: Counter[tuple[str, str]] = Counter()
    places: Counter[tuple[str, Any]] = Counter()
    for letter in letters:
        *_, symbol, name = letter["file"].split("/") if "/" in letter["file"] else ("", letter["file"])
        found[symbol, name] += 1
        places[letter["file"], letter.get("offset")] += 1
    for place in sorted(wanted.keys() | found.keys()):
        if wanted[place] != found[place]:
            yield f"dead letters: {found[place]} of {place}, the feed wrote {wanted[place]} malformed lines"
    for twice, count in places.items():
        if count > 1:
            yield f"dead letters: {twice} stands there {count} times"


def bounded(complaints: Sequence[str]) -> tuple[str, ...]:
    """The first few complaints of each kind, and how many more there are."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for complaint in complaints:
        kinds[complaint.split(":")[0]].append(complaint)
    shown = []
    for kind, those in kinds.items():
        shown += those[:COMPLAINTS_OF_A_KIND_MAX]
        if len(those) > COMPLAINTS_OF_A_KIND_MAX:
            shown.append(f"{kind}: and {len(those) - COMPLAINTS_OF_A_KIND_MAX} more")
    return tuple(shown)


def judge(journal: Sequence[Fields], rows: Sequence[Fields], files: Mapping[str, bytes]) -> Verdict:
    """Compare the feed's list with the table (rows by ascending id) and the hourly files below `executions`.

    `files` maps `SYMBOL/exec_...jsonl` and `deadletter/...jsonl` to their bytes.
    """
    wanted = expectations(journal)
    complaints: list[str] = []
    parsed: dict[str, list[Fields]] = {}
    for name in sorted(files):
        parsed[name], bad = parsed_lines(name, files[name])
        complaints += bad
    letters = [line for name in sorted(parsed) if name.startswith("deadletter/") for line in parsed[name]]
    hourly = {name: lines for name, lines in parsed.items() if not name.startswith("deadletter/")}
    lines = [line for name in sorted(hourly) for line in hourly[name]]

    keys = [signal.key for signal in wanted]
    in_rows, in_lines = Counter(map(row_key, rows)), Counter(map(row_key, lines))
    complaints += count_complaints("rows", keys, in_rows)
    complaints += count_complaints("lines", keys, in_lines)
    complaints += order_complaints("order of rows", wanted, [row_key(row) for row in rows])
    for status in ("skip", "success"):
        order = [row_key(line) for line in lines if line["status"] == status]
        complaints += order_complaints(f"order of {status} lines", wanted, order)
    complaints += time_complaints(hourly)
    complaints += outcome_complaints("rows", wanted, rows)
    complaints += outcome_complaints("lines", wanted, lines)
    complaints += line_complaints(rows, lines)
    complaints += dead_letter_complaints(journal, letters)
    return Verdict(
        signals=len(wanted),
        rows=len(rows),
        lines=len(lines),
        lost=sum(1 for key in keys if not in_rows[key] or not in_lines[key]),
        doubled=sum((in_rows - Counter(keys)).values()) + sum((in_lines - Counter(keys)).values()),
        dead_letters=len(letters),
        complaints=bounded(complaints),
    )
