"""The drill as a command: `make drill`, or `python -m drill.run --kills 5 --shapes v1-jsonl`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from drill.feed import SHAPES
from drill.kills import KillDrill
from drill.pairs import start_pairs
from drill.process import DrillError

FOLDER = Path(".drill")
# The three sinks; the fourth shape differs from the first in its fields alone.
SHAPES_DRILLED = "v1-jsonl,v1-sqlite,v2-sqlite"


def say(line: str) -> None:
    """Print at once: a drill is watched."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="kill the worker while a feed writes, and judge what is left"
    )
    parser.add_argument(
        "--kills", type=int, default=60, help="SIGKILLs per sink, at least one per named point"
    )
    parser.add_argument("--pairs", type=int, default=50, help="pairs of workers started at once")
    parser.add_argument("--rate", type=float, default=1_000, help="records a second that the feed writes")
    parser.add_argument("--shapes", default=SHAPES_DRILLED, help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    return parser.parse_args()


def main() -> int:
    """Run the drills one after the other; 1 when the judge or anything else objects."""
    options = _arguments()
    shapes = [shape for shape in options.shapes.split(",") if shape]
    say(f"seed {options.seed}: kill moments and signals repeat with --seed {options.seed}")
    folder = FOLDER / str(options.seed)
    # A failed drill with this seed left its evidence there; this one begins with nothing.
    shutil.rmtree(folder, ignore_errors=True)
    faults: list[str] = []
    for number, shape in enumerate(shapes):
        began = time.monotonic()
        drill = KillDrill(shape, options.seed + number, folder / shape)
        try:
            report = drill.run(options.kills, options.rate)
        except DrillError as error:
            faults.append(f"{shape}: {error}")
            say(f"{shape}: FAILED, it could not be carried out")
            continue
        faults += [*report.faults, *report.verdict.complaints]
        say(f"{report.sentence()} in {time.monotonic() - began:.0f} s")
    if options.pairs:
        pairs = start_pairs(options.pairs, folder / "pairs")
        faults += pairs.faults
        say(pairs.sentence())
    for fault in faults:
        say(f"  {fault}")
    if faults:
        say(f"what the worker printed and left behind is in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
