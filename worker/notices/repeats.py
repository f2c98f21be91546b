"""Repeats: the same thing within a while is told once, and counted. Pure; the time is an argument."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from config.notify_settings import Event
from worker.notices.notice import OPPOSITE, Notice, Phase, is_over

# More symbols than a worker may have; what was told longest ago is forgotten first.
KEPT_MAX = 2_000
# What comes and goes all the time: so many ends are told within the while. After the last one it counts as
# there, which errs on the safe side, and its beginnings are repeats.
ENDS_MAX = 3


@dataclass(slots=True)
class _Told:
    at_s: float
    since: int = 0


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was told before a restart: when, by the wall clock, and how often it happened since."""

    event: Event
    key: str
    at_ms: int
    since: int


class Repeats:
    """Remembers what was told, and when."""

    def __init__(self, repeat_s: float) -> None:
        self._repeat_s = repeat_s
        self._told: OrderedDict[tuple[Event, str, Phase], _Told] = OrderedDict()
        self._ends: dict[tuple[Event, str], deque[float]] = {}

    def count(self, notice: Notice, now_s: float) -> int | None:
        """How often it happened since it was told last, this time included; None: not to be told now.

        What begins after it ended, or the other way round, is told however soon, up to ENDS_MAX times.
        """
        if notice.phase is Phase.ENDED and self._comes_and_goes(notice, now_s):
            return None
        key = (notice.event, notice.key, notice.phase)
        self._forget_what_is_over(notice)
        told = self._told.get(key)
        if told is not None and now_s - told.at_s < self._repeat_s:
            told.since += 1
            return None
        count = 1 if told is None else told.since + 1
        self._told[key] = _Told(now_s)
        self._told.move_to_end(key)
        if len(self._told) > KEPT_MAX:
            self._told.popitem(last=False)
        return count

    def _comes_and_goes(self, notice: Notice, now_s: float) -> bool:
        """Whether ENDS_MAX ends of it were told within the while; if not, this one is the next."""
        ends = self._ends.setdefault((notice.event, notice.key), deque(maxlen=ENDS_MAX))
        if len(ends) == ENDS_MAX and now_s - ends[0] < self._repeat_s:
            return True
        ends.append(now_s)
        return False

    def remember(self, before: list[Remembered], *, now_s: float, wall_ms: int) -> None:
        """Take over what a former life has told; a time that is still to come counts as now."""
        for one in before:
            told = _Told(now_s - max(0, wall_ms - one.at_ms) / 1_000, one.since)
            self._told[one.event, one.key, Phase.ONCE] = told

    def told(self, *, now_s: float, wall_ms: int) -> list[Remembered]:
        """What was told once, for a later life."""
        return [
            Remembered(event, key, wall_ms - round((now_s - told.at_s) * 1_000), told.since)
            for (event, key, phase), told in self._told.items()
            if phase is Phase.ONCE
        ]

    def _forget_what_is_over(self, notice: Notice) -> None:
        if notice.phase is not Phase.ONCE:
            other = Phase.ENDED if notice.phase is Phase.BEGAN else Phase.BEGAN
            self._told.pop((notice.event, notice.key, other), None)
        if notice.event not in OPPOSITE:
            return
        for key in [key for key in self._told if is_over(key[:2], notice)]:
            del self._told[key]
