"""What the ledger can be asked about orders over a wire: exact, cheap, and nothing where nobody can tell."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rig import rows as rig
from rig.virtual_clock import START_MS, ManualClock
from rig.wire_rows import move, reserved, wire

from store import statements
from store.ledger import Ledger
from store.lifecycle import State


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock):
    opened = rig.open_ledger(tmp_path, clock)
    yield opened
    opened.close()


def test_of_many_ids_those_that_have_a_row_are_known(ledger: Ledger) -> None:
    reserved(ledger, *map(wire, range(0, 5_000, 2)))

    known = ledger.known([f"c{number}" for number in range(5_000)])

    assert known == {f"c{number}" for number in range(0, 5_000, 2)}
    assert ledger.known([]) == frozenset()
    assert ledger.known(["c0'); --", 'c"0', "c0"]) == {"c0"}


def test_working_orders_are_those_that_the_venue_has_and_has_not_finished(ledger: Ledger) -> None:
    ids = reserved(ledger, *map(wire, range(4)))
    for row_id, after in zip(ids, (State.OPEN, State.PARTIAL, State.UNKNOWN), strict=False):
        move(ledger, row_id, State.RESERVED, after)

    assert [(row.row_id, row.state) for row in ledger.working(rig.SYMBOL)] == [
        (ids[0], State.OPEN),
        (ids[1], State.PARTIAL),
    ]
    assert ledger.working("ETHUSDT") == []


def test_a_row_that_waits_for_a_decision_is_found_by_either_of_its_ids(ledger: Ledger) -> None:
    ids = reserved(ledger, wire(1), wire(2))
    other = wire(3, symbol="ETHUSDT", signal_id="id-1")
    [other_id] = ledger.commit([rig.share(other, symbol="ETHUSDT")])[0].row_ids
    move(ledger, ids[1], State.RESERVED, State.FILLED, has_fills=True)

    assert [row.row_id for row in ledger.row_by_signal("id-1")] == [ids[0], other_id]
    assert [row.row_id for row in ledger.row_by_signal("c3")] == [other_id]
    assert ledger.row_by_signal("id-2") == []
    assert ledger.row_by_signal("") == []
    assert ledger.symbol_of(other_id) == "ETHUSDT"


def test_sends_are_the_wire_orders_of_all_symbols_in_the_order_of_their_reservation(
    ledger: Ledger, clock: ManualClock
) -> None:
    for number in range(4):
        symbol = f"S{number}USDT"
        ledger.commit(
            [
                rig.share(
                    wire(number, symbol=symbol),
                    rig.reservation(number + 10, symbol=symbol),
                    rig.skip(number + 20, symbol=symbol),
                    symbol=symbol,
                )
            ]
        )
        clock.now_ms += 30_000

    assert ledger.sends_since(START_MS + 1) == [START_MS + 30_000, START_MS + 60_000, START_MS + 90_000]
    assert ledger.sends_since(START_MS + 60_000) == [START_MS + 60_000, START_MS + 90_000]
    assert ledger.orders_in_last_minute(START_MS + 90_000) == 2
    assert ledger.orders_in_last_minute(START_MS + 89_999) == 3


@pytest.mark.parametrize(
    ("after", "changes", "expected"),
    [
        (State.FILLED, {"has_fills": True, "qty": "0.30"}, "0.30"),
        (State.CANCELED, {"has_fills": True, "qty": "0.1"}, "0.1"),
        (State.EXPIRED, {}, "0"),
        (State.PARTIAL, {"has_fills": True, "qty": "0.2"}, "0.2"),
        (State.OPEN, {}, "0"),
        (State.REJECTED, {}, "0"),
    ],
)
def test_the_filled_quantity_is_none_of_the_ordered_one(
    ledger: Ledger, after: State, changes: dict[str, Any], expected: str
) -> None:
    [row_id] = reserved(ledger, wire(1, "5"))
    move(ledger, row_id, State.RESERVED, after, **changes)

    assert str(ledger.filled_of(row_id)) == expected


def test_the_expected_position_is_the_beginning_and_every_fill_on_record(ledger: Ledger) -> None:
    assert ledger.expected_position(rig.SYMBOL) == 0
    ledger.commit([rig.share(stamps={f"baseline:{rig.SYMBOL}": "-0.5", "baseline:ETHUSDT": "9"})])
    first, second = reserved(ledger, wire(1, "1.25"), wire(2, "0.05", "sell"))
    move(ledger, first, State.RESERVED, State.FILLED, has_fills=True, qty="1.25")

    in_flight = ledger.expected_position(rig.SYMBOL)
    but_for_it = ledger.expected_position(rig.SYMBOL, except_ids=["c2"])
    move(ledger, second, State.RESERVED, State.PARTIAL, has_fills=True, qty="0.02")
    partly = ledger.expected_position(rig.SYMBOL, except_ids={"c2"})
    move(ledger, second, State.PARTIAL, State.CANCELED, has_fills=True, qty="0.03")

    assert in_flight is None
    assert but_for_it == Decimal("0.75")
    assert partly == Decimal("0.73")
    assert ledger.expected_position(rig.SYMBOL) == Decimal("0.72")
    assert ledger.expected_position("ETHUSDT") == 9


@pytest.mark.parametrize("state", [State.UNKNOWN, State.OPEN, State.PARTIAL])
def test_nobody_can_tell_the_position_while_another_order_is_in_flight(ledger: Ledger, state: State) -> None:
    first, _ = reserved(ledger, wire(1), wire(2))
    move(ledger, first, State.RESERVED, state)

    assert ledger.expected_position(rig.SYMBOL, except_ids=["c2"]) is None
    if state is State.UNKNOWN:
        move(ledger, first, State.UNKNOWN, State.QUARANTINED)
        assert ledger.expected_position(rig.SYMBOL, except_ids=["c2"]) is None


@pytest.mark.parametrize("baseline", ["", "12,5", "NaN", "Infinity", "ten"])
def test_a_beginning_that_cannot_be_read_is_no_position(ledger: Ledger, baseline: str) -> None:
    ledger.commit([rig.share(stamps={f"baseline:{rig.SYMBOL}": baseline})])

    assert ledger.expected_position(rig.SYMBOL) is None


def test_a_filled_quantity_that_is_no_number_makes_the_position_unknown_for_good(ledger: Ledger) -> None:
    first, second = reserved(ledger, wire(1), wire(2))
    move(ledger, first, State.RESERVED, State.FILLED, has_fills=True, qty="NaN")
    move(ledger, second, State.RESERVED, State.FILLED, has_fills=True, qty="1")

    assert ledger.holding(rig.SYMBOL).is_nan()
    assert ledger.expected_position(rig.SYMBOL) is None
    assert ledger.holding("ETHUSDT") == 0


READS = {
    "SENDS": "executions_wire_time",
    "COUNT_SENDS": "executions_wire_time",
    "KNOWN": "executions_client_order_id",
    "UNSETTLED": "executions_unsettled",
    "UNSETTLED_BY_ID": "executions_unsettled",
    "IN_FLIGHT": "executions_unsettled",
}


@pytest.mark.parametrize("name", READS)
def test_no_read_of_a_running_worker_scans_the_table(ledger: Ledger, name: str) -> None:
    plan = ledger._connection.execute(f"EXPLAIN QUERY PLAN {getattr(statements, name)}", ("1",)).fetchall()

    about = [row[3] for row in plan if "executions" in row[3]]
    assert about
    assert all(READS[name] in line for line in about), about
