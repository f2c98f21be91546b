"""A venue that is not there, not the right one, or of another time: one sentence, and no order."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from outside import (
    FAST_ABSENCE,
    LIMITS,
    PATIENCE_S,
    Ended,
    PracticeExchange,
    practice_exchange,
    run,
    running_worker,
    write_signals,
)
from wire_server import self_signed

from worker.exits import Exit

KEYS = {"BINANCE_API_KEY": "outside-key", "BINANCE_API_SECRET": "outside-secret"}
LIVE = {**LIMITS, "LIVE_CONFIRM": "YES"}
# Nothing that could be reached by mistake: port 9 of an address that is set aside for documentation.
REAL_LOOKING = "https://192.0.2.1:9"


@pytest.fixture(scope="module")
def exchange() -> Iterator[PracticeExchange]:
    with practice_exchange() as running:
        yield running


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A folder with a signal that is worth an order."""
    write_signals(tmp_path / "out")
    return tmp_path / "out"


def start(output: Path, *arguments: str, mode: str = "testnet", **variables: str) -> Ended:
    """Work off the signals and end."""
    once = ("--mode", mode, "--symbols", "BTCUSDT", "--once", "--start", "beginning")
    return run(*once, "--output", str(output), *arguments, **variables)


def refused(ended: Ended, code: Exit, words: str, exchange: PracticeExchange | None = None) -> None:
    """One sentence that fits; no order was sent, and none accepted."""
    assert (ended.code, ended.out) == (code, ""), ended.err
    assert len(ended.sentences) == 1, ended.err
    assert re.search(words, ended.sentences[0]), ended.err
    assert ": " in ended.sentences[0] or ", must " in ended.sentences[0]
    assert "outside-" not in ended.err
    if exchange is not None:
        assert (exchange.asked, exchange.accepted) == (0, [])
        exchange.faults()


@contextmanager
def page_for_people(status: int) -> Iterator[str]:
    """A web server that knows nothing of an exchange."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<html><body>Welcome to nginx!</body></html>"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quietly."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("market", ["futures", "spot"])
def test_a_symbol_that_is_not_there(market: str, output: Path) -> None:
    with practice_exchange("--market", market) as exchange:
        variables = {**exchange.variables, "V13_BROKER__NAME": f"binance-{market}"}
        ended = start(output, "--symbols", "BTCUSDT,XYZUSDT", **variables)

        words = r"127\.0\.0\.1:\d+ has no symbol XYZUSDT: take it out of execution\.symbols"
        refused(ended, Exit.CONFIGURATION, words, exchange)


def test_a_symbol_that_does_not_trade(output: Path) -> None:
    rules = {"symbol": "ETHUSDT", "tick": "0.01", "step": "0.001", "min_notional": "20"}
    with practice_exchange() as exchange:
        exchange.control("symbol", {**rules, "start_price": "3000", "status": "BREAK"})
        ended = start(output, "--symbols", "BTCUSDT,ETHUSDT", **exchange.variables)

        refused(ended, Exit.CONFIGURATION, "ETHUSDT is BREAK on .*, must be TRADING: take it out", exchange)


@pytest.mark.parametrize(
    ("skew_ms", "words"),
    [(7_200_000, "7200.0 s behind"), (-180_000, "180.0 s ahead of"), (6_000, "6.0 s behind")],
)
def test_a_clock_that_is_off(exchange: PracticeExchange, output: Path, skew_ms: int, words: str) -> None:
    exchange.faults({"kind": "clock_skew", "delay_ms": skew_ms})

    ended = start(output, **exchange.variables)

    whole = f"the clock of this host is {words} .*, must be within 5 s: set it"
    refused(ended, Exit.CONFIGURATION, whole, exchange)


def test_a_port_where_nobody_listens(output: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        ended = start(output, V13_BROKER_REST_URL=url, **KEYS)

    refused(ended, Exit.EXCHANGE_UNAVAILABLE, "cannot be asked .*no connection.*: check the network")


def test_a_host_that_is_silent(output: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"

        ended = start(output, V13_BROKER_REST_URL=url, V13_BROKER__REQUEST_TIMEOUT_MS="100", **KEYS)

    refused(ended, Exit.EXCHANGE_UNAVAILABLE, "cannot be asked .*: check the network, then start again")


@pytest.mark.parametrize("status", [200, 404])
def test_a_web_server_that_is_no_exchange(output: Path, status: int) -> None:
    with page_for_people(status) as url:
        ended = start(output, V13_BROKER_REST_URL=url, **KEYS)

    words = f"does not tell the time .*HTTP status {status} .*: check broker.name and broker.rest_url"
    refused(ended, Exit.EXCHANGE_UNAVAILABLE, words)


def test_the_other_market(exchange: PracticeExchange, output: Path) -> None:
    ended = start(output, **exchange.variables, V13_BROKER__NAME="binance-spot")

    words = "does not tell the time .*: check broker.name and broker.rest_url"
    refused(ended, Exit.EXCHANGE_UNAVAILABLE, words, exchange)


def test_tls_to_a_port_without_it(exchange: PracticeExchange, output: Path) -> None:
    url = exchange.url.replace("http:", "https:")

    ended = start(output, **{**exchange.variables, "V13_BROKER_REST_URL": url})

    refused(ended, Exit.EXCHANGE_UNAVAILABLE, "cannot be asked .*TLS handshake", exchange)


def test_a_certificate_that_nobody_vouches_for(output: Path, tmp_path: Path) -> None:
    class Nothing(BaseHTTPRequestHandler):
        """It is never asked."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Nothing) as server:
        server.socket = self_signed(tmp_path, "127.0.0.1")[0].wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # refused handshakes are meant
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            ended = start(output, V13_BROKER_REST_URL=f"https://127.0.0.1:{server.server_port}", **KEYS)
        finally:
            server.shutdown()
            thread.join()

    refused(ended, Exit.EXCHANGE_UNAVAILABLE, "cannot be asked .*(TLS|certificate)")


