"""SIGKILL of a worker with the venue in it: one accepted order for each eligible signal, and no other."""

from __future__ import annotations

from pathlib import Path

from paper_drill.kills import PLANTS, PaperDrill

SEED = 20_251_115
KILLS = 12
RATE = 30.0


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


def test_a_venue_that_answers_before_it_writes_is_caught(tmp_path: Path) -> None:
    mistake = "answer-before-write"
    plant = PLANTS[mistake]

    report = PaperDrill(SEED, tmp_path, mistake=mistake, points=plant.points).trade(plant.kills, RATE)

    assert report.caught(plant.deserved) is not None, report.objections
