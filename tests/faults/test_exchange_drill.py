"""Twenty SIGKILLs of a worker that trades on a lying exchange: one order for each signal, none lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from drill_exchange.kills import ORDER_POINTS, SHORT, ExchangeDrill
from drill_exchange.planted_run import PLANTS
from drill_exchange.processes import CODE, PLANTED, TESTS

SEED = 20_251_115
KILLS = 20
# A point that no order passes in time, on a host with other things to do, becomes a random death.
ORDER_POINTS_MIN = 2


def test_a_killed_worker_on_a_lying_exchange_places_one_order_per_signal(tmp_path: Path) -> None:
    drill = ExchangeDrill(SEED, tmp_path / "drill", SHORT)

    report = drill.run()

    verdict = report.verdict
    assert report.objections == []
    assert report.killed >= KILLS
    assert len(report.kills.keys() & set(ORDER_POINTS)) >= ORDER_POINTS_MIN
    assert verdict.signals == verdict.rows == verdict.lines >= SHORT.signals
    assert verdict.accepted == verdict.eligible > 0
    assert (verdict.doubled, verdict.lost) == (0, 0)
    assert report.orders_struck >= 0.30 * report.orders_asked


@pytest.mark.parametrize("mistake", PLANTS)
def test_each_planted_mistake_still_finds_the_part_that_it_replaces(mistake: str) -> None:
    """The drill on planted mistakes takes minutes; that a part has moved is seen here at once."""
    path = os.pathsep.join((str(CODE), str(TESTS)))

    done = subprocess.run(
        [sys.executable, str(PLANTED), mistake, "--help"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr[-2_000:]
