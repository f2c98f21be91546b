"""A notice: one thing that people are told, before anybody asked for words or receivers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from config.notify_settings import Event


class Phase(StrEnum):
    """Some things last: they begin, and they end."""

    ONCE = "once"
    BEGAN = "began"
    ENDED = "ended"


CRITICAL = frozenset(
    (
        Event.FAILED,
        Event.HALTED,
        Event.QUARANTINED,
        Event.EXCHANGE_REFUSED,
        Event.NO_PROGRESS,
        Event.LATE_FILL,
    )
)
WARNING = frozenset((Event.LIMIT_REACHED, Event.TROUBLE, Event.DRILL_FAILED))
# With nothing after them: the worker is gone.
FINAL = frozenset((Event.FAILED, Event.STOPPED))


@dataclass(frozen=True, slots=True)
class Notice:
    """What happened. Notices with the same `event` and `key` are about the same thing."""

    event: Event
    key: str
    at_ms: int
    fields: Mapping[str, str] = field(default_factory=dict)
    phase: Phase = Phase.ONCE

    @property
    def severity(self) -> str:
        """info, warning or critical; the end of anything is good news."""
        if self.phase is Phase.ENDED:
            return "info"
        if self.event in CRITICAL:
            return "critical"
        return "warning" if self.event in WARNING else "info"


# What is over when this is said.
OPPOSITE = {
    Event.HALTED: Event.RESUMED,
    Event.RESUMED: Event.HALTED,
    Event.STARTED: Event.STOPPED,
    Event.STOPPED: Event.STARTED,
}
EVERYTHING = "all"


def is_over(told: tuple[Event, str], by: Notice) -> bool:
    """Whether what was told of this event and key is over when `by` is said: next time it is a new one."""
    event, key = told
    if OPPOSITE.get(by.event) is not event:
        return False
    return key == by.key or EVERYTHING in (key, by.key)
