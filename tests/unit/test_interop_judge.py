"""The judge of foreign clients: every way in which a belief can differ from the journal is a sentence."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interop"))

from judge import disagreements, stories

ACCEPTED = {
    "kind": "accepted",
    "order_id": 1,
    "client_order_id": "x-market",
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "MARKET",
    "qty": "0.010",
    "price": None,
}
FILL = {"kind": "fill", "order_id": 1, "trade_id": 7, "qty": "0.010", "price": "60000.10"}
RESTING = ACCEPTED | {"order_id": 2, "client_order_id": "x-limit", "type": "LIMIT", "price": "58000.10"}
CANCELED = {"kind": "canceled", "order_id": 2}
OTHERS = ACCEPTED | {"order_id": 3, "client_order_id": "y-market"}
JOURNAL = [ACCEPTED, FILL, RESTING, {"kind": "fault", "fault": "slow"}, CANCELED, OTHERS]

MARKET_BELIEF = {
    "order_id": "1",
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "MARKET",
    "price": "0",
    "state": "FILLED",
    "filled": "0.01",
}
LIMIT_BELIEF = MARKET_BELIEF | {
    "order_id": "2",
    "type": "LIMIT",
    "price": "58000.1",
    "state": "CANCELED",
    "filled": "0",
}
BELIEF: dict[str, Any] = {
    "orders": {"x-market": MARKET_BELIEF, "x-limit": LIMIT_BELIEF},
    "refused": ["x-small"],
    "fills": [{"trade_id": "7", "order_id": "1", "qty": "0.0100", "price": "60000.1"}],
}


def test_a_client_that_believes_what_happened_agrees() -> None:
    assert disagreements(BELIEF, JOURNAL, "x-") == []


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("side", lambda one: one["orders"]["x-market"].update(side="SELL")),
        ("type", lambda one: one["orders"]["x-limit"].update(type="MARKET")),
        ("price", lambda one: one["orders"]["x-limit"].update(price="58000.11")),
        ("state", lambda one: one["orders"]["x-limit"].update(state="NEW")),
        ("filled", lambda one: one["orders"]["x-market"].update(filled="0.009")),
        ("order id", lambda one: one["orders"]["x-market"].update(order_id="9")),
        ("knows nothing", lambda one: one["orders"].pop("x-limit")),
        ("accepted 0 times", lambda one: one["orders"].update({"x-ghost": MARKET_BELIEF})),
        ("was refused", lambda one: one["refused"].append("x-market")),
        ("trade 7", lambda one: one["fills"].clear()),
        ("trade 7", lambda one: one["fills"][0].update(price="60000.2")),
    ],
)
def test_a_wrong_belief_is_told(what: str, change: Callable[[dict[str, Any]], object]) -> None:
    belief = copy.deepcopy(BELIEF)
    change(belief)

    told = disagreements(belief, JOURNAL, "x-")

    assert told
    assert what in "\n".join(told)


def test_an_order_that_was_accepted_twice_is_told() -> None:
    twice = [*JOURNAL, ACCEPTED | {"order_id": 4}]

    assert disagreements(BELIEF, twice, "x-") == ["x-market: accepted 2 times, the client believes once"]


def test_an_order_that_ends_without_having_been_accepted_is_told() -> None:
    hidden = [one for one in JOURNAL if one is not RESTING]

    assert "order 2: canceled, and never accepted" in disagreements(BELIEF, hidden, "x-")


def test_the_states_of_an_order_follow_its_fills() -> None:
    half = FILL | {"qty": "0.004"}

    assert stories([ACCEPTED])["x-market"][0].state == "NEW"
    assert stories([ACCEPTED, half])["x-market"][0].state == "PARTIALLY_FILLED"
    assert stories([ACCEPTED, FILL])["x-market"][0].state == "FILLED"
    assert stories([RESTING, CANCELED | {"kind": "expired"}])["x-limit"][0].state == "EXPIRED"
