"""The log's files in trouble: removed, unwritable, cut, full. The worker goes on and says so once."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config import settings
from worker import logs
from worker.logs import KEPT_BYTES_MAX, HourlyFile, Log

NOON_MS = 1_795_262_400_000  # 2026-11-21T12:00:00Z
HOUR = "20261121_12"


class HandClock:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now_ms = NOON_MS

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_s(self) -> float:
        return self.now_ms / 1_000

    def boot_s(self) -> float:
        return self.now_ms / 1_000

    async def sleep(self, delay_s: float) -> None:
        self.now_ms += int(delay_s * 1_000)


@pytest.fixture
def clock() -> HandClock:
    """The clock of the log under test."""
    return HandClock()


@pytest.fixture
def stream() -> io.StringIO:
    """What stands for standard error."""
    return io.StringIO()


@pytest.fixture
def log(tmp_path: Path, clock: HandClock, stream: io.StringIO) -> Iterator[Log]:
    """A log in `tmp_path/logs`."""
    log = logs.configure(settings.Log(), tmp_path / "logs", clock, stream)
    yield log
    log.close()


@pytest.fixture
def file_size_limit() -> Iterator[int]:
    """Files may grow to this size only, so that writes fail or end half-way as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, before[1]))
    yield 4_096
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def events_of(path: Path) -> list[str]:
    """The names of the events of a file; every line must be one JSON object."""
    return [json.loads(line)["event"] for line in path.read_text("ascii").splitlines()]


def told(stream: io.StringIO) -> list[dict[str, Any]]:
    """What standard error was told about the files."""
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in lines if line["event"].startswith("log_file_")]


@pytest.mark.parametrize("how", ["removed", "renamed", "folder renamed"])
def test_a_file_that_was_taken_away_is_begun_anew(tmp_path: Path, log: Log, how: str) -> None:
    path = tmp_path / "logs" / f"{HOUR}.log"
    log.event("first")
    match how:
        case "removed":
            path.unlink()
        case "renamed":
            path.rename(path.with_suffix(".1"))
        case _:
            path.parent.rename(tmp_path / "elsewhere")

    log.event("second")

    assert events_of(path) == ["second"]
    assert (log.trouble, log.lost_lines) == (None, 0)


def test_trouble_is_told_once_and_its_end_too_and_no_line_is_lost(
    tmp_path: Path, log: Log, clock: HandClock, stream: io.StringIO
) -> None:
    in_the_way = tmp_path / "logs"
    in_the_way.write_text("no folder")
    for name in ("first", "second", "third"):
        log.event(name)
        clock.now_ms += 2_000
    assert log.trouble is not None

    in_the_way.unlink()
    log.event("fourth")

    assert events_of(tmp_path / "logs" / f"{HOUR}.log") == ["first", "second", "third", "fourth"]
    assert [line["event"] for line in told(stream)] == ["log_file_blocked", "log_file_unblocked"]
    assert str(in_the_way) in told(stream)[0]["why"]
    assert log.lost_lines == 0


def test_a_blocked_file_is_tried_again_once_a_second_only(tmp_path: Path, log: Log, clock: HandClock) -> None:
    (tmp_path / "logs").write_text("no folder")
    log.event("first")
    (tmp_path / "logs").unlink()

    clock.now_ms += 900
    log.event("second")
    assert log.trouble is not None
    clock.now_ms += 100
    log.event("third")

    assert events_of(tmp_path / "logs" / f"{HOUR}.log") == ["first", "second", "third"]


def test_what_exceeds_the_memory_for_kept_lines_is_counted(tmp_path: Path, clock: HandClock) -> None:
    (tmp_path / "logs").write_text("no folder")
    file = HourlyFile(tmp_path / "logs", clock)
    line = b"x" * 1_023 + b"\n"

    file.write(HOUR, [line] * (KEPT_BYTES_MAX // 1_024 + 5))
    assert file.lost_lines == 5
    file.abandon()

    assert file.lost_lines == KEPT_BYTES_MAX // 1_024 + 5


def test_a_disk_that_fills_in_the_middle_of_a_line_costs_no_line(
    tmp_path: Path, clock: HandClock, file_size_limit: int
) -> None:
    file = HourlyFile(tmp_path, clock)
    lines = [b'{"event":"line %04d"}\n' % number for number in range(400)]
    file.write(HOUR, lines)
    path = tmp_path / f"{HOUR}.log"
    assert path.stat().st_size == file_size_limit
    assert not path.read_bytes().endswith(b"\n")

    resource.setrlimit(resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE)[1:] * 2)
    clock.now_ms += 1_000
    file.write(HOUR, [b'{"event":"after"}\n'])
    file.close()

    assert path.read_bytes() == b"".join(lines) + b'{"event":"after"}\n'
    assert (file.trouble, file.lost_lines) == (None, 0)


def test_the_rest_of_a_torn_line_never_begins_another_file(
    tmp_path: Path, clock: HandClock, file_size_limit: int
) -> None:
    file = HourlyFile(tmp_path, clock)
    file.write(HOUR, [b'{"event":"line %04d"}\n' % number for number in range(400)])

    resource.setrlimit(resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE)[1:] * 2)
    clock.now_ms += 3_600_000
    file.write("20261121_13", [b'{"event":"after"}\n'])
    file.close()

    found = events_of(tmp_path / "20261121_13.log")
    assert found[-1] == "after"
    assert len(found) + 4_096 // len(b'{"event":"line 0000"}\n') + file.lost_lines == 401
    assert file.lost_lines == 1


def test_a_line_that_a_kill_has_cut_never_swallows_the_next_one(tmp_path: Path, log: Log) -> None:
    path = tmp_path / "logs" / f"{HOUR}.log"
    path.parent.mkdir()
    path.write_text('{"event":"whole"}\n{"event":"cu')

    log.event("next")

    lines = path.read_text().splitlines()
    assert lines[:2] == ['{"event":"whole"}', '{"event":"cu']
    assert json.loads(lines[2])["event"] == "next"


def test_a_kill_loses_the_lines_of_the_running_turn_at_most(tmp_path: Path) -> None:
    program = """
import asyncio, os, signal, sys
from pathlib import Path
from config import settings
from config.seams import SystemClock
from worker import logs

async def main() -> None:
    log = logs.configure(settings.Log(), Path(sys.argv[1]), SystemClock(), sys.stderr)
    log.event("first")
    await asyncio.sleep(0)
    log.event("second")
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], check=False, capture_output=True, env=os.environ
    )

    assert ended.returncode == -signal.SIGKILL
    (path,) = tmp_path.iterdir()
    assert events_of(path) == ["first"]
