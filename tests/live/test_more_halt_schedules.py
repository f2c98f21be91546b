"""More of the schedules in which a halt comes: as many again, three times."""

from __future__ import annotations

import pytest
from crash.command import crash_command

SCHEDULES = 250


@pytest.mark.parametrize("seed", [1_000, 2_000, 3_000])
def test_no_order_leaves_after_the_commit_of_a_halt(seed: int) -> None:
    done = crash_command("crash.halting", "--schedules", str(SCHEDULES), "--seed", str(seed))

    assert done.returncode == 0, done.stdout + done.stderr[-2_000:]
    assert f"{SCHEDULES} schedules" in done.stdout
    assert "0 objections" in done.stdout
