"""Accounts that may not be traded: the exchange says it, a start ends with one sentence, no order leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from outside import (
    FAST_ABSENCE,
    LIMITS,
    Ended,
    PracticeExchange,
    practice_exchange,
    run,
    running_worker,
    write_signals,
)

from worker.exits import Exit

LIVE = {**LIMITS, "LIVE_CONFIRM": "YES"}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A folder with a signal that is worth an order."""
    write_signals(tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def exchange() -> Iterator[PracticeExchange]:
    with practice_exchange() as running:
        yield running


@pytest.fixture
def spot() -> Iterator[PracticeExchange]:
    with practice_exchange("--market", "spot") as running:
        yield running


def start(output: Path, exchange: PracticeExchange, mode: str = "testnet", **variables: str) -> Ended:
    """Work off the signals and end."""
    given = {**exchange.variables, **FAST_ABSENCE, **(LIVE if mode == "live" else {}), **variables}
    once = ("--mode", mode, "--symbols", "BTCUSDT", "--once", "--start", "beginning")
    return run(*once, "--output", str(output), **given)


def refused(ended: Ended, exchange: PracticeExchange, code: Exit, *words: str) -> None:
    """One sentence with these words; no order was sent, and none accepted."""
    assert (ended.code, ended.out) == (code, ""), ended.err
    assert len(ended.sentences) == 1, ended.err
    for word in words:
        assert word in ended.sentences[0]
    assert ": " in ended.sentences[0]
    assert exchange.key not in ended.err
    assert exchange.secret not in ended.err
    assert (exchange.asked, exchange.accepted) == (0, [])


def test_a_key_of_another_network_and_then_the_right_one(exchange: PracticeExchange, output: Path) -> None:
    ended = start(output, exchange, BINANCE_API_KEY="a-key-that-nobody-knows")

    words = ("refuses the API key in the environment variable BINANCE_API_KEY", "-2015", "of this network")
    refused(ended, exchange, Exit.PERMISSION, *words)
    assert "a-key-that-nobody-knows" not in ended.err

    # The folder is not spoilt by the mistake.
    assert start(output, exchange).code == Exit.OK
    assert len(exchange.accepted) == 1


def test_the_secret_of_another_key(exchange: PracticeExchange, output: Path) -> None:
    ended = start(output, exchange, BINANCE_API_SECRET="the-secret-of-another")

    words = ("refuses the signature", "BINANCE_API_KEY", "-1022", "give the secret that belongs to this key")
    refused(ended, exchange, Exit.PERMISSION, *words)
    assert "the-secret-of-another" not in ended.err


@pytest.mark.parametrize("mode", ["testnet", "live"])
def test_a_key_that_may_only_read(exchange: PracticeExchange, output: Path, mode: str) -> None:
    exchange.control("key", {"key": exchange.key, "may_trade": False})

    ended = start(output, exchange, mode)

    words = ("BINANCE_API_KEY may not trade on", "enable trading for it, nothing else")
    refused(ended, exchange, Exit.PERMISSION, *words)


@pytest.mark.parametrize("mode", ["testnet", "live"])
def test_a_key_that_is_bound_to_another_address(exchange: PracticeExchange, output: Path, mode: str) -> None:
    exchange.control("key", {"key": exchange.key, "allowed_ips": ["192.0.2.7"]})

    ended = start(output, exchange, mode)

    refused(ended, exchange, Exit.PERMISSION, "-2015", "request ip: 127.0.0.1", "from this address")


def test_a_key_that_may_withdraw_is_not_for_live(exchange: PracticeExchange, output: Path) -> None:
    exchange.control("key", {"key": exchange.key, "may_withdraw": True})

    refused(start(output, exchange, "live"), exchange, Exit.PERMISSION, "may withdraw, must not", "disable")


def test_a_key_that_may_withdraw_is_good_enough_where_no_money_is_real(
    exchange: PracticeExchange, output: Path
) -> None:
    exchange.control("key", {"key": exchange.key, "may_withdraw": True})

    assert start(output, exchange).code == Exit.OK
    assert len(exchange.accepted) == 1


@pytest.mark.parametrize("mode", ["testnet", "live"])
def test_an_account_in_hedge_mode(exchange: PracticeExchange, output: Path, mode: str) -> None:
    exchange.control("account", {"hedge": True})

    ended = start(output, exchange, mode)

    words = ("the account is in hedge mode, must be in one-way mode", "Position Mode")
    refused(ended, exchange, Exit.CONFIGURATION, *words)


def test_live_begins_when_everything_is_right(exchange: PracticeExchange, output: Path) -> None:
    assert start(output, exchange, "live").code == Exit.OK
    assert len(exchange.accepted) == 1


def test_a_spot_key_that_may_only_read(spot: PracticeExchange, output: Path) -> None:
    spot.control("key", {"key": spot.key, "may_trade": False})

    ended = start(output, spot, V13_BROKER__NAME="binance-spot")

    refused(ended, spot, Exit.PERMISSION, "may not trade on", "enable trading")


def key_pair() -> tuple[str, bytes]:
    """An Ed25519 private key and its public key, both in PEM."""
    private = Ed25519PrivateKey.generate()
    text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return text, private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_a_private_key_for_an_api_key_that_signs_with_a_secret(spot: PracticeExchange, output: Path) -> None:
    private, _ = key_pair()

    ended = start(output, spot, V13_BROKER__NAME="binance-spot", BINANCE_API_SECRET=private)

    words = ("refuses the signature", "-1022", "give the secret that belongs to this key")
    refused(ended, spot, Exit.PERMISSION, *words)
    assert private.splitlines()[1] not in ended.err


def test_a_secret_for_an_api_key_that_signs_with_a_private_key(output: Path, tmp_path: Path) -> None:
    private, public = key_pair()
    (tmp_path / "public.pem").write_bytes(public)
    with practice_exchange("--market", "spot", public_key=tmp_path / "public.pem") as exchange:
        ended = start(output, exchange, V13_BROKER__NAME="binance-spot")
        refused(ended, exchange, Exit.PERMISSION, "refuses the signature", "-1022")

        mended = start(output, exchange, V13_BROKER__NAME="binance-spot", BINANCE_API_SECRET=private)
        assert (mended.code, len(exchange.accepted)) == (Exit.OK, 1), mended.err


def test_a_store_that_has_traded_another_account(exchange: PracticeExchange, output: Path) -> None:
    assert start(output, exchange).code == Exit.OK
    with practice_exchange() as other:
        ended = start(output, other)

        words = (f"store {output}/executions/executions.db belongs to account ", "another --output")
        refused(ended, other, Exit.CONFIGURATION, *words)


def test_a_store_of_another_mode(exchange: PracticeExchange, output: Path) -> None:
    done = run("--symbols", "BTCUSDT", "--once", "--output", str(output))
    assert done.code == Exit.OK

    ended = start(output, exchange)

    words = ("belongs to mode dry_run, this worker runs with mode testnet", "another --output")
    refused(ended, exchange, Exit.CONFIGURATION, *words)


def test_a_second_worker_on_the_same_account_is_told_who_has_it(
    exchange: PracticeExchange, output: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    variables = {**exchange.variables, **FAST_ABSENCE}
    with running_worker(first, "--mode", "testnet", "--symbols", "BTCUSDT", **variables) as worker:
        worker.wait_for("worker_ready")

        ended = start(output, exchange)

        words = (f"is traded by pid {worker.process.pid} on this host", "stop that worker")
        refused(ended, exchange, Exit.HELD_BY_ANOTHER, *words)
        assert worker.stop() == Exit.OK
