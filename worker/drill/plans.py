"""The drills that there are: what is fed, who is killed, and what else goes wrong. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from worker.drill import lies
from worker.drill.exchange import Rule

# None of them is live: a drill has no word for it.
DrillMode = Literal["dry_run", "paper", "testnet"]
Target = Literal["worker", "feed", "exchange"]

KINDS = ("restart", "feed", "exchange", "disk", "clock")
ALL = "all"
SYMBOLS = ("BTCUSDT", "ETHUSDT")
HOUR_MS = 3_600_000
# Signal time runs this much for each signal where it is not that of the moment: a minute file every 400.
SWIFT_MS = 150


@dataclass(frozen=True, slots=True)
class Plan:
    """One row of the table. `weight` is its share of the kills; chances are for each signal.

    `targets` says who is killed how often, in proportion; `life_s` how long at most a worker lives after it
    is ready; `shift_ms_max` how far at most its clock is put off.
    """

    kind: str
    name: str
    folder: str
    mode: DrillMode
    shape: str
    rate: float
    weight: int
    targets: Mapping[Target, int] = field(default_factory=lambda: {"worker": 1})
    life_s: float = 0.6
    twice: float = 0.0
    torn: float = 0.0
    malformed: float = 0.0
    moves: float = 0.0
    odd_times: float = 0.0
    rules: tuple[Rule, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=lambda: lies.NUMBERS)
    shift_ms_max: int = 0

    @property
    def step_ms(self) -> int:
        """How much signal time passes between two signals; 0: they are of their moment."""
        return 0 if self.mode == "testnet" else SWIFT_MS


def plans() -> tuple[Plan, ...]:
    """All of them, in the order of the table."""
    return (
        Plan(
            "restart", "restart: dry run, files", "restart-files", "dry_run", "v1-jsonl", rate=60, weight=5,
            twice=0.01, torn=0.02, malformed=0.01,
        ),
        Plan(
            "restart", "restart: dry run, table", "restart-table", "dry_run", "v2-sqlite", rate=60, weight=4
        ),
        Plan("restart", "restart: paper, files", "restart-paper", "paper", "v1-jsonl", rate=25, weight=5),
        Plan(
            "feed", "feed: files", "feed-files", "dry_run", "v1-jsonl", rate=60, weight=4,
            targets={"feed": 3, "worker": 1}, twice=0.02, torn=0.10, malformed=0.03, moves=0.03,
        ),
        Plan(
            "feed", "feed: table", "feed-table", "dry_run", "v1-sqlite", rate=40, weight=3,
            targets={"feed": 3, "worker": 1}, moves=0.05,
        ),
        Plan(
            "exchange", "exchange: lost answers", "exchange", "testnet", "v1-jsonl", rate=5, weight=6,
            targets={"worker": 8, "exchange": 1}, life_s=2.0, twice=0.02, torn=0.02, malformed=0.01,
            rules=tuple(lies.lying()),
        ),
        Plan("disk", "disk: full", "disk", "testnet", "v1-jsonl", rate=3, weight=2, life_s=0.5),
        Plan(
            "clock", "clock: the exchange's", "clock-exchange", "testnet", "v1-jsonl", rate=5, weight=3,
            life_s=2.0, odd_times=0.15, rules=tuple(lies.skewed()), numbers=lies.SKEWED_NUMBERS,
        ),
        Plan(
            "clock", "clock: the worker's", "clock-worker", "dry_run", "v1-jsonl", rate=50, weight=3,
            shift_ms_max=48 * HOUR_MS,
        ),
    )  # fmt: skip


def chosen(kind: str) -> list[Plan]:
    """The plans of one kind, or all."""
    return [plan for plan in plans() if kind in (ALL, plan.kind)]


def shared_out(kills: int, among: Sequence[Plan]) -> list[int]:
    """How many kills each plan gets: by weight, `kills` in all, and each at least one."""
    total = sum(plan.weight for plan in among)
    exact = [kills * plan.weight / total for plan in among]
    shares = [max(1, int(share)) for share in exact]
    by_rest = sorted(range(len(among)), key=lambda at: int(exact[at]) - exact[at])
    for at in by_rest[: max(0, kills - sum(shares))]:
        shares[at] += 1
    return shares
