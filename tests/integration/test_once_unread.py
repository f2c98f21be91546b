"""--once on signals that cannot be read: what was left unread is told, and is no success."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def run_once(folder: Path, sink: str) -> tuple[int, list[str]]:
    """The exit code, and why the signals of BTCUSDT were not read."""
    command = [sys.executable, "-m", "worker", "--once", "--symbols", "BTCUSDT", "--sink", sink]
    done = subprocess.run(
        [*command, "--signals", str(folder), "--output", str(folder / "out")],
        env={**os.environ, "V13_EXECUTION__LOG__FORMAT": "json"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    events = [json.loads(line) for line in done.stderr.splitlines()]
    return done.returncode, [each["why"] for each in events if each["event"] == "signals_not_read"]


def test_a_damaged_database_is_told_and_ends_with_65(tmp_path: Path) -> None:
    (tmp_path / "signals.db").write_bytes(b"\x5a" * 30_000)

    code, told = run_once(tmp_path, "sqlite")

    assert code == 65
    assert [why.split(":")[0] for why in told] == ["signals.db is damaged (file is not a database)"]


@pytest.mark.parametrize(
    ("sink", "why"),
    [
        ("sqlite", "signals.db is not there yet: it is read as soon as the producer creates it"),
        ("jsonl", "folder {}/ready/signal/BTCUSDT does not exist yet: the producer makes it"),
    ],
)
def test_signals_that_are_not_there_yet_are_told_and_are_no_fault(
    tmp_path: Path, sink: str, why: str
) -> None:
    assert run_once(tmp_path, sink) == (0, [why.format(tmp_path)])
