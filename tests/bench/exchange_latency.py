"""Latency to an exchange: from the append of one signal to the first byte of its order at the server.

On that way lie one commit to disk and half a round trip of HTTP, so the yardstick is one fdatasync and
one raw round trip, taken between the signals of the same run.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import signals_made
import workers
from exchange_feed import SYNCED_BYTES
from figures import Figure, percentile
from scratch import Scratch
from workers import PROGRAM, ROOT, options

BENCH = ROOT / "tests" / "bench"
# The clock, the rules, the account, the prices and the first connections are learnt in this time.
WARM_UP_S = 4.0
IDLE_S = 4.0
IDS = "SELECT signal_ts_ms, client_order_id FROM executions WHERE client_order_id IS NOT NULL"


@dataclass(frozen=True)
class Cost:
    """CPU of the worker during the feed, and what it would have used in the same time without orders."""

    busy_s: float
    idle_s: float


def measure(scratch: Scratch) -> list[Figure]:
    """The whole worker in mode testnet, its venue the practice exchange."""
    signals, output = scratch.backlog("exchange-signals", 0), scratch.fresh("exchange")
    for symbol in signals_made.SYMBOLS:
        signals_made.folder_of(signals, symbol)
    told = scratch.folder / "exchange.log"
    with exchange(scratch.folder / "arrivals.json") as venue:
        command = [PROGRAM, "--mode", "testnet", "--start", "beginning", *options(signals, output)]
        with workers.daemon(command, told, venue.settings) as worker:
            workers.wait_for(told, "worker_ready", worker)
            time.sleep(WARM_UP_S)
            fed, cost = _feed(worker.pid, signals, scratch.size.latency_signals, venue.raw_port)
            time.sleep(1.0)
    arrived: dict[str, int] = json.loads(venue.moments.read_text())
    with sqlite3.connect(output / "executions" / "executions.db") as connection:
        ids = dict(connection.execute(IDS).fetchall())
    missing = [ts_ms for ts_ms, _ in fed["appended"] if ids.get(ts_ms) not in arrived]
    if missing:
        raise workers.BenchError(f"{len(missing)} of {len(fed['appended'])} signals did not become orders")
    taken_ms = [(arrived[ids[ts_ms]] - at_ns) / 1e6 for ts_ms, at_ns in fed["appended"]]
    return _figures(taken_ms, fed["syncs_s"], fed["trips_s"], cost)


def _figures(
    taken_ms: Sequence[float], syncs_s: Sequence[float], trips_s: Sequence[float], cost: Cost
) -> list[Figure]:
    half, most = median(taken_ms), percentile(taken_ms, 99)
    sync_ms, trip_ms = 1e3 * median(syncs_s), 1e3 * median(trips_s)
    most_sync_ms, most_trip_ms = 1e3 * percentile(syncs_s, 99), 1e3 * percentile(trips_s, 99)
    cpu_ms = 1e3 * (cost.busy_s - cost.idle_s) / len(taken_ms)
    return [
        Figure(
            "to the exchange p50 / (fdatasync + HTTP)",
            half / (sync_ms + trip_ms),
            at_most=1.6,
            says=f"p50 {half:.2f} ms; fdatasync of {SYNCED_BYTES // 1024} KiB {sync_ms:.2f} ms, "
            f"raw round trip {trip_ms:.2f} ms; {len(taken_ms)} orders",
        ),
        Figure(
            "to the exchange p99",
            most,
            "ms",
            says=f"fdatasync p99 {most_sync_ms:.2f} ms, raw round trip p99 {most_trip_ms:.2f} ms",
        ),
        Figure("CPU per order", cpu_ms, "ms", says="all of the worker, from the append to the last line"),
    ]


def _feed(pid: int, signals: Path, count: int, raw_port: int) -> tuple[dict[str, Any], Cost]:
    """What the feed tells, and the CPU that its orders cost."""
    began_s, used_s = time.monotonic(), workers.cpu_s_of(pid)
    time.sleep(IDLE_S)
    idle_share = (workers.cpu_s_of(pid) - used_s) / (time.monotonic() - began_s)
    began_s, used_s = time.monotonic(), workers.cpu_s_of(pid)
    feed = [sys.executable, str(BENCH / "exchange_feed.py"), str(signals), str(count), str(raw_port)]
    fed: dict[str, Any] = json.loads(subprocess.run(feed, check=True, stdout=subprocess.PIPE).stdout)
    took_s = time.monotonic() - began_s
    return fed, Cost(workers.cpu_s_of(pid) - used_s, idle_share * took_s)


@dataclass(frozen=True)
class Venue:
    """The practice exchange that listens; `moments` is written when it ends."""

    rest_url: str
    raw_port: int
    moments: Path

    @property
    def settings(self) -> dict[str, str]:
        """The worker's environment for this venue."""
        return {
            "BINANCE_API_KEY": "loopback-key",
            "BINANCE_API_SECRET": "loopback-secret",
            "V13_BROKER_REST_URL": self.rest_url,
            "V13_EXECUTION__RATE_LIMIT__MAX_QPS": "1000",
        }


@contextmanager
def exchange(moments: Path) -> Iterator[Venue]:
    """The timed exchange for as long as the block lasts."""
    command = [sys.executable, str(BENCH / "timed_exchange.py"), str(moments)]
    venue = subprocess.Popen(command, env=workers.environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert venue.stdout is not None
        raw_port = int(venue.stdout.readline().split()[1])
        told = json.loads(venue.stdout.readline().removeprefix("exchange_ready "))
        yield Venue(told["rest_url"], raw_port, moments)
    finally:
        venue.terminate()
        try:
            venue.wait(workers.STOP_S_MAX)
        except subprocess.TimeoutExpired:
            venue.kill()
            venue.wait()
