"""The page as data: what stands where, in which words and in which tone. Pure.

The server writes it as HTML, the page's script as nodes of text; neither decides anything. Every text of a
stranger has gone through `shown` here.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from worker.page.seen import Seen
from worker.page.tables import SAMPLES_PER_MINUTE, TABLES, Table
from worker.page.verdict import Verdict, verdict_of
from worker.page.words import at_time, delay, number, shown, span

LAG_MS_WARN = 1_000

MODES = {
    "dry_run": ("DRY RUN", "no order leaves this host"),
    "paper": ("PAPER", "orders fill on paper alone"),
    "testnet": ("TESTNET", "orders with play money"),
    "live": ("LIVE", "orders with real money"),
}


class Fact(msgspec.Struct, frozen=True):
    """One number with its name."""

    label: str
    text: str
    note: str = ""
    tone: str = ""


class View(msgspec.Struct, frozen=True):
    """The whole page."""

    at_ms: int
    at: str
    version: str
    mode: str
    mode_word: str
    mode_says: str
    verdict: Verdict
    facts: list[Fact]
    tables: list[Table]
    foot: str


def view_of(seen: Seen, tables: Sequence[Table] | None = None) -> View:
    """What is shown of what was seen; `tables`, where they were made before."""
    status = seen.status
    word, says = MODES.get(status.mode, (shown(status.mode or "unknown mode", 40), ""))
    foot = [f"execution-worker {shown(status.version, 40)}", shown(seen.output)]
    return View(
        at_ms=seen.at_ms,
        at=f"{at_time(seen.at_ms, seen.at_ms)} UTC",
        version=shown(status.version, 40),
        mode=status.mode if status.mode in MODES else "other",
        mode_word=word,
        mode_says=f"{says}, {shown(status.venue, 60)}" if status.mode in ("testnet", "live") else says,
        verdict=verdict_of(seen),
        facts=_facts(seen),
        tables=[table(seen) for table in TABLES] if tables is None else list(tables),
        foot=" · ".join(filter(None, foot)),
    )


def _facts(seen: Seen) -> list[Fact]:
    status = seen.status
    minute = seen.samples[-SAMPLES_PER_MINUTE:]
    rate = sum(sample.signals_per_s for sample in minute) / len(minute) if minute else 0.0
    # Where signals of any age are executed, a great lag tells of a backlog that is being read.
    late = status.limits.signal_life_ms is not None and status.lag_ms >= LAG_MS_WARN
    return [
        Fact("Success", number(status.success_count, 0), tone="ok" if status.success_count else ""),
        Fact("Failed", number(status.fail_count, 0), tone="bad" if status.fail_count else ""),
        Fact("Skipped", number(status.skip_count, 0)),
        Fact("Unknown", number(status.unknown_count, 0), tone="bad" if status.unknown_count else ""),
        Fact("Signals", f"{number(rate, 1)}/s", "over the last minute"),
        Fact("Lag", delay(status.lag_ms), "of the newest signal", "warn" if late else ""),
        Fact("Queue", number(status.queue_len, 0), "read and not final"),
        Fact("Uptime", span(status.uptime_s), f"signals since: {number(status.signal_count, 0)}"),
        Fact("Not sent, tried again", number(status.retry_count, 0)),
        Fact("Malformed", number(status.malformed_count, 0), tone="warn" if status.malformed_count else ""),
    ]
