"""What a bench found: ratios with their bounds, and the table that people read."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured value; `bound` None: it is only reported. `says` tells what was measured."""

    name: str
    value: float
    unit: str = "x"
    at_least: float | None = None
    at_most: float | None = None
    says: str = ""

    @property
    def holds(self) -> bool:
        """Whether the value keeps to its bound; true without one."""
        return self.holds_within(1.0)

    def holds_within(self, factor: float) -> bool:
        """Whether the value keeps to its bound widened by a factor."""
        return (self.at_least is None or self.value * factor >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most * factor
        )

    @property
    def bound(self) -> str:
        """The bound as text."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most is not None else ""

    @property
    def verdict(self) -> str:
        """What a reader looks for."""
        if not self.bound:
            return ""
        return "ok" if self.holds else "MISSED"


def say(line: str) -> None:
    """Print at once: a bench is watched."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def show(figures: Sequence[Figure]) -> None:
    """The table of everything that was measured."""
    width = max(len(figure.name) for figure in figures)
    say(f"{'':{width}}  {'measured':>12} {'bound':>8}  verdict")
    for figure in figures:
        value = f"{figure.value:,.3g}" if figure.value < 1_000 else f"{figure.value:,.0f}"
        measured = f"{value} {figure.unit}"
        line = f"{figure.name:{width}}  {measured:>12} {figure.bound:>8}  {figure.verdict:7} {figure.says}"
        say(line.rstrip())


def percentile(values: Sequence[float], percent: int) -> float:
    """The value below which `percent` of a hundred lie."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def spread(values: Sequence[float]) -> str:
    """Least, median and greatest, to judge the noise by."""
    shown = (min(values), statistics.median(values), max(values))
    return " / ".join(f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in shown)
