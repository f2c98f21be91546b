"""No secret in any output of the whole worker: marked credentials, every way to fail, everything searched.

All runs are at log level debug. What is searched: standard output and error of every command, every file
below the output folder (logs, hourly files, the store's own pages), and what the status server tells. What
must not be there: the key, the secret (its lines, where it is a PEM), the listen key, a signed query. Nor
the redactor's own mark: nothing may depend on its having been the last line of defence.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from outside import (
    FAST_ABSENCE,
    LIMITS,
    PracticeExchange,
    RunningWorker,
    practice_exchange,
    run,
    running_worker,
    until,
    write_signals,
)

from config.redact import HIDDEN
from worker.exits import Exit

LIVE = {**LIMITS, "LIVE_CONFIRM": "YES"}
# Behind each of these the order is there.
ANSWERS = ("garbage", "truncated", "unknown_503", "timeout_1007", "reset_after")


@dataclass
class Traded:
    """An exchange with marked credentials, and all that was said about it."""

    exchange: PracticeExchange
    market: str
    secret: str
    output: Path
    said: dict[str, bytes] = field(default_factory=dict)
    listen_keys: list[str] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        """A worker's environment, with the credentials in it."""
        broker = {"V13_BROKER__NAME": f"binance-{self.market}", "BINANCE_API_SECRET": self.secret}
        return {**self.exchange.variables, **FAST_ABSENCE, **broker}

    def start(self, what: str, *arguments: str, **variables: str) -> int:
        """Work off the signals and end; whatever is said is kept. The exit code."""
        fresh = self.output / uuid.uuid4().hex
        write_signals(fresh)
        once = ("--mode", "testnet", "--symbols", "BTCUSDT", "--once", "--start", "beginning")
        return self.command(
            what, *once, "--log-level", "debug", "--output", str(fresh), *arguments, **variables
        )

    def command(self, what: str, *arguments: str, **variables: str) -> int:
        """Run a command; whatever it says is kept. The exit code."""
        ended = run(*arguments, **{**self.variables, **variables})
        self.said[f"{what} {len(self.said)}"] = (ended.out + ended.err).encode()
        return ended.code

    def learn_listen_key(self) -> None:
        """The exchange hands out the same one to whoever asks with the key."""
        connection = HTTPConnection("127.0.0.1", self.exchange.port, timeout=30)
        connection.request("POST", "/fapi/v1/listenKey", headers={"X-MBX-APIKEY": self.exchange.key})
        reply = json.loads(connection.getresponse().read())
        connection.close()
        self.listen_keys.append(reply["listenKey"])

    def leaks(self) -> list[str]:
        """Where a mark was found, and which."""
        lines = [line for line in self.secret.splitlines() if not line.startswith("-----")]
        marks = [self.exchange.key, *lines, *self.listen_keys, "signature=", "x-mbx-apikey", HIDDEN]
        files = {str(path): path.read_bytes() for path in self.output.rglob("*") if path.is_file()}
        assert len(files) > 3, "nothing was written: nothing was searched"
        return [
            f"{where}: mark {number}"
            for where, data in {**files, **self.said}.items()
            for number, mark in enumerate(marks)
            if mark.lower().encode() in data.lower()
        ]


@pytest.fixture(params=["futures", "spot"])
def traded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Traded]:
    """Futures with an HMAC secret, spot with an Ed25519 private key."""
    market, key, secret = request.param, f"canaryKey{uuid.uuid4().hex}", f"canarySecret{uuid.uuid4().hex}"
    public = None
    if market == "spot":
        private = Ed25519PrivateKey.generate()
        secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        public = tmp_path / "public.pem"
        public.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with practice_exchange("--market", market, key=key, secret=secret, public_key=public) as exchange:
        yield Traded(exchange, market, secret, tmp_path / "out")


def rows_of(output: Path) -> list[str]:
    """The signal ids of all executions."""
    with closing(sqlite3.connect(f"file:{output}/executions/executions.db?mode=ro", uri=True)) as store:
        return [row[0] for row in store.execute("SELECT signal_id FROM executions ORDER BY id")]


