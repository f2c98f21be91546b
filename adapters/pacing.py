"""How fast orders may leave: an exact token bucket.

Pure: the clock comes in as seconds. The bucket starts empty, so that a restart loop never sends faster
than the rate: over any span of t seconds at most rate * (t + burst_s) permits are given.
"""

from __future__ import annotations


class TokenBucket:
    """Permits at `rate_per_s`, saved up for at most `burst_s` (but at least one); None is unlimited."""

    def __init__(self, rate_per_s: float | None, *, now_s: float, burst_s: float = 1.0) -> None:
        self._rate_per_s = rate_per_s
        self._burst_s = burst_s
        self._capacity = max(1.0, (rate_per_s or 0.0) * burst_s)
        self._tokens = 0.0
        self._at_s = now_s

    def available(self, now_s: float) -> int | None:
        """Whole permits that can be taken now; None when the rate is unlimited."""
        if self._rate_per_s is None:
            return None
        self._refill(now_s)
        # Half an attosecond of rounding must not turn a due permit away.
        return int(self._tokens + 1e-9)

    def take(self, count: int, now_s: float) -> None:
        """Take permits that `available` has just shown."""
        if self._rate_per_s is None:
            return
        self._refill(now_s)
        assert count <= self._tokens + 1e-6, (count, self._tokens)
        self._tokens -= count

    def give_back(self, count: int) -> None:
        """Return permits whose orders were provably never sent."""
        if self._rate_per_s is not None:
            self._tokens = min(self._capacity, self._tokens + count)

    def set_rate(self, rate_per_s: float | None, now_s: float) -> None:
        """From now on permits come at this rate; what was saved up stays, up to the new burst."""
        if self._rate_per_s is not None:
            self._refill(now_s)
        self._rate_per_s = rate_per_s
        self._capacity = max(1.0, (rate_per_s or 0.0) * self._burst_s)
        self._tokens = min(self._tokens, self._capacity)
        self._at_s = max(self._at_s, now_s)

    def wait_s(self, now_s: float) -> float:
        """Seconds until one permit is there; 0 when one is."""
        if self._rate_per_s is None:
            return 0.0
        self._refill(now_s)
        return max(0.0, (1.0 - self._tokens) / self._rate_per_s)

    def _refill(self, now_s: float) -> None:
        assert self._rate_per_s is not None
        if now_s > self._at_s:
            self._tokens = min(self._capacity, self._tokens + (now_s - self._at_s) * self._rate_per_s)
            self._at_s = now_s
