"""Holdings: after any history they are what a recount over the table says, to the last digit."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig import rows as rig
from rig.disk import FailingConnection
from rig.virtual_clock import ManualClock
from rig.wire_rows import late, reserve, reserved, wire

from store.errors import StoreWriteError
from store.lifecycle import LATE_FILL_STATES, MOVES, State
from store.records import Move, Reservation

SYMBOLS = ("BTCUSDT", "ETHUSDT")


def recount(folder: Path) -> dict[str, Decimal]:
    """The sums over the table, by other means than the store's."""
    totals: dict[str, Decimal] = {}
    columns = "symbol, state, status, qty, order_json"
    final = "executions WHERE exec_ts_ms IS NOT NULL AND client_order_id IS NOT NULL"
    with localcontext() as context:
        context.prec = 500
        for symbol, state, status, qty, order_json in rig.rows(folder, columns, final):
            if state == "filled" or (state in ("canceled", "expired") and status == "success"):
                sign = 1 if msgspec.json.decode(order_json)["side"] == "buy" else -1
                totals[symbol] = totals.get(symbol, Decimal(0)) + sign * Decimal(qty)
    return totals


quantities = st.one_of(
    st.decimals("0.00000001", "1000", places=8),
    st.sampled_from([Decimal("1E-30"), Decimal("79228162514264337593543950335.1"), Decimal("0E-8")]),
)
new_orders = st.tuples(
    st.just("new"), st.sampled_from(SYMBOLS), st.sampled_from(["buy", "sell"]), quantities, st.booleans()
)
steps = st.tuples(
    st.just("step"), st.integers(0, 60), st.sampled_from(sorted(State)), quantities, st.booleans()
)


def order(number: int, symbol: str, side: str, qty: Decimal, *, over_a_wire: bool) -> Reservation:
    """A row of either kind."""
    without = {} if over_a_wire else {"client_order_id": None}
    return wire(number, str(qty), side, symbol=symbol, **without)


@given(history=st.lists(st.one_of(new_orders, steps, steps), max_size=50))
def test_holdings_are_what_a_recount_over_the_table_says(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[Any, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    ledger = rig.open_ledger(folder, ManualClock())
    states: dict[int, State] = {}

    for number, (kind, where, what, qty, flag) in enumerate(history):
        if kind == "new":
            [row_id] = reserve(ledger, order(number, where, what, qty, over_a_wire=flag)).row_ids
            assert row_id is not None
            states[row_id] = State.RESERVED
            continue
        if not states:
            continue
        row_id = sorted(states)[where % len(states)]
        before, after = states[row_id], State(what)
        is_late = before in LATE_FILL_STATES and after is State.FILLED
        move = Move(
            row_id=row_id,
            before=before,
            after=after,
            has_fills=flag,
            qty=str(qty) if flag or after in (State.FILLED, State.PARTIAL) else None,
            late=is_late,
        )
        refused = ledger.commit([rig.share(moves=[move])])[0].refused
        assert bool(refused) == (not is_late and after not in MOVES[before])
        if not refused:
            states[row_id] = after

    totals = recount(folder)
    assert {symbol: ledger.holding(symbol) for symbol in SYMBOLS} == {
        symbol: totals.get(symbol, 0) for symbol in SYMBOLS
    }
    ledger.close()


def test_many_orders_that_end_in_one_commit_are_added_up(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    ids = reserved(
        ledger, *(wire(number, "0.1", "sell" if number % 4 == 0 else "buy") for number in range(2_000))
    )
    other = reserved(ledger, wire(1, "7", symbol="ETHUSDT", client_order_id="e1"))

    moves = [rig.filled(row_id, qty="0.1") for row_id in ids]
    ledger.commit([rig.share(moves=[*moves, rig.filled(other[0], qty="7")])])

    assert ledger.holding("BTCUSDT") == Decimal("100.0")
    assert ledger.holding("ETHUSDT") == 7
    ledger.close()


def test_a_partly_filled_order_that_is_canceled_without_a_word_of_fills_keeps_them(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    [row_id] = reserved(ledger, wire(1, "5"))
    partial = Move(row_id, State.RESERVED, State.PARTIAL, None, True, "2")

    ledger.commit([rig.share(moves=[partial, Move(row_id, State.PARTIAL, State.CANCELED)])])

    assert ledger.holding(rig.SYMBOL) == 2
    assert rig.rows(tmp_path, "status, qty") == [("success", "2")]
    ledger.close()


def test_a_fill_on_top_of_the_fills_of_a_canceled_order_adds_the_difference(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    [row_id] = reserved(ledger, wire(1, "5", "sell"))
    canceled = Move(row_id, State.RESERVED, State.CANCELED, None, True, "2")
    ledger.commit([rig.share(moves=[canceled])])

    ledger.commit([rig.share(moves=[late(row_id, State.CANCELED, qty="3.5")])])

    assert ledger.holding(rig.SYMBOL) == Decimal("-3.5")
    ledger.close()


def test_orders_without_a_wire_are_no_holding(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    ids = reserved(ledger, *(rig.reservation(number) for number in range(100)))

    ledger.commit([rig.share(moves=[rig.filled(row_id) for row_id in ids])])

    assert rig.rows(tmp_path, "*", "holdings") == []
    ledger.close()


def test_a_fill_whose_commit_fails_is_added_once_when_it_is_tried_again(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    [row_id] = reserved(ledger, wire(1))
    share = rig.share(moves=[rig.filled(row_id, qty="1")])
    ledger._connection = FailingConnection(ledger._connection, happens=False, code=sqlite3.SQLITE_IOERR_WRITE)

    with pytest.raises(StoreWriteError):
        ledger.commit([share])
    before = ledger.holding(rig.SYMBOL)
    ledger.commit([share])

    assert (before, ledger.holding(rig.SYMBOL)) == (0, 1)
    ledger.close()


def test_a_holding_survives_a_restart_and_a_share_with_a_fault_in_it(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    [row_id] = reserved(ledger, wire(1))
    with closing(ledger):
        poisoned = rig.reservation(2, guard_reason="\ud800")
        ledger.commit([rig.share(poisoned, moves=[rig.filled(row_id, qty="0.25")])])

    ledger = rig.open_ledger(tmp_path, ManualClock())

    assert ledger.holding(rig.SYMBOL) == Decimal("0.25")
    ledger.close()


def test_sums_keep_digits_that_python_would_round_away(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    large, small = "79228162514264337593543950335.1", "0.000000000000000000000000000001"
    ids = reserved(ledger, wire(1, large), wire(2, small), wire(3, large, "sell"))

    for row_id, qty in zip(ids, (large, small, large), strict=True):
        ledger.commit([rig.share(moves=[rig.filled(row_id, qty=qty)])])

    assert ledger.holding(rig.SYMBOL) == Decimal(small)
    assert ledger.expected_position(rig.SYMBOL) == Decimal(small)
    ledger.close()
