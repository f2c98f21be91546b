"""One drill's folder and everybody in it: the feed, the worker and, where orders leave, the exchange.

All files of a drill are below its folder, and every address that anybody is given is 127.0.0.1.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from random import Random

import msgspec

from config.seams import CRASH_POINT_VARIABLE, Clock
from worker.drill.exchange import HOST, SECRET, ExchangeProcess, ask
from worker.drill.feed_list import FeedPlan
from worker.drill.left import Progress
from worker.drill.plans import HOUR_MS, SYMBOLS, Plan
from worker.drill.process import PATIENCE_S, POLL_S, DrillError, Process, program
from worker.drill.shifted import SHIFT_VARIABLE

KEY_VARIABLE = "BINANCE_API_KEY"
SECRET_VARIABLE = "BINANCE_API_SECRET"
FEED_BACK_MS = 6 * HOUR_MS
OK = 200


def worker_settings(plan: Plan, seed: int, rest_url: str | None) -> dict[str, object]:
    """The worker's settings: no limit is one that a drill would meet, and it listens on loopback only."""
    execution: dict[str, object] = {
        "mode": plan.mode,
        "symbols": list(SYMBOLS),
        "run_source": "smoke",
        "sink": {"kind": "jsonl" if plan.shape.endswith("jsonl") else "sqlite"},
        "rate_limit": {"max_qps": 200 if plan.mode == "testnet" else None, "max_concurrency": 8},
        "retry": {"max_attempts": 100, "backoff_ms": 50},
        "business": {"order_size_usd": 400},
        "precheck": {"enabled": False},
        "throttle": {"enabled": False},
        "http": {"host": HOST, "port": 0},
        "log": {"level": "info", "format": "json", "success_share": 0.0},
    }
    if plan.mode == "paper":
        execution["paper"] = {
            "fallback_price": 60_000,
            "seed": seed,
            "latency_ms": 2,
            "latency_jitter_ms": 6,
            "partial_share": 0.3,
            "timeouts": ["BTCUSDT=0.08", "ETHUSDT=0.04"],
        }
    if plan.mode != "testnet":
        return {"execution": execution}
    assert rest_url is not None
    execution["order"] = {"price_max_age_ms": 6_000}
    execution["staleness"] = {"max_age_ms": 600_000}
    broker = {
        "name": "binance-futures",
        "api_key_env": KEY_VARIABLE,
        "secret_env": SECRET_VARIABLE,
        "rest_url": rest_url,
        **plan.numbers,
    }
    return {"execution": execution, "broker": broker}


def feed_command(plan: Path) -> list[str]:
    """The producer on the plan in that file."""
    return [sys.executable, "-m", "worker.drill.feed", str(plan)]


