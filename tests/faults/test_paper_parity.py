"""Paper on an exchange's book fills at the prices at which that exchange fills."""

from __future__ import annotations

from decimal import Decimal

import pytest
from crash.command import crash_command
from paper_parity.figures import percentile


def test_a_batch_is_filled_on_paper_at_the_prices_of_the_exchange() -> None:
    done = crash_command("paper_parity.run", "--signals", "120")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "120 signals: 120 filled on paper, 120 on the exchange" in done.stdout
    assert "0 ticks at p50" in done.stdout


@pytest.mark.parametrize(("percent", "value"), [(50, 5), (95, 10), (100, 10), (1, 1), (10, 1), (11, 2)])
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(percent: int, value: int) -> None:
    assert percentile([Decimal(number) for number in range(1, 11)], percent) == value
