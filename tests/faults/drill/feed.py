"""The producer of a drill: writes signals as the real one does, and keeps its own list of them.

Standard library only, and no word of the worker's code: what it writes down here is the law by
which the worker is judged. It stops at SIGTERM, in good order, after whole lines.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SYMBOLS = ("BTCUSDT", "ETHUSDT")
FIRST_TS_MS = 1_763_225_940_000
MINUTE_MS = 60_000
SHAPES = ("v1-jsonl", "v2-jsonl", "v1-sqlite", "v2-sqlite")

V1_TABLE = """
CREATE TABLE signals (
    ts_ms INTEGER NOT NULL, symbol TEXT NOT NULL, score REAL, z_ofi REAL, z_cvd REAL, regime TEXT,
    div_type TEXT, signal_type TEXT, confirm INTEGER, gating INTEGER, guard_reason TEXT,
    run_id TEXT NOT NULL, created_at TEXT DEFAULT (DATETIME('now')), PRIMARY KEY (run_id, ts_ms, symbol))
"""
V2_TABLE = """
CREATE TABLE signals (
    ts_ms INTEGER NOT NULL, symbol TEXT NOT NULL, signal_id TEXT NOT NULL,
    schema_version TEXT NOT NULL DEFAULT 'signal/v2', score REAL NOT NULL, side_hint TEXT NOT NULL,
    z_ofi REAL, z_cvd REAL, div_type TEXT, regime TEXT NOT NULL, gating INTEGER NOT NULL,
    confirm INTEGER NOT NULL, cooldown_ms INTEGER NOT NULL, expiry_ms INTEGER NOT NULL,
    decision_code TEXT NOT NULL, decision_reason TEXT, config_hash TEXT NOT NULL, run_id TEXT NOT NULL,
    meta TEXT, PRIMARY KEY (symbol, ts_ms, signal_id)) WITHOUT ROWID
