"""The producer of the soak: signals of this moment, nothing late, at a steady pace, and a list of them.

The habits of the kill drill's feed, but for late appends: a signal that is written a minute after its time
says nothing about how long the worker took.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from contextlib import closing
from pathlib import Path

from drill.feed import Journal
from drill_exchange.feed import ManySymbolsFeed

BURSTS = (1, 1, 1, 1, 2, 3, 5)


class PunctualFeed(ManySymbolsFeed):
    """Writes no signal after its minute."""

    def _write_late(self, symbol: str) -> int:
        fields = self._signals.next(symbol)
        self._write(self._path(symbol, fields["ts_ms"]), symbol, fields)
        return 1


def main() -> int:
    """Feed until SIGTERM."""
    parser = argparse.ArgumentParser(description="write signals of this moment and a list of them")
    parser.add_argument("--symbols", required=True)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    options = parser.parse_args()

    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    dice = random.Random(options.seed)
    options.into.mkdir(parents=True, exist_ok=True)
    with closing(Journal(options.journal)) as journal:
        feed = PunctualFeed(options.into, journal, dice, options.symbols.split(","))
        began_s, written = time.monotonic(), 0
        while not stopping:
            written += feed.burst(dice.choice(BURSTS))
            journal.sync()
            time.sleep(max(0.0, began_s + written / options.rate - time.monotonic()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
