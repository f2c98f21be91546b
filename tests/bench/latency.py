"""Latency: from the append of one line by the producer to the call of the adapter's submit."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from statistics import median

import signals_made
import workers
from figures import Figure, percentile
from scratch import Scratch
from workers import ROOT, options

BENCH = ROOT / "tests" / "bench"
# What the way through inotify, the loop, one read and one commit may take beside the disk.
ALLOWANCE_MS = 0.5
WARM_UP_S = 3.0


def measure(scratch: Scratch) -> list[Figure]:
    """The reservation is on disk before submit, so the disk's own pace is the yardstick."""
    signals, output = scratch.backlog("latency-signals", 0), scratch.fresh("latency")
    for symbol in signals_made.SYMBOLS:
        signals_made.folder_of(signals, symbol)
    moments, told = scratch.folder / "moments.json", scratch.folder / "latency.log"
    command = [sys.executable, str(BENCH / "timed_worker.py"), str(moments), *options(signals, output)]
    with workers.daemon(command, told) as worker:
        workers.wait_for(told, "worker_ready", worker)
        time.sleep(WARM_UP_S)
        feed = [sys.executable, str(BENCH / "paced_feed.py"), str(signals), str(scratch.size.latency_signals)]
        fed = json.loads(subprocess.run(feed, check=True, stdout=subprocess.PIPE).stdout)
        time.sleep(1.0)
    submitted = dict(json.loads(moments.read_text()))
    taken_ms = [(submitted[ts_ms] - at_ns) / 1e6 for ts_ms, at_ns in fed["appended"]]
    sync_ms = 1e3 * median(fed["syncs_s"])
    half, most = median(taken_ms), percentile(taken_ms, 99)
    return [
        Figure(
            "latency p50 / (fdatasync + 0.5 ms)",
            half / (sync_ms + ALLOWANCE_MS),
            at_most=1.6,
            says=f"p50 {half:.2f} ms; fdatasync of 8 KiB {sync_ms:.2f} ms; {len(taken_ms)} signals",
        ),
        Figure(
            "latency p99", most, "ms", says=f"fdatasync p99 {1e3 * percentile(fed['syncs_s'], 99):.2f} ms"
        ),
    ]
