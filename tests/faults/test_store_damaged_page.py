"""Damaged pages of the store: a start that meets one ends with a sentence, never with a traceback."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest


def run_once(output: Path) -> subprocess.CompletedProcess[str]:
    """One run over an empty source."""
    return subprocess.run(
        [sys.executable, "-m", "worker", "--once", "--symbols", "BTCUSDT", "--output", str(output)],
        env={**os.environ, "V13_EXECUTION__RATE_LIMIT__MAX_QPS": "null"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("table", ["executions_unsettled", "events", "source_positions", "lanes"])
def test_a_start_on_a_damaged_page_ends_with_a_sentence(tmp_path: Path, table: str) -> None:
    assert run_once(tmp_path).returncode == 0
    database = tmp_path / "executions" / "executions.db"
    with closing(sqlite3.connect(database)) as connection:
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = connection.execute(query, (table,)).fetchone()
    with open(database, "r+b") as file:
        file.seek((page - 1) * page_bytes)
        file.write(b"\x5a" * page_bytes)

    done = run_once(tmp_path)

    assert done.returncode == 65, done.stderr
    assert "Traceback" not in done.stderr
    assert "malformed): check the disk, keep a copy, then restore a backup" in done.stderr
