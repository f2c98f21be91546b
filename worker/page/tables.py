"""The page's tables, each from everything that was seen. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence

import msgspec

from store.recent import Execution
from worker.page.seen import Lane, Seen, Window
from worker.page.verdict import halt_of, reason_of
from worker.page.words import ago, at_time, grouped, number, plain, shown, span

EXECUTIONS_SHOWN = 50
UNRESOLVED_SHOWN = 20
LANES_SHOWN = 30
SAMPLES_PER_MINUTE = 12
COMMAND_MAX = 600

_TROUBLE_FIRST = ("bad", "warn", "ok")
# The kind of a column says how it is set: word, number, text (long), command (to be copied); named: where
# there is no room for a table, its name stands beside its value.
Columns = list[tuple[str, str]]
Row = tuple[str, list[str]]


class Table(msgspec.Struct, frozen=True):
    """A table; each row has a tone (ok, warn, bad, dull or none) and its cells."""

    key: str
    title: str
    empty: str
    columns: Columns
    rows: list[Row]
    note: str = ""


def halts(seen: Seen) -> Table:
    """Halts in force, with the command that ends each."""
    columns = [
        ("Halted", "word"),
        ("Why", "text"),
        ("By", "word named"),
        ("Since", "word named"),
        ("Until", "word named"),
        ("To end it", "command"),
    ]
    rows = [
        (
            "bad",
            [
                shown(halt.scope or "everything"),
                shown(halt.why),
                shown(halt.who or "a file", 40),
                "" if halt.at_ms <= 0 else at_time(halt.at_ms, seen.at_ms),
                "a resume" if halt.until_ms is None else at_time(halt.until_ms, seen.at_ms),
                _command(seen, "resume", *(["--symbol", halt.scope] if halt.scope else []), "--why", "TEXT"),
            ],
        )
        for halt in seen.status.halts
    ]
    note = "New orders are refused; signals of the time of a halt stay skipped."
    return Table(
        "halts",
        "Halts",
        "No halt is in force.",
        columns,
        rows,
        note if rows else "",
    )


def unresolved(seen: Seen) -> Table:
    """Orders whose fate is unproven, oldest first, with what to do."""
    columns = [
        ("Age", "word"),
        ("Symbol", "word"),
        ("Side", "word"),
        ("Quantity", "number named"),
        ("State", "word"),
        ("What to do", "text"),
        ("Command", "command"),
    ]
    found = seen.recent.unresolved
    rows = [_unresolved_row(one, seen) for one in found[:UNRESOLVED_SHOWN]]
    more = f"{len(found) - len(rows)} more are not shown. " if len(found) > len(rows) else ""
    working = [
        f"{one.rows} {one.state} of {shown(one.symbol, 20)}"
        for one in seen.status.unsettled
        if one.state not in ("unknown", "quarantined")
    ]
    note = more + (f"Working as they should: {', '.join(working)}." if working else "")
    return Table("unresolved", "Unresolved orders", "No order is unresolved.", columns, rows, note)


def _unresolved_row(one: Execution, seen: Seen) -> Row:
    # The client order id is ours and harmless in a shell; a signal id is whatever the producer wrote.
    name = one.client_order_id or one.signal_id
    if one.state == "quarantined":
        advice = "look at the exchange, then record it as filled, canceled, expired, rejected or skipped"
        command = _command(seen, "resolve", name, "--as", "STATE", "--why", "TEXT")
    else:
        advice = "nothing yet: the exchange is asked until there is proof, 15 minutes at most"
        command = _command(seen, "inspect", name)
    return (
        "bad" if one.state == "quarantined" else "warn",
        [
            span((seen.at_ms - one.reserved_ms) / 1000),
            shown(one.symbol),
            shown(one.side),
            plain(one.qty),
            shown(one.state),
            advice,
            command,
        ],
    )


def lanes(seen: Seen) -> Table:
    """The symbols, each with what holds it back."""
    columns = [
        ("Symbol", "word"),
        ("State", "text"),
        ("Newest signal", "word named"),
        ("Queue", "number named"),
        ("Backlog", "number named"),
    ]
    found = [(*_lane_state(lane, seen), lane) for lane in seen.status.lanes]
    if len(found) > LANES_SHOWN:
        found.sort(key=lambda one: _TROUBLE_FIRST.index(one[0]))
    rows = [
        (
            tone,
            [
                shown(lane.symbol),
                shown(state),
                ago(lane.last_read_ms, seen.at_ms),
                number(lane.queue_len, 0),
                number(lane.backlog, 0),
            ],
        )
        for tone, state, lane in found[:LANES_SHOWN]
    ]
    note = f"{len(found) - len(rows)} more are not shown." if len(found) > len(rows) else ""
    return Table("lanes", "Lanes", "There is no lane.", columns, rows, note)


def _lane_state(lane: Lane, seen: Seen) -> tuple[str, str]:
    """Tone and words."""
    halt = halt_of(lane.symbol, seen.status.halts)
    if halt is not None:
        return "bad", f"halted: {halt.why}"
    if lane.blocked_by:
        return "bad", f"blocked: {lane.blocked_by}"
    return ("warn", f"waits: {lane.waiting_for}") if lane.waiting_for else ("ok", "runs")


def executions(seen: Seen) -> Table:
    """The newest executions, skips too."""
    return _executions(
        seen, seen.recent.executions, "executions", "Last executions", "Nothing was executed yet."
    )


def orders(seen: Seen) -> Table:
    """The newest executions that are no skips."""
    return _executions(seen, seen.recent.orders, "orders", "Last orders", "There was no order lately.")


_TONES = {"success": "ok", "failed": "bad", "retry": "warn", "pending": "", "skip": "dull"}


def _executions(seen: Seen, found: Sequence[Execution], key: str, title: str, empty: str) -> Table:
    columns = [
        ("Time", "word"),
        ("Symbol", "word"),
        ("Side", "word"),
        ("Quantity", "number named"),
        ("Price", "number named"),
        ("Status", "word"),
        ("Reason", "text"),
    ]
    rows = [
        (
            _TONES.get(one.status, ""),
            [
                at_time(one.exec_ts_ms or one.reserved_ms, seen.at_ms),
                shown(one.symbol),
                "" if one.status == "skip" else shown(one.side),
                plain(one.qty),
                plain(one.price),
                shown(f"{one.status} ({one.state})" if one.exec_ts_ms is None else one.status),
                shown(reason_of(one)),
            ],
        )
        for one in found[:EXECUTIONS_SHOWN]
    ]
    return Table(key, title, seen.store_trouble or empty, columns, rows)


def limits(seen: Seen) -> Table:
    """What bounds the orders, and how near each bound is."""
    columns = [("Limit", "word"), ("Now", "number named"), ("Most", "number named"), ("", "text")]
    rows = list(_own_limits(seen))
    rows += [_window_row(window, seen.at_ms) for window in seen.status.limits.venue]
    return Table("limits", "Limits", "", columns, rows)


def _own_limits(seen: Seen) -> Iterator[Row]:
    status, bounds = seen.status, seen.status.limits
    minute = seen.samples[-SAMPLES_PER_MINUTE:]
    rate = sum(sample.orders_per_s for sample in minute) / len(minute) if minute else 0.0
    qps = status.rate_limit_qps
    yield _row(
        "Orders per second", number(rate, 2), "none" if qps is None else number(qps), status.rate_limit_why
    )
    most = "" if status.max_concurrency is None else str(status.max_concurrency)
    yield _row("Orders in flight", str(bounds.in_flight), most, "")
    sent = seen.recent.orders_last_minute
    per_minute = bounds.max_orders_per_minute
    yield (
        _near(sent, per_minute),
        ["Orders per minute", str(sent), "none" if per_minute is None else str(per_minute), "over a wire"],
    )
    yield _row("Order value", "", _usd(bounds.max_order_usd), "")
    yield _row("Position value", "", _usd(bounds.max_position_usd), "of each symbol")
    life = bounds.signal_life_ms
    yield _row("Age of a signal", "", "none" if life is None else span(life / 1000), "older ones are skipped")
    if bounds.venue:
        offset = abs(bounds.clock_offset_ms) >= 1_000
        text = f"{number(bounds.clock_offset_ms, 0)} ms"
        yield ("warn" if offset else "", ["Clock of the exchange", text, "", "its time minus this host's"])
    deadline_ms = bounds.venue_deadline_ms - bounds.clock_offset_ms
    if deadline_ms > seen.at_ms:
        yield (
            "bad",
            ["Pause of the exchange", "", at_time(deadline_ms, seen.at_ms), "nothing is sent before"],
        )


def _row(name: str, now: str, most: str, note: str | None) -> Row:
    return ("", [name, now, most, shown(note or "")])


def _window_row(window: Window, now_ms: int) -> Row:
    name = f"Exchange: {shown(window.kind, 20)} per {_length(window.length_ms)}"
    # A window that is over holds nothing; the next request begins a new one.
    used = window.used if window.ends_ms > now_ms else 0
    return (_near(used, window.limit), [name, number(used, 0), number(window.limit, 0), ""])


def _length(length_ms: int) -> str:
    return {60_000: "minute", 86_400_000: "day"}.get(length_ms, span(length_ms / 1000).removeprefix("1 "))


def _near(used: int, limit: int | None) -> str:
    """Nine tenths of a limit are worth a colour."""
    return "warn" if limit is not None and used >= 0.9 * limit else ""


def _usd(text: str | None) -> str:
    return "none" if text is None else f"{grouped(plain(text))} USD"


def drills(seen: Seen) -> Table:
    """The newest drill that was run with this output folder."""
    columns = [
        ("Drill", "word"),
        ("Kills", "number named"),
        ("Signals", "number named"),
        ("Accepted", "number named"),
        ("Doubled", "number named"),
        ("Lost", "number named"),
        ("Recovery p50", "number named"),
        ("Recovery p99", "number named"),
        ("Result", "text"),
    ]
    drill = seen.drill
    rows: list[Row] = [
        (
            "ok" if row.passed else "bad",
            [
                shown(row.drill),
                number(row.kills, 0),
                number(row.signals, 0),
                "" if row.accepted is None else number(row.accepted, 0),
                number(row.duplicates, 0),
                number(row.lost, 0),
                _seconds(row.recovery_p50_s),
                _seconds(row.recovery_p99_s),
                shown("passed" if row.passed else f"failed: {row.why or 'no reason given'}"),
            ],
        )
        for row in ([] if drill is None else drill.rows)
    ]
    note = ""
    if drill is not None:
        verdict = "passed" if drill.passed else "failed"
        note = (
            f"{shown(drill.kind, 40)}, seed {drill.seed}, {verdict} {ago(drill.ended_ms, seen.at_ms)}: "
            f"{shown(seen.drill_folder)}"
        )
    empty = (
        seen.drill_trouble or "No drill was run with this output folder: execution-worker drill all runs one."
    )
    return Table("drills", "Recovery drill", shown(empty), columns, rows, note)


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{number(seconds, 2)} s"


def _command(seen: Seen, do: str, *words: str) -> str:
    """A line for a shell that does what it says, whatever is in its words."""
    options = ["--output", seen.output] if seen.output else []
    if words and words[0].startswith("-") and do != "resume":
        # A name that looks like an option stands behind the mark that ends them.
        words = (*words[1:], *options, "--", words[0])
        options = []
    return shown(shlex.join(["execution-worker", do, *words, *options]), COMMAND_MAX)


TABLES: Sequence[Callable[[Seen], Table]] = (halts, unresolved, lanes, executions, orders, limits, drills)
