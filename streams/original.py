"""The original of a signal: what stood in the source, shown again. For people; decides nothing."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

ORIGINAL_BYTES_MAX = 1_048_576

_BY_KEY_V2 = "SELECT * FROM signals WHERE symbol = ? AND ts_ms = ? AND signal_id = ?"
_BY_ROWID = "SELECT * FROM signals WHERE rowid = ? AND symbol = ? AND ts_ms = ?"


def original_of(
    signals_dir: Path, *, file: str, offset: int, length: int, key: tuple[int, str, str]
) -> str | None:
    """The line or row that a signal was read from; None when it does not stand there any more.

    `key` is (ts_ms, symbol, signal_id). Runs in a process of its own, never in the worker: it opens and
    closes the producer's database.
    """
    path = signals_dir / file
    try:
        return _row(path, offset, key) if path.suffix == ".db" else _line(path, offset, length, key)
    except (OSError, sqlite3.Error):
        return None


def _line(path: Path, offset: int, length: int, key: tuple[int, str, str]) -> str | None:
    with open(path, "rb") as opened:
        opened.seek(offset)
        line = opened.read(min(length, ORIGINAL_BYTES_MAX)).decode("utf-8", "backslashreplace")
    ts_ms, symbol, _ = key
    return line if str(ts_ms) in line and symbol in line.upper() else None


def _row(path: Path, rowid: int, key: tuple[int, str, str]) -> str | None:
    ts_ms, symbol, signal_id = key
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2)) as reader:
        if rowid < 0:
            cursor = reader.execute(_BY_KEY_V2, (symbol, ts_ms, signal_id))
        else:
            cursor = reader.execute(_BY_ROWID, (rowid, symbol, ts_ms))
        row = cursor.fetchone()
        names = [column[0] for column in cursor.description]
    return json.dumps(dict(zip(names, row, strict=True))) if row else None
