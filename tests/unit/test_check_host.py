"""The doubts that depend on numbers alone, over their whole range."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from worker.check_host import clock_row, descriptors_row, inotify_row, python_row, sqlite_row
from worker.check_output import free_space_row
from worker.check_source import shared_row
from worker.doubt import Level


class StoppedClock:
    """A clock that stands at one moment."""

    def __init__(self, wall_ms: int) -> None:
        self._wall_ms = wall_ms

    def wall_ms(self) -> int:
        return self._wall_ms

    def monotonic_s(self) -> float:
        return 0.0

    def boot_s(self) -> float:
        return 0.0

    async def sleep(self, delay_s: float) -> None:
        raise AssertionError("a check never sleeps")


@pytest.mark.parametrize(
    ("wall_ms", "level"),
    [(0, Level.FAIL), (1_700_000_000_000, Level.FAIL), (1_760_000_000_000, Level.OK), (10**17, Level.FAIL)],
)
def test_a_clock_before_this_program_was_written_is_wrong(wall_ms: int, level: Level) -> None:
    assert clock_row(StoppedClock(wall_ms)).level is level


def test_versions_that_are_too_old_are_refused() -> None:
    assert python_row((3, 10, 12)).level is Level.FAIL
    assert python_row((3, 11, 0)).level is Level.OK
    assert sqlite_row((3, 34, 1)).finding == "3.34.1, must be at least 3.37.0"
    assert sqlite_row((3, 40, 1)).level is Level.OK


@pytest.mark.parametrize(
    ("limit", "level"),
    [(64, Level.FAIL), (256, Level.WARN), (1_024, Level.OK), (resource.RLIM_INFINITY, Level.OK)],
)
def test_the_limit_of_open_files_is_judged(limit: int, level: Level) -> None:
    assert descriptors_row(limit).level is level


@pytest.mark.parametrize(
    ("watches", "instances", "level"),
    [
        ("65536", "128", Level.OK),
        ("100", "128", Level.WARN),
        ("65536", "1", Level.WARN),
        ("", "", Level.WARN),
    ],
)
def test_inotify_limits_are_judged(tmp_path: Path, watches: str, instances: str, level: Level) -> None:
    (tmp_path / "max_user_watches").write_text(watches)
    (tmp_path / "max_user_instances").write_text(instances)

    assert inotify_row(tmp_path).level is level
    assert inotify_row(tmp_path / "nowhere").level is Level.WARN


@pytest.mark.parametrize(
    ("free_bytes", "inodes_gone", "level"),
    [
        ((64 << 20) - 1, False, Level.FAIL),
        (64 << 20, False, Level.WARN),
        ((1 << 30) - 1, False, Level.WARN),
        (1 << 30, False, Level.OK),
        (1 << 40, True, Level.FAIL),
    ],
)
def test_free_space_is_judged(free_bytes: int, inodes_gone: bool, level: Level) -> None:
    assert free_space_row(free_bytes, inodes_gone=inodes_gone).level is level


@pytest.mark.parametrize(
    ("mode", "user", "groups", "umask", "level"),
    [
        (0o644, 7, {1}, 0o022, Level.OK),  # the same user
        (0o600, 0, {0}, 0o022, Level.OK),  # root
        (0o664, 8, {1}, 0o022, Level.FAIL),  # neither user nor group
        (0o664, 8, {9}, 0o022, Level.FAIL),  # our umask would lock the producer out
        (0o644, 8, {9}, 0o002, Level.FAIL),  # the producer's file locks us out
        (0o664, 8, {9}, 0o002, Level.OK),
    ],
)
def test_producer_and_worker_need_a_common_user_or_group(
    tmp_path: Path, mode: int, user: int, groups: set[int], umask: int, level: Level
) -> None:
    path = tmp_path / "signals.db"
    status = os.stat_result((mode, 1, 1, 1, 7, 9, 0, 0, 0, 0))

    row = shared_row(path, status, user=user, groups=groups, umask=umask)

    assert row.level is level
    assert bool(row.remedy) is (level is Level.FAIL)
