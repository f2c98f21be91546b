"""The store's care from outside: real workers, a practice exchange that remembers, the commands as typed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from outside import (
    FAST_ABSENCE,
    PracticeExchange,
    practice_exchange,
    run,
    running_worker,
    until,
    write_signals,
)

SYMBOL = "BTCUSDT"
TRADING = ("--mode", "testnet", "--symbols", SYMBOL, "--start", "beginning")
DAY_MS = 86_400_000


def rows(output: Path) -> int:
    with closing(sqlite3.connect(f"file:{output}/executions/executions.db?mode=ro", uri=True)) as reader:
        return int(
            reader.execute("SELECT count(*) FROM executions WHERE exec_ts_ms IS NOT NULL").fetchone()[0]
        )


def ids(exchange: PracticeExchange) -> list[str]:
    """The client order ids that were accepted, in order; those that do not count are not ours."""
    return [one["client_order_id"] for one in exchange.accepted]


def trade(output: Path, exchange: PracticeExchange, count: int, total: int) -> None:
    with running_worker(output, *TRADING, **exchange.variables, **FAST_ABSENCE) as worker:
        worker.wait_for("worker_ready")
        write_signals(output, count, first=total)
        until(lambda: rows(output) == total + count, "the orders are final")
        assert worker.stop() == 0


def test_an_older_copy_that_is_put_back_sends_no_order_twice(tmp_path: Path) -> None:
    output, backup = tmp_path / "output", tmp_path / "copy.db"
    with practice_exchange() as exchange:
        trade(output, exchange, 3, 0)
        made = run("store", "backup", "--output", str(output), "--to", str(backup))
        trade(output, exchange, 3, 3)
        before = ids(exchange)

        command = ("--mode", "testnet", "store", "restore", "--from", str(backup), "--output", str(output))
        restored = run(*command)
        with running_worker(output, *TRADING, **exchange.variables, **FAST_ABSENCE) as worker:
            worker.wait_for("worker_ready")
            until(lambda: rows(output) == 6, "what the backup does not know of is found")
            held = run(*command)
            assert worker.stop() == 0

        after = ids(exchange)
        verdict = run("store", "verify", "--output", str(output), "--deep")

    assert (made.code, restored.code) == (0, 0), made.err + restored.err
    assert "the last of 20" in restored.out
    assert held.code == 75, held.err
    assert len(before) == 6
    assert after == before
    assert verdict.code == 0, verdict.out


def test_a_running_worker_is_backed_up_verified_and_pruned(tmp_path: Path) -> None:
    output = tmp_path / "output"
    write_signals(output, 40)
    environment = {"V13_EXECUTION__RATE_LIMIT__MAX_QPS": "1000"}
    with running_worker(output, "--symbols", SYMBOL, **environment) as worker:
        worker.wait_for("worker_ready")
        until(lambda: rows(output) == 40, "rows")
        verified = run("store", "verify", "--output", str(output), "--deep", "--json")
        backup = run("store", "backup", "--output", str(output), "--to", str(tmp_path), "--json")
        dry = run("store", "prune", "--output", str(output), "--older-than", "2d", "--dry-run")
        pruned = run("store", "prune", "--output", str(output), "--older-than", "2d", "--json")
        too_young = run("store", "prune", "--output", str(output), "--older-than", "1h")
        assert worker.stop() == 0

    assert verified.code == 0, verified.out
    assert json.loads(verified.out)["in_use_by"] == worker.process.pid
    assert json.loads(backup.out)["rows"] == 40
    assert dry.code == pruned.code == 0, dry.err + pruned.err
    assert json.loads(pruned.out)["pruned"] == 0
    assert too_young.code == 2
    assert "--older-than must be at least" in too_young.err


def aged(output: Path, days: int) -> None:
    """The same past, as if it had happened this many days earlier; its files too."""
    by_ms = days * DAY_MS
    with closing(sqlite3.connect(output / "executions" / "executions.db")) as hand, hand:
        hand.execute(
            "UPDATE executions SET signal_ts_ms = signal_ts_ms - ?1, exec_ts_ms = exec_ts_ms - ?1, "
            "reserved_ms = reserved_ms - ?1",
            (by_ms,),
        )
        hand.execute("UPDATE events SET at_ms = at_ms - ?", (by_ms,))


@pytest.mark.parametrize("running", [True, False])
def test_old_rows_go_through_the_running_worker_or_without_one(tmp_path: Path, running: bool) -> None:
    output = tmp_path / "output"
    environment = {"V13_EXECUTION__RATE_LIMIT__MAX_QPS": "1000"}
    write_signals(output, 30)
    assert run("--output", str(output), "--symbols", SYMBOL, "--once", **environment).code == 0
    aged(output, 100)
    for path in (output / "ready" / "signal" / SYMBOL).iterdir():
        path.unlink()
    write_signals(output, 5, first=30)
    command = (
        "store",
        "prune",
        "--output",
        str(output),
        "--older-than",
        "90d",
        "--why",
        "quarterly",
        "--json",
    )

    if running:
        with running_worker(output, "--symbols", SYMBOL, **environment) as worker:
            until(lambda: rows(output) == 35, "rows")
            done = run(*command)
            assert worker.stop() == 0
    else:
        assert run("--output", str(output), "--symbols", SYMBOL, "--once", **environment).code == 0
        done = run(*command)
    again = run("--output", str(output), "--symbols", SYMBOL, "--once", **environment)

    assert done.code == 0, done.err
    assert json.loads(done.out)["pruned"] == 30
    assert again.code == 0
    assert rows(output) == 5
    with closing(sqlite3.connect(output / "executions" / "executions.db")) as reader:
        assert reader.execute("SELECT action, why FROM audit").fetchall() == [("prune", "quarterly")]
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (10,)
