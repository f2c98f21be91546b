"""Another source for the same store: it begins at now each time, and nothing is executed twice."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

NOON_MS = 1_763_222_400_000
TABLE = """CREATE TABLE signals (symbol TEXT, ts_ms INTEGER, signal_id TEXT, schema_version TEXT, score REAL,
    confirm INTEGER, gating INTEGER, decision_code TEXT, side_hint TEXT,
    PRIMARY KEY (symbol, ts_ms, signal_id)) WITHOUT ROWID"""


class Producer:
    """Writes each signal to both sinks, under different ids."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with closing(sqlite3.connect(folder / "signals_v2.db")) as connection:
            connection.execute(TABLE)

    def signal(self, number: int, symbol: str = "BTCUSDT") -> None:
        files = self.folder / "ready" / "signal" / symbol
        files.mkdir(parents=True, exist_ok=True)
        line = {"ts_ms": NOON_MS + number, "symbol": symbol, "score": 1.0, "confirm": True, "gating": "ok"}
        with open(files / "signals-20251115-16.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")
        row = (symbol, NOON_MS + number, f"id-{number}", "signal/v2", 1.0, 1, 1, "OK", "buy")
        with closing(sqlite3.connect(self.folder / "signals_v2.db", isolation_level=None)) as connection:
            connection.execute("INSERT INTO signals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def executed(folder: Path, *options: str, crash_point: str = "") -> Counter[str]:
    """Run the worker once; the orders of each symbol so far."""
    command = [sys.executable, "-m", "worker", "--once", "--output", str(folder), *options]
    done = subprocess.run(
        command,
        env={**os.environ, "EXECUTION_WORKER_CRASH_POINT": crash_point},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == (-9 if crash_point else 0), done.stderr
    with closing(sqlite3.connect(folder / "executions" / "executions.db")) as connection:
        return Counter(symbol for (symbol,) in connection.execute("SELECT symbol FROM executions"))


@pytest.fixture
def producer(tmp_path: Path) -> Producer:
    return Producer(tmp_path)


def test_a_source_that_is_taken_up_again_begins_at_now(tmp_path: Path, producer: Producer) -> None:
    change = ("--symbols", "BTCUSDT", "--accept-source-change", "--sink")
    producer.signal(1)
    executed(tmp_path, "--symbols", "BTCUSDT", "--sink", "jsonl")
    executed(tmp_path, *change, "sqlite")
    producer.signal(2)
    assert executed(tmp_path, "--symbols", "BTCUSDT", "--sink", "sqlite") == {"BTCUSDT": 2}

    assert executed(tmp_path, *change, "jsonl") == {"BTCUSDT": 2}

    producer.signal(3)
    assert executed(tmp_path, "--symbols", "BTCUSDT", "--sink", "jsonl") == {"BTCUSDT": 3}


def test_a_kill_between_the_change_and_its_first_symbol_does_not_undo_it(
    tmp_path: Path, producer: Producer
) -> None:
    producer.signal(1)
    executed(tmp_path, "--symbols", "BTCUSDT", "--sink", "jsonl")
    change = ("--symbols", "BTCUSDT", "--accept-source-change", "--sink", "sqlite")
    # The second transaction of a start after a change is that of the first symbol.
    executed(tmp_path, *change, crash_point="in_reserve:2")

    assert executed(tmp_path, "--symbols", "BTCUSDT", "--sink", "sqlite") == {"BTCUSDT": 1}


def test_a_symbol_that_was_off_during_a_change_begins_at_now_as_well(
    tmp_path: Path, producer: Producer
) -> None:
    producer.signal(1)
    producer.signal(1, "ETHUSDT")
    both = ("--symbols", "BTCUSDT,ETHUSDT", "--sink")
    executed(tmp_path, *both, "jsonl")
    executed(tmp_path, "--symbols", "BTCUSDT", "--accept-source-change", "--sink", "sqlite")

    assert executed(tmp_path, *both, "sqlite") == {"BTCUSDT": 1, "ETHUSDT": 1}


def test_a_symbol_that_was_never_read_begins_where_it_is_told(tmp_path: Path, producer: Producer) -> None:
    producer.signal(1)
    producer.signal(1, "ETHUSDT")
    executed(tmp_path, "--symbols", "BTCUSDT", "--sink", "jsonl")

    assert executed(tmp_path, "--symbols", "BTCUSDT,ETHUSDT", "--sink", "jsonl")["ETHUSDT"] == 1
