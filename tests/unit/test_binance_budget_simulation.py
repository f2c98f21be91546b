"""The budget against an exchange that counts by its own clock: never a 429, and hardly a permit left over."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.binance.budget import FUTURES_LIMITS, SPOT_LIMITS, Budget
from adapters.binance.rate_windows import RateLimit
from config.seams import seeded_random

MINUTE_MS = 60_000
START_MS = 1_700_000_040_000
assert START_MS % MINUTE_MS == 0


class Conditions(msgspec.Struct, frozen=True):
    """What the way to the exchange is like; times in milliseconds, shares between 0 and 1.

    `margin_ms` is what the budget is told of the clock's error; None: the truth.
    """

    lanes: int = 8
    latency_ms: tuple[float, float] = (5, 200)
    uncertainty_ms: int = 50
    margin_ms: int | None = None
    start_ms: int = START_MS
    duration_ms: int = 120_000
    rejected: float = 0.0
    rejects_count: bool = True
    lost: float = 0.0
    think_ms: float = 0.0
    order_weight: int = 0
    pollers: int = 0


class CountingExchange:
    """Counts what arrives by its own clock, in windows aligned to it; what goes over a limit is refused."""

    def __init__(self, limits: tuple[RateLimit, ...]) -> None:
        self._limits = limits
        self._counts: Counter[tuple[RateLimit, int]] = Counter()
        self.refused = 0

    def arrives(self, at_ms: float, cost: Mapping[str, int], *, counts: bool = True) -> dict[str, str] | None:
        """Count a request; the headers of its reply, None for a refusal."""
        windows = {limit: int(at_ms // limit.length_ms) for limit in self._limits}
        after = {limit: self._counts[limit, windows[limit]] + cost[limit.kind] for limit in self._limits}
        if any(cost[limit.kind] and after[limit] > limit.limit for limit in self._limits):
            self.refused += 1
            return None
        if counts:
            self._counts.update({(limit, windows[limit]): cost[limit.kind] for limit in self._limits})
        return {
            str(limit.header): str(self._counts[limit, windows[limit]])
            for limit in self._limits
            if limit.kind == "weight" or (cost["orders"] and counts)
        }


class Simulation:
    """Lanes that send whenever the budget lets them, each order with its own latency there and back."""

    def __init__(self, limits: tuple[RateLimit, ...], conditions: Conditions, seed: int) -> None:
        self._conditions = conditions
        self._random = seeded_random(seed)
        self._margin_ms = conditions.uncertainty_ms + 1
        if conditions.margin_ms is not None:
            self._margin_ms = conditions.margin_ms
        self.exchange = CountingExchange(limits)
        self.budget = Budget(limits, order_weight=conditions.order_weight, reach_ms=5_000)
        self.accepted = 0
        self.query_weight: Counter[tuple[bool, int]] = Counter()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._error_ms = 0.0

    def run(self) -> Simulation:
        """Play it to the end."""
        start_ms, end_ms = self._conditions.start_ms, self._conditions.start_ms + self._conditions.duration_ms
        self._clock_is_corrected(start_ms)
        for _ in range(self._conditions.lanes):
            self._at(start_ms + self._random.random(), self._lane_wants)
        for number in range(self._conditions.pollers):
            self._at(start_ms + self._random.random(), self._poller(urgent=number % 2 == 0))
        while self._events and self._events[0][0] < end_ms:
            at_ms, _, happens = heapq.heappop(self._events)
            happens(at_ms)
        return self

    def _at(self, at_ms: float, happens: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (at_ms, self._random.getrandbits(64), happens))

    def _now_ms(self, at_ms: float) -> int:
        return int(at_ms + self._error_ms)

    def _clock_is_corrected(self, at_ms: float) -> None:
        """Anywhere within the uncertainty, backwards too."""
        self._error_ms = self._random.uniform(-1, 1) * self._conditions.uncertainty_ms
        self._at(at_ms + self._random.uniform(100, 10_000), self._clock_is_corrected)

    def _lane_wants(self, at_ms: float) -> None:
        conditions, now_ms = self._conditions, self._now_ms(at_ms)
        until_ms = self.budget.wait_for_order(now_ms, self._margin_ms)
        if until_ms is not None:
            assert until_ms > now_ms
            self._at(at_ms + until_ms - now_ms, self._lane_wants)
            return
        ticket = self.budget.take_order(now_ms, self._margin_ms)
        rejected = self._random.random() < conditions.rejected
        lost = self._random.random() < conditions.lost
        counts = not rejected or conditions.rejects_count

        def arrive(arrived_ms: float) -> None:
            cost = {"orders": 1, "weight": conditions.order_weight}
            headers = self.exchange.arrives(arrived_ms, cost, counts=counts)
            self.accepted += headers is not None and counts
            told = {} if rejected or headers is None else headers
            self._at(at_ms + trip_ms, lambda back_ms: answer(back_ms, told))

        def answer(back_ms: float, headers: dict[str, str]) -> None:
            if not lost:
                self.budget.answered(ticket, headers, self._now_ms(back_ms), self._margin_ms)
            self._at(back_ms + self._random.uniform(0, 2) * conditions.think_ms, self._lane_wants)

        trip_ms = self._random.uniform(*conditions.latency_ms)
        self._at(at_ms + trip_ms * self._random.random(), arrive)

    def _poller(self, *, urgent: bool) -> Callable[[float], None]:
        def wants(at_ms: float) -> None:
            weight, now_ms = self._random.choice((1, 2, 5, 20, 40)), self._now_ms(at_ms)
            until_ms = self.budget.wait_for_query(weight, now_ms, self._margin_ms, urgent=urgent)
            if until_ms is not None:
                self._at(at_ms + until_ms - now_ms, wants)
                return
            ticket = self.budget.take_query(weight, now_ms, self._margin_ms)

            def arrive(arrived_ms: float) -> None:
                headers = self.exchange.arrives(arrived_ms, {"orders": 0, "weight": weight}) or {}
                self.query_weight[urgent, int(arrived_ms) // MINUTE_MS] += weight
                self._at(at_ms + trip_ms, lambda back_ms: answer(back_ms, headers))

            def answer(back_ms: float, headers: dict[str, str]) -> None:
                self.budget.answered(ticket, headers, self._now_ms(back_ms), self._margin_ms)
                self._at(back_ms, wants)

            trip_ms = self._random.uniform(*self._conditions.latency_ms)
            self._at(at_ms + trip_ms * self._random.random(), arrive)

        return wants


# What the narrowest limit admits in two minutes that begin with a window: 2 * 1200, and 12 * 100.
MARKETS = {"futures": (FUTURES_LIMITS, 2_400), "spot": (SPOT_LIMITS, 1_200)}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lanes", [4, 16, 64])
@pytest.mark.parametrize("market", MARKETS)
def test_two_minutes_use_98_percent_of_the_binding_order_limit_without_a_429(
    market: str, lanes: int, seed: int
) -> None:
    limits, whole = MARKETS[market]

    simulation = Simulation(limits, Conditions(lanes=lanes), seed).run()

    assert simulation.exchange.refused == 0
    assert simulation.accepted >= 0.98 * whole


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("market", MARKETS)
def test_rejected_orders_cost_no_more_than_the_exchange_counts_for_them(
    market: str, counted: bool, seed: int
) -> None:
    limits, whole = MARKETS[market]
    conditions = Conditions(rejected=0.2, rejects_count=counted)

    simulation = Simulation(limits, conditions, seed).run()

    assert simulation.exchange.refused == 0
    assert simulation.accepted >= 0.98 * whole


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("market", MARKETS)
def test_lost_answers_cost_room_but_never_a_429(market: str, seed: int) -> None:
    limits, whole = MARKETS[market]

    simulation = Simulation(limits, Conditions(lost=0.1), seed).run()

    assert simulation.exchange.refused == 0
    assert simulation.accepted >= 0.85 * whole


@pytest.mark.parametrize("seed", range(3))
def test_queries_and_orders_of_one_address_share_the_weight(seed: int) -> None:
    limits = (RateLimit("weight", MINUTE_MS, 2_400, "x-mbx-used-weight-1m"), *SPOT_LIMITS[1:])
    conditions = Conditions(pollers=6, order_weight=1)

    simulation = Simulation(limits, conditions, seed).run()

    assert simulation.exchange.refused == 0
    for minute in range(START_MS // MINUTE_MS, START_MS // MINUTE_MS + 2):
        ordinary, urgent = simulation.query_weight[False, minute], simulation.query_weight[True, minute]
        assert ordinary <= 0.7 * 2_400
        assert 0.8 * 2_400 <= ordinary + urgent <= 0.9 * 2_400
    # What is left for orders is a tenth of the weight, and all of it is used.
    assert simulation.accepted >= 0.95 * 2 * 240


@pytest.mark.parametrize("before_edge_ms", [60, 100, 1_000])
@pytest.mark.parametrize("lanes", [150, 300])
@pytest.mark.parametrize("market", MARKETS)
def test_a_burst_over_the_edge_of_a_window_overfills_neither(
    market: str, lanes: int, before_edge_ms: int
) -> None:
    latency_ms = (900.0, 1_100.0) if before_edge_ms == 1_000 else (5.0, 200.0)
    conditions = Conditions(
        lanes=lanes, latency_ms=latency_ms, start_ms=START_MS + 10_000 - before_edge_ms, duration_ms=6_000
    )

    refused = [Simulation(MARKETS[market][0], conditions, seed).run().exchange.refused for seed in range(2)]

    assert refused == [0, 0]


CONDITIONS = st.builds(
    Conditions,
    lanes=st.sampled_from([1, 2, 8, 60, 120]),
    latency_ms=st.sampled_from([(0.0, 1.0), (5.0, 200.0), (1.0, 3_000.0), (190.0, 200.0)]),
    uncertainty_ms=st.integers(0, 200),
    start_ms=st.integers(START_MS, START_MS + MINUTE_MS),
    duration_ms=st.just(25_000),
    rejected=st.sampled_from([0.0, 0.3]),
    rejects_count=st.booleans(),
    lost=st.sampled_from([0.0, 0.2]),
    think_ms=st.sampled_from([0.0, 10.0, 150.0]),
)


@settings(max_examples=10)
@given(conditions=CONDITIONS, market=st.sampled_from(sorted(MARKETS)), seed=st.integers(0, 2**32))
def test_whatever_the_way_is_like_no_429_is_of_our_doing(
    conditions: Conditions, market: str, seed: int
) -> None:
    assert Simulation(MARKETS[market][0], conditions, seed).run().exchange.refused == 0


@pytest.mark.parametrize("market", MARKETS)
def test_a_sender_that_trusts_its_clock_too_much_is_caught(market: str) -> None:
    conditions = Conditions(uncertainty_ms=200, margin_ms=0, latency_ms=(0, 20))

    refused = [Simulation(MARKETS[market][0], conditions, seed).run().exchange.refused for seed in range(5)]

    assert sum(refused) > 0
