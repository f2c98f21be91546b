"""Progress: whether what is there gets done, and whether the exchange listens. Pure.

Looked at once a second with numbers that lie in memory; the sentences do not change while they hold, so that
a condition is logged and told once.
"""

from __future__ import annotations

from dataclasses import dataclass

from config.notify_settings import Notify
from worker.when import moment

STILL_MS = 10_000


@dataclass(frozen=True, slots=True)
class Sample:
    """The worker at one moment.

    `finals` counts since the start what came to an end, malformed lines too; `waiting` is input that is there
    and not worked off, in whatever unit. `deaf_until_ms`: the exchange wants to hear nothing before that.
    """

    now_s: float
    wall_ms: int
    finals: int
    waiting: int
    denied: str | None = None
    deaf_until_ms: int = 0


class Progress:
    """The verdict over samples in the order of time."""

    def __init__(self, notify: Notify) -> None:
        self._no_progress_s = notify.no_progress_s
        self._ban_ms = notify.ban_s * 1_000
        self._finals = -1
        self._since_s: float | None = None
        self._told_until_ms = 0
        self.stuck: str | None = None
        self.refused: str | None = None

    def look(self, sample: Sample) -> dict[str, str | None]:
        """The sentence of each condition; None where it does not hold."""
        self.stuck = self._stuck(sample)
        self.refused = self._refused(sample)
        return {"no_progress": self.stuck, "exchange_refused": self.refused}

    def _stuck(self, sample: Sample) -> str | None:
        if sample.waiting <= 0 or sample.finals != self._finals:
            self._finals = sample.finals
            self._since_s = sample.now_s if sample.waiting > 0 else None
            return None
        if self._since_s is None:
            self._since_s = sample.now_s
        if sample.now_s - self._since_s < self._no_progress_s:
            return None
        return f"input is there, and nothing became final for {self._no_progress_s:g} s: see status"

    def _refused(self, sample: Sample) -> str | None:
        if sample.denied is not None:
            return sample.denied
        left_ms = sample.deaf_until_ms - sample.wall_ms
        if left_ms <= 0:
            return None
        if left_ms <= self._ban_ms and self.refused is None:
            return None
        # The two clocks are compared anew all the time; the moment that is told stands still.
        if abs(sample.deaf_until_ms - self._told_until_ms) > STILL_MS:
            self._told_until_ms = sample.deaf_until_ms
        return f"it wants to hear nothing until {moment(self._told_until_ms)}"
