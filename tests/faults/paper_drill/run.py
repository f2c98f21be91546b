"""The paper drill as a command: `make drill-paper`, or `python -m paper_drill.run --kills 100`.

`--planted` runs it on workers with planted mistakes instead, each of which must be caught.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from drill.process import DrillError
from drill.run import say
from paper_drill.kills import PLANTS, RATE, PaperDrill

FOLDER = Path(".drill") / "paper"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="kill a worker on the simulated venue, and judge what is left by the venue's own journal"
    )
    parser.add_argument("--kills", type=int, default=100, help="SIGKILLs of worker and venue")
    parser.add_argument("--rate", type=float, default=RATE, help="records a second that the feed writes")
    parser.add_argument("--planted", action="store_true", help="plant mistakes; each must be caught")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    return parser.parse_args()


def _drill(options: argparse.Namespace, folder: Path) -> list[str]:
    report = PaperDrill(options.seed, folder).trade(options.kills, options.rate)
    say(report.sentence())
    return report.objections


def _plant(options: argparse.Namespace, folder: Path) -> list[str]:
    missed = []
    for mistake, plant in PLANTS.items():
        drill = PaperDrill(options.seed, folder / mistake, mistake=mistake, points=plant.points)
        report = drill.trade(plant.kills, options.rate)
        sentence = report.caught(plant.deserved)
        say(f"{mistake}: {'NOT CAUGHT' if sentence is None else 'caught: ' + sentence}")
        if sentence is None:
            missed.append(f"{mistake} was not caught")
    return missed


def main() -> int:
    """Run it; 1 when the judge or anything else objects, or a planted mistake gets through."""
    options = _arguments()
    say(f"seed {options.seed}: kill moments and signals repeat with --seed {options.seed}")
    folder = FOLDER / str(options.seed)
    # An earlier drill with this seed left its evidence there; this one begins with nothing.
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    try:
        faults = (_plant if options.planted else _drill)(options, folder)
    except DrillError as error:
        faults = [f"it could not be carried out: {error}"]
    for fault in faults:
        say(f"  {fault}")
    say(f"{time.monotonic() - began:.0f} s")
    if faults:
        say(f"what the worker printed and left behind is in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
