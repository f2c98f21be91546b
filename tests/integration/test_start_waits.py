"""A first start at `now` on a source that cannot be read: it waits, says so, and can be stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path


def test_a_start_that_waits_for_its_source_says_why_and_stops_when_asked(tmp_path: Path) -> None:
    (tmp_path / "signals.db").write_bytes(b"\x5a" * 30_000)
    command = [sys.executable, "-m", "worker", "--start", "now", "--sink", "sqlite"]
    environment = {**os.environ, "V13_EXECUTION__HTTP__PORT": "0"}
    worker = subprocess.Popen(
        [*command, "--output", str(tmp_path)], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        assert worker.stderr is not None
        told = worker.stderr.readline()
        worker.send_signal(signal.SIGTERM)
        code = worker.wait(10)
    finally:
        worker.kill()
        worker.communicate()

    assert '"event":"start_waits","symbol":"BTCUSDT","why":"signals.db is damaged' in told
    assert code == 0
