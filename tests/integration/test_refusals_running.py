"""What goes wrong while the worker runs: it says so in one sentence, sends nothing in doubt, and goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from outside import (
    FAST_ABSENCE,
    PracticeExchange,
    RunningWorker,
    practice_exchange,
    run,
    running_worker,
    until,
    write_signals,
)

from worker.exits import Exit


@pytest.fixture
def exchange() -> Iterator[PracticeExchange]:
    with practice_exchange() as running:
        yield running


def rows(output: Path) -> dict[str, int]:
    """How many executions there are, by error code, or by state where there is none."""
    from sqlite3 import connect

    with connect(f"file:{output}/executions/executions.db?mode=ro", uri=True) as connection:
        found = connection.execute("SELECT coalesce(error_code, state), count(*) FROM executions GROUP BY 1")
        return dict(found.fetchall())


def at_work(output: Path, exchange: PracticeExchange) -> dict[str, str]:
    return {**exchange.variables, **FAST_ABSENCE}


def traded(worker: RunningWorker, exchange: PracticeExchange, number: int) -> None:
    """A signal becomes an order: everything works."""
    before = len(exchange.accepted)
    write_signals(worker.output, first=number)
    until(lambda: len(exchange.accepted) == before + 1, "a signal became an order")
    until(lambda: rows(worker.output).get("filled", 0) == before + 1, "its fill is recorded")


@pytest.mark.parametrize(
    "change", [{"known": False}, {"may_trade": False}, {"allowed_ips": ["192.0.2.7"]}],
    ids=["revoked", "read only", "other address"],
)  # fmt: skip
def test_a_key_that_is_refused_while_it_runs_halts_everything(
    exchange: PracticeExchange, tmp_path: Path, change: dict[str, object]
) -> None:
    output = tmp_path / "out"
    options = ("--mode", "testnet", "--symbols", "BTCUSDT,ETHUSDT")
    with running_worker(output, *options, **at_work(output, exchange)) as worker:
        worker.wait_for("worker_ready")
        traded(worker, exchange, 0)
        exchange.control("key", {"key": exchange.key, **change})
        exchange.faults()

        write_signals(output, first=100)
        halted = worker.wait_for("halted")
        write_signals(output, 3, symbol="ETHUSDT", first=200)
        until(lambda: rows(output).get("halted", 0) >= 3, "later signals are skipped")

        status = json.loads(worker.get("/status"))
        assert worker.stop() == Exit.OK
    words = halted["why"]
    assert "refuses the API key in the environment variable BINANCE_API_KEY" in words
    assert "-2015" in words
    assert words.endswith("then resume, or restart with another key")
    assert exchange.key not in worker.heard.read_text()
    assert len(exchange.accepted) == 1
    assert exchange.asked <= 1
    assert status["unknown_count"] == 0


def test_a_key_that_is_good_again_trades_after_a_resume_and_no_backlog_is_sent(
    exchange: PracticeExchange, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    options = ("--mode", "testnet", "--symbols", "BTCUSDT")
    with running_worker(output, *options, **at_work(output, exchange)) as worker:
        worker.wait_for("worker_ready")
        exchange.control("key", {"key": exchange.key, "may_trade": False})
        write_signals(output)
        worker.wait_for("halted")
        exchange.control("key", {"key": exchange.key, "may_trade": True})
        write_signals(output, 2, first=100)
        until(lambda: rows(output).get("halted", 0) == 3, "signals of the halt are skipped")

        resumed = run("resume", "--why", "the key may trade again", "--output", str(output))

        assert (resumed.code, resumed.err) == (Exit.OK, "")
        assert exchange.accepted == []
        time.sleep(0.01)
        traded(worker, exchange, 200)
        assert worker.stop() == Exit.OK
    assert len(exchange.accepted) == 1


def test_a_file_that_anybody_can_make_halts_and_is_told(exchange: PracticeExchange, tmp_path: Path) -> None:
    output = tmp_path / "out"
    options = ("--mode", "testnet", "--symbols", "BTCUSDT")
    with running_worker(output, *options, **at_work(output, exchange)) as worker:
        worker.wait_for("worker_ready")
        (output / "executions" / "HALT").touch()

        write_signals(output)
        until(lambda: rows(output) == {"halted": 1}, "the signal is skipped")

        status = run("status", "--output", str(output))
        assert worker.stop() == Exit.OK
    assert "HALTED     everything by a file: file HALT" in status.out
    assert exchange.asked == 0


def test_an_exchange_that_goes_away_and_comes_back_loses_nothing(tmp_path: Path) -> None:
    output, journal = tmp_path / "out", tmp_path / "journal.jsonl"
    with practice_exchange("--journal", str(journal)) as exchange:
        port, key = exchange.port, exchange.key
        options = ("--mode", "testnet", "--symbols", "BTCUSDT")
        short_life = {"V13_EXECUTION__STALENESS__MAX_AGE_MS": "4000"}
        with running_worker(output, *options, **at_work(output, exchange), **short_life) as worker:
            worker.wait_for("worker_ready")
            traded(worker, exchange, 0)
            exchange.process.terminate()
            exchange.process.wait()

            # One is too old when the exchange is back, one is not.
            write_signals(output, first=100)
            until(lambda: rows(output).get("expired", 0) == 1, "a signal has waited for its whole life")
            with practice_exchange("--journal", str(journal), "--port", str(port), key=key) as back:
                traded(worker, back, 200)
                assert worker.stop() == Exit.OK
                accepted = [one["client_order_id"] for one in back.accepted]
    assert len(accepted) == len(set(accepted)) == 2
    assert rows(output) == {"filled": 2, "expired": 1}
    assert worker.events("worker_failed") == []


def test_a_silent_exchange_is_waited_for_and_what_it_did_meanwhile_is_found(
    exchange: PracticeExchange, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    with running_worker(
        output, "--mode", "testnet", "--symbols", "BTCUSDT", **at_work(output, exchange)
    ) as worker:
        worker.wait_for("worker_ready")
        exchange.faults({"kind": "silence_after", "endpoint": "new_order", "times": 1})

        write_signals(output)
        until(lambda: rows(output).get("filled", 0) == 1, "the order that nobody answered for is found")

        assert worker.stop() == Exit.OK
    assert len(exchange.accepted) == 1
    assert exchange.asked == 1


def test_a_clock_that_jumps_while_it_runs_is_followed(exchange: PracticeExchange, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with running_worker(
        output, "--mode", "testnet", "--symbols", "BTCUSDT", **at_work(output, exchange)
    ) as worker:
        worker.wait_for("worker_ready")
        # Ahead of ours: where it is behind and is noticed before the signal comes, that is from_future.
        exchange.faults({"kind": "clock_skew", "delay_ms": 30_000})

        traded(worker, exchange, 0)

        assert worker.stop() == Exit.OK
    assert len(exchange.accepted) == 1
