"""One rate limit of the exchange: how much of each clock-aligned window may be spent already.

Pure. The exchange counts a request when it arrives, by its own clock; here only bounds are known: not
before it was sent, not after it was answered. A request near a window's edge counts in every window it
may have arrived in, until a header proves otherwise. What a header proves: the request that brought count
n arrived n-th, so whatever was answered before that request was sent is among those n.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

Kind = Literal["orders", "weight", "requests"]

# exchangeInfo.rateLimits[].rateLimitType, with the response header that carries the count.
_KINDS: Mapping[str, tuple[Kind, str | None]] = {
    "ORDERS": ("orders", "x-mbx-order-count-"),
    "REQUEST_WEIGHT": ("weight", "x-mbx-used-weight-"),
    "RAW_REQUESTS": ("requests", None),
}
_INTERVALS_MS = {"SECOND": 1_000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}
# An answer that is still on its way may prove that there is room: ask again this soon.
RECHECK_MS = 50
# What no header has told of yet is kept one by one up to here; merging older ones only waits longer.
_MISSING_MAX = 512
# The present window, its neighbours, and one more for a clock that is corrected backwards.
_WINDOWS_KEPT = 3
_COUNT_DIGITS_MAX = 12


class RateLimit(msgspec.Struct, frozen=True):
    """`limit` units of `kind` per `length_ms`, windows aligned to the exchange's clock.

    `header` is the lower-case name of the response header with the window's count, None where none tells.
    """

    kind: Kind
    length_ms: int
    limit: int
    header: str | None = None


def rate_limit(kind: str, interval: str, interval_num: int, limit: int) -> RateLimit | None:
    """A limit in the exchange's own words; None for a kind or interval that is not known here."""
    known, length_ms = _KINDS.get(kind), _INTERVALS_MS.get(interval)
    if known is None or length_ms is None or interval_num < 1 or limit < 0:
        return None
    unit, prefix = known
    header = None if prefix is None else f"{prefix}{interval_num}{interval[0].lower()}"
    return RateLimit(unit, length_ms * interval_num, limit, header)


def header_count(headers: Mapping[str, str], name: str | None) -> int | None:
    """The count in header `name`; None when it is missing or no count."""
    text = headers.get(name, "").strip() if name is not None else ""
    plain = text.isascii() and text.isdigit() and len(text) <= _COUNT_DIGITS_MAX
    return int(text) if plain else None


class Flight(msgspec.Struct, frozen=True):
    """One request that may have left: where in time it can arrive, and what it costs.

    `sequence` is its place in the order of all sends and answers, which no clock can blur.
    """

    sequence: int
    earliest_ms: int
    latest_ms: int
    orders: int
    weight: int
    requests: int = 1

    def cost(self, kind: Kind) -> int:
        """The units it takes from limits of `kind`."""
        match kind:
            case "orders":
                return self.orders
            case "weight":
                return self.weight
            case "requests":
                return self.requests


class _Missing(msgspec.Struct, frozen=True):
    """A request that a window may hold on top of what headers told; `count` is what its own header said."""

    answered: int
    cost: int
    count: int | None


