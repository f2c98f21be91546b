"""The three processes of the exchange drill: the exchange, the feed and the worker, and what they leave."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from drill.process import PATIENCE_S, POLL_S, WORKER, DrillError, Process, read_files
from drill_exchange.judge import Evidence
from drill_exchange.plan import Rule

FEED = Path(__file__).parent / "feed.py"
PLANTED = Path(__file__).parent / "planted.py"
TESTS = Path(__file__).parent.parent
# The code that is drilled is the one that this drill lies beside, wherever the environment took it from.
CODE = TESTS.parent.parent
# Of each symbol, the price that its walk begins at; the terms let 400 USD be ordered of every one. Four of
# them, because a start asks two questions a symbol, and twenty starts a minute have to fit into the limits.
PRICES = {"BTCUSDT": "", "ETHUSDT": "", "SOLUSDT": "=150", "AVAXUSDT": "=30"}
SECRET = "drill-secret"
SECRET_VARIABLE = "DRILL_EXCHANGE_SECRET"
CONTROL_PATIENCE_S = 10.0
ROWS = """
SELECT id, signal_ts_ms, symbol, signal_id, state, status, side, exec_ts_ms, qty, price, error_code,
       error_msg, client_order_id, meta_json, reserved_ms FROM executions ORDER BY id
"""
EVENTS = "SELECT seq, execution_id, at_ms, from_state, to_state, final, reason FROM events ORDER BY seq"
HALTS = "SELECT scope, why FROM halts"
LATE_FILLS = "SELECT execution_id, status FROM late_fills"
UNSETTLED = "SELECT count(*) FROM executions WHERE exec_ts_ms IS NULL"
COUNT = "SELECT count(*) FROM executions"


def clean_environment(**more: str) -> dict[str, str]:
    """The caller's environment without any of its settings, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("V13_", "EXECUTION_"))}
    return {**kept, "PYTHONPATH": f"{TESTS}:{CODE}", **more}


class ExchangeProcess:
    """The exchange, which keeps its port and its journal over its deaths."""

    def __init__(self, folder: Path, seed: int, key: str, symbols: Sequence[str]) -> None:
        self.journal = folder / "exchange-journal.jsonl"
        self.port = 0
        self.struck: dict[str, int] = {}
        self.orders_asked = 0
        self._folder = folder
        self._seed = seed
        self._key = key
        self._symbols = symbols
        self._lives = 0
        self._faults = folder / "faults.json"
        self._process: Process | None = None

    def start(self, rules: list[Rule]) -> None:
        """Listen, with these rules in force; raises DrillError when it does not."""
        self._lives += 1
        self._faults.write_text(json.dumps(rules))
        log = self._folder / f"exchange-{self._lives:02}.log"
        symbols = ",".join(name + PRICES[name] for name in self._symbols)
        command = [str(WORKER), "exchange", "--port", str(self.port)]
        command += ["--journal", str(self.journal)]
        command += ["--faults", str(self._faults), "--price", "walk", "--seed", str(self._seed + self._lives)]
        command += ["--symbols", symbols, "--key", self._key, "--secret-env", SECRET_VARIABLE]
        self._process = Process(command, log, clean_environment(**{SECRET_VARIABLE: SECRET}))
        if not self._process.wait_for("exchange_ready", PATIENCE_S):
            raise DrillError(f"the exchange does not listen: {self._process.tail()}")
        line = next(line for line in self._process.output().splitlines() if "exchange_ready" in line)
        self.port = int(json.loads(line.partition(" ")[2])["port"])

    def kill(self) -> None:
        """SIGKILL; what it has struck so far is counted before."""
        assert self._process is not None
        self.count()
        self._process.end(signal.SIGKILL)
        self._process = None

    def stop(self) -> None:
        """An orderly end."""
        assert self._process is not None
        self.count()
        code = self._process.end()
        if code:
            raise DrillError(f"the exchange ended with {code}: {self._process.tail()}")
        self._process = None

    def end(self) -> None:
        """No process is left, whatever happened."""
        if self._process is not None and self._process.ended() is None:
            self._process.end(signal.SIGKILL)

    def lie(self, rules: list[Rule]) -> None:
        """These faults from now on."""
        self.count()
        self._control("POST", "/control/faults", json.dumps(rules).encode())

    def cut_streams(self) -> None:
        """Every user stream ends, and what it would have told is lost."""
        self._control("POST", "/control/cut", b"")

    def count(self) -> None:
        """Add up what the plan in force has struck: it counts anew with each plan and each life."""
        rules = self._control("GET", "/control/faults")
        for one in rules:
            if one["fired"]:
                name = _name_of(one["rule"])
                self.struck[name] = self.struck.get(name, 0) + one["fired"]
        asked = [one["matched"] for one in rules if one["rule"].get("endpoint") == "new_order"]
        self.orders_asked += asked[0] if asked else 0

    def _control(self, method: str, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=CONTROL_PATIENCE_S) as reply:
            return json.loads(reply.read())


