"""When two outcomes are alike, and what the parity is over the last pairs."""

from __future__ import annotations

from decimal import Decimal
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Accepted, NotSent, Order, OrderState, OrderUpdate, Rejected, Unknown
from adapters.shadow_pairs import (
    COUNTS,
    FINAL_STATES,
    Outcome,
    Pair,
    Parity,
    differences,
    kind_of,
    outcome_of,
    outcome_of_answer,
    shadow_order_id,
)
from worker.metrics import SHADOW_RESULTS
from worker.planning import client_order_id

FIVE = Decimal(5)
ORDER = Order("ew1-" + "a" * 24, "BTCUSDT", "buy", "market", "GTC", Decimal("0.01"), None, "signal-1")


def filled(price: str | None) -> Outcome:
    return Outcome("filled", None, None if price is None else Decimal(price))


def pair(main: Outcome, shadow: Outcome) -> Pair:
    found = differences(main, shadow, FIVE)
    return Pair(1, "BTCUSDT", "buy", Decimal(1), "s", "ew1-s", "sh1-s", main, shadow, found)


@pytest.mark.parametrize(
    ("main", "shadow", "found"),
    [
        (filled("60000"), filled("60000.0"), ()),
        (filled("60000"), filled("60030"), ()),
        (filled("60000"), filled("59970"), ()),
        (filled("60000"), filled("60030.1"), ("price",)),
        (filled("60000"), filled("59969.9"), ("price",)),
        (filled("60000"), filled(None), ()),
        (filled(None), filled("1"), ()),
        (filled("60000"), Outcome("rejected", "no_liquidity"), ("status",)),
        (Outcome("rejected", "a"), Outcome("rejected", "a"), ()),
        (Outcome("rejected", "a"), Outcome("rejected", "b"), ("reason",)),
        (Outcome("canceled", "by hand"), Outcome("canceled"), ()),
        (Outcome("open"), Outcome("open"), ()),
        (Outcome("partial", None, Decimal(100)), Outcome("partial", None, Decimal(101)), ("price",)),
        (Outcome("open"), filled("60000"), ("status",)),
    ],
)
def test_two_outcomes_differ_in_status_reason_or_price(
    main: Outcome, shadow: Outcome, found: tuple[str, ...]
) -> None:
    assert differences(main, shadow, FIVE) == found


def test_an_update_becomes_an_outcome_with_the_price_of_what_was_filled() -> None:
    open_order = OrderUpdate("x", "open", Decimal(0), average_price=Decimal(7))
    canceled = OrderUpdate("x", "canceled", Decimal(1), average_price=Decimal(7), reason="by hand")

    assert outcome_of(open_order) == Outcome("open")
    assert outcome_of(canceled) == Outcome("canceled", "by hand", Decimal(7))
    assert outcome_of_answer(Accepted(open_order)) == Outcome("open")
    assert outcome_of_answer(Rejected("code", "text")) == Outcome("rejected", "code")
    assert outcome_of_answer(Unknown("why")) is outcome_of_answer(NotSent("code", "text")) is None


def test_every_state_that_ends_an_order_ends_the_wait_for_it() -> None:
    assert {state for state in get_args(OrderState) if Outcome(state).final} == {
        "filled",
        "canceled",
        "expired",
    }
    assert Outcome("rejected").final
    assert "open" not in FINAL_STATES


def test_the_copy_has_the_characters_of_the_signals_order_under_a_prefix_of_its_own() -> None:
    wire_id = client_order_id("BTCUSDT", "signal-1")
    on_wire = msgspec.structs.replace(ORDER, client_order_id=wire_id)
    recorded = msgspec.structs.replace(ORDER, client_order_id="dryrun:signal-1")

    assert shadow_order_id(on_wire) == shadow_order_id(recorded) == "sh1-" + wire_id.removeprefix("ew1-")
    assert len(shadow_order_id(recorded)) == 28


def test_a_kind_of_difference_is_told_in_words() -> None:
    assert kind_of(pair(filled("1"), filled("2"))) == "filled at other prices"
    assert kind_of(pair(filled("1"), filled("1"))) == "alike"
    told = kind_of(pair(filled("1"), Outcome("rejected", "no_liquidity")))
    assert told == "filled, shadow rejected (no_liquidity)"
    told = kind_of(pair(Outcome("rejected", "a"), Outcome("rejected", "b")))
    assert told == "rejected (a), shadow rejected (b)"


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 20))
def test_the_parity_is_the_share_of_the_last_pairs(pairs: list[bool], window: int) -> None:
    parity = Parity(window)

    for alike in pairs:
        parity.add(alike)

    last = pairs[-window:]
    assert parity.ratio == (sum(last) / len(last) if last else 1.0)
    assert (parity.compared, parity.different) == (len(last), last.count(False))


def test_the_metric_shows_every_verdict() -> None:
    assert SHADOW_RESULTS == COUNTS
