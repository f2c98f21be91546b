"""What a person wants to know of a drill: how long recovery took, and one table that says it all.

Pure: from the evidence to numbers and lines.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from drill.judge import Fields

if TYPE_CHECKING:
    from drill_exchange.kills import Report

DOUBTFUL = ("reserved", "unknown")


def recoveries_s(events: Sequence[Fields], started_ms: Sequence[int]) -> list[float]:
    """Seconds from a start to the fate of each order that it found in doubt; ascending.

    Known is found, filled, refused, or proven absent. Of several starts the last one counts: those before
    it were killed while they asked.
    """
    starts = sorted(started_ms)
    since: dict[int, int] = {}
    found: list[float] = []
    for event in events:
        row_id, at_ms = event["execution_id"], event["at_ms"]
        doubtful = event["to_state"] in DOUBTFUL
        proven_absent = (event["from_state"], event["to_state"]) == ("unknown", "reserved")
        if row_id in since and (not doubtful or proven_absent):
            begun_ms = since.pop(row_id)
            life = bisect_right(starts, at_ms) - 1
            if life >= 0 and starts[life] > begun_ms:
                found.append((at_ms - starts[life]) / 1_000)
        if doubtful:
            since.setdefault(row_id, at_ms)
    return sorted(found)


def percentile(ascending: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie; 0 when there are none."""
    if not ascending:
        return 0.0
    return ascending[min(len(ascending) - 1, int(len(ascending) * share))]


def _both(values: Sequence[float]) -> str:
    ascending = sorted(values)
    return f"{percentile(ascending, 0.5):.2f} s / {percentile(ascending, 0.99):.2f} s"


def table(report: Report) -> list[str]:
    """The drill in lines that stand on their own."""
    verdict, evidence = report.verdict, report.evidence
    named = {name: count for name, count in report.kills.items() if name != "random"}
    share = report.orders_struck / report.orders_asked if report.orders_asked else 0.0
    outcomes: dict[str, int] = defaultdict(int)
    for row in evidence.rows:
        outcomes[f"{row['state']} {row['error_code'] or ''}".strip()] += 1
    rows: list[tuple[str, object]] = [
        ("signals fed", verdict.signals),
        ("  of them eligible", verdict.eligible),
        ("rows in the store", verdict.rows),
        ("lines in the hourly files", verdict.lines),
        ("orders accepted (exchange's journal)", verdict.accepted),
        ("fills (exchange's journal)", verdict.fills),
        ("DOUBLED", verdict.doubled),
        ("LOST", verdict.lost),
        ("worker killed", report.killed),
        ("  at random moments", report.kills["random"]),
        *((f"  at {name}", count) for name, count in sorted(named.items())),
        ("worker stopped in good order", report.orderly_stops),
        ("exchange killed", report.exchange_kills),
        ("requests for an order", report.orders_asked),
        ("  struck by a fault", f"{report.orders_struck} ({share:.0%})"),
        ("unknown orders found at the exchange", verdict.resolved_as_found),
        ("unknown orders proven absent", verdict.proven_absent),
        ("from start to ready, p50 / p99", _both(report.ready_s)),
        ("orders that a start found in doubt", len(report.recoveries_s)),
        ("  from start to their fate, p50 / p99", _both(report.recoveries_s)),
        *((f"rows {name}", count) for name, count in sorted(outcomes.items())),
        *((f"fault {name}", count) for name, count in sorted(report.struck.items())),
    ]
    return [f"{name:<52} {value}" for name, value in rows]
