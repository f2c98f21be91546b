"""What may be spent, rule by rule: edges, headers, head-room, what an earlier run sent, deadlines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.binance.budget import EXCHANGE_SPREAD_MS, FUTURES_LIMITS, SPOT_LIMITS, Budget
from adapters.binance.deadline import DEADLINE_AHEAD_MS_MAX, parse_deadline
from adapters.binance.rate_windows import RECHECK_MS, RateLimit, header_count, rate_limit
from adapters.contract import WindowUsage

TEN_S = RateLimit("orders", 10_000, 5, "x-mbx-order-count-10s")
WEIGHT = RateLimit("weight", 60_000, 100, "x-mbx-used-weight-1m")
T0 = 1_700_000_040_000
MID = T0 + 5_000
NEXT = T0 + 10_000
# Where the next window has begun for sure, with a clock that is off by 20 ms at most.
MARGIN = 20
SURE = NEXT + MARGIN + EXCHANGE_SPREAD_MS


def budget_of(*limits: RateLimit, order_weight: int = 0, reach_ms: int = 6_000) -> Budget:
    return Budget(limits or (TEN_S,), order_weight=order_weight, reach_ms=reach_ms)


def orders(count: int) -> dict[str, str]:
    return {"x-mbx-order-count-10s": str(count)}


def used(budget: Budget, at_ms: int) -> int:
    return budget.usage(at_ms)[0].used


def room(budget: Budget, at_ms: int) -> int:
    """How many orders more the window admits; takes them and gives them back."""
    tickets = []
    while budget.wait_for_order(at_ms, MARGIN) is None:
        tickets.append(budget.take_order(at_ms, MARGIN))
        assert len(tickets) < 1_000
    for ticket in tickets:
        budget.not_sent(ticket)
    return len(tickets)


def send(
    budget: Budget, count: int, at_ms: int, *, first_count: int | None = None, took_ms: int = 10
) -> None:
    """Orders sent and answered one after the other; their headers count from `first_count` on."""
    for number in range(count):
        ticket = budget.take_order(at_ms, MARGIN)
        headers = {} if first_count is None else orders(first_count + number)
        budget.answered(ticket, headers, at_ms + took_ms, MARGIN)


def test_a_full_window_lets_nothing_leave_before_the_next_has_begun_for_sure() -> None:
    budget = budget_of()
    send(budget, 5, MID)

    assert budget.wait_for_order(MID, MARGIN) == SURE
    assert budget.wait_for_order(SURE - 1, MARGIN) == SURE
    assert budget.wait_for_order(SURE, MARGIN) is None
    assert room(budget, SURE) == 5


def test_an_order_that_is_given_back_counts_nowhere() -> None:
    budget = budget_of()
    budget.not_sent(budget.take_order(MID, MARGIN))

    assert used(budget, MID) == 0


def test_an_order_on_the_way_may_still_arrive_in_the_next_window() -> None:
    budget = budget_of()
    for _ in range(5):
        budget.take_order(NEXT - 100, MARGIN)

    assert used(budget, NEXT - 100) == 5
    assert room(budget, SURE) == 0
    assert budget.wait_for_order(SURE, MARGIN) == SURE + 10_000


def test_too_many_on_the_way_for_any_window_wait_for_an_answer_and_not_for_an_edge() -> None:
    budget = budget_of()
    for _ in range(5):
        budget.take_order(MID, MARGIN)

    assert budget.usage(MID + 20_000)[0].used == 0
    assert budget.wait_for_order(NEXT - 4_000, MARGIN) == SURE


def test_an_answer_over_the_edge_counts_in_both_windows() -> None:
    budget = budget_of()
    send(budget, 2, NEXT - 100, took_ms=200)

    assert used(budget, MID) == 2
    assert used(budget, NEXT) == 2
    assert used(budget, NEXT + 10_000) == 0


def test_a_header_of_the_next_window_gives_back_what_was_answered_before_its_order_left() -> None:
    budget = budget_of()
    send(budget, 2, NEXT - 100, took_ms=200)
    send(budget, 1, SURE + 200, first_count=1)

    assert used(budget, SURE + 210) == 1


def test_a_header_gives_nothing_back_of_what_was_answered_after_its_order_left() -> None:
    budget = budget_of()
    at_the_edge = budget.take_order(NEXT - 100, MARGIN)
    inside = budget.take_order(SURE, MARGIN)
    budget.answered(at_the_edge, {}, SURE + 50, MARGIN)
    budget.answered(inside, orders(1), SURE + 60, MARGIN)

    assert used(budget, SURE + 60) == 2


def test_a_header_that_passed_an_orders_own_count_includes_that_order() -> None:
    budget = budget_of()
    at_the_edge = budget.take_order(NEXT - 1, MARGIN)
    inside = budget.take_order(SURE, MARGIN)
    budget.answered(at_the_edge, orders(1), SURE + 50, MARGIN)
    budget.answered(inside, orders(2), SURE + 60, MARGIN)

    assert used(budget, SURE + 60) == 2


def test_answers_out_of_order_leave_the_highest_count_standing() -> None:
    budget = budget_of()
    first, second, third = (budget.take_order(MID, MARGIN) for _ in range(3))
    budget.answered(third, orders(3), MID + 10, MARGIN)
    budget.answered(first, orders(1), MID + 20, MARGIN)

    assert used(budget, MID + 20) == 4
    budget.answered(second, orders(2), MID + 30, MARGIN)
    assert used(budget, MID + 30) == 3


def test_orders_of_others_show_in_the_headers_and_are_respected() -> None:
    budget = budget_of()
    send(budget, 1, MID, first_count=4)

    assert room(budget, MID + 20) == 1
    assert room(budget, SURE) == 5


def test_orders_of_others_are_respected_at_an_edge_too() -> None:
    budget = budget_of()
    send(budget, 1, MID, first_count=2)
    send(budget, 1, NEXT - 10, first_count=4, took_ms=5)
    assert (used(budget, MID), used(budget, NEXT)) == (4, 1)

    # No window's count falls: this one is the next window's.
    send(budget, 1, NEXT - 1, first_count=2, took_ms=5)

    assert used(budget, NEXT) == 2


def test_a_rejected_order_counts_until_a_header_says_that_it_does_not() -> None:
    budget = budget_of()
    send(budget, 3, MID)
    assert used(budget, MID) == 3

    send(budget, 1, MID, first_count=1)

    assert used(budget, MID) == 1


def test_an_order_without_an_answer_counts_wherever_it_may_still_arrive() -> None:
    budget = budget_of(reach_ms=6_000)
    budget.take_order(MID, MARGIN)

    assert used(budget, MID + 1) == 1
    assert used(budget, NEXT) == 1
    assert used(budget, NEXT + 10_000) == 0
    assert budget.wait_for_order(SURE + 3_000, MARGIN) is None
    assert used(budget, NEXT) == 1


def test_an_answer_twice_or_for_an_unknown_ticket_changes_nothing() -> None:
    budget = budget_of()
    ticket = budget.take_order(MID, MARGIN)
    budget.answered(ticket, orders(1), MID + 10, MARGIN)
    budget.answered(ticket, orders(5), MID + 20, MARGIN)
    budget.answered(99, orders(5), MID + 20, MARGIN)

    assert used(budget, MID) == 1


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1e3", "many", "²", "9" * 13])
def test_a_header_that_is_no_count_is_ignored(text: str) -> None:
    assert header_count({"x": text}, "x") is None
    budget = budget_of()
    ticket = budget.take_order(MID, MARGIN)
    budget.answered(ticket, {"x-mbx-order-count-10s": text}, MID, MARGIN)

    assert used(budget, MID) == 1


def test_every_limit_has_its_say() -> None:
    budget = budget_of(TEN_S, RateLimit("orders", 60_000, 7, "x-mbx-order-count-1m"))
    send(budget, 5, MID)
    send(budget, 2, SURE)

    assert budget.wait_for_order(SURE, MARGIN) == T0 + 60_000 + MARGIN + EXCHANGE_SPREAD_MS


def test_queries_leave_weight_for_what_is_urgent_and_that_leaves_some_for_orders() -> None:
    budget = budget_of(WEIGHT, order_weight=1)
    budget.answered(budget.take_query(69, MID, MARGIN), {}, MID, MARGIN)

    assert budget.wait_for_query(1, MID, MARGIN) is None
    assert budget.wait_for_query(2, MID, MARGIN) == T0 + 60_000 + MARGIN + EXCHANGE_SPREAD_MS
    assert budget.wait_for_query(21, MID, MARGIN, urgent=True) is None
    budget.answered(budget.take_query(21, MID, MARGIN), {}, MID, MARGIN)
    assert budget.wait_for_query(1, MID, MARGIN, urgent=True) is not None
    assert room(budget, MID) == 10


def test_a_query_heavier_than_its_share_may_have_an_empty_window() -> None:
    budget = budget_of(WEIGHT)

    assert budget.wait_for_query(80, MID, MARGIN) is None
    budget.take_query(1, MID, MARGIN)
    assert budget.wait_for_query(80, MID, MARGIN) is not None


def test_queries_take_no_orders_and_weightless_orders_no_weight() -> None:
    budget = budget_of(TEN_S, WEIGHT, order_weight=0)
    send(budget, 4, MID)
    budget.take_query(50, MID, MARGIN)

    assert [(each.kind, each.used) for each in budget.usage(MID)] == [("orders", 4), ("weight", 50)]


def test_a_reply_to_a_query_tells_the_weight_that_others_on_this_address_used() -> None:
    budget = budget_of(WEIGHT)
    budget.answered(budget.take_query(1, MID, MARGIN), {"x-mbx-used-weight-1m": "95"}, MID, MARGIN)

    assert budget.wait_for_query(1, MID, MARGIN, urgent=True) is not None


def test_what_an_earlier_run_sent_fills_the_windows_it_may_have_reached() -> None:
    budget = budget_of(reach_ms=2_000)
    budget.seed([T0 - 30_000, T0 - 1_000, T0 + 1_000, T0 + 4_900], now_ms=MID, margin_ms=MARGIN)

    assert used(budget, T0 - 5_000) == 1
    assert used(budget, MID) == 3
    assert used(budget, NEXT) == 0
    assert room(budget, MID) == 2


def test_a_header_corrects_what_an_earlier_run_sent() -> None:
    budget = budget_of(reach_ms=1_000)
    budget.seed([T0 - 500, T0 - 400, T0 + 1_000], now_ms=MID, margin_ms=MARGIN)
    assert used(budget, MID) == 3

    send(budget, 1, MID, first_count=2)

    assert used(budget, MID) == 2


def test_a_day_of_orders_is_seeded_at_once() -> None:
    budget = Budget(SPOT_LIMITS, order_weight=1)
    sent = [T0 - 80_000_000 + number * 4_000 for number in range(20_000)]

    budget.seed(sent, now_ms=T0, margin_ms=MARGIN)

    assert budget.past_ms == 86_400_000 + 15_000
    day = budget.usage(T0)[2]
    assert day.used == sum(
        at_ms >= T0 - T0 % 86_400_000 - 15_000 - MARGIN - EXCHANGE_SPREAD_MS for at_ms in sent
    )


def test_limits_that_are_learned_keep_what_was_counted() -> None:
    budget = budget_of(TEN_S, WEIGHT)
    send(budget, 3, MID)
    budget.learn([RateLimit("orders", 10_000, 4, TEN_S.header), RateLimit("orders", 60_000, 9, None)])

    assert budget.usage(MID) == (
        WindowUsage("orders", 10_000, 3, 4, NEXT),
        WindowUsage("orders", 60_000, 0, 9, T0 + 60_000),
    )
    budget.learn([])
    assert len(budget.usage(MID)) == 2


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        (("REQUEST_WEIGHT", "MINUTE", 1, 2_400), FUTURES_LIMITS[0]),
        (("ORDERS", "MINUTE", 1, 1_200), FUTURES_LIMITS[1]),
        (("ORDERS", "SECOND", 10, 300), FUTURES_LIMITS[2]),
        (("ORDERS", "DAY", 1, 200_000), SPOT_LIMITS[2]),
        (("ORDERS", "MOON", 1, 5), None),
        (("CONNECTIONS", "MINUTE", 5, 300), None),
        (("ORDERS", "SECOND", 0, 300), None),
        (("ORDERS", "SECOND", 10, -1), None),
    ],
)
def test_a_limit_in_the_exchanges_words(words: tuple[str, str, int, int], limit: RateLimit | None) -> None:
    assert rate_limit(*words) == limit


def test_what_nothing_ever_explains_stays_bounded_and_counted() -> None:
    budget = budget_of(RateLimit("requests", 300_000, 5_000))
    for _ in range(3_000):
        budget.answered(budget.take_query(1, MID, MARGIN), {}, MID, MARGIN)

    assert used(budget, MID) == 3_000


def test_before_the_deadline_is_over_for_sure_nothing_leaves() -> None:
    budget = budget_of(TEN_S, WEIGHT)
    budget.deadline_until(MID + 1_000, MID)
    until_ms = MID + 1_000 + MARGIN

    assert budget.wait_for_order(MID, MARGIN) == until_ms
    assert budget.wait_for_query(1, until_ms - 1, MARGIN, urgent=True) == until_ms
    assert budget.wait_for_order(until_ms, MARGIN) is None


def test_a_deadline_is_only_ever_extended_and_never_beyond_the_longest_ban() -> None:
    budget = Budget(SPOT_LIMITS, order_weight=1, deadline_ms=MID + 500)

    assert budget.deadline_until(MID + 400, MID) == MID + 500
    assert budget.deadline_until(MID + 9_000, MID) == MID + 9_000
    assert budget.deadline_until(MID * 2, MID) == MID + DEADLINE_AHEAD_MS_MAX == budget.deadline_ms


@pytest.mark.parametrize(
    ("status", "headers", "text", "wait_ms"),
    [
        (429, {"retry-after": "7"}, "", 7_000),
        (429, {}, "", 56_000),
        (429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, "", 56_000),
        (418, {}, "", 120_000),
        (418, {"retry-after": "3600"}, "", 3_600_000),
        (418, {}, f"Way too many requests; IP(1.2.3.4) banned until {MID + 90_000}. Please use", 90_000),
        (418, {"retry-after": "5"}, f"IP banned until {MID + 90_000}", 90_000),
        (429, {"retry-after": "0"}, "", 1_000),
        (418, {}, f"banned until {MID - 5}", 1_000),
        (418, {"retry-after": "999999999"}, "", DEADLINE_AHEAD_MS_MAX),
        (400, {}, "Too many new orders; current limit is 300 orders per TEN_SECONDS.", 56_000),
    ],
)
def test_the_deadline_that_a_reply_sets(
    status: int, headers: dict[str, str], text: str, wait_ms: int
) -> None:
    assert parse_deadline(status, headers, text, MID) == MID + wait_ms


@given(
    status=st.sampled_from([418, 429, 503]),
    retry_after=st.text(),
    text=st.text(),
    now_ms=st.integers(0, 2**45),
)
def test_a_deadline_is_always_within_its_bounds(
    status: int, retry_after: str, text: str, now_ms: int
) -> None:
    until_ms = parse_deadline(status, {"retry-after": retry_after}, text, now_ms)

    assert now_ms + 1_000 <= until_ms <= now_ms + DEADLINE_AHEAD_MS_MAX


def test_waiting_for_a_header_is_short() -> None:
    budget = budget_of()
    send(budget, 4, NEXT - 50, took_ms=200)
    budget.take_order(SURE + 200, MARGIN)

    assert budget.wait_for_order(SURE + 210, MARGIN) == SURE + 210 + RECHECK_MS
