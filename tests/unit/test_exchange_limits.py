"""Rate limits of the exchange: aligned windows, honest headers, and a ban for who does not listen."""

from __future__ import annotations

import pytest
from rig.box import START_MS, Box

from adapters.exchange.messages import Incoming
from adapters.exchange.terms import RateLimits

WEIGHT, ORDERS_10S, ORDERS_1M = "X-MBX-USED-WEIGHT-1M", "X-MBX-ORDER-COUNT-10S", "X-MBX-ORDER-COUNT-1M"


def test_the_headers_count_weight_and_orders() -> None:
    box = Box()

    first, second = box.place("a"), box.place("b")
    query = box.query("a")
    trades = box.ask("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")
    refused = box.place("c", qty="0")
    all_open = box.ask("GET", "/fapi/v1/openOrders")

    assert [(one.headers[ORDERS_10S], one.headers[ORDERS_1M]) for one in (first, second)] == [
        ("1", "1"), ("2", "2"),
    ]  # fmt: skip
    weights = [one.headers[WEIGHT] for one in (first, query, trades, all_open)]
    assert weights == ["0", "1", "6", "46"]
    # Only accepted orders are told their count.
    assert not {ORDERS_10S, ORDERS_1M} & set(refused.headers) | {ORDERS_10S, ORDERS_1M} & set(query.headers)


def test_weight_is_counted_by_the_minute_of_the_clock() -> None:
    box = Box(limits=RateLimits(weight_per_minute=3))
    box.wait(59_000)

    answers = [box.query("a") for _ in range(4)]
    box.wait(1_000)
    fresh = box.query("a")

    assert [one.status for one in answers] == [400, 400, 400, 429]
    assert (answers[3].code, answers[3].headers["Retry-After"]) == (-1003, "1")
    assert (fresh.status, fresh.headers[WEIGHT]) == (400, "1")


@pytest.mark.parametrize(("limit", "interval"), [("10S", 10_000), ("1M", 60_000)])
def test_orders_are_counted_by_aligned_windows(limit: str, interval: int) -> None:
    limits = RateLimits(
        orders_per_10_s=2 if limit == "10S" else 100, orders_per_minute=2 if limit == "1M" else 100
    )
    box = Box(limits=limits)
    box.wait(interval - 1)

    answers = [box.place(name) for name in "abc"]
    box.wait(1)
    fresh = box.place("d")

    assert [one.status for one in answers] == [200, 200, 429]
    assert (answers[2].code, answers[2].headers["Retry-After"]) == (-1015, "1")
    assert fresh.status == 200
    assert box.accepted("c") == 0


def test_an_order_that_the_engine_refused_has_used_the_budget() -> None:
    box = Box(limits=RateLimits(orders_per_10_s=2))

    box.place("a", qty="0")
    box.place("b")

    assert box.place("c").code == -1015


def test_spot_counts_orders_by_ten_seconds_and_by_day() -> None:
    box = Box(market="spot", limits=RateLimits(orders_per_10_s=100, orders_per_minute=None, orders_per_day=2))

    answers = [box.place(name) for name in "abc"]

    assert [one.status for one in answers] == [200, 200, 429]
    assert answers[1].headers["X-MBX-ORDER-COUNT-1D"] == "2"


def test_a_peer_that_ignores_its_429_is_banned_and_longer_each_time() -> None:
    box = Box(limits=RateLimits(weight_per_minute=1, ignored_max=3, ban_ms_min=120_000))

    statuses = [box.query("a").status for _ in range(6)]
    banned = box.query("a")
    box.wait(120_001)
    after = box.query("a")
    again = [box.query("a").status for _ in range(5)]
    longer = box.query("a")

    assert statuses == [400, 429, 429, 429, 429, 418]
    assert banned.status == 418
    assert f"banned until {START_MS + 120_000}" in banned.body["msg"]
    assert banned.headers["Retry-After"] == "120"
    assert after.status == 400
    assert again == [429, 429, 429, 429, 418]
    assert longer.headers["Retry-After"] == "240"


def test_each_peer_has_its_own_weight() -> None:
    box = Box(limits=RateLimits(weight_per_minute=1))
    box.query("a")
    box.query("a")

    stranger = Incoming("GET", "/fapi/v1/time", peer="127.0.0.2")

    assert box.exchange.handle(stranger, box.now_ms).status == 200
    assert box.query("a").status == 429


def test_exchange_info_tells_the_limits() -> None:
    futures = Box().raw("GET", "/fapi/v1/exchangeInfo").body["rateLimits"]
    spot = Box(market="spot").raw("GET", "/api/v3/exchangeInfo").body["rateLimits"]

    def told(rows: list[dict[str, object]]) -> list[tuple[object, ...]]:
        return [(row["rateLimitType"], row["interval"], row["intervalNum"], row["limit"]) for row in rows]

    assert told(futures) == [
        ("REQUEST_WEIGHT", "MINUTE", 1, 2400), ("ORDERS", "SECOND", 10, 300), ("ORDERS", "MINUTE", 1, 1200),
    ]  # fmt: skip
    assert told(spot) == [
        ("REQUEST_WEIGHT", "MINUTE", 1, 6000), ("ORDERS", "SECOND", 10, 100), ("ORDERS", "DAY", 1, 200_000),
    ]  # fmt: skip
