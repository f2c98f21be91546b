"""Planning: every row of the decision table, in its order, with its one reason code."""

from __future__ import annotations

import string
from base64 import b32encode
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Execution, Mode, Precheck
from streams.signal import Place, Signal
from worker.planning import (
    SKIP_CODES,
    Decision,
    Eligible,
    Rules,
    Skip,
    client_order_id,
    life_of,
    plan,
    rules_of,
)
from worker.precheck import precheck_rules

NOW_MS = 1_700_000_000_000
STRICT = Rules(
    long_score_threshold=0.5,
    short_score_threshold=-0.5,
    max_age_ms=60_000,
    refuse_future=True,
    precheck=precheck_rules(Execution(precheck=Precheck(enabled=True, keep_one_in=10_000))),
)
LOOSE = Rules(long_score_threshold=0.5, short_score_threshold=-0.5, max_age_ms=None, refuse_future=False)


def signal(**changes: Any) -> Signal:
    """A fresh v1 signal that becomes a long order; `changes` override."""
    values: dict[str, Any] = {
        "ts_ms": NOW_MS,
        "symbol": "BTCUSDT",
        "signal_id": "s",
        "id_given": False,
        "score": 0.9,
        "confirm": True,
        "gate_passed": True,
        "place": Place("f", 0, 1),
    }
    return Signal(**{**values, **changes})


def decide(
    one: Signal, rules: Rules = STRICT, *, now_ms: int = NOW_MS, last_ms: int = 0, halted: bool = False
) -> Decision:
    """What becomes of the signal."""
    return plan(one, rules, now_ms=now_ms, last_order_ts_ms=last_ms, halted=halted)


def code_of(decision: Decision) -> str:
    """The reason code, or the side of an order."""
    return decision.code if isinstance(decision, Skip) else decision.side


# Each step violates one more rule, from the last row of the table to the first: the first that applies wins.
LADDER: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("long", {}, {}),
    ("halted", {}, {"halted": True}),
    ("cooldown", {"cooldown_ms": 1_000}, {"last_ms": NOW_MS - 999}),
    ("weak_signal_sampled", {"weak_signal_throttle": True}, {}),
    ("consistency_sampled", {"consistency": 0.19}, {}),
    ("low_consistency", {"consistency": 0.14}, {}),
    ("guard_reason", {"guard_reason": "low_consistency, spread_too_wide"}, {}),
    ("warmup", {"warmup": True}, {}),
    ("below_threshold", {"score": 0.1}, {}),
    ("flat", {"side_hint": "flat"}, {}),
    ("expired", {"ts_ms": NOW_MS - 60_001}, {}),
    ("from_future", {"ts_ms": NOW_MS + 5_001}, {}),
    ("gate_blocked", {"gate_passed": False}, {}),
    ("not_confirmed", {"confirm": False}, {}),
]


@pytest.mark.parametrize("step", range(len(LADDER)), ids=[code for code, _, _ in LADDER])
def test_the_first_row_of_the_table_that_applies_decides(step: int) -> None:
    changes: dict[str, Any] = {}
    circumstances: dict[str, Any] = {}
    for _, more, around in LADDER[: step + 1]:
        changes |= more
        circumstances |= around

    assert code_of(decide(signal(**changes), **circumstances)) == LADDER[step][0]


@pytest.mark.parametrize(("code", "changes", "around"), LADDER, ids=[code for code, _, _ in LADDER])
def test_each_row_of_the_table_alone_gives_its_code(
    code: str, changes: dict[str, Any], around: dict[str, Any]
) -> None:
    assert code_of(decide(signal(**changes), **around)) == code


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (0.5, "below_threshold"),
        (0.5000000000000001, "long"),
        (-0.5, "below_threshold"),
        (-0.5000000000000001, "short"),
        (0.0, "below_threshold"),
        (-0.0, "below_threshold"),
        (1e308, "long"),
        (-1e308, "short"),
    ],
)
def test_the_thresholds_are_strict(score: float, expected: str) -> None:
    assert code_of(decide(signal(score=score))) == expected


@pytest.mark.parametrize(("hint", "expected"), [("buy", "long"), ("sell", "short")])
@pytest.mark.parametrize("score", [0.9, 0.0, -0.9])
def test_a_side_hint_decides_whatever_the_score(hint: str, expected: str, score: float) -> None:
    assert code_of(decide(signal(side_hint=hint, score=score))) == expected


def test_a_flat_hint_is_a_skip_on_side_flat_and_every_other_skip_on_side_skip() -> None:
    skips = [decide(signal(**changes), **around) for _, changes, around in LADDER[1:]]

    assert {one.code: one.side for one in skips if isinstance(one, Skip) and one.side != "skip"} == {
        "flat": "flat"
    }


def test_a_signal_from_the_future_is_refused_only_where_orders_leave_the_host() -> None:
    ahead = signal(ts_ms=NOW_MS + 5_001)

    assert code_of(decide(ahead, STRICT)) == "from_future"
    assert code_of(decide(ahead, LOOSE)) == "long"
    assert code_of(decide(signal(ts_ms=NOW_MS + 5_000), STRICT)) == "long"
    assert {mode for mode in Mode if rules_of(Execution(mode=mode)).refuse_future} == {
        Mode.TESTNET,
        Mode.LIVE,
    }


