"""The log drill as a command: `PYTHONPATH=tests/faults python -m execlog_drill.run --events 10000`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from execlog_drill.kills import LogDrill
from execlog_drill.quick_worker import PLANTED

FOLDER = Path(".drill") / "execlog"


def main() -> int:
    """Run the drill; 1 when the judge objects, and with a planted mistake when it does not."""
    parser = argparse.ArgumentParser(description="kill the worker while it tells of its orders, and judge it")
    parser.add_argument("--events", type=int, default=10_000, help="events in the life of orders, at least")
    parser.add_argument("--planted", choices=sorted(PLANTED), default="", help="a mistake to be caught")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    options = parser.parse_args()
    folder = FOLDER / f"{options.seed}{options.planted}"
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    report = LogDrill(options.seed, folder, options.planted).run(options.events)
    sys.stdout.write(f"seed {options.seed}: {report.sentence()} in {time.monotonic() - began:.0f} s\n")
    for objection in report.objections:
        sys.stdout.write(f"  {objection}\n")
    if not report.objections:
        shutil.rmtree(folder)
    return int(bool(report.objections) is not bool(options.planted))


if __name__ == "__main__":
    sys.exit(main())
