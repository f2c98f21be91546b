"""The life of an execution: every legal move works, every other one is refused and changes nothing."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from rig import rows as rig
from rig.virtual_clock import ManualClock

from store.ledger import Ledger
from store.lifecycle import (
    BIRTH_STATES,
    LATE_FILL_STATES,
    MOVES,
    TERMINAL_STATES,
    State,
    may_move,
    status_of,
)
from store.records import Move

# The table of the design, written out a second time on purpose.
DESIGN = {
    "reserved": "reserved open partial filled canceled expired rejected unknown skipped",
    "unknown": "open partial filled canceled expired rejected reserved skipped quarantined",
    "open": "partial filled canceled expired quarantined",
    "partial": "partial filled canceled expired quarantined",
    "quarantined": "filled canceled expired rejected skipped",
    "filled": "",
    "canceled": "",
    "expired": "",
    "rejected": "",
    "skipped": "",
}
# A way from birth to each state, by legal moves.
PATHS: dict[State, tuple[State, ...]] = {
    State.RESERVED: (),
    State.UNKNOWN: (State.UNKNOWN,),
    State.OPEN: (State.OPEN,),
    State.PARTIAL: (State.PARTIAL,),
    State.FILLED: (State.FILLED,),
    State.CANCELED: (State.CANCELED,),
    State.EXPIRED: (State.EXPIRED,),
    State.REJECTED: (State.REJECTED,),
    State.SKIPPED: (State.SKIPPED,),
    State.QUARANTINED: (State.UNKNOWN, State.QUARANTINED),
}
PAIRS = list(itertools.product(State, State))
LEGAL = [pair for pair in PAIRS if pair[1].value in DESIGN[pair[0].value].split()]
ILLEGAL = [pair for pair in PAIRS if pair not in LEGAL]


def test_the_table_is_the_one_of_the_design() -> None:
    assert {before.value: {after.value for after in following} for before, following in MOVES.items()} == {
        before: set(following.split()) for before, following in DESIGN.items()
    }
    assert {pair for pair in PAIRS if may_move(*pair)} == set(LEGAL)


def test_what_is_terminal_leads_nowhere_and_only_a_filled_row_can_have_no_late_fill() -> None:
    assert {state for state, following in DESIGN.items() if not following} == TERMINAL_STATES
    assert {State.FILLED} == TERMINAL_STATES - LATE_FILL_STATES
    assert {State.RESERVED, State.SKIPPED, State.REJECTED} == BIRTH_STATES


def bring_to(ledger: Ledger, state: State, number: int) -> int:
    """A row in `state`, over legal moves alone; its id."""
    [row_id] = ledger.commit([rig.share(rig.reservation(number))])[0].row_ids
    assert row_id is not None
    before = State.RESERVED
    for after in PATHS[state]:
        receipt = ledger.commit([rig.share(moves=[Move(row_id=row_id, before=before, after=after)])])[0]
        assert receipt.refused == []
        before = after
    return row_id


def test_every_legal_move_is_made_with_its_event_and_every_illegal_one_changes_nothing(
    tmp_path: Path,
) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    for number, (before, after) in enumerate(LEGAL):
        row_id = bring_to(ledger, before, number)
        receipt = ledger.commit([rig.share(moves=[Move(row_id=row_id, before=before, after=after)])])[0]
        assert receipt.refused == []
        [*_, (last_from, last_to, final)] = rig.rows(
            tmp_path, "from_state, to_state, final", f"events WHERE execution_id = {row_id}", "seq"
        )
        assert (last_from, last_to, final) == (before, after, int(after in TERMINAL_STATES))
        assert rig.rows(tmp_path, "state, status", f"executions WHERE id = {row_id}") == [
            (after, status_of(after, has_fills=before is State.PARTIAL))
        ]
    for number, (before, after) in enumerate(ILLEGAL, start=1_000):
        row_id = bring_to(ledger, before, number)
        untouched = rig.everything(tmp_path)
        move = Move(
            row_id=row_id, before=before, after=after, qty="1", price="2", reason="no", patch='{"x": 1}'
        )
        receipt = ledger.commit([rig.share(moves=[move])])[0]
        assert [refused for refused, _ in receipt.refused] == [move]
        assert rig.everything(tmp_path) == untouched, (before, after)
    ledger.close()


def test_a_legal_move_of_a_row_that_is_elsewhere_changes_nothing(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    row_id = bring_to(ledger, State.OPEN, 0)
    untouched = rig.everything(tmp_path)

    for before, after in LEGAL:
        if before is not State.OPEN:
            move = Move(row_id=row_id, before=before, after=after)
            assert ledger.commit([rig.share(moves=[move])])[0].refused == [
                (move, f"row {row_id} is not in state {before}")
            ]
    missing = Move(row_id=row_id + 1, before=State.OPEN, after=State.FILLED)
    assert ledger.commit([rig.share(moves=[missing])])[0].refused != []

    assert rig.everything(tmp_path) == untouched
    ledger.close()


def test_a_refused_move_does_not_take_the_legal_ones_beside_it_along(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    first, second = bring_to(ledger, State.FILLED, 0), bring_to(ledger, State.OPEN, 1)
    illegal = Move(row_id=first, before=State.FILLED, after=State.REJECTED)

    receipt = ledger.commit([rig.share(moves=[illegal, rig.filled(second, State.OPEN)])])[0]

    assert [move for move, _ in receipt.refused] == [illegal]
    assert rig.rows(tmp_path, "state") == [("filled",), ("filled",)]
    ledger.close()


@pytest.mark.parametrize("state", sorted(set(State) - BIRTH_STATES))
def test_no_row_is_born_in_the_middle_of_its_life(tmp_path: Path, state: State) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())

    with pytest.raises(AssertionError):
        ledger.commit([rig.share(rig.reservation(0, state=state))])

    assert rig.rows(tmp_path, "id") == []
    ledger.close()


@pytest.mark.parametrize(
    ("state", "without_fills", "with_fills"),
    [
        ("reserved", "pending", "pending"),
        ("unknown", "retry", "retry"),
        ("open", "pending", "pending"),
        ("partial", "pending", "pending"),
        ("filled", "success", "success"),
        ("canceled", "failed", "success"),
        ("expired", "failed", "success"),
        ("rejected", "failed", "failed"),
        ("skipped", "skip", "skip"),
        ("quarantined", "retry", "retry"),
    ],
)
def test_the_contracts_word_for_each_state(state: str, without_fills: str, with_fills: str) -> None:
    assert status_of(State(state), has_fills=False) == without_fills
    assert status_of(State(state), has_fills=True) == with_fills


def test_a_row_that_is_skipped_after_all_has_neither_side_nor_order_id(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    new = rig.reservation(0, order_id="dryrun:id-0")
    [row_id] = ledger.commit([rig.share(new)])[0].row_ids

    ledger.commit([rig.share(moves=[Move(row_id=row_id, before=State.RESERVED, after=State.SKIPPED)])])

    assert rig.rows(tmp_path, "side, order_id, status") == [("skip", None, "skip")]
    ledger.close()


def test_a_failed_row_keeps_its_side(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    new = rig.reservation(0, order_id="dryrun:id-0", side="short")
    [row_id] = ledger.commit([rig.share(new)])[0].row_ids

    ledger.commit([rig.share(moves=[Move(row_id=row_id, before=State.RESERVED, after=State.REJECTED)])])

    assert rig.rows(tmp_path, "side, order_id, status") == [("short", "dryrun:id-0", "failed")]
    ledger.close()
