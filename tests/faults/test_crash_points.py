"""The whole worker killed at named points and at any await; the exchange's own journal decides."""

from __future__ import annotations

import subprocess

import pytest
from crash.command import crash_command
from crash.planted import BUGS

# Thousands of them are played by make crash-points-short.
POINTS = 100
SEED = 0
# Where a mistake shows only in some scenarios: the first seed that has one.
BEGIN = {"past not asked for": 7}
CAUGHT_WITHIN = 150


def crash_run(*words: str) -> subprocess.CompletedProcess[str]:
    """The command for points."""
    return crash_command("crash.run", *words)


def test_no_signal_is_lost_or_doubled_wherever_the_worker_is_killed() -> None:
    done = crash_run("--points", str(POINTS), "--seed", str(SEED))

    assert done.returncode == 0, done.stdout + done.stderr[-2_000:]
    assert done.stdout.startswith(f"seed {SEED}\n")
    assert "0 duplicates, 0 lost, 0 objections" in done.stdout


def test_one_point_is_played_again_alone_and_comes_to_the_same() -> None:
    first, second = (crash_run("--seed", "9", "--point", "300") for _ in range(2))

    assert first.returncode == 0, first.stdout + first.stderr[-2_000:]
    assert first.stdout == second.stdout
    assert "lives of [300, " in first.stdout


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_mistake_is_caught(bug: str) -> None:
    begin = BEGIN.get(bug, SEED)

    done = crash_run("--bug", bug, "--seed", str(begin), "--points", str(CAUGHT_WITHIN), "--steps", "20")

    assert done.returncode == 0, done.stdout + done.stderr[-2_000:]
