"""The producer of the exchange drill: fresh signals at a steady pace, and the feed's own list of them.

The habits are those of the kill drill's feed (late appends, torn lines, lines written twice, junk); only the
time is now, since an exchange is not sent what is old. Standard library only, no word of the worker's code.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from contextlib import closing
from pathlib import Path

from drill.feed import Fields, FileFeed, Journal, Signals

SHAPE = "v1-jsonl"
INDIFFERENT_MAX = 0.6
DECIDED = 0.8
BURSTS = (1, 1, 1, 2, 5, 10)


class FreshSignals(Signals):
    """Signals of this moment, each a little later than the one before; now and then at the same time."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__(SHAPE, dice)
        self._last_ms = 0
        self._ties = random.Random(dice.random())

    def next(self, symbol: str) -> Fields:
        """One signal of now; the running number in its score keeps those of one moment apart."""
        now_ms = time.time_ns() // 1_000_000
        tie = self._ties.random() < 0.1
        self._last_ms = max(self._last_ms + (0 if tie else 1), now_ms)
        fields = self.at(symbol, self._last_ms)
        if abs(fields["score"]) < INDIFFERENT_MAX and self._ties.random() < DECIDED:
            # An exchange is put to the test by orders: most of the indifferent ones make up their minds.
            fields["score"] += 1.0
        return fields


class ManySymbolsFeed(FileFeed):
    """Writes for all symbols in turn of the dice."""

    def __init__(self, root: Path, journal: Journal, dice: random.Random, symbols: list[str]) -> None:
        super().__init__(root, FreshSignals(dice), journal, dice)
        self._symbols = symbols

    def burst(self, count: int) -> int:
        """Write `count` records; how many of them were new signals."""
        return sum(self._write_one(self._dice.choice(self._symbols)) for _ in range(count))


def main() -> int:
    """Feed until SIGTERM, or until `--count` signals are written."""
    parser = argparse.ArgumentParser(description="write fresh signals and a list of them")
    parser.add_argument("--symbols", required=True)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--count", type=int, required=True)
    options = parser.parse_args()

    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    dice = random.Random(options.seed)
    options.into.mkdir(parents=True, exist_ok=True)
    with closing(Journal(options.journal)) as journal:
        feed = ManySymbolsFeed(options.into, journal, dice, options.symbols.split(","))
        left = options.count
        while left > 0 and not stopping:
            size = min(left, dice.choice(BURSTS))
            left -= feed.burst(size)
            journal.sync()
            # What was not written while the drill held it is not made up for.
            time.sleep(size / options.rate)
    return 0


if __name__ == "__main__":
    sys.exit(main())
