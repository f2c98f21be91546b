"""The log drill: the real worker is killed again and again while it writes, publishes and stops."""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from drill.process import READY, DrillError, Process, read_events, read_log, worker_environment
from execlog_drill.judge import Verdict, judge
from execlog_drill.reader import Reader

from config.seams import CRASH_POINT_VARIABLE, CRASH_POINTS

WORKER = Path(__file__).parent / "quick_worker.py"
SYMBOLS = ("BTCUSDT", "ETHUSDT")
# Orders a second: so slow that a kill finds the worker at work.
QPS = 600
# A minute lasts six seconds: it ends while the drill looks on, and several lives fall into it.
SPEED = 10
SIGNALS_PER_LIFE = (80, 180)
POINTS = [name for name in CRASH_POINTS if "projection" in name]
ENDS = ("random", "random", "early", "named", "named", "in the stop", "orderly", "clock back")


@dataclass(slots=True)
class LogReport:
    """What a drill did and what came of it."""

    seed: int
    verdict: Verdict
    lives: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    reads: int = 0
    again: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def objections(self) -> list[str]:
        """All of them."""
        return [*self.faults, *self.verdict.complaints]

    def sentence(self) -> str:
        """The figures in one line."""
        verdict = self.verdict
        return (
            f"{self.kills} kills in {sum(self.lives.values())} lives, {verdict.signals} signals, "
            f"{verdict.events} events, {verdict.lines} lines in {verdict.files} files, "
            f"read {self.reads} times, {self.again} times longer than before: "
            f"{'FAILED' if self.objections else 'passed'}"
        )


class LogDrill:
    """One drill in a folder of its own."""

    def __init__(self, seed: int, folder: Path, planted: str = "") -> None:
        self._dice = random.Random(seed)
        self._output = folder / "output"
        self._folder = folder
        self._planted = planted
        self._fed: list[str] = []
        self._base_ms = time.time_ns() // 1_000_000
        self._offset_ms = 0
        self._report = LogReport(seed, judge([], [], {}))
        self._output.mkdir(parents=True)

    def run(self, events: int) -> LogReport:
        """Feed and kill until so many events must have happened; drain, judge, drain again."""
        report = self._report
        reader = Reader(self._output / "ready" / "execlog")
        reader.start()
        try:
            while len(self._fed) * 2 < events:
                for end in self._dice.sample(ENDS, len(ENDS)):
                    self._live(end)
            self._drain()
        finally:
            reader.stop()
        report.reads, report.again = reader.reads, reader.again
        report.faults += reader.complaints
        files = read_log(self._output)
        report.verdict = judge(self._fed, read_events(self._output), files)
        left = [path.name for path in (self._output / "spool").rglob("*") if path.is_file()]
        report.faults += [f"{name} was left in the spool" for name in left]
        self._drain()
        if read_log(self._output) != files:
            report.faults.append("a run without signals changed what was published")
        return report

    def _feed(self, count: int) -> None:
        """Append eligible signals, and remember them."""
        for symbol in SYMBOLS:
            folder = self._output / "ready" / "signal" / symbol
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "signals-20251115-17.jsonl").open("a") as file:
                for _ in range(count // len(SYMBOLS)):
                    number = len(self._fed)
                    self._fed.append(f"fed-{number}")
                    record = {
                        "ts_ms": 1_763_225_940_000 + number,
                        "symbol": symbol,
                        "signal_id": f"fed-{number}",
                        "score": 1.5,
                        "confirm": True,
                        "gating": "ok",
                        "price": 100.5,
                    }
                    file.write(json.dumps(record) + "\n")

    def _start(self, *options: str, **environment: str) -> Process:
        number = sum(self._report.lives.values())
        clock = {"base_ms": self._base_ms, "speed": SPEED, "offset_ms": self._offset_ms}
        more = {"EXECLOG_DRILL_CLOCK": json.dumps(clock), "EXECLOG_DRILL_PLANTED": self._planted}
        command = [sys.executable, str(WORKER), "--symbols", ",".join(SYMBOLS), "--output", str(self._output)]
        variables = {**more, "V13_EXECUTION__RATE_LIMIT__MAX_QPS": str(QPS), **environment}
        log = self._folder / f"worker-{number:03}.log"
        return Process([*command, *options], log, worker_environment(**variables))

    def _live(self, end: str) -> None:
        self._report.lives[end] += 1
        self._feed(self._dice.randint(*SIGNALS_PER_LIFE))
        if end == "clock back":
            self._offset_ms -= self._dice.randint(1_000, 90_000)
        named = {}
        if end == "named":
            named[CRASH_POINT_VARIABLE] = f"{self._dice.choice(POINTS)}:{self._dice.randint(1, 12)}"
        worker = self._start(**named)
        if end == "early":
            time.sleep(self._dice.uniform(0.1, 0.6))
        elif not worker.wait_for(READY) and end != "named":
            raise DrillError(f"the worker does not become ready: {worker.tail()}")
        else:
            time.sleep(self._dice.uniform(0, 0.4))
        if end in ("orderly", "in the stop", "named") and worker.ended() is None:
            self._stop(worker, end)
        elif worker.ended() is None:
            worker.end(signal.SIGKILL)
        self._note(worker, end)

    def _stop(self, worker: Process, end: str) -> None:
        """Ask for an end, in which every open file is published; perhaps do not wait for it."""
        if end != "in the stop":
            worker.end()
            return
        worker.ask(signal.SIGTERM)
        time.sleep(self._dice.uniform(0, 0.1))
        worker.end(signal.SIGKILL)

    def _note(self, worker: Process, end: str) -> None:
        code = worker.ended()
        self._report.kills += code == -signal.SIGKILL
        if code not in (0, -signal.SIGKILL) or (end == "orderly" and code != 0):
            self._report.faults.append(f"{worker.log.name}: {end} ended with {code}: {worker.tail()}")

    def _drain(self) -> None:
        self._report.lives["drained"] += 1
        worker = self._start("--once", V13_EXECUTION__RATE_LIMIT__MAX_QPS="null")
        if worker.wait() != 0:
            raise DrillError(f"--once ended with {worker.ended()}: {worker.tail()}")
