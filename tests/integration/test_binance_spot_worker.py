"""Spot for real: the worker and the exchange as two processes, killed in between, judged by the journal."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from drill.process import READY, WORKER, Process

from config.seams import CRASH_POINT_VARIABLE

PATIENCE_S = 60.0
# The window of an order begins a second before its reservation, for clocks that differ.
ANCHOR_AGE_MS = 1_200
SYMBOLS = ("BTCUSDT", "ETHUSDT")
# One account is traded by one worker of a host: another run of these tests has another key.
KEY, SECRET = f"spot-key-{os.getpid()}", "spot-secret-0123456789"
NUMBERS = {
    "recv_window_ms": 600,
    "send_window_ms": 500,
    "request_timeout_ms": 600,
    "absence_margin_ms": 300,
    "visibility_ms": 450,
    "absence_spacing_ms": 100,
    "settle_poll_ms": 250,
}
ROWS = "SELECT client_order_id, symbol, state, side, qty, price, meta_json FROM executions ORDER BY id"
ANCHORS = "SELECT value FROM stamps WHERE key LIKE 'kept:anchors:%'"


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("V13_", "EXECUTION_"))}
    return {**kept, **more}


def ready_by(condition: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s, what
        time.sleep(0.02)


class Spot:
    """One practice exchange, and one worker after the other on it."""

    def __init__(self, folder: Path, secret: str, exchange: list[str]) -> None:
        self.folder = folder
        self.output = folder / "output"
        self.journal_file = folder / "journal.jsonl"
        self._secret = secret
        self._fed = 0
        self._lives = 0
        self._worker: Process | None = None
        command = [str(WORKER), "exchange", "--market", "spot", "--journal", str(self.journal_file)]
        self.exchange = Process(
            [*command, *exchange], folder / "exchange.log", environment(SPOT_SECRET=SECRET)
        )
        assert self.exchange.wait_for("exchange_ready"), self.exchange.tail()
        line = next(line for line in self.exchange.output().splitlines() if "exchange_ready" in line)
        self.port = int(json.loads(line.partition(" ")[2])["port"])
        self.config = folder / "worker.yaml"
        numbers = "".join(f"  {name}: {value}\n" for name, value in NUMBERS.items())
        self.config.write_text(
            "execution:\n  mode: testnet\n"
            f"  symbols: [{', '.join(SYMBOLS)}]\n"
            "  rate_limit: {max_qps: 100, max_concurrency: 4}\n"
            "  business: {order_size_usd: 400}\n"
            "  order: {price_max_age_ms: 6000}\n"
            "  staleness: {max_age_ms: 600000}\n"
            "  http: {port: 0}\n"
            "broker:\n  name: binance-spot\n" + numbers
        )

    def worker(self, **more: str) -> Process:
        self._lives += 1
        command = [str(WORKER), "--mode", "testnet", "--start", "beginning"]
        command += ["--output", str(self.output), "--config", str(self.config)]
        keys = {"BINANCE_API_KEY": KEY, "BINANCE_API_SECRET": self._secret}
        url = f"http://127.0.0.1:{self.port}"
        log = self.folder / f"worker-{self._lives}.log"
        self._worker = Process(command, log, environment(V13_BROKER_REST_URL=url, **keys, **more))
        return self._worker

    def end(self) -> None:
        """No process is left, whatever happened."""
        for process in (self._worker, self.exchange):
            if process is not None and process.ended() is None:
                process.end(signal.SIGKILL)

    def feed(self, count: int) -> None:
        """So many signals of now for each symbol, long and short in turn, more long than short."""
        for symbol in SYMBOLS:
            folder = self.output / "ready" / "signal" / symbol
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f"signals-{time.strftime('%Y%m%d-%H', time.gmtime())}.jsonl").open("a") as file:
                for number in range(count):
                    score = (-1 if number % 3 == 2 else 1) * (0.6 + (self._fed + number) / 10_000)
                    at_ms = time.time_ns() // 1_000_000
                    record = {
                        "ts_ms": at_ms,
                        "symbol": symbol,
                        "score": score,
                        "confirm": True,
                        "gating": "ok",
                    }
                    file.write(json.dumps(record) + "\n")
        self._fed += count

    def rows(self) -> list[Mapping[str, Any]]:
        path = self.output / "executions" / "executions.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as store:
            store.row_factory = sqlite3.Row
            try:
                return [dict(row) for row in store.execute(ROWS)]
            except sqlite3.OperationalError:
                return []

    def anchored(self) -> bool:
        """Whether each symbol has an anchor that is old enough to stand before the next order."""
        path = self.output / "executions" / "executions.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as store:
            kept = [json.loads(row[0]) for row in store.execute(ANCHORS)]
        latest_ms = time.time_ns() // 1_000_000 - ANCHOR_AGE_MS
        return len(kept) == len(SYMBOLS) and all(one[0]["at_ms"] <= latest_ms for one in kept)

    def settled(self) -> bool:
        rows = self.rows()
        return len(rows) == self._fed * len(SYMBOLS) and all(row["state"] == "filled" for row in rows)

    def journal(self, kind: str) -> list[Mapping[str, Any]]:
        entries = [json.loads(line) for line in self.journal_file.read_bytes().splitlines() if line]
        return [entry for entry in entries if entry["kind"] == kind]

    def assert_agreed(self) -> None:
        """One accepted order for each row, and quantity, price and fee as the journal has them."""
        accepted = Counter(entry["client_order_id"] for entry in self.journal("accepted"))
        rows = self.rows()
        assert accepted == Counter({row["client_order_id"]: 1 for row in rows})
        for row in rows:
            fills = [one for one in self.journal("fill") if one["client_order_id"] == row["client_order_id"]]
            qty = sum(Decimal(one["qty"]) for one in fills)
            value = sum(Decimal(one["qty"]) * Decimal(one["price"]) for one in fills)
            assert Decimal(row["qty"]) == qty
            assert abs(Decimal(row["price"]) * qty - value) < Decimal("1e-12")
            fee = Decimal(json.loads(row["meta_json"])["fee"])
            assert fee == sum(Decimal(one["fee"]) for one in fills)


def hmac_key(folder: Path) -> tuple[str, list[str]]:
    return SECRET, ["--key", KEY, "--secret-env", "SPOT_SECRET"]


def ed25519_key(folder: Path) -> tuple[str, list[str]]:
    private = Ed25519PrivateKey.generate()
    public = folder / "public.pem"
    public.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return pem, ["--key", KEY, "--public-key", str(public)]


@contextmanager
def spot(folder: Path, key: Callable[[Path], tuple[str, list[str]]]) -> Iterator[Spot]:
    secret, options = key(folder)
    running = Spot(folder, secret, options)
    try:
        yield running
    finally:
        running.end()


@contextmanager
def nothing_there() -> Iterator[str]:
    """A host that answers every request with 404."""

    class Deaf(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Nothing to tell."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Deaf) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("key", [hmac_key, ed25519_key])
def test_a_worker_that_is_killed_in_the_middle_sends_each_order_once(
    tmp_path: Path, key: Callable[[Path], tuple[str, list[str]]]
) -> None:
    with spot(tmp_path, key) as running:
        worker = running.worker()
        assert worker.wait_for(READY), worker.tail()
        ready_by(running.anchored, "no anchor was kept")
        running.feed(6)
        ready_by(lambda: len(running.journal("accepted")) >= 3, worker.tail())
        worker.end(signal.SIGKILL)

        # A reservation that never left, and an order whose answer nobody read.
        for point in ("before_submit:2", "after_submit:2"):
            worker = running.worker(**{CRASH_POINT_VARIABLE: point})
            worker.wait_for(READY)
            running.feed(3)
            assert worker.wait(PATIENCE_S) == -signal.SIGKILL, worker.tail()

        worker = running.worker()
        running.feed(2)
        ready_by(running.settled, worker.tail())
        code = worker.end(signal.SIGTERM)

        assert code == 0
        assert len(running.rows()) == 28
        running.assert_agreed()
        told = "".join(log.read_text() for log in sorted(tmp_path.glob("worker-*.log")))
        assert "position_differs" not in told
        assert "user_stream_missing" not in told
        assert SECRET not in told


def test_a_host_without_the_websocket_api_is_told_of_once_and_served_by_rest(tmp_path: Path) -> None:
    with spot(tmp_path, hmac_key) as running, nothing_there() as stream_url:
        worker = running.worker(V13_BROKER__STREAM_URL=stream_url)
        assert worker.wait_for(READY), worker.tail()
        running.feed(3)
        ready_by(running.settled, worker.tail())
        assert worker.wait_for("user_stream_missing"), worker.tail()
        code = worker.end(signal.SIGTERM)

        assert code == 0
        assert worker.output().count("user_stream_missing") == 1
        assert "the stream's host answered with HTTP status 404" in worker.output()
        running.assert_agreed()
