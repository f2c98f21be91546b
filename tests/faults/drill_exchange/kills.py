"""The exchange drill: a worker that trades on a lying exchange is killed again and again, and then judged.

The lives of the worker follow each other at once. Some end at a named crash point, some at a random moment,
a few in good order; now and then the exchange itself is killed under a running worker and comes back with its
journal. In the end everybody tells the truth, the worker drains, and four witnesses have to agree.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drill.process import READY, DrillError, Process, read_events, read_files, read_log
from drill_exchange.figures import recoveries_s
from drill_exchange.judge import Evidence, Verdict, judge
from drill_exchange.plan import NUMBERS, Rule, rules
from drill_exchange.processes import (
    PRICES,
    ExchangeProcess,
    Workers,
    gathered,
    lines_of,
    progress,
    start_feed,
    worker_config,
)
from execlog_drill.judge import against_table

from config.seams import CRASH_POINT_VARIABLE, CRASH_POINTS

RANDOM = "random"
ORDERLY = "orderly"
# One stop in so many is an orderly one, which has its own ways to lose things.
ORDERLY_EVERY = 12
# Most named deaths are around an order; each of the other points comes at least once.
ORDER_POINTS = (
    "before_reserve",
    "in_reserve",
    "after_reserve",
    "before_submit",
    "after_submit",
    "before_settle",
    "after_settle",
)
NAMED_SHARE = 0.45
# Of the random deaths so many come before the worker is ready.
DEATH_AT_START = 0.25
NAMED_PATIENCE_S = 8.0
DRAIN_POLL_S = 0.2
STOP_PATIENCE_S = 20.0
# How long a worker that dies at random lives after it is ready; within these bounds as the pace asks for.
LIFE_S_MIN = 1.5
LIFE_S_MAX = 15.0
# The feed waits while so much is unread: no signal may grow too old to be sent, were all of it one symbol's.
BACKLOG_MAX = 160
CUT_CHANCE = 0.15
# What only a fault of the worker, or an account that others use, can make it say.
ALARMING_WORDS = (
    "Traceback",
    "second_order",
    "update_unexplained",
    "update_not_recorded",
    "position_differs",
    "late_fill",
    "task_failed",
    "lane_quarantined",
    "signal_not_recordable",
)
LINE_CHARACTERS_MAX = 300
AFTERGLOW_S = 1.5


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything: so many kills spread over `duration_s`, in which so many signals are fed.

    `points` are the only crash points of a drill that looks for one thing; none: all there are.
    The last life under faults ends after `last_life_s`, the life without faults after `drain_s`.
    """

    kills: int
    signals: int
    duration_s: float
    exchange_kills: int = 0
    symbols: tuple[str, ...] = tuple(PRICES)
    points: tuple[str, ...] = ()
    last_life_s: float = 60.0
    drain_s: float = 180.0

    @property
    def rate(self) -> float:
        """Records a second, while the feed may write: it makes good for its waits."""
        return 2 * self.signals / self.duration_s


# What `make test` runs: with the death under the exchange and the last one, twenty kills. Three symbols, so
# that all its starts fit into the limits of a minute or two.
SHORT = Scale(
    kills=18,
    signals=110,
    duration_s=25.0,
    exchange_kills=1,
    symbols=("BTCUSDT", "ETHUSDT", "SOLUSDT"),
    last_life_s=15.0,
    drain_s=120.0,
)


@dataclass(slots=True)
class Report:
    """What a drill did and what came of it."""

    seed: int
    verdict: Verdict
    evidence: Evidence
    kills: Counter[str] = field(default_factory=Counter)
    orderly_stops: int = 0
    exchange_kills: int = 0
    orders_asked: int = 0
    orders_struck: int = 0
    struck: dict[str, int] = field(default_factory=dict)
    recoveries_s: list[float] = field(default_factory=list)
    ready_s: list[float] = field(default_factory=list)
    took_s: float = 0.0
    faults: list[str] = field(default_factory=list)

    @property
    def killed(self) -> int:
        """All SIGKILLs of the worker."""
        return self.kills.total()

    @property
    def objections(self) -> list[str]:
        """Everything that anybody has to say against it."""
        return [*self.faults, *self.verdict.complaints]


