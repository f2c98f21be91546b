"""One worker with a shadow, as processes: on a second venue that is healthy, then refuses orders."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import time
import urllib.request
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from drill.process import PATIENCE_S, READY, WORKER, DrillError, Process, read_rows
from outside import FAST_ABSENCE, PracticeExchange, clean_environment, practice_exchange, write_signals

Main = Literal["paper", "testnet"]
SYMBOLS = ("BTCUSDT", "ETHUSDT")
REFUSED_SHARE = 0.05
REFUSES = {
    "kind": "answer",
    "endpoint": "new_order",
    "status": 400,
    "code": -2019,
    "text": "Margin is insufficient.",
    "probability": REFUSED_SHARE,
    "client_id_prefix": "sh1-",
}
LOOK_S = 0.1
_COUNT = re.compile(r'execution_shadow_pairs_total\{result="(\w+)"\} ([0-9.e+]+)')
_PARITY = re.compile(r"executor_shadow_parity_ratio ([0-9.e+-]+)")


@dataclass(frozen=True)
class Scale:
    """`orders` in each half, at `qps`: an exchange takes 300 in ten seconds and 1 200 in a minute."""

    orders: int
    qps: float


@dataclass(frozen=True)
class Figures:
    """What was seen: the parity of either half, the counts, the report, and whose orders came where."""

    healthy: float
    refused: float
    counts: dict[str, int]
    report: dict[str, Any]
    rows: list[dict[str, Any]]
    at_shadow: list[str]
    at_main: list[str]
    took_s: float

    def objections(self, scale: Scale) -> list[str]:
        """What is not as promised."""
        orders = 2 * scale.orders
        alike, refused = self.report["alike"], self.report["different"]
        statuses = [row["status"] for row in self.rows]
        checks = {
            f"parity on a healthy venue is {self.healthy:.4f}, must be at least 0.99": self.healthy >= 0.99,
            f"parity on a refusing venue is {self.refused:.4f}, must be visibly below 0.99": 0.0
            < 1 - self.refused
            < 4 * REFUSED_SHARE,
            f"counts are {self.counts}, must be {orders} compared": self.report["compared"] == orders,
            f"the report tells {alike} alike and {refused} different, the worker {self.counts}": (
                (alike, refused) == (self.counts["alike"], self.counts["different"])
            ),
            f"{statuses.count('success')} of {len(statuses)} rows succeeded, must be all {orders}": (
                statuses == ["success"] * orders
            ),
            "the shadow's account has orders of the main side": _all_begin(self.at_shadow, "sh1-"),
            "the main account has orders of the shadow": _all_begin(self.at_main, "ew1-"),
            f"{len(self.at_shadow)} copies were accepted, must be the {alike} alike": (
                len(self.at_shadow) == alike
            ),
            f"{len(self.at_main)} orders came to the main venue, must be all {orders}": (
                len(self.at_main) == orders
            ),
        }
        return [sentence for sentence, holds in checks.items() if not holds]


def _all_begin(ids: list[str], prefix: str) -> bool:
    return all(one.startswith(prefix) for one in ids)


class Scene:
    """A worker whose main side is `main`; everything is ended when `run` returns."""

    def __init__(self, folder: Path, main: Main, scale: Scale) -> None:
        self._output = folder / "output"
        self._log = folder / "worker.log"
        self._main = main
        self._scale = scale
        self._worker: Process | None = None
        self._url = ""

    def run(self) -> Figures:
        """Both halves in one life; raises DrillError when something does not work at all."""
        begun_s = time.monotonic()
        with ExitStack() as held:
            # Two exchanges that walk would walk apart.
            price = "walk" if self._main == "paper" else "fixed"
            second = held.enter_context(practice_exchange("--price", price))
            main = held.enter_context(practice_exchange()) if self._main == "testnet" else None
            held.callback(self._end)
            self._feed(0)
            self._start(second, main)
            healthy = self._compared(self._scale.orders)
            second.faults(REFUSES)
            self._feed(self._scale.orders)
            refused = self._compared(2 * self._scale.orders)
            counts = self._counts()
            self._stop()
            return Figures(
                healthy=healthy,
                refused=refused,
                counts=counts,
                report=json.loads(self.report("--json")),
                rows=read_rows(self._output),
                at_shadow=_ids(second),
                at_main=_ids_in_store(self._output) if main is None else _ids(main),
                took_s=time.monotonic() - begun_s,
            )

    def _feed(self, first: int) -> None:
        half = self._scale.orders // len(SYMBOLS)
        for symbol in SYMBOLS:
            write_signals(self._output, half, symbol=symbol, first=first)

    def _start(self, second: PracticeExchange, main: PracticeExchange | None) -> None:
        variables = {
            "V13_BROKER_REST_URL": second.url,
            "V13_EXECUTION__PAPER__PRICES": "book",
            "V13_EXECUTION__RATE_LIMIT__MAX_QPS": str(self._scale.qps),
            "V13_EXECUTION__STALENESS__MAX_AGE_MS": "600000",
            "V13_EXECUTION__THROTTLE__ENABLED": "false",
            "V13_EXECUTION__HTTP__PORT": "0",
            "V13_EXECUTION__SHADOW__ENABLED": "true",
            "V13_EXECUTION__SHADOW__REST_URL": second.url,
            "V13_EXECUTION__SHADOW__PAIRS_WINDOW": str(self._scale.orders),
            "SHADOW_API_KEY": second.key,
            "SHADOW_API_SECRET": second.secret,
            **FAST_ABSENCE,
            **({} if main is None else main.variables),
        }
        command = [str(WORKER), "--mode", self._main, "--symbols", ",".join(SYMBOLS)]
        command += ["--start", "beginning", "--output", str(self._output)]
        self._worker = Process(command, self._log, clean_environment(**variables))
        if not self._worker.wait_for(READY):
            raise DrillError(f"the worker does not begin: {self._worker.tail()}")
        line = next(line for line in self._worker.output().splitlines() if READY in line)
        self._url = f"http://{json.loads(line)['http']}/metrics"

    def _compared(self, orders: int) -> float:
        """The parity when so many orders have been told apart or given up."""
        assert self._worker is not None
        end_s = time.monotonic() + PATIENCE_S + orders / self._scale.qps
        while sum(self._counts().values()) < orders:
            if time.monotonic() > end_s or self._worker.ended() is not None:
                raise DrillError(f"{self._counts()} after all this time: {self._worker.tail()}")
            time.sleep(LOOK_S)
        found = _PARITY.search(self._metrics())
        assert found is not None
        return float(found[1])

    def _counts(self) -> dict[str, int]:
        return {word: int(float(count)) for word, count in _COUNT.findall(self._metrics())}

    def _metrics(self) -> str:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        end_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                with opener.open(self._url, timeout=PATIENCE_S) as reply:
                    text: str = reply.read().decode()
                    return text
            except OSError as error:
                # The server comes a moment after the worker.
                if time.monotonic() > end_s:
                    raise DrillError(f"{self._url} does not answer ({error})") from error
                time.sleep(LOOK_S)

    def report(self, *options: str) -> str:
        """What the command tells of the pairs."""
        command = [str(WORKER), "shadow", "report", "--output", str(self._output), *options]
        done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise DrillError(f"shadow report ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def _stop(self) -> None:
        assert self._worker is not None
        code = self._worker.end()
        if code:
            raise DrillError(f"the worker ended with {code}: {self._worker.tail()}")

    def _end(self) -> None:
        """No process is left, whatever happened."""
        if self._worker is not None and self._worker.ended() is None:
            self._worker.end()


def _ids_in_store(output: Path) -> list[str]:
    """Paper has no exchange of its own: what its rows were sent under."""
    database = output / "executions" / "executions.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
        return [str(row[0]) for row in store.execute("SELECT client_order_id FROM executions")]


def _ids(exchange: PracticeExchange) -> list[str]:
    return [str(entry["client_order_id"]) for entry in exchange.accepted]