"""

Fields = dict[str, Any]


class Signals:
    """Random but lawful signals; no two of a symbol share time and score."""

    def __init__(self, shape: str, dice: random.Random) -> None:
        self._shape = shape
        self._dice = dice
        self._ts_ms = FIRST_TS_MS
        self._count = 0

    def next(self, symbol: str) -> Fields:
        """One signal, a little later than the last; in files now and then at the very same time."""
        ties = self._shape.endswith("jsonl") and self._dice.random() < 0.1
        self._ts_ms += 0 if ties else self._dice.randint(1, 150)
        return self.at(symbol, self._ts_ms)

    def at(self, symbol: str, ts_ms: int) -> Fields:
        """One signal at `ts_ms`."""
        self._count += 1
        # The running number in the third and fourth digits keeps derived identities apart.
        score = round(self._dice.uniform(-2, 2), 1) + (self._count % 997) * 1e-4
        make = self._v2 if self._shape.startswith("v2") else self._v1
        return make(symbol, ts_ms, score)

    def _v1(self, symbol: str, ts_ms: int, score: float) -> Fields:
        blocked = self._dice.random() < 0.15
        fields: Fields = {
            "confirm": self._dice.random() < 0.9,
            "created_at": datetime.now(UTC).isoformat(),
            "div_type": self._dice.choice([None, None, "bull_div", "hidden_bear_div"]),
            "gating": 0 if blocked else 1,
            "gating_blocked": blocked,
            "guard_reason": "warmup,low_consistency" if blocked else None,
            "regime": self._dice.choice(["quiet", "active", "trend"]),
            "run_id": "r7",
            "score": score,
            "symbol": symbol,
            "ts_ms": ts_ms,
            "z_cvd": score / 2,
            "z_ofi": score / 3,
        }
        if self._shape == "v1-jsonl":
            gating = self._dice.choice(["int", "int", "ok", "list", "null"])
            if gating != "int":
                reasons = {
                    "ok": ("ok", "warmup"),
                    "list": (["a_passed", "ok"], ["fallback"]),
                    "null": (None, None),
                }
                fields["gating"] = reasons[gating][1 if blocked else 0]
        return fields

    def _v2(self, symbol: str, ts_ms: int, score: float) -> Fields:
        confirm = self._dice.random() < 0.85
        return {
            "config_hash": "9ef1d7",
            "confirm": confirm,
            "cooldown_ms": 0,
            "decision_code": "OK" if confirm else "FAIL_GATING",
            "decision_reason": None if confirm else "warmup",
            "div_type": None,
            "expiry_ms": 60_000,
            "gating": 1 if confirm else self._dice.choice([0, 1]),
            "meta": {"window_ms": 120_000},
            "regime": "trend",
            "run_id": "r7",
            "schema_version": "signal/v2",
            "score": score,
            "side_hint": self._dice.choice(["buy", "sell", "sell", "flat"]),
            "signal_id": f"r7-{symbol}-{ts_ms}-{self._count}",
            "symbol": symbol,
            "ts_ms": ts_ms,
            "z_cvd": score / 2,
            "z_ofi": score / 3,
        }


class Journal:
    """The feed's own list: what was written, in the order in which it was written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")

    def note(self, kind: str, place: str, *, free: bool, fields: Fields | None = None, raw: str = "") -> None:
        """Remember one record; `free` means that its order among the others is nobody's promise."""
        entry = {"kind": kind, "place": place, "free": free, "raw": raw, "fields": fields}
        self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")

    def sync(self) -> None:
        """Put it on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        self._file.close()


class FileFeed:
    """Appends to one file per symbol and minute of signal time, with the real producer's bad habits."""

    def __init__(self, root: Path, signals: Signals, journal: Journal, dice: random.Random) -> None:
        self._root = root
        self._signals = signals
        self._journal = journal
        self._dice = dice
        self._current: dict[str, Path] = {}
        self._before: dict[str, Path] = {}
        self._last_line: dict[str, str] = {}

    def burst(self, count: int) -> int:
        """Write `count` records of either symbol; how many of them were new signals."""
        return sum(self._write_one(self._dice.choice(SYMBOLS)) for _ in range(count))

    def close(self) -> None:
        """Nothing is buffered here."""

    def _write_one(self, symbol: str) -> int:
        habit = self._dice.random()
        if habit < 0.01 and symbol in self._current:
            junk = self._dice.choice(['{"ts_ms":', "not json at all", '{"symbol":"XYZ"}', "[" * 50])
            self._append(self._current[symbol], f"{junk}{self._dice.randint(0, 10**9)}")
            self._journal.note("malformed", self._current[symbol].name, free=True, raw=symbol)
            return 0
        if habit < 0.02 and symbol in self._last_line:
            self._append(self._current[symbol], self._last_line[symbol])
            return 0
        if habit < 0.04 and symbol in self._before:
            return self._write_late(symbol)
        fields = self._signals.next(symbol)
        path = self._path(symbol, fields["ts_ms"])
        if path != self._current.get(symbol):
            if symbol in self._current:
                self._before[symbol] = self._current[symbol]
            self._current[symbol] = path
        self._write(path, symbol, fields)
        return 1

    def _write_late(self, symbol: str) -> int:
        """A signal of the minute before, appended after the new minute's file exists."""
        path = self._before[symbol]
        minute = datetime.strptime(path.stem, "signals_%Y%m%d_%H%M").replace(tzinfo=UTC)
        ts_ms = int(minute.timestamp()) * 1000 + self._dice.randint(0, MINUTE_MS - 1)
        self._write(path, symbol, self._signals.at(symbol, ts_ms))
        return 1

    def _write(self, path: Path, symbol: str, fields: Fields) -> None:
        line = json.dumps(fields, separators=(",", ":"))
        self._append(path, line)
        self._last_line[symbol] = line
        self._journal.note("signal", path.name, free=False, fields=fields)

    def _append(self, path: Path, line: str) -> None:
        whole = line.encode() + self._dice.choice([b"\n", b"\n", b"\n", b"\r\n"])
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            if self._dice.random() > 0.02:
                file.write(whole)
                return
            cut = self._dice.choice([len(whole) - 1, self._dice.randint(1, len(whole) - 1)])
            file.write(whole[:cut])
            time.sleep(self._dice.uniform(0, 0.05))
            file.write(whole[cut:])

    def _path(self, symbol: str, ts_ms: int) -> Path:
        minute = datetime.fromtimestamp(ts_ms // MINUTE_MS * 60, UTC)
        return self._root / "ready" / "signal" / symbol / f"signals_{minute:%Y%m%d_%H%M}.jsonl"


class TableFeed:
    """Inserts batches in WAL mode, one commit per burst."""

    def __init__(
        self, root: Path, shape: str, signals: Signals, journal: Journal, dice: random.Random
    ) -> None:
        self._late_rows = shape == "v2-sqlite"
        self._signals = signals
        self._journal = journal
        self._dice = dice
        path = root / ("signals_v2.db" if self._late_rows else "signals.db")
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(V2_TABLE if self._late_rows else V1_TABLE)
        self._connection.execute("CREATE INDEX idx_signals_symbol_ts ON signals(symbol, ts_ms)")
        columns = [row[1] for row in self._connection.execute("PRAGMA table_info(signals)")]
        self._columns = [name for name in columns if name != "created_at"]
        names, marks = ", ".join(self._columns), ", ".join("?" * len(self._columns))
        self._insert = f"INSERT INTO signals ({names}) VALUES ({marks})"

    def burst(self, count: int) -> int:
        """Commit `count` signals at once; rows may become visible later than rows of a greater time."""
        batch = []
        for _ in range(count):
            symbol = self._dice.choice(SYMBOLS)
            late = self._late_rows and self._dice.random() < 0.05
            fields = self._signals.next(symbol)
            if late:
                fields = self._signals.at(
                    symbol, max(FIRST_TS_MS, fields["ts_ms"] - self._dice.randint(1, 5_000))
                )
            batch.append((fields, late))
        self._connection.execute("BEGIN IMMEDIATE")
        for fields, _ in batch:
            row = {**fields, "meta": json.dumps(fields.get("meta"))}
            self._connection.execute(self._insert, [row.get(name) for name in self._columns])
        self._connection.execute("COMMIT")
        for fields, late in batch:
            self._journal.note("signal", "signals", free=late, fields={**fields, "gating_blocked": None})
        return count

    def close(self) -> None:
        """Close the table."""
        self._connection.close()


def moments(rate: float, dice: random.Random) -> Iterator[int]:
    """Sizes of bursts, one after the other, paced so that `rate` records are written per second."""
    started = time.monotonic()
    due = 0.0
    while True:
        size = dice.choice([1, 1, 1, 2, 5, 20])
        due += size / rate
        time.sleep(max(0.0, started + due - time.monotonic()))
        yield size


def main() -> int:
    """Feed until SIGTERM, or until `--count` signals are written."""
    parser = argparse.ArgumentParser(description="write signals and a list of them")
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--count", type=int, default=10_000_000)
    options = parser.parse_args()

    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    dice = random.Random(options.seed)
    options.into.mkdir(parents=True, exist_ok=True)
    with closing(Journal(options.journal)) as journal:
        signals = Signals(options.shape, dice)
        feed: FileFeed | TableFeed
        if options.shape.endswith("jsonl"):
            feed = FileFeed(options.into, signals, journal, dice)
        else:
            feed = TableFeed(options.into, options.shape, signals, journal, dice)
        left = options.count
        with closing(feed):
            for size in moments(options.rate, dice):
                left -= feed.burst(min(size, left))
                journal.sync()
                if stopping or left <= 0:
                    break
    return 0


if __name__ == "__main__":
    sys.exit(main())
