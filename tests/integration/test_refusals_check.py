"""`check` before a start on an exchange: each doubt in a row, the exchange asked, nothing placed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from outside import (
    FAST_ABSENCE,
    LIMITS,
    PracticeExchange,
    practice_exchange,
    run,
    running_worker,
    write_signals,
)

from worker.exits import Exit

LIVE = {**LIMITS, "LIVE_CONFIRM": "YES"}
Told = dict[str, list[tuple[str, str, str]]]


@pytest.fixture
def exchange() -> Iterator[PracticeExchange]:
    with practice_exchange() as running:
        yield running


def told(
    output: Path, exchange: PracticeExchange, mode: str = "testnet", *more: str, **variables: str
) -> tuple[int, Told]:
    """The exit code, and the rows by subject as (level, finding, remedy)."""
    given = {**exchange.variables, **FAST_ABSENCE, **variables}
    options = ("--mode", mode, "--symbols", "BTCUSDT", "--output", str(output))
    ended = run("check", *options, *more, "--json", **{"V13_EXECUTION__HTTP__PORT": "0", **given})
    assert ended.err == ""
    assert exchange.key not in ended.out
    assert exchange.secret not in ended.out
    assert exchange.asked == 0
    rows: Told = {}
    for row in json.loads(ended.out)["rows"]:
        rows.setdefault(row["subject"], []).append((row["level"], row["finding"], row["remedy"]))
    return ended.code, rows


def test_what_may_start_is_told_with_where_the_key_is_and_what_the_exchange_says(
    exchange: PracticeExchange, tmp_path: Path
) -> None:
    code, rows = told(tmp_path / "out", exchange, "live", **LIVE)

    assert code == Exit.OK
    subjects = ("live", "limits", "halt", "credentials", "account", "exchange")
    assert [rows[subject][0][0] for subject in subjects] == ["ok"] * len(subjects)
    assert rows["credentials"][0][1] == (
        "API key in the environment variable BINANCE_API_KEY, with its HMAC secret"
    )
    assert rows["limits"][0][1] == "1000 USD an order, 100 orders a minute, 100000 USD a position"
    assert "knows the key, which may trade; all symbols trade; its clock is" in rows["exchange"][0][1]
    assert not (tmp_path / "out").exists()


def test_limits_that_are_missing_are_pointed_out_on_testnet(
    exchange: PracticeExchange, tmp_path: Path
) -> None:
    code, rows = told(tmp_path / "out", exchange)

    assert code == Exit.OK
    assert rows["limits"][0][0] == "warn"
    assert "execution.risk.max_position_usd are null" in rows["limits"][0][1]


def test_no_credentials(exchange: PracticeExchange, tmp_path: Path) -> None:
    code, rows = told(tmp_path / "out", exchange, BINANCE_API_KEY="", BINANCE_API_SECRET="")

    assert code == Exit.CONFIGURATION
    assert rows["credentials"][0][:2] == ("fail", "no API key was found")
    assert "exchange" not in rows


def test_the_rights_of_key_files(exchange: PracticeExchange, tmp_path: Path) -> None:
    files = {}
    for name, text, mode in (("API_KEY", exchange.key, 0o600), ("SECRET", exchange.secret, 0o644)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
        files[f"V13_BROKER__{name}_FILE"] = str(tmp_path / name)

    code, rows = told(tmp_path / "out", exchange, **files)
    (tmp_path / "SECRET").chmod(0o600)
    mended, good = told(tmp_path / "out", exchange, **files)

    assert (code, mended) == (Exit.CONFIGURATION, Exit.OK)
    assert "has mode 0644, must be 0600" in rows["credentials"][0][1]
    assert rows["credentials"][0][2] == "chmod 600 it"
    assert good["credentials"][0][1].startswith(f"API key in broker.api_key_file {tmp_path}/API_KEY")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"may_trade": False}, "may not trade on"),
        ({"may_withdraw": True}, "may withdraw, must not"),
        ({"allowed_ips": ["192.0.2.7"]}, "refuses the API key"),
    ],
)
def test_what_is_wrong_with_the_key(
    exchange: PracticeExchange, tmp_path: Path, what: dict[str, object], words: str
) -> None:
    exchange.control("key", {"key": exchange.key, **what})

    code, rows = told(tmp_path / "out", exchange, "live", **LIVE)

    assert code == Exit.CONFIGURATION
    assert rows["exchange"][0][0] == "fail"
    assert words in rows["exchange"][0][1]
    assert rows["exchange"][0][2]


def test_hedge_mode_and_a_clock_that_is_off(exchange: PracticeExchange, tmp_path: Path) -> None:
    exchange.control("account", {"hedge": True})
    _, hedged = told(tmp_path / "out", exchange)
    exchange.faults({"kind": "clock_skew", "delay_ms": 60_000})
    _, skewed = told(tmp_path / "out", exchange)

    assert "hedge mode" in hedged["exchange"][0][1]
    assert "60.0 s behind" in skewed["exchange"][0][1]
    assert "timedatectl" in skewed["exchange"][0][2]


def test_an_exchange_that_is_silent_does_not_hold_a_person_up(
    exchange: PracticeExchange, tmp_path: Path
) -> None:
    exchange.faults({"kind": "silence_before", "endpoint": "any"})
    begun_s = time.monotonic()

    code, rows = told(tmp_path / "out", exchange, V13_BROKER__REQUEST_TIMEOUT_MS="60000")

    assert code == Exit.CONFIGURATION
    assert rows["exchange"][0] == (
        "fail",
        "it did not answer within 15 s",
        "check the network, then try again",
    )
    assert time.monotonic() - begun_s < 30


def test_a_halt_that_is_in_force_is_told_with_how_to_end_it(
    exchange: PracticeExchange, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    (output / "executions").mkdir(parents=True)
    (output / "executions" / "HALT").touch()

    code, rows = told(output, exchange)

    assert code == Exit.OK
    assert rows["halt"][0][0] == "warn"
    assert "new orders of all symbols are halted" in rows["halt"][0][1]
    assert rows["halt"][0][2].startswith("execution-worker resume --why")


def test_the_worker_that_trades_the_account_already_is_named(
    exchange: PracticeExchange, tmp_path: Path
) -> None:
    variables = {**exchange.variables, **FAST_ABSENCE}
    options = ("--mode", "testnet", "--symbols", "BTCUSDT")
    with running_worker(tmp_path / "first", *options, **variables) as worker:
        worker.wait_for("worker_ready")

        code, rows = told(tmp_path / "out", exchange)

        assert code == Exit.CONFIGURATION
        assert f"is traded by pid {worker.process.pid} on this host" in rows["account"][0][1]
        assert worker.stop() == Exit.OK


def test_a_store_that_has_traded_another_account(exchange: PracticeExchange, tmp_path: Path) -> None:
    output = tmp_path / "out"
    write_signals(output)
    once = ("--mode", "testnet", "--symbols", "BTCUSDT", "--once", "--start", "beginning")
    assert run(*once, "--output", str(output), **exchange.variables, **FAST_ABSENCE).code == Exit.OK
    with practice_exchange() as other:
        code, rows = told(output, other)

    assert code == Exit.CONFIGURATION
    assert "has traded the account of key" in rows["account"][0][1]
    assert "another --output" in rows["account"][0][2]
