"""Who is alive: each long-running task says when it completed a turn or that it means to wait.

The watchdog is fed only while no task is late, so a task that hangs stops the feeding and systemd
restarts the worker. An empty poll is a turn, and a declared wait (idle, a ban, a full disk) is life:
only silence counts against a task.
"""

from __future__ import annotations

from config.seams import Clock


class Pulse:
    """The pulse of one task; belongs to the task alone. A call is one clock read and one attribute write."""

    __slots__ = ("_clock", "_pulses", "alive_until_s", "name")

    def __init__(self, name: str, clock: Clock, pulses: dict[str, Pulse]) -> None:
        self.name = name
        self._clock = clock
        self._pulses = pulses
        self.alive_until_s = clock.monotonic_s()

    def turn(self) -> None:
        """One turn is completed; ends a declared wait."""
        self.alive_until_s = self._clock.monotonic_s()

    def waits(self, for_s: float) -> None:
        """The task will be silent for up to `for_s` seconds, on purpose."""
        self.alive_until_s = self._clock.monotonic_s() + max(for_s, 0.0)

    def done(self) -> None:
        """The task has ended; it is asked no more."""
        if self._pulses.get(self.name) is self:
            del self._pulses[self.name]


class Pulses:
    """All tasks that must show life."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pulses: dict[str, Pulse] = {}

    def of(self, name: str) -> Pulse:
        """A fresh pulse under `name`, alive as of now; a restarted task replaces its former one."""
        pulse = Pulse(name, self._clock, self._pulses)
        self._pulses[name] = pulse
        return pulse

    def late(self, limit_s: float) -> list[str]:
        """The tasks whose last turn, or the end of whose declared wait, is more than `limit_s` ago."""
        oldest_s = self._clock.monotonic_s() - limit_s
        return sorted(pulse.name for pulse in self._pulses.values() if pulse.alive_until_s < oldest_s)
