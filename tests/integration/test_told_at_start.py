"""What a start, `check` and `status` say of things that are not as they should be, and what to do."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rig import rows as rig
from rig.virtual_clock import ManualClock


def started(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """One run of the program to its end."""
    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        env={**os.environ, "V13_EXECUTION__LOG__FORMAT": "json", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """What was logged on standard error."""
    return [json.loads(line) for line in done.stderr.splitlines()]


def store_in(tmp_path: Path) -> Path:
    """Where the database stands."""
    folder = tmp_path / "executions"
    folder.mkdir()
    return folder / "executions.db"


def test_the_status_of_a_store_that_is_not_there_asks_for_a_start(tmp_path: Path) -> None:
    done = started("status", "--output", str(tmp_path))

    assert done.returncode == 3
    assert done.stderr == (
        f"store {tmp_path}/executions/executions.db does not exist yet: "
        "start the worker once, or name its folder with --output\n"
    )


def test_the_status_of_a_foreign_store_says_whose_it_is_not(tmp_path: Path) -> None:
    path = store_in(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE x (y)")

    done = started("status", "--output", str(tmp_path))

    assert done.returncode == 3
    assert done.stderr.startswith(f"store {path} is a database of another program: give this worker another")


@pytest.mark.parametrize("content", [b"\x5a" * 8_192, b"SQLite format 3\0" + b"\x5a" * 8_176])
def test_the_status_of_a_damaged_store_asks_for_a_backup(tmp_path: Path, content: bytes) -> None:
    path = store_in(tmp_path)
    path.write_bytes(content)

    done = started("status", "--output", str(tmp_path))

    assert done.returncode == 3
    assert f"store {path} cannot be read (" in done.stderr
    assert "restore a backup" in done.stderr


def test_every_warning_of_the_configuration_comes_with_what_to_do(tmp_path: Path) -> None:
    done = started(
        "check", "--json", "--output", str(tmp_path / "out"), V13_EXECUTION__RISK__MAX_ORDER_USD="5"
    )

    warned = [
        row
        for row in json.loads(done.stdout)["rows"]
        if (row["subject"], row["level"]) == ("configuration", "warn")
    ]
    assert len(warned) == 1
    assert "config show" in warned[0]["remedy"]


def test_signals_that_are_a_file_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "signals"
    path.write_text("")

    done = started("--once", "--signals", str(path), "--output", str(tmp_path / "out"))

    assert done.returncode == 78
    assert events(done)[0]["why"] == f"signals {path} is a file, must be a folder: name it with --signals"
    assert not (tmp_path / "out").exists()


def test_orders_of_a_symbol_that_is_no_longer_enabled_are_told_once_with_their_number(
    tmp_path: Path,
) -> None:
    ledger = rig.open_ledger(tmp_path / "executions", ManualClock())
    left_open = [rig.reservation(number, symbol="OLDUSDT") for number in range(2)]
    ledger.commit([rig.share(*left_open, rig.skip(2, symbol="OLDUSDT"), symbol="OLDUSDT")])
    ledger.close()

    told = events(started("--once", "--symbols", "BTCUSDT", "--output", str(tmp_path)))

    left = [one for one in told if one["event"] == "orders_left_unsettled"]
    assert [(one["symbol"], one["orders"]) for one in left] == [("OLDUSDT", 2)]
    assert told[0]["event"] == "worker_ready"
