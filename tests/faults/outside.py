"""The exchange and the worker as a person sees them: two processes, their exit codes and their words.

Every exchange has a key of its own, because this host trades one key with one worker at a time and tests
run beside each other. Signals wait in the source before every start: a worker that refuses has something
to send, and the exchange tells whether it did.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

PROGRAM = str(Path(sys.executable).parent / "execution-worker")
PATIENCE_S = 60.0
LOOK_S = 0.05
# Counts every request that could place an order, whatever becomes of it: a delay of nothing.
WITNESS = {"kind": "slow", "endpoint": "new_order", "delay_ms": 0}
FAST_ABSENCE = {
    "V13_BROKER__ABSENCE_MARGIN_MS": "200",
    "V13_BROKER__VISIBILITY_MS": "300",
    "V13_BROKER__ABSENCE_SPACING_MS": "50",
    "V13_BROKER__RECV_WINDOW_MS": "1000",
    "V13_BROKER__SEND_WINDOW_MS": "1000",
    "V13_BROKER__REQUEST_TIMEOUT_MS": "1000",
    "V13_BROKER__SETTLE_POLL_MS": "100",
}
LIMITS = {
    "V13_EXECUTION__RISK__MAX_ORDER_USD": "1000",
    "V13_EXECUTION__RISK__MAX_ORDERS_PER_MINUTE": "100",
    "V13_EXECUTION__RISK__MAX_POSITION_USD": "100000",
}
_OURS = ("V13_", "BINANCE_", "LIVE_CONFIRM", "CREDENTIALS_DIRECTORY", "NOTIFY_", "EXECUTION_WORKER_")


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment without anything that the worker reads, and `variables`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**kept, **variables}


@dataclass(frozen=True)
class PracticeExchange:
    """A running exchange, and the side door to it."""

    port: int
    key: str
    secret: str
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        """Its REST address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """What a worker's environment needs to trade here."""
        return {
            "V13_BROKER_REST_URL": self.url,
            "BINANCE_API_KEY": self.key,
            "BINANCE_API_SECRET": self.secret,
        }

    def control(self, name: str, body: object = None) -> Any:
        """Ask the side door; with a body it is an order to it."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            data = None if body is None else json.dumps(body)
            headers = {"Content-Type": "application/json"}
            connection.request("GET" if body is None else "POST", f"/control/{name}", data, headers)
            reply = connection.getresponse()
            said = reply.read()
            assert reply.status == 200, said
            return json.loads(said)
        finally:
            connection.close()

    def faults(self, *rules: Mapping[str, object]) -> None:
        """These faults, and the witness."""
        self.control("faults", [WITNESS, *rules])

    @property
    def asked(self) -> int:
        """How many requests for an order came, refused ones too."""
        return sum(one["matched"] for one in self.control("faults") if one["rule"]["kind"] == "slow")

    @property
    def accepted(self) -> list[dict[str, Any]]:
        """The orders that were accepted."""
        return [entry for entry in self.control("journal") if entry["kind"] == "accepted"]


@contextmanager
def practice_exchange(
    *options: str, key: str | None = None, secret: str = "outside-secret", public_key: Path | None = None
) -> Iterator[PracticeExchange]:
    """The command `exchange` on a free port, until the block ends."""
    own = key if key is not None else f"outside-{uuid.uuid4().hex}"
    known = ("--public-key", str(public_key)) if public_key is not None else ("--secret-env", "OWN_SECRET")
    with subprocess.Popen(
        [PROGRAM, "exchange", "--key", own, *known, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=clean_environment(OWN_SECRET=secret),
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            port = json.loads(line.removeprefix("exchange_ready "))["port"]
            exchange = PracticeExchange(port, own, secret, process)
            exchange.faults()
            yield exchange
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def write_signals(
    folder: Path, count: int = 1, *, symbol: str = "BTCUSDT", age_ms: int = 0, first: int = 0
) -> None:
    """Eligible signals of this moment, appended as the producer does."""
    now_ms = time.time_ns() // 1_000_000 - age_ms
    below = folder / "ready" / "signal" / symbol
    below.mkdir(parents=True, exist_ok=True)
    with (below / f"signals-{time.strftime('%Y%m%d-%H', time.gmtime())}.jsonl").open("a") as file:
        for number in range(first, first + count):
            record = {"ts_ms": now_ms + number, "symbol": symbol, "score": 1.5, "confirm": True}
            file.write(json.dumps({**record, "gating": "ok"}) + "\n")


@dataclass(frozen=True)
class Ended:
    """How a command ended, and all that it said."""

    code: int
    out: str
    err: str

    @property
    def sentences(self) -> list[str]:
        """What it complained of: the sentence of each line, logged or said."""
        return [
            json.loads(line).get("why", line)
            if line.startswith("{")
            else line.removeprefix("execution-worker: ")
            for line in self.err.splitlines()
        ]


def run(*arguments: str, patience_s: float = PATIENCE_S, **variables: str) -> Ended:
    """Run the program to its end."""
    done = subprocess.run(
        [PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=patience_s,
        env=clean_environment(**variables),
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@dataclass
class RunningWorker:
    """A worker at work; what it says is in a file."""

    process: subprocess.Popen[bytes]
    output: Path
    heard: Path
    seen: dict[str, Any] = field(default_factory=dict)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The logged events of one name so far."""
        lines = self.heard.read_text(errors="replace").split("\n")[:-1]
        told = [json.loads(line) for line in lines if line.startswith("{")]
        return [one for one in told if one["event"] == name]

    def wait_for(self, name: str, count: int = 1) -> dict[str, Any]:
        """The `count`th event of that name, as soon as it is there."""
        until(lambda: len(self.events(name)) >= count or self.process.poll() is not None, name)
        found = self.events(name)
        assert len(found) >= count, f"no {name}: {self.heard.read_text()[-3_000:]}"
        return found[count - 1]

    def get(self, path: str) -> str:
        """One page of its status server."""
        host, _, port = self.wait_for("worker_ready")["http"].rpartition(":")
        connection = HTTPConnection(host, int(port), timeout=PATIENCE_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def stop(self) -> int:
        """End it as systemd does; the exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


@contextmanager
def running_worker(output: Path, *arguments: str, **variables: str) -> Iterator[RunningWorker]:
    """A worker on `output` until the block ends; whatever it is, nothing of it is left behind."""
    output.mkdir(parents=True, exist_ok=True)
    heard = output.parent / f"{output.name}-{uuid.uuid4().hex[:6]}.said"
    with (
        heard.open("wb") as said,
        subprocess.Popen(
            [PROGRAM, "--output", str(output), *arguments],
            stdout=said,
            stderr=said,
            env=clean_environment(**{"V13_EXECUTION__HTTP__PORT": "0", **variables}),
        ) as process,
    ):
        try:
            yield RunningWorker(process, output, heard)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(PATIENCE_S)


def until(holds: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait until something holds that only another process can bring about."""
    end_s = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end_s, f"waited {patience_s:.0f} s in vain for: {what}"
        time.sleep(LOOK_S)