class Scene:
    """Starts everybody, again and again, and ends them all."""

    def __init__(self, plan: Plan, folder: Path, seed: int, clock: Clock) -> None:
        self.plan = plan
        self.folder = folder
        self.output = folder / "output"
        self.signals = folder / "signals"
        self.feed_list = folder / "feed-list.jsonl"
        self.progress = Progress(self.output, self.feed_list)
        self.exchange: ExchangeProcess | None = None
        self.worker: Process | None = None
        self.feed: Process | None = None
        self._seed = seed
        self._clock = clock
        self._lives = 0
        self._feeds = 0
        self._port: int | None = None
        self._config = folder / "worker.json"
        self._shift = folder / "clock-shift"
        for made in (self.output, self.signals):
            made.mkdir(parents=True, exist_ok=True)
        if plan.mode == "testnet":
            # A key of its own for each drill: this host trades one key with one worker at a time.
            key = f"drill-{plan.folder}-{seed}-{os.getpid()}"
            self.exchange = ExchangeProcess(folder, seed, key, SYMBOLS, clock)

    async def begin(self) -> None:
        """The exchange listens and the feed writes."""
        if self.exchange is not None:
            await self.exchange.start(self.plan.rules)
        url = None if self.exchange is None else self.exchange.url
        self._config.write_text(json.dumps(worker_settings(self.plan, self._seed, url), indent=1))
        self.shift_clock(0)
        plan, now_ms = self.plan, self._clock.wall_ms()
        feed = FeedPlan(
            shape=plan.shape,
            into=str(self.signals),
            list=str(self.feed_list),
            symbols=SYMBOLS,
            seed=self._seed,
            rate=plan.rate,
            base_ms=now_ms - FEED_BACK_MS,
            step_ms=plan.step_ms,
            twice=plan.twice,
            torn=plan.torn,
            malformed=plan.malformed,
            moves=plan.moves,
            odd_times=plan.odd_times,
        )
        (self.folder / "feed.json").write_bytes(msgspec.json.encode(feed))
        await self.start_feed()

    async def start_feed(self) -> None:
        """The next life of the producer; returns once it has begun to write."""
        self._feeds += 1
        before = self.progress.lives()
        command = feed_command(self.folder / "feed.json")
        self.feed = Process(command, self.folder / f"feed-{self._feeds:03}.log", self.folder)
        until_s = self._clock.monotonic_s() + PATIENCE_S
        while self.progress.lives() == before:
            if self.feed.code is not None or self._clock.monotonic_s() > until_s:
                raise DrillError(f"the feed writes nothing; it said {self.feed.tail()}")
            await self._clock.sleep(POLL_S)

    def start_worker(self, crash_point: str | None = None) -> Process:
        """The next life of the worker, as an operator would start it."""
        self._lives += 1
        self._port = None
        command = program() if not self.plan.shift_ms_max else [sys.executable, "-m", "worker.drill.shifted"]
        command += ["--config", str(self._config), "--start", "beginning"]
        command += ["--output", str(self.output), "--signals", str(self.signals)]
        more = {SHIFT_VARIABLE: str(self._shift)} if self.plan.shift_ms_max else {}
        if self.exchange is not None:
            more |= {KEY_VARIABLE: self.exchange.key, SECRET_VARIABLE: SECRET}
        if crash_point is not None:
            more[CRASH_POINT_VARIABLE] = crash_point
        self.worker = Process(command, self.folder / f"worker-{self._lives:03}.log", self.folder, **more)
        return self.worker

    async def readiness(self, worker: Process) -> int:
        """The status of /readyz; 0 when nobody answers there."""
        if self._port is None:
            line = await worker.line_with('"worker_ready"', self._clock)
            if line is None:
                return 0
            self._port = int(json.loads(line)["http"].rpartition(":")[2])
        try:
            status, _ = await ask(self._port, "GET", "/readyz")
        except (OSError, TimeoutError):
            return 0
        return status

    async def until_ready(self, worker: Process, wanted: int = OK, patience_s: float = PATIENCE_S) -> bool:
        """Wait for that status of /readyz; False when the worker ends, or patience does, before."""
        until_s = self._clock.monotonic_s() + patience_s
        while worker.code is None and self._clock.monotonic_s() < until_s:
            if await self.readiness(worker) == wanted:
                return True
            await self._clock.sleep(POLL_S)
        return False

    def shift_clock(self, shift_ms: int) -> None:
        """Put the worker's clock off by so much, while it runs."""
        part = self._shift.with_suffix(".part")
        part.write_text(str(shift_ms))
        part.rename(self._shift)

    def put_clock_off(self, dice: Random) -> int:
        """Put it off by chance; by how much."""
        shift_ms = dice.randint(-self.plan.shift_ms_max, self.plan.shift_ms_max)
        self.shift_clock(shift_ms)
        return shift_ms

    def end(self) -> None:
        """No process is left, whatever happened."""
        for process in (self.worker, self.feed):
            if process is not None:
                process.kill()
        if self.exchange is not None:
            self.exchange.kill()
