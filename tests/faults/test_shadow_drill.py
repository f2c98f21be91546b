"""A worker with its shadow as real processes: parity on a healthy venue, and on one that refuses orders."""

from __future__ import annotations

from pathlib import Path

from shadow_drill.run import SHORT
from shadow_drill.scene import Scene


def test_a_worker_and_its_shadow_are_compared_while_orders_flow(tmp_path: Path) -> None:
    figures = Scene(tmp_path, "paper", SHORT).run()

    assert figures.objections(SHORT) == []
