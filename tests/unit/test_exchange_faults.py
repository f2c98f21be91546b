"""The fault plan: what the client sees, what really happened, and that the two need not agree."""

from __future__ import annotations

from typing import Any

import pytest
from rig.box import START_MS, Box

from adapters.exchange.faults import FaultPlan, FaultPlanError, FaultRule, parse_rules
from config.seams import seeded_random

# kind, status, code, wire; what a client could tell apart.
SEEN = [
    ("timeout_1007", 408, -1007, "whole"),
    ("unknown_1006", 400, -1006, "whole"),
    ("unknown_503", 503, None, "whole"),
    ("unavailable_503", 503, None, "whole"),
    ("internal_503", 503, None, "whole"),
    ("html_500", 500, None, "whole"),
    ("disconnected_1001", 400, -1001, "whole"),
    ("overload_1008", 503, -1008, "whole"),
    ("garbage", 200, None, "whole"),
]


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize(("kind", "status", "code", "wire"), SEEN)
def test_an_ambiguous_answer_looks_the_same_whether_or_not_the_order_lives(
    kind: Any, status: int, code: int | None, wire: str, executed: bool
) -> None:
    box = Box(FaultRule(kind, executed=executed, times=1))

    heard = box.place("a", price="59000")

    assert (heard.status, heard.code, heard.reply.wire) == (status, code, wire)
    assert b"8000000" not in heard.reply.body
    assert box.accepted("a") == executed
    assert box.query("a").status == (200 if executed else 400)


def test_the_words_of_an_unknown_503_carry_no_code() -> None:
    heard = Box(FaultRule("unknown_503")).place("a")

    assert heard.body == {"msg": "Unknown error, please check your request or try again later."}


@pytest.mark.parametrize(
    ("kind", "wire", "accepted"),
    [
        ("reset_before", "reset", 0),
        ("reset_after", "reset", 1),
        ("silence_before", "silence", 0),
        ("silence_after", "silence", 1),
        ("truncated", "truncated", 1),
        ("overload_1008", "whole", 1),
        ("garbage", "whole", 1),
        ("timeout_1007", "whole", 0),
    ],
)
def test_each_fault_has_its_own_default(kind: Any, wire: str, accepted: int) -> None:
    box = Box(FaultRule(kind))

    assert box.place("a").reply.wire == wire
    assert box.accepted("a") == accepted


def test_a_truncated_reply_is_the_true_one() -> None:
    heard = Box(FaultRule("truncated")).place("a")

    assert heard.body["clientOrderId"] == "a"


def test_an_answer_may_be_written_by_hand() -> None:
    not_found = FaultRule(
        "answer", endpoint="query_order", status=400, code=-2013, text="Order does not exist."
    )
    box = Box(not_found)
    box.place("a")

    assert box.query("a").body == {"code": -2013, "msg": "Order does not exist."}


def test_a_late_order_is_accepted_after_its_connection_was_cut() -> None:
    box = Box(FaultRule("late", delay_ms=3_000))

    heard = box.place("a")
    early = box.query("a")
    box.wait(2_999)
    just_before = box.accepted("a")
    box.wait(1)

    assert heard.reply.wire == "reset"
    assert early.code == -2013
    assert (just_before, box.accepted("a")) == (0, 1)
    assert box.facts("accepted")[0]["now_ms"] == START_MS + 3_000


@pytest.mark.parametrize(("delay_ms", "accepted"), [(5_000, 1), (5_001, 0)])
def test_the_engine_refuses_a_late_order_whose_window_is_over(delay_ms: int, accepted: int) -> None:
    box = Box(FaultRule("late", delay_ms=delay_ms))

    box.place("a", recvWindow=5_000)
    box.wait(60_000)

    assert box.accepted("a") == accepted
    assert [entry["code"] for entry in box.facts("refused_late")] == ([] if accepted else [-5028])


def test_a_late_order_can_have_any_ambiguous_answer() -> None:
    box = Box(FaultRule("late", delay_ms=1_000), FaultRule("unknown_503", executed=False))

    heard = box.place("a")
    box.wait(1_000)

    assert (heard.status, box.accepted("a")) == (503, 1)


def test_a_late_order_meets_the_market_and_the_ids_of_its_moment() -> None:
    box = Box(FaultRule("late", delay_ms=1_000, times=1))
    box.place("a", price="59000")
    box.place("a", price="59000")

    box.wait(1_000)

    assert box.accepted("a") == 1
    assert box.facts("refused_late")[0]["code"] == -4116


def test_a_slow_reply_is_whole_and_takes_its_time() -> None:
    heard = Box(FaultRule("slow", delay_ms=1_500)).place("a")

    assert (heard.status, heard.reply.wire, heard.reply.delay_s) == (200, "whole", 1.5)


