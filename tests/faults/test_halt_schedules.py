"""A halt comes at any await, by every way there is: no order leaves after it, not even after a restart."""

from __future__ import annotations

from crash.command import crash_command

# More of them are in tests/live.
SCHEDULES = 100


def test_no_order_leaves_after_the_commit_of_a_halt() -> None:
    done = crash_command("crash.halting", "--schedules", str(SCHEDULES), "--seed", "0")

    assert done.returncode == 0, done.stdout + done.stderr[-2_000:]
    assert f"{SCHEDULES} schedules" in done.stdout
    assert "0 objections" in done.stdout


def test_a_halt_that_is_looked_at_early_is_caught() -> None:
    done = crash_command("crash.halting", "--schedules", "20", "--looked-at-early")

    assert done.returncode == 1
    assert "an order left after the halt" in done.stdout
