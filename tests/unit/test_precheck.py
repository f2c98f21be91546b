"""Pre-checks: each rule in its order, nothing denied by what is absent, the same one in N for ever."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Execution, Mode, Precheck
from streams.signal import Place, Signal
from worker.precheck import PRE_DENY_CODES, SAMPLED_CODES, PrecheckRules, kept, precheck, precheck_rules

# crc32 of these is known: one divides by three, the other does not.
KEPT = next(name for n in range(100) if crc32((name := f"s{n}").encode()) % 3 == 0)
NOT_KEPT = next(name for n in range(100) if crc32((name := f"s{n}").encode()) % 3)


def rules(**changes: Any) -> PrecheckRules:
    """The rules of mode live, with the defaults but for `changes`."""
    made = precheck_rules(Execution(mode=Mode.LIVE, precheck=Precheck(**changes)))
    assert made is not None
    return made


def signal(**changes: Any) -> Signal:
    """A signal that says nothing about its own state, and that no sample keeps."""
    values: dict[str, Any] = {
        "ts_ms": 1_700_000_000_000,
        "symbol": "BTCUSDT",
        "signal_id": NOT_KEPT,
        "id_given": True,
        "score": 0.9,
        "confirm": True,
        "gate_passed": True,
        "place": Place("f", 0, 1),
    }
    return Signal(**{**values, **changes})


def code_of(one: Signal, in_force: PrecheckRules | None = None) -> str | None:
    """The code that denies the signal."""
    denial = precheck(one, in_force or rules())
    return None if denial is None else denial.code


@pytest.mark.parametrize(
    ("mode", "enabled", "on"),
    [
        (Mode.DRY_RUN, None, False),
        (Mode.PAPER, None, False),
        (Mode.TESTNET, None, True),
        (Mode.LIVE, None, True),
        (Mode.DRY_RUN, True, True),
        (Mode.LIVE, False, False),
    ],
)
def test_the_checks_are_on_where_orders_leave_unless_told(mode: Mode, enabled: bool | None, on: bool) -> None:
    execution = Execution(mode=mode, precheck=Precheck(enabled=enabled))

    assert (precheck_rules(execution) is not None) == on


def test_a_signal_that_says_nothing_is_not_denied() -> None:
    assert code_of(signal()) is None
    assert code_of(signal(warmup=False, weak_signal_throttle=False, consistency=0.2)) is None


def test_the_first_rule_that_applies_decides() -> None:
    worst = {
        "warmup": True,
        "guard_reason": "spread_too_wide",
        "consistency": 0.1,
        "weak_signal_throttle": True,
    }
    codes = []
    while worst:
        codes.append(code_of(signal(**worst)))
        worst.pop(next(iter(worst)))

    assert codes == ["warmup", "guard_reason", "low_consistency", "weak_signal_sampled"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("warmup", "warmup"),
        ("warmup,low_consistency", "warmup"),
        ("low_consistency, market_inactive ,weak_signal", "market_inactive"),
        ("lag_exceeds_cap,spread_too_wide", "lag_exceeds_cap, spread_too_wide"),
        ("low_consistency,weak_signal", None),
        ("not_warmup", None),
        (" , ,", None),
    ],
)
def test_a_critical_reason_among_others_denies_and_is_named(text: str, named: str | None) -> None:
    denial = precheck(signal(guard_reason=text), rules())

    said = None if denial is None else denial.text
    assert said == (None if named is None else f"the producer's guard says {named}")


def test_the_critical_reasons_are_those_of_the_settings() -> None:
    own = rules(critical_guard_reasons=("storm, fog", ""))

    assert own.critical_reasons == {"storm", "fog"}
    assert code_of(signal(guard_reason="fog"), own) == "guard_reason"
    assert code_of(signal(guard_reason="spread_too_wide"), own) is None
    assert code_of(signal(guard_reason="spread_too_wide"), rules(critical_guard_reasons=())) is None


@pytest.mark.parametrize(
    ("consistency", "sampled_id", "code"),
    [
        (0.0, KEPT, "low_consistency"),
        (0.1499, KEPT, "low_consistency"),
        (0.15, KEPT, None),
        (0.15, NOT_KEPT, "consistency_sampled"),
        (0.1999, NOT_KEPT, "consistency_sampled"),
        (0.2, NOT_KEPT, None),
        (1.0, NOT_KEPT, None),
        (None, NOT_KEPT, None),
    ],
)
def test_consistency_denies_below_one_bound_and_thins_out_below_the_other(
    consistency: float | None, sampled_id: str, code: str | None
) -> None:
    assert code_of(signal(consistency=consistency, signal_id=sampled_id)) == code


def test_weak_signals_are_thinned_out_where_the_producer_asks_for_it() -> None:
    assert code_of(signal(weak_signal_throttle=True)) == "weak_signal_sampled"
    assert code_of(signal(weak_signal_throttle=True, signal_id=KEPT)) is None
    assert code_of(signal(weak_signal_throttle=True), rules(keep_one_in=1)) is None


def test_thinned_out_is_told_from_refused() -> None:
    denials = [
        precheck(signal(**state), rules())
        for state in (
            {"warmup": True},
            {"guard_reason": "warmup"},
            {"consistency": 0.1},
            {"consistency": 0.17},
            {"weak_signal_throttle": True},
        )
    ]

    found = [(denial.code, denial.throttled) for denial in denials if denial is not None]
    assert found == [*((code, False) for code in PRE_DENY_CODES), *((code, True) for code in SAMPLED_CODES)]


def test_the_texts_say_the_value_and_the_bound() -> None:
    texts = [precheck(signal(consistency=value), rules()) for value in (0.1443, 0.17)]

    assert [denial.text for denial in texts if denial is not None] == [
        "its consistency 0.1443 is below 0.15",
        "its consistency 0.17 is below 0.2: of such signals one in 3 is executed",
    ]


@given(signal_id=st.text(max_size=128), one_in=st.integers(1, 10_000))
def test_the_sample_is_a_function_of_the_id_alone(signal_id: str, one_in: int) -> None:
    assert kept(signal_id, one_in) == (crc32(signal_id.encode()) % one_in == 0)
    assert kept(signal_id, 1)


@pytest.mark.parametrize("one_in", [2, 3, 4, 5, 10, 100])
@pytest.mark.parametrize("shape", ["sig-{}", "{:032x}", "r42|BTCUSDT|{}"])
def test_about_one_in_n_is_kept_whatever_the_ids_look_like(shape: str, one_in: int) -> None:
    count = sum(kept(shape.format(number), one_in) for number in range(20_000))

    assert 0.8 < count * one_in / 20_000 < 1.2


def test_the_same_signals_are_kept_for_ever() -> None:
    assert [number for number in range(40) if kept(f"s{number}", 3)] == [
        2,
        4,
        5,
        6,
        8,
        13,
        15,
        17,
        18,
        20,
        22,
        23,
        24,
        25,
        26,
        27,
        28,
        32,
        33,
        36,
        37,
    ]
