"""The adaptive throttle: how fast orders may leave, by what the signals and the market look like.

Pure: the clock comes in as seconds. The rate is always base times factors, never the last rate times
factors, so that no error adds up; and it moves in steps that have to last, so that it does not flutter.
"""

from __future__ import annotations

from config import settings


class Throttle:
    """Counts denials and says the rate. One instance serves all lanes."""

    def __init__(self, rules: settings.Throttle) -> None:
        self._rules = rules

    def note(self, now_s: float, eligible: int, denied: int) -> None:
        """Signals that were read at `now_s`: so many became orders, so many more were denied."""
        raise NotImplementedError

    def target(self, base_qps: float, now_s: float, *, quiet: bool) -> float:
        """The rate that the window asks for, in orders per second: base times factors, within bounds."""
        raise NotImplementedError

    def rate(self, base_qps: float, now_s: float, *, quiet: bool) -> float:
        """The rate in force: it follows `target` in steps that lasted; a new base counts at once."""
        raise NotImplementedError

    @property
    def why(self) -> str:
        """Why the rate in force is what it is, for people."""
        raise NotImplementedError
