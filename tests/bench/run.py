"""The benches: `run.py [--short] [--tolerate FACTOR] [NAME ...]`; the names stand in BENCHES.

Every bound is a ratio of things measured in the same run, next to each other. Ends with 1 when one
is missed. On two shared cores a short run cannot decide at the margin: with --tolerate a figure that
misses its bound by less than FACTOR is still shown as MISSED, and only a worse one ends with 1.
"""

from __future__ import annotations

import argparse
import sys
import time

import drain
import exchange_latency
import idle
import latency
import memory
import replay_rate
import restart
from figures import Figure, say, show
from scratch import SHORT, WHOLE, Scratch

BENCHES = {
    "drain": drain.measure,
    "latency": latency.measure,
    "exchange": exchange_latency.measure,
    "restart": restart.measure,
    "replay": replay_rate.measure,
    "memory": memory.measure,
    "idle": idle.measure,
}


def main() -> int:
    """Run what was asked for, all by default; 1 when a bound is missed."""
    parser = argparse.ArgumentParser(description="measure the worker against its bounds")
    parser.add_argument("--short", action="store_true", help="on less data, in a few minutes")
    parser.add_argument(
        "--tolerate",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="end with 1 only beyond this factor of a bound",
    )
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHES)}")
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.names) - set(BENCHES))
    if unknown:
        parser.error(f"there is no bench {', '.join(unknown)}: name {', '.join(BENCHES)}")
    scratch = Scratch(SHORT if chosen.short else WHOLE)
    figures: list[Figure] = []
    try:
        for name in chosen.names or BENCHES:
            began_s = time.monotonic()
            figures += BENCHES[name](scratch)
            say(f"{name} took {time.monotonic() - began_s:.0f} s")
    finally:
        scratch.remove()
    show(figures)
    missed = [figure.name for figure in figures if not figure.holds]
    if missed:
        say(f"MISSED: {', '.join(missed)}")
    return 0 if all(figure.holds_within(chosen.tolerate) for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
