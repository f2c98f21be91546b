"""Which points are played: seeds in a row, each at every named crash point and at some or all steps."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

from crash.planted import Plant
from crash.points import LENGTHS, Moment, Outcome, play
from crash.scenarios import Scenario, scenario_of

from config.seams import CRASH_POINTS, seeded_random

# Every so many seeds one is stopped at each of its steps; no multiple of the number of kinds.
WHOLE_SEED_EVERY = 7
COLLECT_EVERY = 8


@dataclass(slots=True)
class Tally:
    """What a number of points came to; `bad` are those that the judge objects to, as (seed, point, words)."""

    points: int = 0
    lives: int = 0
    orders: int = 0
    named: set[str] = field(default_factory=set)
    bad: list[tuple[int, str, list[str]]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Both together."""
        self.points += other.points
        self.lives += other.lives
        self.orders += other.orders
        self.named |= other.named
        self.bad += other.bad

    def count(self, seed: int, moment: Moment | None, outcome: Outcome) -> None:
        """One more point."""
        self.points += 1
        self.lives += len(outcome.steps)
        self.orders += outcome.accepted
        if moment is not None and moment.name:
            self.named.add(moment.name)
        if outcome.complaints:
            self.bad.append((seed, "-" if moment is None else str(moment), outcome.complaints))


def whole_life(scenario: Scenario, plant: Plant | None = None) -> Outcome:
    """The scenario without a kill, which tells how many steps it has."""
    outcome = play(scenario, None, plant)
    LENGTHS[scenario.seed] = outcome.steps[0]
    # With its accidents where they belong, the life may have another length.
    return play(scenario, None, plant) if scenario.accidents else outcome


def moments(seed: int, whole: Outcome, steps: int | None) -> Iterator[Moment]:
    """The points of one seed: each crash point that it passes, once, and steps; None: every one of them."""
    dice = seeded_random(seed + 11)
    for name in CRASH_POINTS:
        if whole.passages.get(name):
            yield Moment(name=name, passage=dice.randint(1, whole.passages[name]))
    length = whole.steps[0]
    if steps is None:
        yield from (Moment(step=step) for step in range(1, length + 1))
    else:
        yield from (Moment(step=step) for step in dice.sample(range(1, length + 1), min(steps, length)))


def play_seed(seed: int, steps: int | None, points_max: int, plant: Plant | None = None) -> Tally:
    """All points of a seed, `points_max` at most; with a plant it ends at the first objection."""
    quiet_memory()
    tally, scenario = Tally(), scenario_of(seed)
    whole = whole_life(scenario, plant)
    tally.count(seed, None, whole)
    for moment in moments(seed, whole, steps):
        if tally.points >= points_max or (plant is not None and tally.bad):
            break
        tally.count(seed, moment, play(scenario, moment, plant))
        if tally.points % COLLECT_EVERY == 0:
            gc.collect()
    return tally


def quiet_memory() -> None:
    """What the imports made lives for ever; a collection need not look at it each time.

    What killed lives have left half done complains when it is collected, and nobody has to hear that.
    """
    if gc.isenabled():
        sys.unraisablehook = lambda _: None
        warnings.simplefilter("ignore")
        gc.disable()
        gc.collect()
        gc.freeze()