@pytest.mark.parametrize(
    ("max_age_ms", "expiry_ms", "life_ms"),
    [
        (None, 0, None),
        (None, 1, None),  # off means both off
        (60_000, 0, 60_000),
        (60_000, 1_000, 1_000),
        (60_000, 90_000, 60_000),
        (1_000, 60_000, 1_000),
    ],
)
def test_the_shorter_of_staleness_and_expiry_ends_a_life(
    max_age_ms: int | None, expiry_ms: int, life_ms: int | None
) -> None:
    rules = Rules(0.5, -0.5, max_age_ms, True)
    one = signal(expiry_ms=expiry_ms)

    assert life_of(expiry_ms, rules) == life_ms
    if life_ms is None:
        assert code_of(decide(one, rules, now_ms=NOW_MS + 10**9)) == "long"
    else:
        assert code_of(decide(one, rules, now_ms=NOW_MS + life_ms)) == "long"
        assert code_of(decide(one, rules, now_ms=NOW_MS + life_ms + 1)) == "expired"


def test_pre_checks_are_on_for_testnet_and_live_and_off_elsewhere() -> None:
    assert {mode: rules_of(Execution(mode=mode)).precheck is not None for mode in Mode} == {
        Mode.DRY_RUN: False,
        Mode.PAPER: False,
        Mode.TESTNET: True,
        Mode.LIVE: True,
    }


def test_staleness_is_a_minute_on_testnet_and_live_and_off_elsewhere() -> None:
    assert {mode: rules_of(Execution(mode=mode)).max_age_ms for mode in Mode} == {
        Mode.DRY_RUN: None,
        Mode.PAPER: None,
        Mode.TESTNET: 60_000,
        Mode.LIVE: 60_000,
    }


@pytest.mark.parametrize(
    ("cooldown_ms", "since_ms", "expected"),
    [
        (1_000, 0, "cooldown"),
        (1_000, 999, "cooldown"),
        (1_000, 1_000, "long"),
        (0, 0, "long"),
        (1, 0, "cooldown"),
        (1_000, -1, "long"),  # an older signal that comes late is not after the order
    ],
)
def test_a_cooldown_counts_from_the_symbols_last_order(
    cooldown_ms: int, since_ms: int, expected: str
) -> None:
    one = signal(cooldown_ms=cooldown_ms)

    assert code_of(decide(one, last_ms=NOW_MS - since_ms)) == expected


def test_no_cooldown_runs_before_the_first_order() -> None:
    assert code_of(decide(signal(cooldown_ms=10**12), last_ms=0)) == "long"


def test_the_reason_of_a_blocked_gate_is_told_in_the_producers_words() -> None:
    blocked = decide(signal(gate_passed=False, guard_reason="spread_too_wide"))

    assert isinstance(blocked, Skip)
    assert "spread_too_wide" in blocked.text


def test_every_code_that_planning_can_give_is_on_the_list_and_the_list_has_no_other() -> None:
    given_by_planning = {code for code, _, _ in LADDER} - {"long"}

    given_by_store = {"id_reused", "risk_order_usd", "risk_rate", "risk_position_usd", "risk_check_failed"}
    assert given_by_planning | given_by_store == set(SKIP_CODES)
    assert len(SKIP_CODES) == len(set(SKIP_CODES))


@given(
    score=st.floats(allow_nan=False, allow_infinity=False),
    age_ms=st.integers(-10_000, 120_000),
    confirm=st.booleans(),
    gate=st.booleans(),
    hint=st.sampled_from([None, "buy", "sell", "flat"]),
    halted=st.booleans(),
    cooldown_ms=st.integers(0, 5_000),
)
def test_every_signal_gets_exactly_one_known_outcome_and_always_the_same(
    score: float, age_ms: int, confirm: bool, gate: bool, hint: str | None, halted: bool, cooldown_ms: int
) -> None:
    one = signal(
        score=score,
        ts_ms=NOW_MS - age_ms,
        confirm=confirm,
        gate_passed=gate,
        side_hint=hint,
        cooldown_ms=cooldown_ms,
    )
    around = {"last_ms": NOW_MS - 2_500, "halted": halted}

    first, second = decide(one, **around), decide(one, **around)

    assert first == second
    assert isinstance(first, Eligible) or first.code in SKIP_CODES


def test_the_client_order_id_never_changes() -> None:
    assert client_order_id("BTCUSDT", "abc") == _by_the_book("BTCUSDT", "abc")
    assert client_order_id("BTCUSDT", "abc") == "ew1-lrw44752qsdlw7rex5qqrnxa"


def _by_the_book(symbol: str, signal_id: str) -> str:
    """Base32 as the library writes it: 15 bytes are 24 characters without padding."""
    digest = blake2b(f"{symbol}|{signal_id}".encode(), digest_size=15).digest()
    return "ew1-" + b32encode(digest).decode().lower()


@given(symbol=st.from_regex(r"[A-Z0-9]{2,20}", fullmatch=True), signal_id=st.text(min_size=1, max_size=128))
def test_a_client_order_id_is_28_characters_that_every_exchange_takes(symbol: str, signal_id: str) -> None:
    made = client_order_id(symbol, signal_id)

    assert made == _by_the_book(symbol, signal_id)
    assert made.startswith("ew1-")
    assert len(made) == 28
    assert set(made[4:]) <= set(string.ascii_lowercase + "234567")


@given(pair=st.tuples(st.text(max_size=20), st.text(max_size=20)), other=st.text(max_size=20))
def test_another_signal_has_another_client_order_id(pair: tuple[str, str], other: str) -> None:
    symbol, signal_id = pair
    if other != signal_id:
        assert client_order_id(symbol, signal_id) != client_order_id(symbol, other)
