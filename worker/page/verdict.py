"""Does it trade, and if not, why: the page's first line, from everything that was seen. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from store.recent import Execution
from worker.page.seen import Halt, Lane, Seen
from worker.page.words import ago, at_time, delay, shown, span

# So many failed orders running are no accident.
FAILED_RUNNING_MIN = 5
# Of so many signals one should have come to something, unless the strategy has nothing to do.
SKIPPED_RUNNING_MIN = 20
# Skips that are the producer's word, or the thresholds': nothing is wrong with the worker.
QUIET_CODES = frozenset({"below_threshold", "not_confirmed", "gate_blocked", "flat", "cooldown"})
LINES_MAX = 6
# Signals may be rare; a silence of minutes is worth a look.
SILENT_MS = 300_000


class Verdict(msgspec.Struct, frozen=True):
    """`tone` is ok, warn or bad; `word` is the one thing to read; `why` says the rest."""

    tone: str
    word: str
    why: list[str]


def verdict_of(seen: Seen) -> Verdict:
    """What a person asks first."""
    stopped = next(_all_stopped(seen), None)
    warnings = list(_warnings(seen))
    if stopped is not None:
        word, why = stopped
        return Verdict("bad", word, [shown(line) for line in [why, *warnings][:LINES_MAX]])
    word = "Trading" if seen.status.mode in ("testnet", "live") else "Running"
    if warnings:
        in_part = any(_stopped(lane, seen.status.halts, seen.at_ms) for lane in seen.status.lanes)
        word += " in part" if in_part else ", but"
        return Verdict("warn", word, [shown(line) for line in warnings[:LINES_MAX]])
    return Verdict("ok", word, [_latest(seen)])


def halt_of(symbol: str, halts: list[Halt]) -> Halt | None:
    """The halt that holds this symbol back."""
    return next((halt for halt in halts if halt.scope in ("", symbol)), None)


def _all_stopped(seen: Seen) -> Iterator[tuple[str, str]]:
    """Why nothing is traded at all, the first cause first."""
    status, now_ms = seen.status, seen.at_ms
    if not status.ready:
        yield "Not ready", status.why_not_ready or "the worker does not say why"
    everything = next((halt for halt in status.halts if not halt.scope), None)
    if everything is not None:
        yield "Halted", _halted(everything, now_ms)
    deadline_ms = status.limits.venue_deadline_ms - status.limits.clock_offset_ms
    if deadline_ms > now_ms:
        yield "Paused by the exchange", f"it wants to hear nothing before {at_time(deadline_ms, now_ms)} UTC"
    lanes = [_stopped(lane, status.halts, now_ms) for lane in status.lanes]
    if lanes and all(lanes):
        yield "Not trading", "; ".join(filter(None, lanes))
    if failing := _failing(seen.recent.orders):
        yield "Not trading", failing


def _warnings(seen: Seen) -> Iterator[str]:
    status = seen.status
    stopped = [_stopped(lane, status.halts, seen.at_ms) for lane in status.lanes]
    if not all(stopped):
        yield from filter(None, stopped)
    waiting = [f"{lane.symbol}: {lane.waiting_for}" for lane in status.lanes if lane.waiting_for]
    if waiting and len(waiting) == len(status.lanes):
        yield f"no input: {'; '.join(waiting)}"
    else:
        yield from waiting
    if silence := _silence(seen):
        yield silence
    if skipped := _only_skips(seen.recent.executions):
        yield skipped
    if status.output_trouble:
        yield f"the output files are behind: {status.output_trouble}"
    if status.sources_ignored:
        yield f"newer signals lie where nobody reads: {', '.join(status.sources_ignored)}"
    if seen.store_trouble:
        yield seen.store_trouble


def _stopped(lane: Lane, halts: list[Halt], now_ms: int) -> str | None:
    halt = halt_of(lane.symbol, halts)
    if halt is not None:
        return f"{lane.symbol} is halted: {_halted(halt, now_ms)}"
    return None if lane.blocked_by is None else f"{lane.symbol} is blocked: {lane.blocked_by}"


def _halted(halt: Halt, now_ms: int) -> str:
    until = "" if halt.until_ms is None else f", until {at_time(halt.until_ms, now_ms)} UTC"
    return f"{halt.why} (by {halt.who or 'a file'}{until})"


def _failing(orders: list[Execution]) -> str | None:
    """The newest orders all failed."""
    over = [order for order in orders if order.status in ("success", "failed")]
    running = next((at for at, order in enumerate(over) if order.status == "success"), len(over))
    if running < FAILED_RUNNING_MIN:
        return None
    return f"the last {running} orders all failed, the newest with {reason_of(over[0])}"


def _only_skips(executions: list[Execution]) -> str | None:
    """The newest signals were all skipped, most of them for a cause that is not the producer's."""
    if len(executions) < SKIPPED_RUNNING_MIN or any(one.status != "skip" for one in executions):
        return None
    code, count = Counter(one.error_code or "no reason" for one in executions).most_common(1)[0]
    if code in QUIET_CODES:
        return None
    return f"the last {len(executions)} signals were all skipped, {count} of them as {code}"


def reason_of(execution: Execution) -> str:
    """Code and sentence of an outcome, and the producer's words where its gate was shut."""
    parts = [execution.error_code, execution.error_msg, execution.guard_reason]
    return ": ".join(part for part in parts if part)


def _silence(seen: Seen) -> str | None:
    read_ms = max((lane.last_read_ms for lane in seen.status.lanes), default=0)
    if not read_ms:
        silent = seen.status.uptime_s * 1000 >= SILENT_MS
        return "no signal has come since the start" if silent else None
    silent_ms = seen.at_ms - read_ms
    return None if silent_ms < SILENT_MS else f"no signal has come for {span(silent_ms / 1000)}"


def _latest(seen: Seen) -> str:
    read_ms = max((lane.last_read_ms for lane in seen.status.lanes), default=0)
    ordered_ms = max((order.exec_ts_ms or 0 for order in seen.recent.orders), default=0)
    if not read_ms:
        return "no signal since the start"
    text = f"last signal {ago(read_ms, seen.at_ms)}, last order {ago(ordered_ms, seen.at_ms)}"
    return f"{text}, lag {delay(seen.status.lag_ms)}"
