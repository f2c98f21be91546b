"""Drain: how fast a backlog becomes rows and lines, against two loops and against a store with a past."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from math import ceil
from pathlib import Path
from statistics import median

import signals_made
import straight_line
import workers
from figures import Figure, say, spread
from scratch import Scratch, settle
from workers import ROOT

WITH_LOG = {"V13_EXECUTION__EXECLOG": "jsonl"}
SYNCS = "trace=fsync,fdatasync"
# What both write, whatever else differs in a row: identity and outcome.
SAME = """
SELECT count(*) FROM main.executions AS ours JOIN other.executions AS theirs
       USING (signal_ts_ms, symbol, signal_id)
 WHERE (ours.state, ours.status, ours.side) = (theirs.state, theirs.status, theirs.side)
   AND ours.qty IS theirs.qty AND ours.order_id IS theirs.order_id AND ours.error_code IS theirs.error_code
"""


def measure(scratch: Scratch) -> list[Figure]:
    """All drains of one round stand next to each other, so that a slow minute slows all of them."""
    size = scratch.size
    signals = scratch.backlog("drain-signals", size.drain_signals)
    passes, synced = _count_syncs(scratch, signals)
    lived_signals, lived = scratch.lived
    rates: dict[str, list[float]] = {
        name: [] for name in ("empty", "straight", "per signal", "reserve first", "past", "log")
    }
    for round_number in range(size.drain_rounds):
        settle()
        rates["straight"].append(_loop("straight_line.py", signals, scratch.fresh("straight"), passes))
        settle()
        rates["empty"].append(workers.drain(signals, scratch.fresh("drained")).rate)
        if round_number == 0:
            _refuse_differences(scratch.folder / "drained", scratch.folder / "straight", size.drain_signals)
        settle()
        rates["log"].append(workers.drain(signals, scratch.fresh("logged"), more=WITH_LOG).rate)
        signals_made.write_backlog(lived_signals, size.drain_signals, start_ms=scratch.next_hour_ms())
        settle()
        past = workers.drain(lived_signals, lived)
        if past.signals != size.drain_signals:
            raise workers.BenchError(f"{past.signals} signals drained, {size.drain_signals} written")
        rates["past"].append(past.rate)
        settle()
        sample = _loop("per_signal.py", signals, scratch.fresh("single"), size.sample_signals)
        rates["per signal"].append(sample)
        sample = _loop(
            "per_signal.py", signals, scratch.fresh("single"), size.sample_signals, "reserve-first"
        )
        rates["reserve first"].append(sample)
        say(f"drain, signals/s: {', '.join(f'{name} {values[-1]:,.0f}' for name, values in rates.items())}")
    return _figures(rates, synced, size.past_rows)


def _figures(rates: dict[str, list[float]], synced: str, past_rows: int) -> list[Figure]:
    def ratio(over: str, under: str) -> float:
        return median(one / other for one, other in zip(rates[over], rates[under], strict=True))

    singly, straight, past = ratio("empty", "per signal"), ratio("empty", "straight"), ratio("past", "empty")
    logged = ratio("log", "empty")
    return [
        Figure("drain", median(rates["empty"]), "1/s", says="worker_ready to worker_stopped"),
        Figure(
            "drain / commit a signal", singly, at_least=30, says=spread(rates["per signal"]) + " signals/s"
        ),
        Figure(
            "drain / commit a reservation, an outcome",
            ratio("empty", "reserve first"),
            says=spread(rates["reserve first"]) + " signals/s, as above but on disk before it is sent",
        ),
        Figure(
            "drain / straight line",
            straight,
            at_least=0.35,
            says=f"{spread(rates['straight'])} signals/s; {synced}",
        ),
        Figure(
            "drain with a past / without",
            past,
            at_least=0.8,
            says=f"{spread(rates['past'])} signals/s on {past_rows:,} rows",
        ),
        Figure(
            "drain with the execution log / without",
            logged,
            at_least=0.6,
            says=f"{spread(rates['log'])} signals/s, a line for each event",
        ),
    ]


def _loop(script: str, signals: Path, output: Path, count: int, *more: str) -> float:
    """Signals per second of a baseline, in a process of its own; its set-up is not counted."""
    command = [sys.executable, str(ROOT / "tests" / "bench" / script), signals, output, str(count), *more]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    rate: float = told["signals"] / told["seconds"]
    return rate


def _count_syncs(scratch: Scratch, signals: Path) -> tuple[int, str]:
    """How often the straight line writes lines out, so that it syncs as often as the worker.

    Each batch is one commit. A pass of the worker's projector is one commit and one sync a symbol.
    """
    batches = ceil(scratch.size.drain_signals / straight_line.BATCH)
    if shutil.which("strace") is None:
        output = scratch.fresh("counted")
        workers.drain(signals, output)
        with sqlite3.connect(output / "executions" / "executions.db") as connection:
            commits = connection.execute("SELECT commits FROM owner").fetchone()[0]
        passes = max(1, commits - batches)
        return passes, f"{commits} commits (no strace here to count fsyncs)"
    counts = scratch.folder / "syncs"
    wrapper = ["strace", "-f", "--seccomp-bpf", "-c", "-e", SYNCS, "-o", str(counts)]
    workers.drain(signals, scratch.fresh("counted"), wrapper=wrapper)
    ours = _total(counts)
    passes = max(1, round((ours - batches) / (1 + len(signals_made.SYMBOLS))))
    script = [sys.executable, str(ROOT / "tests" / "bench" / "straight_line.py")]
    output = scratch.fresh("counted")
    subprocess.run([*wrapper, *script, signals, output, str(passes)], check=True, stdout=subprocess.DEVNULL)
    return passes, f"fsyncs: worker {ours}, straight line {_total(counts)}"


def _total(counts: Path) -> int:
    """All calls in a summary of strace."""
    return int(counts.read_text().splitlines()[-1].split()[3])


def _refuse_differences(drained: Path, straight: Path, count: int) -> None:
    """A baseline that writes something else measures nothing."""
    folder = drained / "executions"
    with sqlite3.connect(folder / "executions.db") as connection:
        connection.execute("ATTACH ? AS other", (str(straight / "executions.db"),))
        same = connection.execute(SAME).fetchone()[0]
        events = [
            connection.execute(f"SELECT count(*) FROM {name}.events").fetchone()[0]
            for name in ("main", "other")
        ]
    lines = [sum(_lines(path) for path in where.glob("*/exec_*.jsonl")) for where in (folder, straight)]
    if same != count or events[0] != events[1] or lines != [count, count]:
        raise workers.BenchError(f"of {count} rows {same} are the same; events {events}, lines {lines}")


def _lines(path: Path) -> int:
    with open(path, "rb") as file:
        return sum(1 for _ in file)