@pytest.mark.parametrize(("kind", "status"), [("http_429", 429), ("http_418", 418)])
def test_a_closed_door_stays_closed_for_all_requests_until_its_time(kind: Any, status: int) -> None:
    box = Box(FaultRule(kind, times=1, delay_ms=30_000))

    refused = box.place("a")
    box.wait(29_999)
    still = box.query("a")
    box.wait(1)

    assert (refused.status, refused.code, refused.headers["Retry-After"]) == (status, -1003, "30")
    assert ("banned until" in refused.body["msg"]) == (status == 418)
    assert (still.status, box.query("a").code, box.accepted("a")) == (status, -2013, 0)


def test_a_skewed_clock_is_skewed_everywhere() -> None:
    box = Box(FaultRule("clock_skew", delay_ms=-3_000, from_ms=10_000))
    before = box.raw("GET", "/fapi/v1/time").body["serverTime"]
    box.wait(10_000)

    told = box.raw("GET", "/fapi/v1/time").body["serverTime"]
    by_host = box.place("a")
    by_exchange = box.place("b", timestamp=told)

    assert (before, told) == (START_MS, START_MS + 7_000)
    assert (by_host.code, by_exchange.status) == (-1021, 200)
    assert box.query("b", timestamp=told).body["time"] == told
    (fact,) = box.facts("accepted")
    assert (fact["now_ms"], fact["exchange_ms"]) == (START_MS + 10_000, told)


@pytest.mark.parametrize(
    ("rule", "hit"),
    [
        (FaultRule("reset_before", symbol="ETHUSDT"), []),
        (FaultRule("reset_before", symbol="BTCUSDT"), ["a1", "a2", "b1"]),
        (FaultRule("reset_before", client_id_prefix="a"), ["a1", "a2"]),
        (FaultRule("reset_before", nth=2), ["a2"]),
        (FaultRule("reset_before", nth=1, client_id_prefix="b"), ["b1"]),
        (FaultRule("reset_before", times=2), ["a1", "a2"]),
        (FaultRule("reset_before", from_ms=1_000), ["a2", "b1"]),
        (FaultRule("reset_before", from_ms=START_MS + 1_000, until_ms=START_MS + 2_000), ["a2"]),
        (FaultRule("reset_before", until_ms=1_000), ["a1"]),
        (FaultRule("reset_before", endpoint="query_order"), []),
        (FaultRule("reset_before", endpoint="any", times=1), ["a1"]),
        (FaultRule("reset_before", endpoint="POST /fapi/v1/order"), ["a1", "a2", "b1"]),
        (FaultRule("reset_before", probability=0.0), []),
    ],
)
def test_a_rule_hits_what_it_describes(rule: FaultRule, hit: list[str]) -> None:
    box = Box(rule)

    for name in ("a1", "a2", "b1"):
        box.place(name)
        box.wait(1_000)

    assert [name for name in ("a1", "a2", "b1") if not box.accepted(name)] == hit
    assert [entry["client_order_id"] for entry in box.facts("fault")] == hit


def test_the_first_answer_wins_and_the_others_do_not_count() -> None:
    box = Box(FaultRule("html_500", times=1), FaultRule("reset_before", nth=1))

    first, second = box.place("a"), box.place("b")

    assert (first.status, second.reply.wire) == (500, "reset")


def test_chance_repeats_itself_by_seed() -> None:
    def fates(seed: int) -> list[str]:
        box = Box(FaultRule("reset_after", probability=0.3), seed=seed)
        return [box.place(f"n{number}").reply.wire for number in range(200)]

    assert fates(1) == fates(1) != fates(2)
    assert 30 < fates(1).count("reset") < 90


def test_a_plan_is_read_from_json_and_says_what_is_wrong() -> None:
    rules = parse_rules(
        b'[{"kind": "late", "delay_ms": 4000, "probability": 0.1, "client_id_prefix": "ew1-"}]'
    )

    assert rules == (FaultRule("late", delay_ms=4000, probability=0.1, client_id_prefix="ew1-"),)
    for text in (
        b'[{"kind": "lunch"}]',
        b"{}",
        b"[",
        b'[{"kind": "late", "delay": 1}]',
        b'[{"kind":"late"}]\xff',
    ):
        with pytest.raises(FaultPlanError, match="fault plan is no list of rules"):
            parse_rules(text)


def test_a_plan_has_an_end() -> None:
    with pytest.raises(FaultPlanError, match="more than 1000 rules"):
        FaultPlan([FaultRule("late")] * 1_001, seeded_random(0))