@pytest.mark.parametrize(
    "url", [REAL_LOOKING, "http://127.0.0.1.example.com", "http://me:pw@127.0.0.1:80", "ftp://127.0.0.1:80"]
)
@pytest.mark.parametrize("mode", ["testnet", "live"])
def test_a_rest_url_that_is_no_loopback(output: Path, url: str, mode: str) -> None:
    ended = start(output, mode=mode, V13_BROKER_REST_URL=url, **KEYS, **LIVE, **FAST_ABSENCE)

    refused(ended, Exit.CONFIGURATION, "broker.rest_url .*must be a bare loopback address")
    assert "me:pw" not in ended.err


@pytest.mark.parametrize("name", sorted(set(FAST_ABSENCE) & {
    "V13_BROKER__RECV_WINDOW_MS", "V13_BROKER__ABSENCE_MARGIN_MS", "V13_BROKER__VISIBILITY_MS",
    "V13_BROKER__ABSENCE_SPACING_MS",
}))  # fmt: skip
@pytest.mark.parametrize("mode", ["testnet", "live"])
def test_proofs_of_absence_are_not_cut_short_on_a_real_host(output: Path, name: str, mode: str) -> None:
    ended = start(output, mode=mode, **{name: FAST_ABSENCE[name]}, **KEYS, **LIVE)

    key = name.removeprefix("V13_").lower().replace("__", ".")
    refused(ended, Exit.CONFIGURATION, f"{key} is .*, must be at least .*unless broker.rest_url points")


def test_live_without_the_confirmation(exchange: PracticeExchange, output: Path) -> None:
    ended = start(output, mode="live", **exchange.variables, **LIMITS)

    words = "execution.mode is live, which trades real money: set LIVE_CONFIRM=YES"
    refused(ended, Exit.CONFIGURATION, words, exchange)


@pytest.mark.parametrize("said", ["yes", "1", "true", "", "YES "])
def test_live_with_half_a_confirmation(output: Path, said: str) -> None:
    ended = start(output, mode="live", LIVE_CONFIRM=said, **LIMITS, **KEYS)

    refused(ended, Exit.CONFIGURATION, "set LIVE_CONFIRM=YES in the environment")


@pytest.mark.parametrize("left_out", sorted(LIMITS))
def test_live_with_a_limit_missing(exchange: PracticeExchange, output: Path, left_out: str) -> None:
    given = {name: value for name, value in LIVE.items() if name != left_out}

    ended = start(output, mode="live", **exchange.variables, **given)

    key = left_out.removeprefix("V13_").lower().replace("__", ".")
    refused(ended, Exit.CONFIGURATION, f"{key} is null, must be a number in mode live", exchange)


def test_testnet_in_the_file_and_live_on_the_command_line(output: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("broker: {testnet: true}\n")

    ended = start(output, "--config", str(file), mode="live", **LIVE, **KEYS)

    refused(ended, Exit.CONFIGURATION, "broker.testnet is true while execution.mode is live: remove")


def test_a_worker_that_waits_for_its_exchange_can_be_stopped(output: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        variables = {**KEYS, "V13_BROKER_REST_URL": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        with running_worker(output, "--mode", "testnet", **variables) as worker:
            silent.settimeout(PATIENCE_S)
            asked, _ = silent.accept()

            assert worker.stop() == Exit.OK
            asked.close()
