"""The command `exchange` as a process: its one line, its end, and each way in which it refuses to begin."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from worker.exits import Exit

PROGRAM = str(Path(sys.executable).parent / "execution-worker")
PATIENCE_S = 30
FORM = "application/x-www-form-urlencoded"


class Running:
    """A process that said it is ready."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.line = process.stdout.readline()
        self.facts: dict[str, Any] = json.loads(self.line.removeprefix("exchange_ready "))

    def call(self, method: str, path: str, body: str = "") -> tuple[int, Any]:
        """One request over a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.facts["port"], timeout=PATIENCE_S)
        try:
            headers = {"X-MBX-APIKEY": self.facts["keys"][0], "Content-Type": FORM}
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()


@contextmanager
def running(*options: str, before: Callable[[], None] | None = None, **variables: str) -> Iterator[Running]:
    """The command, until the block ends."""
    with subprocess.Popen(
        [PROGRAM, "exchange", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
        preexec_fn=before,
    ) as process:
        try:
            yield Running(process)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def refused(*options: str, **variables: str) -> tuple[int, str]:
    """Exit code and complaint of a command that does not begin."""
    done = subprocess.run(
        [PROGRAM, "exchange", *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, **variables},
        check=False,
    )
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def signed(secret: str, name: str, qty: str = "0.010") -> str:
    """A signed market order as a form."""
    text = f"symbol=BTCUSDT&side=BUY&type=MARKET&quantity={qty}&newClientOrderId={name}"
    text += f"&timestamp={time.time_ns() // 1_000_000}"
    return f"{text}&signature={hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_line_says_where_it_is_and_a_signal_ends_it_with_0(number: signal.Signals) -> None:
    with running() as exchange:
        status, body = exchange.call("GET", "/fapi/v1/time")
        exchange.process.send_signal(number)
        code = exchange.process.wait(PATIENCE_S)
        assert exchange.process.stdout is not None
        assert exchange.process.stderr is not None
        rest = exchange.process.stdout.read() + exchange.process.stderr.read()

    facts = exchange.facts
    assert status == 200
    assert body["serverTime"] > 0
    assert facts["rest_url"] == f"http://127.0.0.1:{facts['port']}"
    assert facts["stream_url"] == f"ws://127.0.0.1:{facts['port']}"
    assert facts["keys"] == ["loopback-key"]
    assert (code, rest) == (0, "")


def test_it_listens_on_loopback_alone() -> None:
    with running() as exchange:
        listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
        addresses = [line.split()[1] for line in listening if line.split()[3] == "0A"]

    assert f"0100007F:{exchange.facts['port']:04X}" in addresses
    assert f"00000000:{exchange.facts['port']:04X}" not in addresses


def test_spot_speaks_of_spot() -> None:
    with running("--market", "spot", "--symbols", "BTCUSDT,SOLUSDT=150") as exchange:
        _, info = exchange.call("GET", "/api/v3/exchangeInfo")
        _, book = exchange.call("GET", "/api/v3/ticker/bookTicker?symbol=SOLUSDT")

    assert [one["symbol"] for one in info["symbols"]] == ["BTCUSDT", "SOLUSDT"]
    assert 149 < float(book["bidPrice"]) <= 150


def test_a_key_of_ones_own_is_known_and_its_secret_is_never_told() -> None:
    options = ("--key", "mine", "--secret-env", "MY_SECRET")
    with running(*options, MY_SECRET="hush-hush-hush") as exchange:
        status, body = exchange.call("POST", "/fapi/v1/order", signed("hush-hush-hush", "a"))
        forged, _ = exchange.call("POST", "/fapi/v1/order", signed("loopback-secret", "b"))

    assert (status, body["clientOrderId"]) == (200, "a")
    assert forged == 400
    assert "hush" not in exchange.line


def test_an_ed25519_key_is_known_by_its_public_half(tmp_path: Path) -> None:
    private = Ed25519PrivateKey.generate()
    public = tmp_path / "public.pem"
    public.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with running("--key", "mine", "--public-key", str(public)) as exchange:
        text = f"symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.010&timestamp={time.time_ns() // 1_000_000}"
        signature = quote(b64encode(private.sign(text.encode())), safe="")
        status, _ = exchange.call("POST", "/fapi/v1/order", f"{text}&signature={signature}")
        forged, _ = exchange.call("POST", "/fapi/v1/order", signed("loopback-secret", "b"))

    assert (status, forged) == (200, 400)


def test_orders_outlive_a_killed_exchange(tmp_path: Path) -> None:
    journal = str(tmp_path / "below" / "journal.jsonl")
    with running("--journal", journal) as exchange:
        exchange.call("POST", "/fapi/v1/order", signed("loopback-secret", "kept"))
        exchange.process.kill()
    with running("--journal", journal) as exchange:
        text = signed("loopback-secret", "never", "0.0")
        query = f"symbol=BTCUSDT&origClientOrderId=kept&timestamp={time.time_ns() // 1_000_000}"
        signature = hmac.new(b"loopback-secret", query.encode(), hashlib.sha256).hexdigest()
        status, found = exchange.call("GET", f"/fapi/v1/order?{query}&signature={signature}")
        refused_status, _ = exchange.call("POST", "/fapi/v1/order", text)

    assert (status, found["status"], found["executedQty"]) == (200, "FILLED", "0.010")
    assert refused_status == 400


def test_a_second_exchange_on_one_journal_is_refused(tmp_path: Path) -> None:
    journal = str(tmp_path / "journal.jsonl")
    with running("--journal", journal):
        code, why = refused("--journal", journal)

    assert code == Exit.HELD_BY_ANOTHER
    assert "is written by another exchange" in why


def test_a_full_disk_ends_it_with_73_and_the_order_was_never_confirmed(tmp_path: Path) -> None:
    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))

    with running("--journal", str(tmp_path / "journal.jsonl"), before=small_files_only) as exchange:
        with pytest.raises((OSError, HTTPException)):
            exchange.call("POST", "/fapi/v1/order", signed("loopback-secret", "lost"))
        code = exchange.process.wait(PATIENCE_S)
        assert exchange.process.stderr is not None
        why = exchange.process.stderr.read()

    assert code == Exit.CANNOT_WRITE
    assert "make room" in why
    assert "Traceback" not in why


def test_a_busy_port_is_named_with_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        code, why = refused("--port", str(port))

    assert code == Exit.CONFIGURATION
    assert f"port 127.0.0.1:{port} is in use by pid {os.getpid()}" in why
    assert "--port" in why


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--faults", "FILE"), Exit.CONFIGURATION, "fault plan"),
        (("--price", "FILE"), Exit.CONFIGURATION, "price list"),
        (("--price", "/nowhere/at/all"), Exit.CONFIGURATION, "cannot be read"),
        (("--journal", "FILE"), Exit.DATA, "line 1"),
        (("--journal", "ENTRY"), Exit.DATA, "entry 1"),
        (("--journal", "/proc/none/at/all"), Exit.CANNOT_WRITE, "cannot be opened"),
        (("--symbols", "BTCEUR"), Exit.CONFIGURATION, "quoted in USDT"),
        (("--symbols", "ETHUSDT=0"), Exit.CONFIGURATION, "above 0"),
        (("--symbols", "btc/usdt"), Exit.USAGE, "--symbols"),
        (("--key", "mine"), Exit.USAGE, "--secret-env"),
        (("--key", "mine", "--secret-env", "NOT_THERE"), Exit.USAGE, "NOT_THERE"),
        (("--secret-env", "NOT_THERE"), Exit.USAGE, "--key"),
        (("--key", "mine", "--public-key", "/nowhere"), Exit.USAGE, "/nowhere"),
        (("--market", "options"), Exit.USAGE, "--market"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence(
    options: tuple[str, ...], code: Exit, told: str, tmp_path: Path
) -> None:
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("neither a plan nor prices\n")

    entry = tmp_path / "entry"
    entry.write_text('{"seq":1,"kind":"promised"}\n')
    files = {"FILE": str(nonsense), "ENTRY": str(entry)}

    found, why = refused(*(files.get(word, word) for word in options))

    assert found == code
    assert told in why