@dataclass(slots=True)
class _Window:
    """What is known of one window: the highest count that a header told, and what it may not include.

    `told_by` is the last send among the requests whose headers told.
    """

    told: int = 0
    told_by: int = -1
    missing: list[_Missing] = field(default_factory=list)
    missing_cost: int = 0

    def miss(self, answered: int, cost: int, count: int | None) -> None:
        """Add a request that may have arrived here."""
        if cost <= 0 or (count is not None and count <= self.told):
            return
        self.missing.append(_Missing(answered, cost, count))
        self.missing_cost += cost
        if len(self.missing) > _MISSING_MAX:
            oldest = self.missing[: _MISSING_MAX // 2]
            merged = _Missing(oldest[-1].answered, sum(each.cost for each in oldest), None)
            self.missing[: len(oldest)] = [merged]

    def tell(self, sent: int, count: int) -> None:
        """Take the word of a request that certainly arrived here; what it includes is missing no more.

        A count below an earlier one (spot takes filled orders out again) leaves the higher one standing.
        """
        self.told = max(self.told, count)
        self.told_by = max(self.told_by, sent)
        self.missing = [each for each in self.missing if not self._includes(each)]
        self.missing_cost = sum(each.cost for each in self.missing)

    def _includes(self, each: _Missing) -> bool:
        return each.answered < self.told_by or (each.count is not None and each.count <= self.told)


class RateWindows:
    """The windows of one limit. Times are milliseconds of the exchange's clock, give or take the margins."""

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self._windows: dict[int, _Window] = {}

    def used(self, at_ms: int, flights: Collection[Flight]) -> int:
        """The most that may have been spent of the window at `at_ms`, `flights` on the way included."""
        return self._used(self._index(at_ms), flights)

    def ends_ms(self, at_ms: int) -> int:
        """Where the window at `at_ms` ends."""
        return (self._index(at_ms) + 1) * self.limit.length_ms

    def blocked_until(
        self, cost: int, allowed: int, now_ms: int, margin_ms: int, flights: Collection[Flight]
    ) -> int | None:
        """None when `cost` more stays within `allowed` wherever it may arrive; else when to look again.

        What is dearer than `allowed` by itself may go into an empty window: it could never go otherwise.
        """
        if cost == 0 or self._is_roomy(cost, allowed, flights):
            return None
        first, last = self._index(now_ms - margin_ms), self._index(now_ms + margin_ms)
        waits = []
        # The window after the last is where it arrives when it is slow: only what is on the way counts there.
        for index in range(first, last + 2):
            if self._used(index, flights) + cost <= max(allowed, cost):
                continue
            until_ms = (index + 1) * self.limit.length_ms + margin_ms
            window = self._windows.get(index)
            may_clear = index > last or (window is not None and window.missing_cost > 0)
            if may_clear and self._touching(index, flights):
                until_ms = min(until_ms, now_ms + RECHECK_MS)
            waits.append(until_ms)
        return max(waits, default=None)

    def _is_roomy(self, cost: int, allowed: int, flights: Collection[Flight]) -> bool:
        """Whether it fits even if all that is on the way lands in the fullest window: no need to look closer.

        This is asked twice for each order while it waits; the full look costs ten times as much.
        """
        fullest = max([window.told + window.missing_cost for window in self._windows.values()], default=0)
        kind = self.limit.kind
        return fullest + sum([flight.cost(kind) for flight in flights]) + cost <= allowed

    def landed(self, flight: Flight, latest_ms: int, answered: int, headers: Mapping[str, str]) -> None:
        """Count a request that arrived by `latest_ms`; `answered`: its answer's place among all of them."""
        cost = flight.cost(self.limit.kind)
        count = header_count(headers, self.limit.header)
        first, last = self._index(flight.earliest_ms), self._index(max(latest_ms, flight.earliest_ms))
        if first == last and count is not None:
            self._window(first).tell(flight.sequence, count)
            return
        told_of = None if count is None else self._told_of(first, last, count)
        for index in range(first, last + 1):
            window = self._window(index)
            lacking = 0 if count is None or index != told_of else count - window.told - window.missing_cost
            window.miss(answered, max(cost, lacking), count)

    def forget(self, now_ms: int) -> None:
        """Drop windows that are over for good."""
        oldest = self._index(now_ms) - _WINDOWS_KEPT
        if self._windows and min(self._windows) < oldest:
            self._windows = {index: window for index, window in self._windows.items() if index >= oldest}

    def _told_of(self, first: int, last: int, count: int) -> int:
        """The window a header at an edge most likely speaks of: a count that fell is a new window's."""
        known = self._windows.get(first)
        return first if known is None or count > known.told else last

    def _used(self, index: int, flights: Collection[Flight]) -> int:
        window = self._windows.get(index)
        known = 0 if window is None else window.told + window.missing_cost
        kind = self.limit.kind
        return known + sum([flight.cost(kind) for flight in self._touching(index, flights)])

    def _touching(self, index: int, flights: Collection[Flight]) -> list[Flight]:
        start_ms = index * self.limit.length_ms
        end_ms = start_ms + self.limit.length_ms
        return [each for each in flights if each.earliest_ms < end_ms and each.latest_ms >= start_ms]

    def _index(self, at_ms: int) -> int:
        return at_ms // self.limit.length_ms

    def _window(self, index: int) -> _Window:
        return self._windows.setdefault(index, _Window())
