"""Two workers started at once on one store: one runs, the other leaves and says who holds it."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from drill.process import PATIENCE_S, POLL_S, READY, Process, start_worker

HELD = 75


@dataclass(slots=True)
class PairReport:
    """How the pairs ended."""

    pairs: int = 0
    faults: list[str] = field(default_factory=list)

    def sentence(self) -> str:
        """The figures in one line."""
        verdict = "FAILED" if self.faults else "passed"
        return f"two at once: {self.pairs} pairs, one ran and one left naming it in each: {verdict}"


def _first_to_leave(pair: list[Process]) -> Process | None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for worker in pair:
            if worker.ended() is not None:
                return worker
        time.sleep(POLL_S)
    return None


def start_pair(output: Path, logs: Path, number: int) -> list[str]:
    """Start two workers at once; what was wrong, nothing when one ran and one left as it should."""
    pair = [start_worker(output, logs / f"pair-{number:03}-{which}.log") for which in "ab"]
    try:
        loser = _first_to_leave(pair)
        if loser is None:
            return [f"pair {number}: neither left within {PATIENCE_S:.0f} s"]
        winner = pair[1 - pair.index(loser)]
        faults = []
        if loser.ended() != HELD:
            faults.append(f"pair {number}: one left with {loser.ended()}, not {HELD}: {loser.tail()}")
        if f"pid {winner.pid}" not in loser.output():
            faults.append(f"pair {number}: the one that left does not name {winner.pid}: {loser.tail()}")
        if "Traceback" in loser.output():
            faults.append(f"pair {number}: the one that left printed a traceback: {loser.tail()}")
        if not winner.wait_for(READY):
            faults.append(f"pair {number}: the other is not running: {winner.tail()}")
        elif (code := winner.end(patience_s=15)) != 0:
            faults.append(f"pair {number}: the other stopped with {code}: {winner.tail()}")
        return faults
    finally:
        for worker in pair:
            if worker.ended() is None:
                worker.end(signal.SIGKILL)


def start_pairs(pairs: int, folder: Path) -> PairReport:
    """Start `pairs` pairs, one after the other, on one store."""
    report = PairReport()
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, pairs + 1):
        report.faults += start_pair(folder / "output", folder, number)
        report.pairs += 1
    return report
