"""Credentials that cannot be used: a start ends with one sentence, and neither key nor secret is in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from outside import FAST_ABSENCE, Ended, PracticeExchange, practice_exchange, run, write_signals

from worker.exits import Exit

PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIKcanaryCanaryCanaryCanary\n-----END PRIVATE KEY-----"


@pytest.fixture(scope="module")
def exchange() -> Iterator[PracticeExchange]:
    with practice_exchange() as running:
        yield running


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A folder with a signal that is worth an order."""
    write_signals(tmp_path / "out")
    return tmp_path / "out"


def start(output: Path, exchange: PracticeExchange, *arguments: str, **variables: str) -> Ended:
    """A start on the exchange, with these variables and no credentials besides."""
    given = {"V13_BROKER_REST_URL": exchange.url, **FAST_ABSENCE, **variables}
    once = ("--mode", "testnet", "--symbols", "BTCUSDT", "--once", "--start", "beginning")
    return run(*once, "--output", str(output), *arguments, **given)


def refused(ended: Ended, exchange: PracticeExchange, output: Path, code: Exit, *words: str) -> None:
    """One sentence with these words, nothing asked of the exchange, and nothing written."""
    assert (ended.code, ended.out) == (code, ""), ended.err
    assert len(ended.sentences) == 1, ended.err
    for word in words:
        assert word in ended.sentences[0]
    assert ": " in ended.sentences[0] or ", must " in ended.sentences[0]
    for secret in (exchange.key, exchange.secret, "canary"):
        assert secret not in ended.err
    assert exchange.asked == 0
    assert [path.name for path in output.iterdir()] == ["ready"]


def key_file(folder: Path, name: str, text: str, mode: int = 0o600) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def files_of(key: Path, secret: Path) -> dict[str, str]:
    return {"V13_BROKER__API_KEY_FILE": str(key), "V13_BROKER__SECRET_FILE": str(secret)}


def test_without_credentials_it_says_where_they_may_be(exchange: PracticeExchange, output: Path) -> None:
    ended = start(output, exchange)

    words = ("BINANCE_API_KEY", "BINANCE_API_SECRET", "broker.api_key_file", "0600")
    refused(ended, exchange, output, Exit.CONFIGURATION, *words)


@pytest.mark.parametrize(
    ("there", "missing"),
    [("BINANCE_API_KEY", "BINANCE_API_SECRET"), ("BINANCE_API_SECRET", "BINANCE_API_KEY")],
)
def test_half_of_a_pair_is_none(exchange: PracticeExchange, output: Path, there: str, missing: str) -> None:
    ended = start(output, exchange, **{there: exchange.secret})

    words = (f"variable {missing} is missing while the environment variable {there} is there", "give both")
    refused(ended, exchange, output, Exit.CONFIGURATION, *words)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660])
def test_a_key_file_that_others_can_read(
    exchange: PracticeExchange, output: Path, tmp_path: Path, mode: int
) -> None:
    secret = key_file(tmp_path, "secret", exchange.secret, mode)

    ended = start(output, exchange, **files_of(key_file(tmp_path, "key", exchange.key), secret))

    words = (f"broker.secret_file {secret} has mode {mode:04o}, must be 0600", "chmod 600")
    refused(ended, exchange, output, Exit.PERMISSION, *words)


def test_a_key_file_that_is_a_link(exchange: PracticeExchange, output: Path, tmp_path: Path) -> None:
    secret = key_file(tmp_path, "secret", exchange.secret)
    link = tmp_path / "link"
    link.symlink_to(key_file(tmp_path, "key", exchange.key))

    ended = start(output, exchange, **files_of(link, secret))

    words = (f"broker.api_key_file {link} is a symbolic link", "name the file itself")
    refused(ended, exchange, output, Exit.PERMISSION, *words)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away: foreign owners are not proven")
