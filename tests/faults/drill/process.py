"""The two processes of a drill, as an operator would start them, and what the worker left on disk."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

FEED = Path(__file__).parent / "feed.py"
WORKER = Path(sys.executable).parent / "execution-worker"
READY = "worker_ready"
PATIENCE_S = 60.0
POLL_S = 0.01
ROWS = """
SELECT id, signal_ts_ms, symbol, signal_id, status, side, exec_ts_ms, error_code FROM executions ORDER BY id
"""
EVENTS = """
SELECT x.id, x.symbol, e.at_ms, e.from_state, e.to_state
  FROM events AS e JOIN executions AS x ON x.id = e.execution_id ORDER BY e.seq
"""


class DrillError(Exception):
    """A process of the drill did what none of its kind may do."""


def worker_environment(**more: str) -> dict[str, str]:
    """The environment of a drilled worker: nothing of the caller's settings, no limits, any port."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("V13_", "EXECUTION_"))}
    return {
        **kept,
        "V13_EXECUTION__HTTP__PORT": "0",
        "V13_EXECUTION__RATE_LIMIT__MAX_QPS": "null",
        **more,
    }


class Process:
    """One started process, its output in a file."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment
            )
        self.pid = self._process.pid

    def ended(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.poll()

    def output(self) -> str:
        """All it has printed so far."""
        return self.log.read_text(errors="replace")

    def wait_for(self, words: str, patience_s: float = PATIENCE_S) -> bool:
        """Whether `words` were printed before the process ended or patience did."""
        deadline = time.monotonic() + patience_s
        while words not in self.output():
            if self.ended() is not None or time.monotonic() > deadline:
                return words in self.output()
            time.sleep(POLL_S)
        return True

    def wait(self, patience_s: float = PATIENCE_S) -> int | None:
        """The exit code, None when it still runs after `patience_s`."""
        try:
            return self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            return None

    def ask(self, number: int) -> None:
        """Send a signal, and wait for nothing."""
        self._process.send_signal(number)

    def end(self, number: int = signal.SIGTERM, patience_s: float = PATIENCE_S) -> int:
        """Send a signal and wait; raises DrillError when it does not end."""
        self._process.send_signal(number)
        code = self.wait(patience_s)
        if code is None:
            self._process.kill()
            self._process.wait()
            raise DrillError(
                f"pid {self.pid} was still there {patience_s:.0f} s after signal {number}: {self.tail()}"
            )
        return code

    def tail(self) -> str:
        """The last of what it printed, for a complaint."""
        return self.output()[-1500:]


def start_worker(output: Path, log: Path, *options: str, **environment: str) -> Process:
    """Start `execution-worker` on `output`."""
    command = [str(WORKER), "--symbols", "BTCUSDT,ETHUSDT", "--output", str(output), *options]
    return Process(command, log, worker_environment(**environment))


def start_feed(shape: str, output: Path, journal: Path, *, seed: int, rate: float, count: int = 0) -> Process:
    """Start the feed; returns once its first records are written. `count` 0: until SIGTERM."""
    command = [sys.executable, str(FEED), "--shape", shape, "--into", str(output), "--journal", str(journal)]
    command += ["--seed", str(seed), "--rate", str(rate)] + (["--count", str(count)] if count else [])
    feed = Process(command, journal.with_suffix(".log"))
    deadline = time.monotonic() + PATIENCE_S
    while not (journal.exists() and journal.stat().st_size):
        if feed.ended() is not None or time.monotonic() > deadline:
            raise DrillError(f"the feed wrote nothing: {feed.tail()}")
        time.sleep(POLL_S)
    return feed


def read_journal(journal: Path) -> list[dict[str, Any]]:
    """The feed's own list."""
    return [json.loads(line) for line in journal.read_text().splitlines()]


def read_rows(output: Path) -> list[dict[str, Any]]:
    """The rows of the execution table by ascending id."""
    database = output / "executions" / "executions.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(ROWS)]


def read_files(output: Path) -> dict[str, bytes]:
    """The hourly files and the dead letters, by their path below `executions`."""
    folder = output / "executions"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("*/*.jsonl"))}


def read_events(output: Path) -> list[tuple[int, str, int, str | None, str]]:
    """Row id, symbol, time, state before and after of every event, in their order."""
    database = output / "executions" / "executions.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(EVENTS).fetchall()


def read_log(output: Path) -> dict[str, bytes]:
    """The published files of the execution log, by their path below `ready/execlog`."""
    folder = output / "ready" / "execlog"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("*/*"))}
