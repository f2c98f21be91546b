"""Replay: how fast signals of the past are replayed, against no more than decoding their lines.

The input is real signals in a producer's folder, repeated at later times: once as they are, once each with
a price of its own. The lines are decoded by one process, the replay takes as many as it takes by itself.
"""

from __future__ import annotations

import io
import json
import random
import time
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from statistics import median
from typing import TextIO

import msgspec
from figures import Figure, say, spread
from scratch import Scratch, settle
from workers import ROOT, BenchError

from config.seams import SystemClock
from config.settings import Execution
from streams.codec import RawSignal
from worker.replay_run import ReplayOptions, run_replay

REAL = ROOT.parent / "shared" / "signals" / "v1-jsonl"
REPEATED = 340
STEP_MS = 400
ROUNDS = 5
# Where each signal has a price of its own, each order is sized, aligned and written out for itself.
PRICED_MIN = 0.07
# Where the walk of the prices begins, how far it goes in a step, and in how many digits.
PRICES = {"BTCUSDT": (60_000.0, 3.0, 1), "ETHUSDT": (3_000.0, 0.2, 2)}


def measure(scratch: Scratch) -> list[Figure]:
    """Both files, each beside its own decoding."""
    found = []
    for name, priced, bound in (("replay", False, 0.15), ("replay with prices", True, PRICED_MIN)):
        folder = scratch.fresh(name.replace(" ", "-"))
        count = write_signals(folder, priced=priced)
        found += _rates(name, folder, count, scratch, bound)
    return found


def write_signals(folder: Path, *, priced: bool) -> int:
    """The real signals REPEATED times, a file a symbol, in order of time; how many lines."""
    files = sorted(REAL.glob("ready/signal/*/*.jsonl"))
    rows = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
    rows.sort(key=lambda row: (row["ts_ms"], row["symbol"]))
    span_ms = rows[-1]["ts_ms"] - rows[0]["ts_ms"] + STEP_MS
    walk, prices = random.Random(1), {symbol: begin for symbol, (begin, _, _) in PRICES.items()}
    with ExitStack() as stack:
        files_of = {symbol: stack.enter_context(_open(folder, symbol)) for symbol in PRICES}
        for turn in range(REPEATED):
            for row in rows:
                line = {**row, "ts_ms": row["ts_ms"] + turn * span_ms}
                symbol = row["symbol"]
                if priced:
                    _, step, digits = PRICES[symbol]
                    prices[symbol] = round(prices[symbol] + walk.gauss(0, step), digits)
                    line["price"] = prices[symbol]
                files_of[symbol].write(json.dumps(line, separators=(",", ":"), sort_keys=True) + "\n")
    return REPEATED * len(rows)


def _open(folder: Path, symbol: str) -> TextIO:
    path = folder / "ready" / "signal" / symbol / "signals-20251115-16.jsonl"
    path.parent.mkdir(parents=True)
    return path.open("w")


def _rates(name: str, folder: Path, count: int, scratch: Scratch, bound: float) -> list[Figure]:
    """Rounds of decoding and replaying in turn, so that a slow minute slows both."""
    decoders = {"raw": msgspec.json.Decoder().decode, "typed": msgspec.json.Decoder(RawSignal).decode}
    files = sorted(folder.glob("ready/signal/*/*.jsonl"))
    rates: dict[str, list[float]] = {"raw": [], "typed": [], "replay": []}
    for _ in range(ROUNDS):
        settle()
        for kind, decode in decoders.items():
            began_s = time.perf_counter()
            for path in files:
                with path.open("rb") as file:
                    for line in file:
                        decode(line)
            rates[kind].append(count / (time.perf_counter() - began_s))
        rates["replay"].append(count / _replay(folder, scratch.fresh("replayed")))
    say(f"{name}, lines/s: {', '.join(f'{kind} {spread(found)}' for kind, found in rates.items())}")

    def ratio(under: str) -> float:
        return median(one / other for one, other in zip(rates["replay"], rates[under], strict=True))

    return [
        Figure(name, median(rates["replay"]), "1/s", says=f"{count:,} signals, everything written"),
        Figure(f"{name} / raw decode", ratio("raw"), at_least=bound, says=f"{spread(rates['raw'])} lines/s"),
        Figure(f"{name} / typed decode", ratio("typed"), says=f"{spread(rates['typed'])} lines/s"),
    ]


def _replay(folder: Path, out: Path) -> float:
    """Seconds of one replay, from opening its input to the last rename."""
    options = ReplayOptions(signals=folder, out=out)
    began_s = time.perf_counter()
    with redirect_stdout(io.StringIO()):
        code = run_replay(options, Execution.model_validate({"mode": "paper"}), SystemClock())
    took_s = time.perf_counter() - began_s
    if code != 0:
        raise BenchError(f"replay of {folder} ended with {code}")
    return took_s
