"""The lines of the execution log: what each step is called, and what stands in its line."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig import rows as rig
from rig.execlog import order
from rig.virtual_clock import START_MS, ManualClock

from adapters.contract import Order
from adapters.slippage import intended_price, slippage_bps
from store import statements as sql
from store.execlog_line import ExecutionEvent, Fact, all_steps, event_of, line_of, told
from store.lifecycle import LATE_FILL_STATES, MOVES, State
from store.records import Move, Share

S = State
ACK = '{"exchange_order_id":"77","latency_ms":1.5,"sent_ts_ms":1700000000001,"ack_ts_ms":1700000000002}'


def facts(folder: Path, *shares: Share) -> list[Fact]:
    """What the store has to tell after these commits, a millisecond apart."""
    clock = ManualClock()
    ledger = rig.open_ledger(folder, clock)
    try:
        for share in shares:
            [receipt] = ledger.commit([share])
            assert receipt.refused == []
            clock.now_ms += 1
        return [Fact(*row) for row in ledger._connection.execute(sql.EXECLOG_FACTS, (0, 2**62, 100))]
    finally:
        ledger.close()


def move(before: State, after: State, **more: Any) -> Share:
    """A step of the first row."""
    return rig.share(moves=[Move(row_id=1, before=before, after=after, **more)])


def test_a_line_has_the_fields_of_the_contract_in_their_order(tmp_path: Path) -> None:
    diff = {"price_diff": "0.004", "qty_diff": "0.0001"}
    new = order(1, price="100.10", order_type="limit", rounding_diff=diff)
    found = facts(
        tmp_path,
        rig.share(new),
        move(S.RESERVED, S.OPEN, patch=ACK),
        move(S.OPEN, S.FILLED, has_fills=True, qty="0.5", price="100.2", patch='{"fee":"0.1"}'),
    )

    submit, ack, filled = (json.loads(line_of(fact)) for fact in found)

    assert list(submit) == list(ExecutionEvent.__struct_fields__)
    assert submit == {
        "ts_ms": START_MS,
        "symbol": "BTCUSDT",
        "event": "submit",
        "signal_row_id": 1,
        "client_order_id": "BTCUSDT-1",
        "exchange_order_id": None,
        "side": "buy",
        "qty": 0.5,
        "px_intent": 100.104,
        "px_sent": 100.1,
        "px_fill": None,
        "rounding_diff": {"price_diff": 0.004, "qty_diff": 0.0001},
        "slippage_bps": None,
        "status": "pending",
        "reason": None,
        "sent_ts_ms": None,
        "ack_ts_ms": None,
        "fill_ts_ms": None,
        "meta": {
            "mode": "paper",
            "latency_ms": None,
            "warmup": False,
            "guard_reason": "quiet",
            "consistency": 0.25,
            "scenario": "A_H",
        },
    }
    after_acceptance = {
        "exchange_order_id": "77",
        "sent_ts_ms": 1700000000001,
        "ack_ts_ms": 1700000000002,
        "meta": {**submit["meta"], "latency_ms": 1.5},
    }
    assert ack == {**submit, **after_acceptance, "ts_ms": START_MS + 1, "event": "ack"}
    fill = {"px_fill": 100.2, "slippage_bps": 9.590026, "status": "success", "fill_ts_ms": START_MS + 2}
    assert filled == {**ack, **fill, "ts_ms": START_MS + 2, "event": "filled"}


def test_numbers_keep_every_digit_and_are_numbers(tmp_path: Path) -> None:
    exact = "0.10000000000000000000000001"
    new = order(1, qty=exact, intent_price="79228162514264337593.5")
    [fact] = facts(tmp_path, rig.share(new))

    line = json.loads(line_of(fact), parse_float=str)

    assert (line["qty"], line["px_intent"]) == (exact, "79228162514264337593.5")


def test_every_step_of_a_long_life_says_what_was_true_then_also_when_it_is_told_later(tmp_path: Path) -> None:
    steps = [
        rig.share(order(1)),
        move(S.RESERVED, S.UNKNOWN, reason="read timed out"),
        move(S.UNKNOWN, S.RESERVED, reason="proven absent"),
        move(S.RESERVED, S.RESERVED, reason="a new window"),
        move(S.RESERVED, S.PARTIAL, has_fills=True, qty="0.1", price="99", patch=ACK),
        move(S.PARTIAL, S.PARTIAL, has_fills=True, qty="0.2", price="99.5"),
        move(S.PARTIAL, S.QUARANTINED, reason="no proof"),
        move(S.QUARANTINED, S.CANCELED, has_fills=True, qty="0.2", reason="resolved by me"),
        move(S.CANCELED, S.FILLED, has_fills=True, qty="0.5", price="98", late=True, reason="late fill"),
    ]

    lines = [told(fact) for fact in facts(tmp_path, *steps)]

    assert [(line.event, line.status, line.qty, line.px_fill, line.reason) for line in lines] == [
        ("submit", "pending", Decimal("0.5"), None, None),
        ("unknown", "retry", Decimal("0.5"), None, "read timed out"),
        ("resolved", "pending", Decimal("0.5"), None, "proven absent"),
        ("partial", "pending", Decimal("0.1"), Decimal("99"), None),
        ("partial", "pending", Decimal("0.2"), Decimal("99.5"), None),
        ("unknown", "retry", Decimal("0.5"), None, "no proof"),
        ("resolved", "success", Decimal("0.2"), None, "resolved by me"),
        ("resolved", "success", Decimal("0.5"), Decimal("98"), "late fill"),
    ]
    assert [line.exchange_order_id for line in lines] == [None, None, None, "77", "77", None, "77", "77"]
    assert [line.fill_ts_ms is None for line in lines] == [True, True, True, False, False, True, False, False]


def test_lines_are_the_same_bytes_whatever_has_happened_since(tmp_path: Path) -> None:
    steps = [
        rig.share(order(1)),
        move(S.RESERVED, S.UNKNOWN, reason="lost"),
        move(S.UNKNOWN, S.SKIPPED, error_code="expired", error_msg="too old"),
        move(S.SKIPPED, S.FILLED, has_fills=True, qty="0.5", price="98", late=True, patch=ACK),
    ]
    seen: list[bytes] = []

    for count in range(1, len(steps) + 1):
        lines = [line_of(fact) for fact in facts(tmp_path / str(count), *steps[:count])]
        assert lines[:-1] == seen
        seen = lines

    assert [told.event for told in map(msgspec.json.Decoder(ExecutionEvent).decode, seen)] == [
        "submit",
        "unknown",
        "canceled",
        "resolved",
    ]


def test_what_never_was_an_order_has_no_line_and_what_was_refused_locally_has_one(tmp_path: Path) -> None:
    refused = rig.reservation(2, state=S.REJECTED, side="short", qty=None, error_code="no_filters")
    found = facts(tmp_path, rig.share(rig.skip(1), refused))

    [line] = [told(fact) for fact in found]

    assert (line.event, line.status, line.reason, line.side) == ("rejected", "failed", "no_filters", "sell")
    assert (line.qty, line.rounding_diff, line.px_intent) == (None, None, None)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "no number", ""])
def test_what_cannot_be_read_is_null_and_holds_back_no_line(text: str) -> None:
    step = (1, "BTCUSDT", START_MS, "reserved", "filled", None)
    fact = Fact(*step, text, text, 1, "long", "{not json", "{not json", None, None)

    line = msgspec.json.decode(line_of(fact), type=ExecutionEvent)

    assert (line.qty, line.px_fill, line.slippage_bps, line.side, line.meta.mode) == (
        None,
        None,
        None,
        "buy",
        None,
    )


def test_each_step_has_the_name_that_the_contract_gives_it() -> None:
    names = {step: event_of(*step) for step in all_steps()}

    assert len(names) == 2 + 1 + sum(map(len, MOVES.values())) + len(LATE_FILL_STATES)
    assert {step for step, name in names.items() if name is None} == {
        (None, S.SKIPPED),
        (S.RESERVED, S.RESERVED),
    }
    assert {name for name in names.values() if name} == {
        "submit",
        "ack",
        "partial",
        "filled",
        "canceled",
        "rejected",
        "expired",
        "unknown",
        "resolved",
    }
    assert names[S.UNKNOWN, S.FILLED] == "filled"
    assert names[S.QUARANTINED, S.FILLED] == names[S.REJECTED, S.FILLED] == "resolved"


PRICES = st.decimals(min_value="0.0001", max_value="1000000", places=4)


@given(intent=PRICES, fill=PRICES, side=st.sampled_from(["buy", "sell"]), lost=PRICES)
def test_slippage_and_intent_are_what_the_adapters_say(
    intent: Decimal, fill: Decimal, side: Any, lost: Decimal
) -> None:
    diff = {"price_diff": str(lost), "qty_diff": "0"}
    sent = Order("c", "BTCUSDT", side, "limit", "GTC", Decimal(1), intent, "s", rounding_diff=diff)
    order_json = msgspec.json.encode(sent).decode()
    step = (1, "BTCUSDT", START_MS, "open", "filled", None)
    fact = Fact(*step, "1", str(fill), 1, "long", order_json, "{}", None, None)

    line = told(fact)

    wanted = intended_price(sent)
    assert wanted is not None
    assert line.px_intent == wanted
    assert line.slippage_bps is not None
    assert abs(line.slippage_bps - slippage_bps(side, wanted, fill)) <= Decimal("0.000001")
