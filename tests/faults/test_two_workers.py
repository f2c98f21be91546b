"""Two workers started at once on one store: one runs, the other exits 75 and names it."""

from __future__ import annotations

from pathlib import Path

from drill.pairs import start_pairs


def test_of_two_workers_one_runs_and_one_names_it(tmp_path: Path) -> None:
    report = start_pairs(10, tmp_path)

    assert report.faults == []
    assert report.pairs == 10
