"""Memory: a ten times longer backlog must not make the worker larger."""

from __future__ import annotations

import workers
from figures import Figure
from scratch import Scratch


def measure(scratch: Scratch) -> list[Figure]:
    """Resident memory after a short and after a long drain."""
    runs = []
    for count in scratch.size.memory_signals:
        signals = scratch.backlog("memory-signals", count)
        runs.append(workers.drain(signals, scratch.fresh("memory")))
    few, many = runs
    counts = f"{many.signals:,} against {few.signals:,} signals"
    return [
        Figure(
            "RSS after a long drain / short",
            many.resident_kib / few.resident_kib,
            at_most=1.2,
            says=f"{many.resident_kib / 1024:.1f} MiB, {few.resident_kib / 1024:.1f} MiB; {counts}",
        ),
        Figure(
            "peak RSS of a long drain / short",
            many.peak_kib / few.peak_kib,
            at_most=1.2,
            says=f"{many.peak_kib / 1024:.1f} MiB, {few.peak_kib / 1024:.1f} MiB",
        ),
    ]
