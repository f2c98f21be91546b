"""A producer of signal tables for tests, and the reading side beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from config import settings
from streams.position import SourcePosition
from streams.signal import Record, Signal
from streams.sqlite import SqliteFeed, SqliteKind, SqliteSource

T0 = 1_763_225_940_000
BTC, ETH = "BTCUSDT", "ETHUSDT"
NAMES: dict[SqliteKind, str] = {"sqlite_v1": "signals.db", "sqlite_v2": "signals_v2.db"}
V1 = """
CREATE TABLE signals (ts_ms INTEGER NOT NULL, symbol TEXT NOT NULL, score REAL, regime TEXT, div_type TEXT,
confirm INTEGER, gating INTEGER, guard_reason TEXT, run_id TEXT NOT NULL,
PRIMARY KEY (run_id, ts_ms, symbol));
CREATE INDEX idx_signals_symbol_ts ON signals(symbol, ts_ms);
"""
V2 = """
CREATE TABLE signals (ts_ms INTEGER NOT NULL, symbol TEXT NOT NULL, signal_id TEXT NOT NULL,
schema_version TEXT NOT NULL DEFAULT 'signal/v2', score REAL NOT NULL, side_hint TEXT NOT NULL,
gating INTEGER NOT NULL, confirm INTEGER NOT NULL, cooldown_ms INTEGER NOT NULL, expiry_ms INTEGER NOT NULL,
decision_code TEXT NOT NULL, run_id TEXT NOT NULL, PRIMARY KEY (symbol, ts_ms, signal_id)) WITHOUT ROWID;
CREATE INDEX idx_signals_symbol_ts ON signals(symbol, ts_ms);
"""


class ManualClock:
    """Time that moves when the test says so."""

    def __init__(self) -> None:
        self.now_ms = T0 + 3_600_000
        self.elapsed_s = 1_000.0

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_s(self) -> float:
        return self.elapsed_s

    def boot_s(self) -> float:
        return self.elapsed_s

    async def sleep(self, delay_s: float) -> None:
        self.pass_s(delay_s)

    def pass_s(self, delay_s: float) -> None:
        self.elapsed_s += delay_s
        self.now_ms += int(delay_s * 1_000)


class Producer:
    """Writes one table, in the shape of its kind, through one connection."""

    def __init__(
        self, folder: Path, kind: SqliteKind, *, schema: str | None = None, journal: str = "wal"
    ) -> None:
        self.path = folder / NAMES[kind]
        self._v1 = kind == "sqlite_v1"
        self.connection = sqlite3.connect(self.path, isolation_level=None, timeout=10)
        self.connection.execute(f"PRAGMA journal_mode={journal}")
        self.connection.executescript(schema or (V1 if self._v1 else V2))

    def write(self, numbers: Iterable[int], symbol: str = BTC, run_id: str = "r1") -> list[int]:
        """Rows whose number is their distance from T0 in ms; in one commit. Returns their ts_ms."""
        times = [T0 + number for number in numbers]
        self.connection.execute("BEGIN")
        for ts_ms in times:
            row: dict[str, object] = {
                "ts_ms": ts_ms,
                "symbol": symbol,
                "score": 0.9,
                "confirm": 1,
                "gating": 1,
                "run_id": run_id,
            }
            if not self._v1:
                row |= {"signal_id": f"{run_id}-{symbol}-{ts_ms}", "side_hint": "buy", "decision_code": "OK"}
                row |= {"cooldown_ms": 0, "expiry_ms": 0}
            self.insert(row)
        self.connection.execute("COMMIT")
        return times

    def insert(self, row: dict[str, object]) -> None:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        self.connection.execute(f"INSERT INTO signals ({names}) VALUES ({marks})", list(row.values()))

    def close(self) -> None:
        self.connection.close()


def source_of(
    folder: Path, kind: SqliteKind, clock: ManualClock, limits: settings.Source | None = None
) -> SqliteSource:
    """A source without a poller, which reads when it is asked."""
    return SqliteSource(folder, kind=kind, settings=limits or settings.Source(), clock=clock, once=True)


async def drain(feed: SqliteFeed, limit: int = 100) -> tuple[list[Record], Sequence[SourcePosition]]:
    """Everything that is new, and the position behind it."""
    records: list[Record] = []
    positions: Sequence[SourcePosition] = ()
    while (batch := await feed.read(limit)).records:
        records.extend(batch.records)
        positions = batch.positions(0, len(batch.records)) or positions
    return records, positions


async def times(feed: SqliteFeed, limit: int = 100) -> list[int]:
    """The ts_ms of everything that is new."""
    return times_of((await drain(feed, limit))[0])


def times_of(records: Iterable[Record]) -> list[int]:
    found = []
    for record in records:
        assert isinstance(record, Signal), record
        found.append(record.ts_ms)
    return found
