"""The shadow drill as a command: `PYTHONPATH=tests/faults python -m shadow_drill.run`."""

from __future__ import annotations

import argparse
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

from drill.process import DrillError
from shadow_drill.scene import Figures, Main, Scale, Scene

FOLDER = Path(".drill") / "shadow"
SHORT = Scale(orders=60, qps=50)
# Below the exchange's limit of orders per minute.
WHOLE = Scale(orders=1_000, qps=16)


def say(line: str) -> None:
    """Print at once: a drill is watched."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="compare a worker's orders with those of its shadow")
    parser.add_argument("--short", action="store_true", help="some sixty orders, on both main sides")
    return parser.parse_args()


def _played(main: Main, scale: Scale) -> tuple[Figures, str]:
    folder = FOLDER / main
    # An earlier drill left its evidence there; this one begins with nothing.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    scene = Scene(folder, main, scale)
    return scene.run(), scene.report()


def main() -> int:
    """Run a scene for each main side at the same time; 1 when something objects."""
    scale = SHORT if _arguments().short else WHOLE
    failed = False
    with ThreadPoolExecutor() as pool:
        played = {name: pool.submit(_played, name, scale) for name in get_args(Main)}
        for name, scene in played.items():
            try:
                figures, report = scene.result()
            except DrillError as error:
                say(f"{name}: FAILED, it could not be carried out: {error}")
                failed = True
                continue
            objections = figures.objections(scale)
            failed = failed or bool(objections)
            say(
                f"{name}: {len(figures.rows)} orders in {figures.took_s:.0f} s, parity "
                f"{figures.healthy:.4f} on a healthy venue, {figures.refused:.4f} on one that refuses 5 %"
            )
            say(report)
            for objection in objections:
                say(f"objection: {objection}")
    say("FAILED" if failed else f"passed; the evidence is in {FOLDER}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
