"""The kill drill: SIGKILL again and again, at random and at every named crash point, while a feed writes."""

from __future__ import annotations

import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from drill.judge import Verdict, judge
from drill.process import (
    READY,
    DrillError,
    Process,
    read_events,
    read_files,
    read_journal,
    read_log,
    read_rows,
    start_feed,
    start_worker,
)
from execlog_drill.judge import against_table

from config.seams import CRASH_POINT_VARIABLE, CRASH_POINTS

# One stop in so many is an orderly one, which has its own ways to lose things.
ORDERLY_EVERY = 8
RANDOM = "random"
ORDERLY = "orderly"
NAMED_PATIENCE_S = 20.0
DRAIN_PATIENCE_S = 300.0


@dataclass(slots=True)
class KillReport:
    """What a drill did and what came of it."""

    shape: str
    seed: int
    verdict: Verdict
    kills_random: int = 0
    kills_named: dict[str, int] = field(default_factory=dict)
    orderly_stops: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """All SIGKILLs."""
        return self.kills_random + sum(self.kills_named.values())

    @property
    def passed(self) -> bool:
        """Whether nobody objects."""
        return not self.faults and not self.verdict.complaints

    def sentence(self) -> str:
        """The figures in one line."""
        verdict = self.verdict
        return (
            f"{self.shape}: {self.kills} kills ({self.kills_random} random, the others at "
            f"{len(self.kills_named)} named points), {self.orderly_stops} orderly stops, "
            f"{verdict.signals} signals, {verdict.rows} rows, {verdict.lines} lines, "
            f"{verdict.dead_letters} dead letters, {verdict.lost} lost, {verdict.doubled} doubled: "
            f"{'passed' if self.passed else 'FAILED'}"
        )


def schedule(kills: int, dice: random.Random) -> list[str]:
    """What ends each life of the worker: a crash point's name, RANDOM or ORDERLY.

    Each name comes at least once; the point inside recovery follows a death that leaves something to recover.
    """
    lives = [[name] for name in CRASH_POINTS if name != "in_recovery"]
    lives += [["before_submit", "in_recovery"]]
    named = sum(map(len, lives))
    lives += [[RANDOM]] * max(0, kills - named) + [[ORDERLY]] * (kills // ORDERLY_EVERY)
    dice.shuffle(lives)
    return [life for group in lives for life in group]


class KillDrill:
    """One drill on one sink, in a folder of its own."""

    def __init__(self, shape: str, seed: int, folder: Path) -> None:
        self._dice = random.Random(seed)
        self._output = folder / "output"
        self._journal = folder / "journal.jsonl"
        self._logs = folder
        self._lives = 0
        self._ready_s = 1.0
        self._report = KillReport(shape, seed, judge([], [], {}))
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, kills: int, rate: float) -> KillReport:
        """Feed and kill, drain, judge; drain again and see that nothing changes."""
        feed = start_feed(self._report.shape, self._output, self._journal, seed=self._report.seed, rate=rate)
        try:
            self._measure_start()
            for end in self._ends(kills):
                self._live(end)
        finally:
            feed_code = feed.end()
        if feed_code:
            raise DrillError(f"the feed ended with {feed_code}: {feed.tail()}")
        self._drain()
        self._judge()
        self._drain_again()
        return self._report

    def _ends(self, kills: int) -> list[str]:
        return schedule(kills, self._dice)

    def _start(self, *options: str, **environment: str) -> Process:
        self._lives += 1
        log = self._logs / f"worker-{self._lives:03}.log"
        return start_worker(self._output, log, *options, **environment)

    def _measure_start(self) -> None:
        """One orderly life, to know what a random moment of this worker on this host is."""
        began = time.monotonic()
        worker = self._start()
        if not worker.wait_for(READY):
            worker.end(signal.SIGKILL)
            raise DrillError(f"the worker does not become ready: {worker.tail()}")
        self._ready_s = time.monotonic() - began
        self._expect(worker, worker.end(), 0)

    def _live(self, end: str) -> None:
        if end == RANDOM:
            self._die_at_random()
        elif end == ORDERLY:
            self._stop_in_order()
        else:
            self._die_at(end)

    def _stop_in_order(self) -> None:
        worker = self._start()
        if worker.wait_for(READY):
            time.sleep(self._dice.uniform(0, 0.2))
            self._expect(worker, worker.end(patience_s=15), 0)
            self._report.orderly_stops += 1
        else:
            self._report.faults.append(f"{worker.log.name}: ended by itself: {worker.tail()}")

    def _die_at(self, point: str) -> None:
        passage = self._dice.choice([1, 1, 2, 5]) if point != "in_recovery" else 1
        worker = self._start(**{CRASH_POINT_VARIABLE: f"{point}:{passage}"})
        code = worker.wait(NAMED_PATIENCE_S)
        if code is None:
            worker.end(signal.SIGKILL)
            self._report.faults.append(f"{worker.log.name}: {point}:{passage} was not reached")
            return
        self._expect(worker, code, -signal.SIGKILL)
        self._report.kills_named[point] = self._report.kills_named.get(point, 0) + 1

    def _die_at_random(self) -> None:
        worker = self._start()
        if self._dice.random() < 0.3:
            time.sleep(self._dice.uniform(0, self._ready_s))
        else:
            worker.wait_for(READY)
            time.sleep(self._dice.uniform(0, 0.3))
        self._expect(worker, worker.end(signal.SIGKILL), -signal.SIGKILL)
        self._report.kills_random += 1

    def _expect(self, worker: Process, code: int, wanted: int) -> None:
        if code != wanted:
            self._report.faults.append(
                f"{worker.log.name}: ended with {code} instead of {wanted}: {worker.tail()}"
            )

    def _drain(self) -> None:
        worker = self._start("--once")
        code = worker.wait(DRAIN_PATIENCE_S)
        if code is None:
            worker.end(signal.SIGKILL)
            self._report.faults.append(f"{worker.log.name}: --once does not end: {worker.tail()}")
        else:
            self._expect(worker, code, 0)

    def _judge(self) -> None:
        journal, rows = read_journal(self._journal), read_rows(self._output)
        self._report.verdict = judge(journal, rows, read_files(self._output))
        told = against_table(read_events(self._output), read_log(self._output))
        self._report.faults += [f"execution log: {complaint}" for complaint in told]

    def _drain_again(self) -> None:
        """A second run over the same input adds nothing."""
        before = (read_rows(self._output), read_files(self._output))
        self._drain()
        if (read_rows(self._output), read_files(self._output)) != before:
            self._report.faults.append("a second run over the same input changed rows or lines")
