"""What a source may still deliver: by the names of its files, by every line, and by its tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from streams.reach import HOUR_MS, ODD_MAX, Reachable, reachable

SYMBOL = "BTCUSDT"
HOUR_16_MS = 1_763_222_400_000  # 2025-11-15 16:00


def write(base: Path, name: str, *lines: str) -> None:
    folder = base / "ready" / "signal" / SYMBOL
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(f"{line}\n" for line in lines))


def table(base: Path, *rows: tuple[str, int], name: str = "signals.db") -> None:
    with closing(sqlite3.connect(base / name)) as connection, connection:
        connection.execute("CREATE TABLE signals (symbol TEXT, ts_ms INTEGER)")
        connection.executemany("INSERT INTO signals VALUES (?, ?)", rows)


def test_the_oldest_name_bounds_its_files_by_an_hour_more(tmp_path: Path) -> None:
    write(tmp_path, "signals-20251115-17.jsonl", '{"ts_ms": 1763226000000}')
    write(tmp_path, "signals-20251115-16.jsonl.2", '{"ts_ms": 1763222400001}')

    assert reachable(tmp_path, SYMBOL, read_kind="jsonl") == Reachable(HOUR_16_MS - HOUR_MS, frozenset())


@pytest.mark.parametrize(
    "line", ['{"ts_ms": 1700000000123}', '{"ts_ms" :1700000000123,"a":1}', '{"ts\\u005fms":1700000000123}']
)
def test_an_older_line_is_remembered_by_its_own_time(tmp_path: Path, line: str) -> None:
    write(tmp_path, "signals-20251115-16.jsonl", '{"ts_ms": 1763222400001}', line, '{"ts_ms": 1763222400002}')

    found = reachable(tmp_path, SYMBOL, read_kind="jsonl")

    assert found == Reachable(HOUR_16_MS - HOUR_MS, frozenset({1_700_000_000_123}))


def test_many_older_lines_move_the_bound(tmp_path: Path) -> None:
    lines = [f'{{"ts_ms": {1_700_000_000_000 + number}}}' for number in range(ODD_MAX + 5)]
    write(tmp_path, "signals-20251115-16.jsonl", *lines)

    assert reachable(tmp_path, SYMBOL, read_kind="jsonl") == Reachable(1_700_000_000_000, frozenset())


def test_every_sink_that_is_there_counts(tmp_path: Path) -> None:
    write(tmp_path, "signals-20251115-16.jsonl", '{"ts_ms": 1763222400001}')
    table(tmp_path, ("btcusdt", 1_763_000_000_000), ("ETHUSDT", 5))

    assert reachable(tmp_path, SYMBOL, read_kind="jsonl") == Reachable(1_763_000_000_000, frozenset())


def test_what_cannot_be_told_is_a_sentence(tmp_path: Path) -> None:
    empty = reachable(tmp_path, SYMBOL, read_kind="jsonl")
    write(tmp_path, "signals.jsonl", "{}")
    nameless = reachable(tmp_path, SYMBOL, read_kind="jsonl")
    (tmp_path / "signals_v2.db").write_bytes(b"no database" * 400)
    unreadable = reachable(tmp_path, SYMBOL, read_kind="sqlite_v2")

    assert empty == f"nothing of {SYMBOL} is in the source jsonl now, which proves nothing"
    assert nameless == f"a file of {SYMBOL} has no time in its name, so what it may bring cannot be told"
    assert isinstance(unreadable, str)
