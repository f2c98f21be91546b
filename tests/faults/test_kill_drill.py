"""SIGKILL at random and at every named crash point loses nothing, doubles nothing, reorders nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from drill.kills import KillDrill

from config.seams import CRASH_POINTS

SEED = 20_251_115


@pytest.mark.parametrize(("shape", "kills"), [("v1-jsonl", 20), ("v1-sqlite", 14), ("v2-sqlite", 14)])
def test_a_killed_worker_leaves_one_row_and_one_line_per_signal(
    shape: str, kills: int, tmp_path: Path
) -> None:
    drill = KillDrill(shape, SEED, tmp_path)

    report = drill.run(kills, rate=400)

    assert report.faults == []
    assert report.verdict.complaints == ()
    assert report.kills_named.keys() == set(CRASH_POINTS)
    assert report.verdict.signals == report.verdict.rows == report.verdict.lines > 0
