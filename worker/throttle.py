"""The adaptive throttle: how fast orders may leave, by what the signals and the market look like.

Pure: the clock comes in as seconds. The rate is always base times factors, never the last rate times
factors, so that nothing compounds; and it moves in steps that have to last, so that it does not flutter.
"""

from __future__ import annotations

from math import sqrt
from typing import Literal

import msgspec

from config import settings

# The window moves on in so many parts: memory stays fixed whatever the number of signals, and the share
# is at most one part older than it says.
BUCKETS = 60

# So many windows in a row have too few signals before what the last judged one said is dropped.
THIN_WINDOWS = 3

# So many standard deviations of a share are taken for chance.
DEVIATIONS = 3.5

# Rounding must not keep a step of exactly step_share from being one.
_ROUNDING = 1e-9


class _Asked(msgspec.Struct, frozen=True):
    """The rate that the window asks for, and what led to it."""

    qps: float
    signals: int
    denied_share: float
    denied_factor: float
    quiet_factor: float
    held_at: Literal["least", "most"] | None


class Throttle:
    """Counts denials and says the rate. One instance serves all lanes."""

    def __init__(self, rules: settings.Throttle) -> None:
        self._rules = rules
        self._eligible = [0] * BUCKETS
        self._denied = [0] * BUCKETS
        self._bucket = 0
        self._base_qps: float | None = None
        self._taken: _Asked | None = None
        # Which way the rate is about to move (1 up, -1 down, 0 neither), and since when.
        self._direction = 0
        self._since_s = 0.0

    def note(self, now_s: float, eligible: int, denied: int) -> None:
        """Signals that were read at `now_s`: so many became orders, so many more were denied."""
        self._advance(now_s)
        place = self._bucket % BUCKETS
        self._eligible[place] += eligible
        self._denied[place] += denied

    def target(self, base_qps: float, now_s: float, *, quiet: bool) -> float:
        """The rate that the window asks for, in orders per second: base times factors, within bounds."""
        return self._asked(base_qps, now_s, quiet=quiet).qps

    def rate(self, base_qps: float, now_s: float, *, quiet: bool) -> float:
        """The rate in force, in orders per second; to be asked about once a second.

        It moves to `target` when that lies at least step_share of the base away, farther than chance would
        move it, and on the same side for hold_ms. The last few per cent to either end of the denial factor
        need no such distance, or they would stay lost. Another base (the strategy switched) counts at once.
        """
        asked = self._asked(base_qps, now_s, quiet=quiet)
        if self._taken is None or base_qps != self._base_qps:
            self._base_qps = base_qps
            return self._take(asked)
        direction = self._direction_of(asked, self._taken, base_qps)
        if direction != self._direction:
            self._direction, self._since_s = direction, now_s
        if direction and now_s - self._since_s >= self._hold_s(asked, self._taken) - _ROUNDING:
            return self._take(asked)
        return self._taken.qps

    @property
    def why(self) -> str:
        """Why the rate in force is what it is, for people."""
        return "no rate was asked for yet" if self._taken is None else _sentence(self._taken)

    def _asked(self, base_qps: float, now_s: float, *, quiet: bool) -> _Asked:
        self._advance(now_s)
        rules = self._rules
        denied = sum(self._denied)
        signals = denied + sum(self._eligible)
        share = denied / signals if signals else 0.0
        denied_factor = self._denied_factor(share) if signals >= rules.signals_min else 1.0
        quiet_factor = rules.quiet_factor if quiet else 1.0
        least = min(rules.qps_min, base_qps)
        most = base_qps if rules.qps_max is None else rules.qps_max
        wanted = base_qps * denied_factor * quiet_factor
        held_at: Literal["least", "most"] | None = None
        if wanted > most:
            held_at, wanted = "most", most
        if wanted < least:
            held_at, wanted = "least", least
        return _Asked(wanted, signals, share, denied_factor, quiet_factor, held_at)

    def _denied_factor(self, share: float) -> float:
        """1 up to the low share, denied_factor from the high one on, a straight line in between."""
        low, high = self._rules.denied_share_low, self._rules.denied_share_high
        if share == 0:
            return 1.0
        if share >= high:
            return self._rules.denied_factor
        if share <= low:
            return 1.0
        return 1.0 - (1.0 - self._rules.denied_factor) * (share - low) / (high - low)

    def _direction_of(self, asked: _Asked, taken: _Asked, base_qps: float) -> int:
        """Which way the rate is to move, 0 when it stays."""
        change = asked.qps - taken.qps
        direction = (change > _ROUNDING * base_qps) - (change < -_ROUNDING * base_qps)
        if self._may_be_chance(asked, taken):
            return 0
        is_end = asked.denied_factor in (1.0, self._rules.denied_factor)
        if not is_end and abs(change) < (self._rules.step_share - _ROUNDING) * base_qps:
            return 0
        return direction

    def _may_be_chance(self, asked: _Asked, taken: _Asked) -> bool:
        """Whether the share that the factor in force stands for could show itself as this one, too.

        A share of some sixty signals moves by a step of chance alone; the more signals, the less it does.
        """
        if asked.quiet_factor != taken.quiet_factor or asked.signals < self._rules.signals_min:
            return False
        # One more of each kind than were seen: nothing is certain after a few signals.
        share = (asked.denied_share * asked.signals + 1) / (asked.signals + 2)
        spread = DEVIATIONS * sqrt(share * (1.0 - share) / asked.signals)
        return (
            self._denied_factor(min(1.0, share + spread))
            <= taken.denied_factor
            <= self._denied_factor(max(0.0, share - spread))
        )

    def _hold_s(self, asked: _Asked, taken: _Asked) -> float:
        """How long a change has to last: several windows where signals only became too few to judge.

        A feed of about signals_min signals a window would otherwise switch the factor on and off.
        """
        is_thin = asked.signals < self._rules.signals_min and taken.denied_factor < 1
        return (THIN_WINDOWS * self._rules.window_ms if is_thin else self._rules.hold_ms) / 1_000

    def _take(self, asked: _Asked) -> float:
        self._taken = asked
        self._direction = 0
        return asked.qps

    def _advance(self, now_s: float) -> None:
        """Empty the buckets that left the window; a clock that stands or goes back moves nothing."""
        bucket = int(now_s * 1_000 * BUCKETS / self._rules.window_ms)
        for gone in range(max(self._bucket + 1, bucket - BUCKETS + 1), bucket + 1):
            self._eligible[gone % BUCKETS] = 0
            self._denied[gone % BUCKETS] = 0
        self._bucket = max(self._bucket, bucket)


def _sentence(asked: _Asked) -> str:
    parts = []
    if asked.denied_factor < 1:
        share = f"{100 * asked.denied_share:.0f} %"
        parts.append(f"{share} of {asked.signals} signals denied: x {asked.denied_factor:.3g}")
    if asked.quiet_factor < 1:
        parts.append(f"quiet market: x {asked.quiet_factor:.3g}")
    if asked.held_at is not None:
        parts.append(f"held at the {asked.held_at}, {asked.qps:g} a second")
    return "; ".join(parts) or "nothing slows it down"