def schedule(kills: int, dice: random.Random, points: Sequence[str] = ()) -> list[str]:
    """What ends each life: a crash point's name, RANDOM or ORDERLY; every name once where kills suffice.

    The point inside recovery follows a death that leaves something to recover. `points`: these in turn, and
    one random death.
    """
    if points:
        return [points[number % len(points)] for number in range(kills - 1)] + [RANDOM]
    named = [
        name for name in ORDER_POINTS for _ in range(max(1, int(kills * NAMED_SHARE / len(ORDER_POINTS))))
    ]
    others = [name for name in CRASH_POINTS if name not in ORDER_POINTS and name != "in_recovery"]
    lives = [[name] for name in [*named, *others]]
    lives += [["before_submit", "in_recovery"]] * max(1, kills // 40)
    dice.shuffle(lives)
    chosen: list[list[str]] = []
    for group in lives:
        if sum(map(len, chosen)) + len(group) <= kills:
            chosen.append(group)
    chosen += [[RANDOM]] * (kills - sum(map(len, chosen)))
    chosen += [[ORDERLY]] * (kills // ORDERLY_EVERY)
    dice.shuffle(chosen)
    return [life for group in chosen for life in group]


class ExchangeDrill:
    """One drill in a folder of its own; `mistake` is planted into every worker, `lies` are the fault plan."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        scale: Scale,
        *,
        mistake: str | None = None,
        numbers: dict[str, int] = NUMBERS,
        lies: list[Rule] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._seed = seed
        self._dice = random.Random(seed)
        self._scale = scale
        self._mistake = mistake
        self._lies = rules() if lies is None else lies
        self._feed_list = folder / "feed-journal.jsonl"
        # One account for each drill: two at once must not fight for the account's lock.
        key = f"drill-key-{seed}-{os.getpid()}"
        self._exchange = ExchangeProcess(folder, seed, key, scale.symbols)
        config = worker_config(folder, scale.symbols, numbers)
        self._workers = Workers(folder, self._exchange, key, config, mistake)
        self._output = self._workers.output
        self._started_ms: list[int] = []
        self._life_ends_s = 0.0
        nothing = Evidence([], [], [], [], {})
        self._report = Report(seed, judge(nothing), nothing)

    def run(self) -> Report:
        """Feed, trade and kill; drain and judge; start once more and see that nothing changes."""
        began = time.monotonic()
        try:
            self._exchange.start(self._lies)
            self._run_with_feed()
            self._exchange.lie([])
            self._drain()
            self._exchange.stop()
            self._judge()
        finally:
            self._workers.end()
            self._exchange.end()
        self._report.took_s = time.monotonic() - began
        return self._report

    def _run_with_feed(self) -> None:
        scale = self._scale
        feed = start_feed(
            self._output,
            self._feed_list,
            scale.symbols,
            seed=self._seed,
            rate=scale.rate,
            count=2 * scale.signals,
        )
        try:
            lives = schedule(scale.kills, self._dice, scale.points)
            dies = {
                (number + 1) * len(lives) // (scale.exchange_kills + 1)
                for number in range(scale.exchange_kills)
            }
            began_s = time.monotonic()
            for number, end in enumerate(lives):
                self._pace(feed, scale.signals * (number + 1) / len(lives))
                if number in dies:
                    self._kill_exchange()
                self._life_ends_s = began_s + scale.duration_s * (number + 1) / len(lives)
                self._live(end)
            os.kill(feed.pid, signal.SIGCONT)
            self._until_fed()
        finally:
            os.kill(feed.pid, signal.SIGCONT)
            code = feed.end()
        if code:
            raise DrillError(f"the feed ended with {code}: {feed.tail()}")

    def _pace(self, feed: Process, signals: float) -> None:
        """The feed goes with the kills, however slow the host is, and waits while too much is unread."""
        fed = self._fed()
        waits = fed > signals or fed - progress(self._output)[0] > BACKLOG_MAX
        os.kill(feed.pid, signal.SIGSTOP if waits else signal.SIGCONT)

    def _until_fed(self) -> None:
        """A last life under faults, until enough was fed and, if that comes soon, all of it is settled."""
        worker = self._start()
        while self._fed() < self._scale.signals and worker.ended() is None:
            time.sleep(DRAIN_POLL_S)
        deadline = time.monotonic() + self._scale.last_life_s
        while worker.ended() is None and time.monotonic() < deadline and not self._is_settled():
            time.sleep(DRAIN_POLL_S)
        self._kill(worker, RANDOM)

    def _fed(self) -> int:
        return sum(1 for entry in lines_of(self._feed_list) if entry["kind"] == "signal")

    def _live(self, end: str) -> None:
        if end == RANDOM:
            self._die_at_random()
        elif end == ORDERLY:
            self._stop_in_order()
        else:
            self._die_at(end)

    def _start(self, **environment: str) -> Process:
        self._started_ms.append(time.time_ns() // 1_000_000)
        return self._workers.start(**environment)

    def _is_ready(self, worker: Process) -> bool:
        """Wait until the worker just started is ready; False when it ends before."""
        if not worker.wait_for(READY):
            return False
        self._report.ready_s.append(time.time_ns() / 1_000_000_000 - self._started_ms[-1] / 1_000)
        return True

    def _die_at_random(self) -> None:
        worker = self._start()
        if self._dice.random() < DEATH_AT_START:
            time.sleep(self._dice.uniform(0, 1.0))
        else:
            self._is_ready(worker)
            if self._dice.random() < CUT_CHANCE:
                self._exchange.cut_streams()
            left_s = self._life_ends_s - time.monotonic()
            time.sleep(self._dice.uniform(0, min(LIFE_S_MAX, max(LIFE_S_MIN, 2 * left_s))))
        self._kill(worker, RANDOM)

    def _die_at(self, point: str) -> None:
        """A crash point that is not passed in time, because nothing is sent, becomes a random death."""
        passage = self._dice.choice([1, 2, 4, 8, 12]) if point in ORDER_POINTS else 1
        worker = self._start(**{CRASH_POINT_VARIABLE: f"{point}:{passage}"})
        self._is_ready(worker)
        code = worker.wait(NAMED_PATIENCE_S)
        if code is None:
            self._kill(worker, RANDOM)
            return
        self._expect(worker, code, -signal.SIGKILL)
        self._report.kills[point] += 1

    def _stop_in_order(self) -> None:
        worker = self._start()
        if not self._is_ready(worker):
            self._report.faults.append(f"{worker.log.name}: ended by itself: {worker.tail()}")
            return
        time.sleep(self._dice.uniform(0, 0.5))
        self._expect(worker, worker.end(patience_s=STOP_PATIENCE_S), 0)
        self._report.orderly_stops += 1

    def _kill_exchange(self) -> None:
        """The exchange dies under a running worker and comes back with its journal; then the worker dies."""
        worker = self._start()
        self._is_ready(worker)
        time.sleep(self._dice.uniform(0, 1.0))
        self._exchange.kill()
        self._exchange.start(self._lies)
        self._report.exchange_kills += 1
        time.sleep(self._dice.uniform(0, 2.0))
        self._kill(worker, RANDOM)

    def _kill(self, worker: Process, why: str) -> None:
        self._expect(worker, worker.end(signal.SIGKILL), -signal.SIGKILL)
        self._report.kills[why] += 1

    def _expect(self, worker: Process, code: int, wanted: int) -> None:
        if code != wanted:
            self._report.faults.append(
                f"{worker.log.name}: ended with {code} instead of {wanted}: {worker.tail()}"
            )

    def _drain(self) -> None:
        """Everybody tells the truth: what is left is worked off, and a further start adds nothing."""
        worker = self._start()
        self._is_ready(worker)
        deadline = time.monotonic() + self._scale.drain_s
        while not self._is_settled():
            if worker.ended() is not None or time.monotonic() > deadline:
                self._report.faults.append(f"{worker.log.name}: it does not drain: {worker.tail()}")
                break
            time.sleep(DRAIN_POLL_S)
        if worker.ended() is None:
            self._expect(worker, worker.end(patience_s=STOP_PATIENCE_S), 0)
        if self._is_settled():
            self._drain_again()

    def _drain_again(self) -> None:
        before = self._left()
        worker = self._start()
        self._is_ready(worker)
        time.sleep(AFTERGLOW_S)
        self._expect(worker, worker.end(patience_s=STOP_PATIENCE_S), 0)
        if self._left() != before:
            self._report.faults.append("a further start over the same input changed rows, lines or orders")

    def _is_settled(self) -> bool:
        rows, unsettled = progress(self._output)
        return rows >= self._fed() and not unsettled

    def _left(self) -> tuple[object, ...]:
        found = gathered(self._output, self._feed_list, self._exchange.journal)
        orders = [entry for entry in found.journal if entry["kind"] in ("accepted", "fill")]
        return found.rows, read_files(self._output), orders

    def _read_logs(self) -> None:
        """No worker may have said what a drill gives no reason for: most of it is an error of its own."""
        for number, text in enumerate(self._workers.logs(), start=1):
            for word in ALARMING_WORDS:
                if word in text:
                    line = next(line for line in text.splitlines() if word in line)
                    self._report.faults.append(f"worker-{number:03}.log: {line[:LINE_CHARACTERS_MAX]}")

    def _judge(self) -> None:
        report, exchange = self._report, self._exchange
        self._read_logs()
        report.evidence = gathered(self._output, self._feed_list, exchange.journal)
        report.verdict = judge(report.evidence)
        report.faults += against_table(read_events(self._output), read_log(self._output))
        report.struck = exchange.struck
        report.orders_asked = exchange.orders_asked
        report.orders_struck = len(
            {
                (entry["client_order_id"], entry["now_ms"])
                for entry in report.evidence.journal
                if entry["kind"] == "fault" and entry["endpoint"] == "new_order"
            }
        )
        report.recoveries_s = recoveries_s(report.evidence.events, self._started_ms)