def _name_of(rule: Rule) -> str:
    kind = rule["kind"]
    if kind == "answer":
        kind = f"answer {rule['code']}"
    if "executed" in rule:
        kind += ", executed" if rule["executed"] else ", not executed"
    endpoint = rule.get("endpoint")
    return f"{endpoint}: {kind}" if endpoint else f"stream: {kind}"


def worker_config(folder: Path, symbols: Sequence[str], numbers: dict[str, int]) -> Path:
    """The worker's settings in a file of their own: no limit in it is one that a drill would meet."""
    path = folder / "worker.yaml"
    broker = "".join(f"  {name}: {value}\n" for name, value in numbers.items())
    path.write_text(
        "execution:\n"
        "  mode: testnet\n"
        f"  symbols: [{', '.join(symbols)}]\n"
        "  rate_limit: {max_qps: 200, max_concurrency: 8}\n"
        "  retry: {max_attempts: 100, backoff_ms: 50}\n"
        "  business: {order_size_usd: 400}\n"
        "  order: {price_max_age_ms: 6000}\n"
        "  staleness: {max_age_ms: 600000}\n"
        "  http: {port: 0}\n"
        "broker:\n" + broker
    )
    return path


class Workers:
    """Starts one worker after the other on one folder; `mistake` plants one into each."""

    def __init__(
        self, folder: Path, exchange: ExchangeProcess, key: str, config: Path, mistake: str | None
    ) -> None:
        self.output = folder / "output"
        self._folder = folder
        self._exchange = exchange
        self._key = key
        self._mistake = mistake
        self._config = config
        self._lives = 0
        self._last: Process | None = None

    def start(self, **environment: str) -> Process:
        """The next worker, as an operator would start it."""
        self._lives += 1
        log = self._folder / f"worker-{self._lives:03}.log"
        program = [str(WORKER)]
        if self._mistake is not None:
            program = [sys.executable, str(PLANTED), self._mistake]
        command = [*program, "--mode", "testnet", "--start", "beginning"]
        command += ["--output", str(self.output), "--config", str(self._config)]
        keys = {"BINANCE_API_KEY": self._key, "BINANCE_API_SECRET": SECRET}
        url = f"http://127.0.0.1:{self._exchange.port}"
        environment = clean_environment(V13_BROKER_REST_URL=url, **keys, **environment)
        self._last = Process(command, log, environment)
        return self._last

    def logs(self) -> list[str]:
        """All that each of them has printed, in their order."""
        return [path.read_text(errors="replace") for path in sorted(self._folder.glob("worker-*.log"))]

    def end(self) -> None:
        """No process is left, whatever happened."""
        if self._last is not None and self._last.ended() is None:
            self._last.end(signal.SIGKILL)


def start_feed(
    output: Path, journal: Path, symbols: Sequence[str], *, seed: int, rate: float, count: int
) -> Process:
    """Start the feed; returns once its first records are written."""
    command = [sys.executable, str(FEED), "--symbols", ",".join(symbols), "--into", str(output)]
    command += ["--journal", str(journal), "--seed", str(seed), "--rate", str(rate), "--count", str(count)]
    feed = Process(command, journal.with_suffix(".log"), clean_environment())
    deadline = time.monotonic() + PATIENCE_S
    while not (journal.exists() and journal.stat().st_size):
        if feed.ended() is not None or time.monotonic() > deadline:
            raise DrillError(f"the feed wrote nothing: {feed.tail()}")
        time.sleep(POLL_S)
    return feed


def _opened(output: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{output / 'executions' / 'executions.db'}?mode=ro", uri=True, timeout=10
    )
    connection.row_factory = sqlite3.Row
    return connection


def progress(output: Path) -> tuple[int, int]:
    """How many signals have a row, and how many rows have no outcome yet."""
    if not (output / "executions" / "executions.db").exists():
        return 0, 0
    with closing(_opened(output)) as store:
        try:
            return store.execute(COUNT).fetchone()[0], store.execute(UNSETTLED).fetchone()[0]
        except sqlite3.OperationalError:
            # A store that was killed while it was made has no tables yet.
            return 0, 0


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file of JSON objects."""
    return [json.loads(line) for line in path.read_bytes().splitlines() if line]


def gathered(output: Path, feed: Path, journal: Path) -> Evidence:
    """All that was left behind, after everybody has stopped; raises DrillError when no worker ever began."""
    if not (output / "executions" / "executions.db").exists():
        raise DrillError(f"no worker ever made a store in {output}: read the worker logs beside it")
    with closing(_opened(output)) as store:
        alarms = [f"halt of {row['scope'] or 'all'}: {row['why']}" for row in store.execute(HALTS)]
        alarms += [f"late fill of row {row['execution_id']}" for row in store.execute(LATE_FILLS)]
        rows = [dict(row) for row in store.execute(ROWS)]
        events = [dict(row) for row in store.execute(EVENTS)]
    return Evidence(lines_of(feed), lines_of(journal), rows, events, read_files(output), alarms)