def test_a_key_file_of_somebody_else(exchange: PracticeExchange, output: Path, tmp_path: Path) -> None:
    key, secret = (key_file(tmp_path, name, exchange.key) for name in ("key", "secret"))
    os.chown(key, 12_345, 12_345)

    ended = start(output, exchange, **files_of(key, secret))

    words = (f"broker.api_key_file {key} belongs to user 12345, must belong to user 0", "chown")
    refused(ended, exchange, output, Exit.PERMISSION, *words)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone", ("does not exist", "mode 0600")),
        ("folder", ("is no regular file", "name a file")),
        ("long", ("more than 8192 bytes", "one credential and nothing else")),
    ],
)
def test_a_key_file_that_is_none(
    exchange: PracticeExchange, output: Path, tmp_path: Path, name: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "folder").mkdir()
    key_file(tmp_path, "long", "k" * 10_000)
    secret = key_file(tmp_path, "secret", exchange.secret)

    ended = start(output, exchange, **files_of(tmp_path / name, secret))

    code = Exit.PERMISSION if name == "folder" else Exit.CONFIGURATION
    refused(ended, exchange, output, code, *words)


def test_an_ed25519_key_is_of_no_use_on_futures(exchange: PracticeExchange, output: Path) -> None:
    ended = start(output, exchange, BINANCE_API_KEY=exchange.key, BINANCE_API_SECRET=PEM)

    words = ("BINANCE_API_SECRET holds a private key", "only broker.name binance-spot", "HMAC")
    refused(ended, exchange, output, Exit.CONFIGURATION, *words)


def test_a_private_key_that_is_damaged(exchange: PracticeExchange, output: Path) -> None:
    variables = {"BINANCE_API_KEY": exchange.key, "BINANCE_API_SECRET": PEM}
    ended = start(output, exchange, V13_BROKER__NAME="binance-spot", **variables)

    refused(ended, exchange, output, Exit.CONFIGURATION, "Ed25519")


def test_the_same_text_twice(exchange: PracticeExchange, output: Path) -> None:
    ended = start(output, exchange, BINANCE_API_KEY=exchange.key, BINANCE_API_SECRET=exchange.key)

    refused(ended, exchange, output, Exit.CONFIGURATION, "hold the same text", "give the key and its secret")


@pytest.mark.parametrize("option", ["--api-key", "--key", "--secret", "--api-secret"])
def test_the_command_line_takes_no_credentials(exchange: PracticeExchange, output: Path, option: str) -> None:
    ended = start(output, exchange, option, exchange.secret)

    assert ended.code == Exit.USAGE
    assert f"No such option: {option}" in ended.err
    assert exchange.secret not in ended.err + ended.out
    assert exchange.asked == 0


def test_a_credential_pasted_where_a_name_belongs_is_not_repeated(
    exchange: PracticeExchange, output: Path
) -> None:
    ended = start(output, exchange, V13_BROKER__SECRET_ENV="canary" + "kD9s" * 15)

    words = ("broker.secret_env must be the name of an environment variable", "never the credential itself")
    assert ended.code == Exit.CONFIGURATION
    assert len(ended.sentences) == 1
    assert all(word in ended.sentences[0] for word in words)
    assert "canary" not in ended.err


def test_credentials_in_the_folder_that_systemd_fills_win(
    exchange: PracticeExchange, output: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    key_file(folder, "BINANCE_API_KEY", exchange.key, 0o440)
    key_file(folder, "BINANCE_API_SECRET", exchange.secret, 0o440)

    ended = start(output, exchange, CREDENTIALS_DIRECTORY=str(folder), BINANCE_API_KEY="another-key")

    assert ended.code == Exit.OK, ended.err
    assert len(exchange.accepted) == 1
    exchange.faults()


def test_a_dry_run_reads_no_credentials(exchange: PracticeExchange, output: Path, tmp_path: Path) -> None:
    unreadable = key_file(tmp_path, "key", "canary", 0o666)
    variables = {**files_of(unreadable, tmp_path / "gone"), "CREDENTIALS_DIRECTORY": str(tmp_path)}

    ended = start(output, exchange, "--mode", "dry_run", **variables)

    assert ended.code == Exit.OK, ended.err
    assert exchange.asked == 0
