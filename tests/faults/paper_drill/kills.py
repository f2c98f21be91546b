"""The paper drill: a worker on the simulated venue is killed again and again while a feed writes.

Venue and worker die together, which an exchange and a worker never do: what was accepted is known from the
venue's own journal alone. Answers take a while, get lost, and orders fill in parts, all by seed.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drill.judge import parsed_lines
from drill.kills import RANDOM, KillDrill, KillReport
from drill.process import WORKER, Process
from drill_exchange.judge import Evidence, Verdict
from drill_exchange.kills import ALARMING_WORDS, LINE_CHARACTERS_MAX, schedule
from drill_exchange.processes import clean_environment, gathered
from paper_drill.judge import judge
from paper_drill.prices import TERMS, write_prices

SHAPE = "v1-jsonl"
JOURNAL = Path("paper") / "orders.jsonl"
PLANTED = Path(__file__).parent / "planted.py"
RATE = 60.0
# At least one death in so many comes at a random moment.
RANDOM_EVERY = 4


@dataclass(frozen=True, slots=True)
class Plant:
    """What the judge has to say of a mistake, by the first word of its sentences, and where it shows."""

    deserved: tuple[str, ...]
    points: tuple[str, ...]
    kills: int = 2


PLANTS = {
    "answer-before-write": Plant(("LOST", "fills"), ("after_reserve",)),
    "absent-without-looking": Plant(("states",), ("after_submit",), kills=5),
}


@dataclass(slots=True)
class PaperReport:
    """What a drill did and what came of it."""

    kills: KillReport
    verdict: Verdict
    evidence: Evidence
    faults: list[str] = field(default_factory=list)

    @property
    def objections(self) -> list[str]:
        """Everything that anybody has to say against it."""
        return [*self.kills.faults, *self.faults, *self.verdict.complaints]

    def caught(self, deserved: Sequence[str]) -> str | None:
        """The first sentence of one of these kinds; None: the judge says none."""
        kinds = tuple(f"{kind}:" for kind in deserved)
        return next((text for text in self.verdict.complaints if text.startswith(kinds)), None)

    def sentence(self) -> str:
        """The figures in one line."""
        verdict, kills = self.verdict, self.kills
        return (
            f"paper: {kills.kills} kills ({kills.kills_random} random, the others at "
            f"{len(kills.kills_named)} named points), {kills.orderly_stops} orderly stops, "
            f"{verdict.signals} signals, {verdict.rows} rows, {verdict.lines} lines, "
            f"{verdict.eligible} eligible, {verdict.accepted} orders accepted in {verdict.fills} fills, "
            f"{verdict.resolved_as_found} lost answers found and {verdict.proven_absent} proven absent, "
            f"{verdict.lost} lost, {verdict.doubled} doubled: {'FAILED' if self.objections else 'passed'}"
        )


class PaperDrill(KillDrill):
    """One drill in a folder of its own; `mistake` is planted into every worker.

    `points` are the only crash points of a drill that looks for one thing; none: all there are.
    """

    def __init__(
        self, seed: int, folder: Path, *, mistake: str | None = None, points: Sequence[str] = ()
    ) -> None:
        super().__init__(SHAPE, seed, folder)
        self._mistake = mistake
        self._points = points
        self._config = _worker_config(folder, seed)
        nothing = Evidence([], [], [], [], {})
        self._paper = PaperReport(self._report, judge(nothing), nothing)

    def trade(self, kills: int, rate: float = RATE) -> PaperReport:
        """Feed, trade and kill; drain and judge; drain again and see that nothing changes."""
        self.run(kills, rate)
        return self._paper

    def _ends(self, kills: int) -> list[str]:
        if self._points:
            return schedule(kills, self._dice, self._points)
        random_kills = kills // RANDOM_EVERY
        ends = schedule(kills - random_kills, self._dice)
        for _ in range(random_kills):
            ends.insert(self._dice.randint(0, len(ends)), RANDOM)
        return ends

    def _measure_start(self) -> None:
        """Not here: a moment before a second is over is random enough, and a start costs as much."""

    def _start(self, *options: str, **environment: str) -> Process:
        self._lives += 1
        program = [str(WORKER)] if self._mistake is None else [sys.executable, str(PLANTED), self._mistake]
        command = [*program, "--output", str(self._output), "--config", str(self._config), *options]
        log = self._logs / f"worker-{self._lives:03}.log"
        return Process(command, log, clean_environment(**environment))

    def _judge(self) -> None:
        journal = self._output / JOURNAL
        facts, damages = parsed_lines(JOURNAL.name, journal.read_bytes())
        # The rest of what was left; the feed's list stands in for a journal that may be damaged.
        found = dataclasses.replace(gathered(self._output, self._journal, self._journal), journal=facts)
        self._paper.faults += damages
        self._paper.evidence = found
        self._paper.verdict = judge(found)
        for path in sorted(self._logs.glob("worker-*.log")):
            text = path.read_text(errors="replace")
            self._paper.faults += [
                f"{path.name}: {line[:LINE_CHARACTERS_MAX]}"
                for line in text.splitlines()
                if any(word in line for word in ALARMING_WORDS)
            ]


def _worker_config(folder: Path, seed: int) -> Path:
    """A venue that is slow, fills in parts and loses answers; no limit is one that a drill would meet."""
    prices = folder / "prices.csv"
    write_prices(prices)
    path = folder / "worker.yaml"
    path.write_text(
        "execution:\n"
        "  mode: paper\n"
        f"  symbols: [{', '.join(TERMS)}]\n"
        "  rate_limit: {max_qps: null, max_concurrency: 8}\n"
        "  retry: {max_attempts: 100, backoff_ms: 20}\n"
        "  business: {order_size_usd: 400}\n"
        "  order: {price_max_age_ms: 60000}\n"
        "  paper:\n"
        "    prices: file\n"
        f"    price_file: {prices}\n"
        f"    seed: {seed}\n"
        "    latency_ms: 2\n"
        "    latency_jitter_ms: 6\n"
        "    partial_share: 0.3\n"
        "    timeouts: [BTCUSDT=0.08, ETHUSDT=0.04]\n"
        "  http: {port: 0}\n"
    )
    return path
