"""SIGKILL at random and at every named crash point loses nothing, doubles nothing, reorders nothing."""

from __future__ import annotations

from pathlib import Path

from drill.kills import KillDrill

from config.seams import CRASH_POINTS

SEED = 20_251_115


def test_a_killed_worker_leaves_one_row_and_one_line_per_signal(tmp_path: Path) -> None:
    """Signals in files; those in tables are drilled by `make drill-short`."""
    drill = KillDrill("v1-jsonl", SEED, tmp_path)

    report = drill.run(14, rate=400)

    assert report.faults == []
    assert report.verdict.complaints == ()
    assert report.kills_named.keys() == set(CRASH_POINTS)
    assert report.verdict.signals == report.verdict.rows == report.verdict.lines > 0
