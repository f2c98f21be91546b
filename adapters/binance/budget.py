"""What may be spent: orders per account and request weight per address, and the deadline of a ban.

Pure; times are milliseconds of the exchange's clock, `margin_ms` is how far that clock may be from the
truth. Every request takes a ticket when its first byte may leave and returns it with the answer; without
an answer it counts for as long as it can still arrive. So the exchange never has to say 429 because of us,
and headers give back what was counted in two windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from adapters.binance.deadline import capped
from adapters.binance.rate_windows import Flight, RateLimit, RateWindows
from adapters.contract import WindowUsage

# The published limits, until exchangeInfo.rateLimits says what holds today.
FUTURES_LIMITS = (
    RateLimit("weight", 60_000, 2_400, "x-mbx-used-weight-1m"),
    RateLimit("orders", 60_000, 1_200, "x-mbx-order-count-1m"),
    RateLimit("orders", 10_000, 300, "x-mbx-order-count-10s"),
)
SPOT_LIMITS = (
    RateLimit("weight", 60_000, 6_000, "x-mbx-used-weight-1m"),
    RateLimit("orders", 10_000, 100, "x-mbx-order-count-10s"),
    RateLimit("orders", 86_400_000, 200_000, "x-mbx-order-count-1d"),
)
# Shares of the weight: what only looks leaves room for what must know or must stop something.
QUERY_SHARE_PERCENT = 70
URGENT_SHARE_PERCENT = 90
# The clocks of the exchange's own machines differ a little.
EXCHANGE_SPREAD_MS = 5


class Budget:
    """All limits of one account on one host. Ask `wait_for_…` and take without awaiting in between.

    `order_weight` is what one order costs in request weight. `reach_ms` is how long after its sending a
    request without an answer may still be counted: its receive window, at least.
    """

    def __init__(
        self, limits: Sequence[RateLimit], *, order_weight: int, reach_ms: int = 15_000, deadline_ms: int = 0
    ) -> None:
        self._meters = [RateWindows(limit) for limit in limits]
        self._order_weight = order_weight
        self._reach_ms = reach_ms
        self._deadline_ms = deadline_ms
        self._flights: dict[int, Flight] = {}
        self._sequence = 0

    @property
    def deadline_ms(self) -> int:
        """Nobody sends before this; 0 when the exchange never asked for it."""
        return self._deadline_ms

    def learn(self, limits: Sequence[RateLimit]) -> None:
        """Take the limits that exchangeInfo tells; what was counted stays. None told: the old ones stay."""
        if not limits:
            return
        old = {(meter.limit.kind, meter.limit.length_ms): meter for meter in self._meters}
        self._meters = []
        for limit in limits:
            meter = old.get((limit.kind, limit.length_ms)) or RateWindows(limit)
            meter.limit = limit
            self._meters.append(meter)

    @property
    def past_ms(self) -> int:
        """How far back `seed` wants to know."""
        return max((meter.limit.length_ms for meter in self._meters), default=0) + self._reach_ms

    def seed(self, sent_ms: Iterable[int], *, now_ms: int, margin_ms: int) -> None:
        """Count orders that an earlier run sent, oldest first; each may have arrived up to `reach_ms` later.

        Without it, the windows that began before this run count as unused.
        """
        gone_ms = now_ms - margin_ms - EXCHANGE_SPREAD_MS
        for at_ms in sent_ms:
            ticket = self._take(at_ms, margin_ms, orders=1, weight=self._order_weight)
            if self._flights[ticket].latest_ms < gone_ms:
                flight = self._flights.pop(ticket)
                self._land(flight, flight.latest_ms, {})

    def wait_for_order(self, now_ms: int, margin_ms: int) -> int | None:
        """None when an order may leave now; else the time to look again."""
        return self._wait(now_ms, margin_ms, orders=1, weight=self._order_weight, share_percent=100)

    def take_order(self, now_ms: int, margin_ms: int) -> int:
        """The ticket of an order whose first byte leaves now."""
        return self._take(now_ms, margin_ms, orders=1, weight=self._order_weight)

    def wait_for_query(self, weight: int, now_ms: int, margin_ms: int, *, urgent: bool = False) -> int | None:
        """None when a request of `weight` may leave now; else the time to look again.

        Urgent are lookups and cancels: they may use what ordinary queries leave.
        """
        share_percent = URGENT_SHARE_PERCENT if urgent else QUERY_SHARE_PERCENT
        return self._wait(now_ms, margin_ms, orders=0, weight=weight, share_percent=share_percent)

    def take_query(self, weight: int, now_ms: int, margin_ms: int) -> int:
        """The ticket of a request that places nothing."""
        return self._take(now_ms, margin_ms, orders=0, weight=weight)

    def answered(self, ticket: int, headers: Mapping[str, str], now_ms: int, margin_ms: int) -> None:
        """A whole reply came, of whatever status; header names in lower case. A second time changes nothing.

        Not for a request without a reply: it may still arrive, and is counted until it cannot.
        """
        flight = self._flights.pop(ticket, None)
        if flight is not None:
            self._land(flight, now_ms + margin_ms + EXCHANGE_SPREAD_MS, headers)
        self._expire(now_ms, margin_ms)

    def not_sent(self, ticket: int) -> None:
        """Provably nothing left: give it back."""
        self._flights.pop(ticket, None)

    def deadline_until(self, until_ms: int, now_ms: int) -> int:
        """Nobody sends before `until_ms`: extended only, by 3 days 1 h at most. Returns the one in force."""
        self._deadline_ms = max(self._deadline_ms, capped(until_ms, now_ms))
        return self._deadline_ms

    def usage(self, now_ms: int) -> tuple[WindowUsage, ...]:
        """The present window of every limit."""
        flights = self._flights.values()
        return tuple(
            WindowUsage(
                kind=meter.limit.kind,
                length_ms=meter.limit.length_ms,
                used=meter.used(now_ms, flights),
                limit=meter.limit.limit,
                ends_ms=meter.ends_ms(now_ms),
            )
            for meter in self._meters
        )

    def _wait(
        self, now_ms: int, margin_ms: int, *, orders: int, weight: int, share_percent: int
    ) -> int | None:
        # A deadline is the exchange's too: our clock may be fast, or was slow when it was set.
        until_ms = self._deadline_ms + margin_ms
        if now_ms < until_ms:
            return until_ms
        self._expire(now_ms, margin_ms)
        cost = Flight(0, 0, 0, orders, weight)
        waits = [
            meter.blocked_until(
                cost.cost(meter.limit.kind),
                meter.limit.limit * share_percent // 100,
                now_ms,
                margin_ms + EXCHANGE_SPREAD_MS,
                self._flights.values(),
            )
            for meter in self._meters
        ]
        return max((wait_ms for wait_ms in waits if wait_ms is not None), default=None)

    def _take(self, now_ms: int, margin_ms: int, *, orders: int, weight: int) -> int:
        self._sequence += 1
        margin_ms += EXCHANGE_SPREAD_MS
        self._flights[self._sequence] = Flight(
            sequence=self._sequence,
            earliest_ms=now_ms - margin_ms,
            latest_ms=now_ms + self._reach_ms + margin_ms,
            orders=orders,
            weight=weight,
        )
        return self._sequence

    def _land(self, flight: Flight, latest_ms: int, headers: Mapping[str, str]) -> None:
        self._sequence += 1
        for meter in self._meters:
            meter.landed(flight, min(flight.latest_ms, latest_ms), self._sequence, headers)

    def _expire(self, now_ms: int, margin_ms: int) -> None:
        """What got no answer and cannot arrive any more has landed somewhere on its way."""
        gone_ms = now_ms - margin_ms - EXCHANGE_SPREAD_MS
        if self._flights:
            for flight in [flight for flight in self._flights.values() if flight.latest_ms < gone_ms]:
                del self._flights[flight.sequence]
                self._land(flight, flight.latest_ms, {})
        for meter in self._meters:
            meter.forget(now_ms)
