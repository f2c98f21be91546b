"""What a verification finds: sentences with fixed codes, counted without end and kept up to a bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

# Sentences of one kind; the rest are counted.
TOLD_MAX = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One damage or broken rule: a fixed code, and the sentence."""

    code: str
    text: str


@dataclass(slots=True)
class Findings:
    """What was found; of each kind a bounded number of sentences, all counted."""

    told: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add(self, code: str, text: str) -> None:
        """One more."""
        self.counts[code] += 1
        if self.counts[code] <= TOLD_MAX:
            self.told.append(Finding(code, text))

    def note(self, text: str) -> None:
        """Something to know that is no damage."""
        self.notes.append(text)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the store does not know by itself.

    `wire_id` gives the client order id that a symbol and signal id must have; `sources` are the kinds of
    sources that positions may belong to.
    """

    wire_id: Callable[[str, str], str]
    sources: Collection[str]
