"""A producer that appends one signal at a time, and between whiles asks how fast the disk is.

Run as `paced_feed.py SIGNALS COUNT`; prints the moments before each append and the seconds of each
fdatasync, both paced alike, in turns of a few.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path

import signals_made

PACE_S = 0.05
TURN = 20
SYNCED_BYTES = 8_192


def run(signals: Path, count: int) -> dict[str, list[list[int]] | list[float]]:
    """`count` eligible signals, and as many syncs."""
    generator = random.Random(7)
    symbols = signals_made.SYMBOLS
    waiting = {
        symbol: [
            line
            for line in signals_made.lines(symbol, 2 * count, start_ms=signals_made.FIRST_MS + number)
            if '"confirm":true' in line
        ]
        for number, symbol in enumerate(symbols)
    }
    files = {
        symbol: os.open(
            signals_made.hour_file(signals, symbol, signals_made.FIRST_MS),
            os.O_WRONLY | os.O_APPEND | os.O_CREAT,
        )
        for symbol in symbols
    }
    probe = os.open(signals / "probe", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    appended: list[list[int]] = []
    syncs_s: list[float] = []
    while len(appended) < count:
        for _ in range(TURN):
            time.sleep(PACE_S * generator.uniform(0.5, 1.5))
            symbol = symbols[len(appended) % len(symbols)]
            line = waiting[symbol].pop(0)
            at_ns = time.monotonic_ns()
            os.write(files[symbol], line.encode())
            appended.append([json.loads(line)["ts_ms"], at_ns])
        time.sleep(4 * PACE_S)
        for _ in range(TURN):
            time.sleep(PACE_S * generator.uniform(0.5, 1.5))
            began_s = time.perf_counter()
            os.write(probe, bytes(SYNCED_BYTES))
            os.fdatasync(probe)
            syncs_s.append(time.perf_counter() - began_s)
    return {"appended": appended, "syncs_s": syncs_s}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]))))
