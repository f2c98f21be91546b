"""Restart: from the start of the process to the first executed signal, with a long past and without one."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import full_store
import signals_made
import workers
from figures import Figure, say, spread
from scratch import Scratch, settle
from workers import PROGRAM, options

SYMBOL = signals_made.SYMBOLS[0]
# The libraries that the worker is built from, whatever it makes of them.
LIBRARIES = (
    "aiofiles, aiohttp, aiosqlite, msgspec, prometheus_client, pydantic_settings, tenacity, typer, watchfiles"
)


def measure(scratch: Scratch) -> list[Figure]:
    """Three starts next to each other, several times; the first round only warms the caches."""
    seconds: dict[str, list[float]] = {name: [] for name in ("past", "empty", "imports")}
    lived_signals, lived = scratch.lived
    for number in range(scratch.size.restart_rounds + 1):
        settle()
        at_ms = scratch.next_hour_ms()
        empty_signals, empty = scratch.fresh("empty-signals"), scratch.fresh("empty")
        now_s = {
            "past": _start(lived_signals, lived, at_ms, scratch.folder / "past.log"),
            "empty": _start(empty_signals, empty, at_ms, scratch.folder / "empty.log"),
            "imports": _import(),
        }
        if number:
            for name, value in now_s.items():
                seconds[name].append(value)
    say(f"restart, least / median / most s: {', '.join(f'{k} {spread(v)}' for k, v in seconds.items())}")
    past, empty_s, imports = (median(seconds[name]) for name in ("past", "empty", "imports"))
    files = f"{scratch.size.past_rows:,} rows, {full_store.FILES:,} finished files"
    return [
        Figure("restart", past, "s", says=f"process start to order_filled; {files}"),
        Figure("restart / with an empty store", past / empty_s, at_most=1.2, says=f"{empty_s:.2f} s"),
        Figure("restart / interpreter and imports", past / imports, at_most=2.0, says=f"{imports:.2f} s"),
    ]


def _start(signals: Path, output: Path, at_ms: int, told: Path) -> float:
    """Seconds until the signal that was appended just before has been executed, by the worker's log."""
    line = next(line for line in signals_made.lines(SYMBOL, 100, start_ms=at_ms) if '"confirm":true' in line)
    with open(signals_made.hour_file(signals, SYMBOL, at_ms), "a") as file:
        file.write(line)
    began_s = time.monotonic()
    with workers.daemon([PROGRAM, *options(signals, output)], told, workers.EVERY_ORDER_TOLD) as worker:
        return workers.wait_for(told, "order_filled", worker) - began_s


def _import() -> float:
    began_s = time.monotonic()
    subprocess.run([sys.executable, "-c", f"import {LIBRARIES}"], check=True)
    return time.monotonic() - began_s
