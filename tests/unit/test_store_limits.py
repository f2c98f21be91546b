"""Hard limits in the reserving transaction: the last of it is used once, and in doubt there is no order."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig import rows as rig
from rig.virtual_clock import START_MS, ManualClock
from rig.wire_rows import limited_ledger, move, reserve, reserved, spoil, wire

from store.ledger import Ledger
from store.lifecycle import State

ALL_ON = {"max_order_usd": "1000", "max_orders_per_minute": 100, "max_position_usd": "1000"}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def codes(ledger: Ledger, *new: Any) -> list[str]:
    """The codes of what a limit refused."""
    return [code for _, code, _ in reserve(ledger, *new).limited]


def test_an_order_beyond_a_limit_is_a_skip_in_the_same_transaction(
    tmp_path: Path, clock: ManualClock
) -> None:
    ledger = limited_ledger(tmp_path, clock, max_order_usd="10")

    receipt = reserve(ledger, rig.skip(1), wire(2, "1.0000000001"), rig.skip(3))

    assert (receipt.row_ids[1], receipt.duplicates) == (None, 0)
    [(index, code, text)] = receipt.limited
    assert (index, code) == (1, "risk_order_usd")
    assert text == "the order is worth 10.0000000010 USD, execution.risk.max_order_usd is 10"
    columns = (
        "state, status, side, order_id, qty, client_order_id, order_json, error_code, error_msg, exec_ts_ms"
    )
    assert rig.rows(tmp_path, columns, "executions WHERE id = 2") == [
        ("skipped", "skip", "skip", None, None, None, None, code, text, START_MS)
    ]
    events = rig.rows(tmp_path, "to_state, final, reason", "events WHERE execution_id = 2")
    assert events == [("skipped", 1, code)]
    assert rig.rows(tmp_path, "commits", "owner") == [(1,)]
    assert ledger.last_order_ts_ms(rig.SYMBOL) == 0
    assert ledger.get_high_water_ts(rig.SYMBOL) == rig.T0 + 3
    ledger.close()


@pytest.mark.parametrize("name", ALL_ON)
def test_up_to_a_limit_orders_are_let_through_to_the_last_digit(
    tmp_path: Path, clock: ManualClock, name: str
) -> None:
    exact = {"max_order_usd": "30.3", "max_orders_per_minute": 1, "max_position_usd": "30.3"}[name]
    ledger = limited_ledger(tmp_path, clock, **{name: exact})

    receipt = reserve(ledger, wire(1, "3", price="10.1"))

    assert receipt.limited == []
    assert receipt.row_ids == [1]
    ledger.close()


def test_what_python_would_round_away_counts(tmp_path: Path, clock: ManualClock) -> None:
    ledger = limited_ledger(tmp_path, clock, max_order_usd="1", max_position_usd="1")
    grain = "0." + "0" * 40 + "1"

    assert codes(ledger, wire(1, f"1.{'0' * 40}1", price="1")) == ["risk_order_usd"]
    assert codes(ledger, wire(2, "1", price="1")) == []
    ledger.close()
    ledger = limited_ledger(tmp_path, clock, max_position_usd="1")
    assert codes(ledger, wire(3, grain, price="1")) == ["risk_position_usd"]
    ledger.close()


def test_without_limits_and_without_a_wire_nothing_is_looked_at(tmp_path: Path, clock: ManualClock) -> None:
    ledger = limited_ledger(tmp_path, clock)
    assert reserve(ledger, wire(1, order_json="{", price=None)).limited == []
    ledger.close()
    ledger = limited_ledger(tmp_path, clock, max_order_usd="1", max_orders_per_minute=1, max_position_usd="1")

    receipt = reserve(ledger, *(rig.reservation(number, price="100") for number in range(2, 9)))

    assert (receipt.limited, None in receipt.row_ids) == ([], False)
    ledger.close()


def test_an_order_that_the_venue_has_already_is_never_kept_out(tmp_path: Path, clock: ManualClock) -> None:
    ledger = limited_ledger(tmp_path, clock, max_order_usd="1", max_orders_per_minute=1, max_position_usd="1")

    receipt = reserve(ledger, *(wire(number, adopted=True) for number in range(3)))

    assert receipt.row_ids == [1, 2, 3]
    assert codes(ledger, wire(9, "0.01")) == ["risk_rate"]
    ledger.close()


def test_orders_of_several_lanes_in_one_commit_are_counted_one_after_the_other(
    tmp_path: Path, clock: ManualClock
) -> None:
    ledger = limited_ledger(tmp_path, clock, max_orders_per_minute=3)
    lanes = [
        rig.share(
            rig.skip(10, symbol=symbol),
            wire(1, symbol=symbol, client_order_id=f"{symbol}1"),
            rig.skip(11, symbol=symbol),
            wire(2, symbol=symbol, client_order_id=f"{symbol}2"),
            symbol=symbol,
        )
        for symbol in ("AUSDT", "BUSDT", "CUSDT")
    ]

    receipts = ledger.commit(lanes)

    assert [[index for index, _, _ in receipt.limited] for receipt in receipts] == [[], [3], [1, 3]]
    assert [len(receipt.row_ids) for receipt in receipts] == [4, 4, 4]
    assert ledger.orders_in_last_minute(START_MS) == 3
    assert len(rig.rows(tmp_path, "id")) == 12
    ledger.close()


def test_refused_and_skipped_orders_use_up_nothing(tmp_path: Path, clock: ManualClock) -> None:
    ledger = limited_ledger(tmp_path, clock, max_order_usd="10", max_orders_per_minute=2)
    for number in range(5):
        reserve(ledger, wire(number, "2"), rig.skip(number + 10))

    assert codes(ledger, wire(20), wire(21), wire(22)) == ["risk_rate"]
    ledger.close()


@given(
    steps=st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 4)), min_size=1, max_size=25),
    limit=st.integers(1, 5),
)
def test_no_60_seconds_ever_see_more_orders_than_the_limit_and_none_is_refused_without_need(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]], limit: int
) -> None:
    clock = ManualClock()
    ledger = limited_ledger(tmp_path_factory.mktemp("store"), clock, max_orders_per_minute=limit)
    recent: deque[int] = deque()
    number = 0

    for pause_ms, orders in steps:
        clock.now_ms += pause_ms
        for _ in range(orders):
            number += 1
            while recent and recent[0] <= clock.now_ms - 60_000:
                recent.popleft()
            is_refused = bool(codes(ledger, wire(number)))
            assert is_refused == (len(recent) >= limit)
            if not is_refused:
                recent.append(clock.now_ms)
    ledger.close()


def test_a_clock_that_is_set_back_forgets_no_order(tmp_path: Path, clock: ManualClock) -> None:
    ledger = limited_ledger(tmp_path, clock, max_orders_per_minute=1)
    reserved(ledger, wire(1))
    clock.now_ms -= 3_600_000

    assert codes(ledger, wire(2)) == ["risk_rate"]
    clock.now_ms += 3_600_000 + 60_000
    assert codes(ledger, wire(3)) == []
    ledger.close()


@pytest.mark.parametrize(
    "state", [State.RESERVED, State.UNKNOWN, State.OPEN, State.PARTIAL, State.QUARANTINED]
)
def test_an_unsettled_order_counts_as_filled_at_its_ordered_quantity(
    tmp_path: Path, clock: ManualClock, state: State
) -> None:
    ledger = limited_ledger(tmp_path, clock, max_position_usd="40")
    [row_id] = reserved(ledger, wire(1, "3"))
    if state is State.QUARANTINED:
        move(ledger, row_id, State.RESERVED, State.UNKNOWN)
        move(ledger, row_id, State.UNKNOWN, State.QUARANTINED)
    elif state is not State.RESERVED:
        has_fills = state is State.PARTIAL
        move(ledger, row_id, State.RESERVED, state, qty="0.1" if has_fills else None, has_fills=has_fills)

    assert codes(ledger, wire(2, "1.01")) == ["risk_position_usd"]
    assert codes(ledger, wire(3, "4", "sell")) == []
    assert codes(ledger, wire(4, "1")) == []
    ledger.close()


@pytest.mark.parametrize("after", [State.REJECTED, State.SKIPPED, State.CANCELED, State.EXPIRED])
def test_an_order_that_came_to_nothing_gives_its_room_back(
    tmp_path: Path, clock: ManualClock, after: State
) -> None:
    ledger = limited_ledger(tmp_path, clock, max_position_usd="40")
    [row_id] = reserved(ledger, wire(1, "4"))

    before = codes(ledger, wire(2, "4"))
    move(ledger, row_id, State.RESERVED, after)

    assert (before, codes(ledger, wire(3, "4"))) == (["risk_position_usd"], [])
    ledger.close()


@pytest.mark.parametrize(
    ("baseline", "qty", "side", "is_refused"),
    [
        ("4", "0.1", "buy", True),
        ("4", "8", "sell", False),
        ("4", "8.1", "sell", True),
        ("-4", "0.1", "sell", True),
        ("-4", "8", "buy", False),
        ("9", "5", "sell", False),
        ("9", "0.001", "buy", True),
        ("9", "17.9", "sell", False),
        ("9", "18", "sell", True),
        ("-9", "1", "buy", False),
    ],
)
def test_the_position_counts_from_what_the_account_began_with_and_what_reduces_it_is_allowed(
    tmp_path: Path, clock: ManualClock, baseline: str, qty: str, side: str, is_refused: bool
) -> None:
    ledger = limited_ledger(tmp_path, clock, max_position_usd="40")
    ledger.commit([rig.share(stamps={"baseline:BTCUSDT": baseline, "baseline:ETHUSDT": "1000"})])

    assert codes(ledger, wire(1, qty, side)) == (["risk_position_usd"] if is_refused else [])
    ledger.close()


@given(
    orders=st.lists(
        st.tuples(
            st.sampled_from(["buy", "sell"]),
            st.decimals("0.001", "3", places=3),
            st.sampled_from(["fill", "wait", "cancel"]),
        ),
        max_size=25,
    )
)
def test_no_order_of_fills_leads_beyond_the_limit(
    tmp_path_factory: pytest.TempPathFactory, orders: list[tuple[str, Decimal, str]]
) -> None:
    ledger = limited_ledger(tmp_path_factory.mktemp("store"), ManualClock(), max_position_usd="50")
    settled, waiting = Decimal(0), {"buy": Decimal(0), "sell": Decimal(0)}

    for number, (side, qty, fate) in enumerate(orders):
        [row_id] = reserve(ledger, wire(number, str(qty), side)).row_ids
        if row_id is None:
            continue
        if fate == "wait":
            waiting[side] += qty
        elif fate == "fill":
            settled += qty if side == "buy" else -qty
            move(ledger, row_id, State.RESERVED, State.FILLED, has_fills=True, qty=str(qty))
        else:
            move(ledger, row_id, State.RESERVED, State.CANCELED)

        # Without anything in flight the other way, a fill of everything stays within it.
        if waiting["sell"] == 0:
            assert (settled + waiting["buy"]) * 10 <= 50
        if waiting["buy"] == 0:
            assert (settled - waiting["sell"]) * 10 >= -50
    ledger.close()


UNREADABLE = {
    "no price": {"price": None},
    "price NaN": {"price": "NaN"},
    "price infinite": {"price": "Infinity"},
    "price negative": {"price": "-1"},
    "price no number": {"price": "ten"},
    "no order": {"order_json": None},
    "order cut": {"order_json": '{"side":"buy","qty":'},
    "order without a side": {"order_json": '{"qty":"1"}'},
    "order with another side": {"order_json": '{"qty":"1","side":"both"}'},
    "quantity 0": {"order_json": '{"qty":"0","side":"buy"}'},
    "quantity NaN": {"order_json": '{"qty":"NaN","side":"buy"}'},
    "quantity beyond all digits": {"order_json": '{"qty":"1E+9","side":"buy"}', "price": f"1.{'1' * 2_000}"},
    "deeply nested": {"order_json": '{"side":' + "[" * 100_000},
}


@pytest.mark.parametrize("changes", UNREADABLE.values(), ids=UNREADABLE)
def test_an_order_that_cannot_be_judged_is_a_skip(
    tmp_path: Path, clock: ManualClock, changes: dict[str, Any]
) -> None:
    ledger = limited_ledger(tmp_path, clock, **ALL_ON)

    receipt = reserve(ledger, wire(1, **changes))

    assert (receipt.row_ids, [code for _, code, _ in receipt.limited]) == ([None], ["risk_check_failed"])
    assert rig.rows(tmp_path, "state, client_order_id") == [("skipped", None)]
    ledger.close()


SPOILED = {
    "order of another row": "UPDATE executions SET order_json = '{' WHERE id = 1",
    "no order in another row": "UPDATE executions SET order_json = NULL WHERE id = 1",
    "order with a lone quote": "UPDATE executions SET order_json = '\"' WHERE id = 1",
    "text that is no UTF-8": "UPDATE executions SET order_json = CAST(x'ff' AS TEXT) WHERE id = 1",
    "holding": "INSERT INTO holdings VALUES ('BTCUSDT', 'much')",
    "holding NaN": "INSERT INTO holdings VALUES ('BTCUSDT', 'NaN')",
    "holding that is no UTF-8": "INSERT INTO holdings VALUES ('BTCUSDT', CAST(x'ff' AS TEXT))",
    "baseline": "INSERT INTO stamps VALUES ('baseline:BTCUSDT', '1,5')",
    "table gone": "DROP TABLE holdings",
}


@pytest.mark.parametrize("statement", SPOILED.values(), ids=SPOILED)
def test_a_store_in_which_the_position_cannot_be_read_lets_no_order_through(
    tmp_path: Path, clock: ManualClock, statement: str
) -> None:
    ledger = limited_ledger(tmp_path, clock, **ALL_ON)
    reserved(ledger, wire(1))
    spoil(tmp_path, statement)

    receipt = reserve(ledger, rig.skip(8), wire(2), rig.skip(9))

    assert [(index, code) for index, code, _ in receipt.limited] == [(1, "risk_check_failed")]
    assert receipt.row_ids[1] is None
    assert rig.rows(tmp_path, "state", "executions WHERE id > 1") == [("skipped",)] * 3
    ledger.close()


def test_a_signal_that_comes_again_is_a_duplicate_and_no_breach(tmp_path: Path, clock: ManualClock) -> None:
    ledger = limited_ledger(tmp_path, clock, max_orders_per_minute=1)
    reserved(ledger, wire(1))
    before = rig.everything(tmp_path)

    receipt = reserve(ledger, wire(1), wire(1))

    assert (receipt.row_ids, receipt.duplicates, receipt.limited) == ([None, None], 2, [])
    assert rig.everything(tmp_path) == before
    ledger.close()


@pytest.mark.parametrize("poison", [{"guard_reason": "\ud800"}, {"id_given": True, "signal_id": "id-1"}])
def test_a_fault_in_the_share_changes_nothing_in_how_its_orders_are_counted(
    tmp_path: Path, clock: ManualClock, poison: dict[str, Any]
) -> None:
    ledger = limited_ledger(tmp_path, clock, max_orders_per_minute=2)
    reserved(ledger, wire(1, id_given=True))

    receipt = reserve(ledger, rig.skip(2), wire(3, **poison), wire(4), wire(5), wire(6))

    assert receipt.row_ids[:2] == [2, None]
    assert receipt.row_ids[2] is not None
    assert len(receipt.failed) + len(receipt.reused) == 1
    assert [(index, code) for index, code, _ in receipt.limited] == [(3, "risk_rate"), (4, "risk_rate")]
    assert ledger.orders_in_last_minute(START_MS) == 2
    ledger.close()
