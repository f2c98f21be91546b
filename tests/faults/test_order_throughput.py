"""The whole worker spends what it may of an exchange's order budget, and never a single order more."""

from __future__ import annotations

import pytest
from crash.command import crash_command


@pytest.mark.parametrize(("per_minute", "per_10_s"), [(400, 100), (600, 50)])
def test_nearly_all_of_the_binding_budget_is_spent_without_a_429(per_minute: int, per_10_s: int) -> None:
    limits = ("--per-minute", str(per_minute), "--per-10-s", str(per_10_s))

    done = crash_command("crash.spending", *limits)

    # It demands 98 % over two whole minutes by the exchange's own count.
    assert done.returncode == 0, done.stdout + done.stderr[-2_000:]
    assert "0 times too many" in done.stdout
