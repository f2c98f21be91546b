"""A full disk under the whole worker: nothing is sent, nothing is skipped, and it goes on by itself."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

PATIENCE_S = 30.0
SIGNALS = 400


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB of its own; needs root, and is skipped loudly without it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a full disk was not proven here, mount says: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def until(condition: Callable[[], bool], what: str) -> None:
    """Look every 50 ms, at most PATIENCE_S."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError, sqlite3.Error):
            if condition():
                return
        time.sleep(0.05)
    raise AssertionError(f"not within {PATIENCE_S:.0f} s: {what}")


def feed(folder: Path, first: int, count: int) -> None:
    """Append eligible signals, numbered from `first`."""
    with open(folder / "signals-20260101-00.jsonl", "a") as file:
        for number in range(first, first + count):
            fields = {"ts_ms": 1767225600000 + number, "symbol": "BTCUSDT", "score": 1.0, "confirm": True}
            file.write(json.dumps({**fields, "gating": "ok", "regime": "x" * 200}) + "\n")


def readiness(port: int) -> int:
    """The HTTP status of /readyz."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def executed(output: Path) -> int:
    """Rows in the table."""
    with closing(sqlite3.connect(output / "executions" / "executions.db", timeout=5)) as reader:
        return int(reader.execute("SELECT count(*) FROM executions").fetchone()[0])


@pytest.fixture
def worker(small_disk: Path, tmp_path: Path) -> Iterator[int]:
    """A worker whose output lies on the small disk and whose input does not; its HTTP port."""
    port = free_port()
    command = [sys.executable, "-m", "worker", "--symbols", "BTCUSDT"]
    with open(tmp_path / "worker.err", "wb") as told:
        process = subprocess.Popen(
            [*command, "--signals", str(tmp_path / "in"), "--output", str(small_disk)],
            env={"V13_EXECUTION__HTTP__PORT": str(port), "V13_EXECUTION__RATE_LIMIT__MAX_QPS": "null"},
            stderr=told,
        )
        yield port
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0, (tmp_path / "worker.err").read_text()


def test_a_full_disk_stops_sending_and_reading_until_there_is_space_again(
    worker: int, small_disk: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in" / "ready" / "signal" / "BTCUSDT"
    source.mkdir(parents=True)
    feed(source, 0, 10)
    until(lambda: executed(small_disk) == 10, "the first signals are executed")
    until(lambda: readiness(worker) == 200, "the worker is ready")

    ballast = small_disk / "ballast"
    descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(descriptor, b"x" * 4096)
    os.close(descriptor)
    feed(source, 10, SIGNALS)
    until(lambda: readiness(worker) == 503, "the worker says that it is not ready")
    while_full = executed(small_disk)
    os.unlink(ballast)

    until(lambda: executed(small_disk) == 10 + SIGNALS, "the backlog is executed without a restart")
    until(lambda: readiness(worker) == 200, "the worker is ready again")
    assert while_full < 10 + SIGNALS
    lines = small_disk / "executions" / "BTCUSDT"
    until(lambda: sum(len(f.read_bytes().splitlines()) for f in lines.iterdir()) == 10 + SIGNALS, "lines")
    told = [line for file in sorted(lines.iterdir()) for line in file.read_bytes().splitlines()]
    ids = [json.loads(line)["signal_id"] for line in told]
    assert len(set(ids)) == 10 + SIGNALS
