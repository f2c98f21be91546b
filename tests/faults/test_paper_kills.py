"""SIGKILL of a worker with the venue in it: one accepted order for each eligible signal, and no other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import paper_drill.kills
import pytest
from drill_exchange.processes import CODE
from paper_drill.kills import PLANTS, PaperDrill

SEED = 20_251_115
KILLS = 7
RATE = 30.0
PLANTED = Path(paper_drill.kills.__file__).with_name("planted.py")


def test_a_killed_worker_and_its_venue_have_one_order_per_eligible_signal(tmp_path: Path) -> None:
    report = PaperDrill(SEED, tmp_path).trade(KILLS, RATE)

    verdict = report.verdict
    assert report.objections == []
    assert report.kills.kills >= KILLS
    assert verdict.signals == verdict.rows == verdict.lines > 0
    assert verdict.accepted == verdict.eligible > 0
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert verdict.resolved_as_found > 0
    assert verdict.proven_absent > 0


@pytest.mark.parametrize("mistake", PLANTS)
def test_each_planted_mistake_still_finds_the_part_that_it_replaces(mistake: str) -> None:
    """The drill on planted mistakes takes a while; that a part has moved is seen here at once."""
    done = subprocess.run(
        [sys.executable, str(PLANTED), mistake, "--help"],
        env=os.environ | {"PYTHONPATH": str(CODE)},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr[-2_000:]
