"""Idle: what a worker costs that has nothing to do."""

from __future__ import annotations

import time

import workers
from figures import Figure
from scratch import Scratch
from workers import PROGRAM, options

SIGNALS = 20
# The HTTP server is imported once the lanes have settled their past.
WARM_UP_S = 3.0


def measure(scratch: Scratch) -> list[Figure]:
    """CPU and memory of a daemon that has read everything and waits."""
    signals, output = scratch.backlog("idle-signals", SIGNALS), scratch.fresh("idle")
    told = scratch.folder / "idle.log"
    with workers.daemon([PROGRAM, *options(signals, output)], told, workers.EVERY_ORDER_TOLD) as worker:
        workers.wait_for(told, "order_filled", worker)
        time.sleep(WARM_UP_S)
        began_s, used_s = time.monotonic(), workers.cpu_s_of(worker.pid)
        time.sleep(scratch.size.idle_s)
        used_s = workers.cpu_s_of(worker.pid) - used_s
        percent = 100 * used_s / (time.monotonic() - began_s)
        resident_mib = workers.memory_of(worker.pid)["VmRSS"] / 1024
    return [
        Figure("idle CPU", percent, "%", at_most=0.5, says=f"{used_s:.2f} s in {scratch.size.idle_s:g} s"),
        Figure("idle RSS", resident_mib, "MiB", at_most=64),
    ]
