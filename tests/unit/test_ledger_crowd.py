"""Many moves in one share: those that are alike go in one statement, and nobody can tell from the store."""

from __future__ import annotations

from pathlib import Path

from rig import rows as rig
from rig.virtual_clock import ManualClock

from store import statements as sql
from store.lifecycle import State
from store.records import Move

CROWD = 3 * sql.ALIKE_MIN


def _move(row_id: int) -> Move:
    """Every third order is rejected, one has a price of its own, all others are filled alike."""
    if row_id % 3 == 0:
        return Move(
            row_id=row_id, before=State.RESERVED, after=State.REJECTED, error_code="no", error_msg="nay"
        )
    price = "7.50" if row_id == 2 else None
    return rig.filled(row_id, qty="3", price=price, patch='{"attempts":1}')


def _outcome(row_id: int) -> tuple[int, str, str, str, str | None, str | None, str]:
    if row_id % 3 == 0:
        return (row_id, "rejected", "failed", "1", None, "no", "{}")
    return (row_id, "filled", "success", "3", "7.50" if row_id == 2 else None, None, '{"attempts":1}')


def test_a_crowd_of_moves_ends_as_each_would_alone_and_is_told_in_order(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    ids = list(range(1, CROWD + 1))
    ledger.commit([rig.share(*(rig.reservation(number, qty="1", price=None) for number in ids))])

    receipt = ledger.commit([rig.share(moves=[_move(row_id) for row_id in ids])])[0]
    ledger.close()

    columns = "id, state, status, qty, price, error_code, meta_json"
    assert receipt.refused == []
    assert rig.rows(tmp_path, columns) == [_outcome(row_id) for row_id in ids]
    told = rig.rows(tmp_path, "execution_id, from_state, final", "events")[CROWD:]
    assert told == [(row_id, "reserved", 1) for row_id in ids]


def test_of_a_crowd_only_the_rows_in_another_state_are_refused(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    ids = list(range(1, CROWD + 1))
    ledger.commit([rig.share(*(rig.reservation(number) for number in ids))])
    ledger.commit([rig.share(moves=[rig.filled(5)])])
    crowd = [rig.filled(row_id) for row_id in [*ids, CROWD + 1]]

    receipt = ledger.commit([rig.share(moves=crowd)])[0]
    ledger.close()

    assert [(move.row_id, why) for move, why in receipt.refused] == [
        (5, "row 5 is not in state reserved"),
        (CROWD + 1, f"row {CROWD + 1} is not in state reserved"),
    ]
    assert rig.rows(tmp_path, "state, count(*)", "executions GROUP BY state") == [("filled", CROWD)]
    told = [row[0] for row in rig.rows(tmp_path, "execution_id", "events")[CROWD:]]
    assert told == [5, *(row_id for row_id in ids if row_id != 5)]