def test_no_refused_start_tells_a_secret(traded: Traded) -> None:
    exchange = traded.exchange
    ways: list[int] = []

    ways.append(traded.start("key", BINANCE_API_KEY=f"{exchange.key}-of-another"))
    ways.append(traded.start("live without limits", "--mode", "live"))
    ways.append(traded.start("nobody there", V13_BROKER_REST_URL="http://127.0.0.1:1"))
    ways.append(traded.start("symbol", "--symbols", "BTCUSDT,XYZUSDT"))
    exchange.faults({"kind": "garbage", "endpoint": "account"})
    ways.append(traded.start("garbage"))
    exchange.faults({"kind": "answer", "endpoint": "account", "status": 400, "code": -1022, "text": "bad"})
    ways.append(traded.start("signature"))
    exchange.faults({"kind": "http_418", "endpoint": "any", "delay_ms": 300_000})
    ways.append(traded.start("banned"))
    exchange.faults({"kind": "clock_skew", "delay_ms": 3_600_000})
    ways.append(traded.start("clock"))
    exchange.faults()
    exchange.control("key", {"key": exchange.key, "may_trade": False})
    ways.append(traded.start("may not trade"))

    assert set(ways) == {Exit.EXCHANGE_UNAVAILABLE, Exit.PERMISSION, Exit.CONFIGURATION}
    assert (exchange.asked, exchange.accepted) == (0, [])
    assert traded.leaks() == []


def trade_through_faults(traded: Traded, worker: RunningWorker) -> None:
    """Orders whose answers are lost, one after a pause that the exchange asks for, and a cut stream."""
    exchange, output = traded.exchange, worker.output
    for number, kind in enumerate(ANSWERS):
        exchange.faults(
            {"kind": kind, "endpoint": "new_order", "times": 1, "executed": True},
            {"kind": kind, "endpoint": "query_order", "times": 1},
        )
        write_signals(output, first=number * 10)
        until(lambda: len(exchange.accepted) > number, f"an order through {kind}")  # noqa: B023  # at once
    exchange.faults({"kind": "stream_loss"}, {"kind": "http_429", "times": 1, "delay_ms": 1_500})
    write_signals(output, first=500, symbol="ETHUSDT")
    until(lambda: len(exchange.accepted) > len(ANSWERS), "an order after a pause")
    exchange.control("cut", {})
    if traded.market == "futures":
        traded.learn_listen_key()


def ask_everything(traded: Traded, worker: RunningWorker) -> dict[str, int]:
    """Every command for people, and every page; the exit codes by name."""
    for page in ("/metrics", "/status", "/healthz", "/readyz"):
        traded.said[page] = worker.get(page).encode()
    where = ("--mode", "testnet", "--symbols", "BTCUSDT", "--output", str(worker.output))
    commands: dict[str, tuple[str, ...]] = {
        "status": ("status", "--json", *where[4:]),
        "inspect": ("inspect", rows_of(worker.output)[0], *where[4:]),
        "config": ("config", "show", *where),
        "config json": ("config", "show", "--json", *where),
        "check": ("check", *where),
        "account": ("account", *where),
        "account json": ("account", "--json", *where),
        "cancel-all": ("cancel-all", "--yes", *where[:4]),
        "flatten": ("flatten", "BTCUSDT", "--yes", *where[:2]),
        "halt": ("halt", "--why", "a test", *where[4:]),
        "resume": ("resume", "--why", "a test", *where[4:]),
    }
    return {name: traded.command(name, *words) for name, words in commands.items()}


def test_no_order_and_no_command_tells_a_secret(traded: Traded) -> None:
    exchange, output = traded.exchange, traded.output / "run"
    options = ("--mode", "testnet", "--symbols", "BTCUSDT,ETHUSDT", "--log-level", "debug")
    with running_worker(output, *options, **traded.variables) as worker:
        worker.wait_for("worker_ready")
        trade_through_faults(traded, worker)
        codes = ask_everything(traded, worker)
        exchange.control("key", {"key": exchange.key, "known": False})
        write_signals(output, first=900)
        worker.wait_for("halted", 2)
        for name in ("account", "check"):
            traded.command(f"{name} of a revoked key", name, "--mode", "testnet", "--output", str(output))
        assert worker.stop() == Exit.OK
    traded.said["worker"] = worker.heard.read_bytes()

    for name in ("status", "inspect", "config", "config json", "account", "account json", "halt", "resume"):
        assert codes[name] == Exit.OK, (name, traded.said)
    assert len(traded.said["worker"]) > 1_000
    assert traded.leaks() == []


def test_a_leak_would_be_found(traded: Traded) -> None:
    assert traded.start("good") == Exit.OK
    assert traded.leaks() == []
    mark = traded.secret.splitlines()[-2 if traded.market == "spot" else 0]

    traded.said["a sentence"] = f"cannot sign with {mark}".encode()
    (traded.output / "page").write_text(
        f"GET /fapi/v1/order?symbol=BTCUSDT&signature=00{traded.exchange.key}"
    )

    assert len(traded.leaks()) == 3
