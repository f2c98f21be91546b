"""Late fills: the row is put right, the line stays as it was, and nothing else leaves a final state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rig import rows as rig
from rig.outputs import Outputs, files
from rig.virtual_clock import START_MS, ManualClock
from rig.wire_rows import late, move, reserve, reserved, wire

from store.ledger import Ledger
from store.lifecycle import LATE_FILL_STATES, State
from store.records import Move

HOUR = "BTCUSDT/exec_20231114_22.jsonl"
ENDS = {
    State.REJECTED: {"error_code": "invalid_quantity"},
    State.SKIPPED: {"error_code": "expired"},
    State.CANCELED: {"has_fills": True, "qty": "0.2"},
    State.EXPIRED: {},
}


def ended(ledger: Ledger, state: State, number: int = 1) -> int:
    """A row that ended in `state`."""
    [row_id] = reserved(ledger, wire(number, meta_json='{"mode":"testnet"}'))
    move(ledger, row_id, State.RESERVED, state, **ENDS[state])
    return row_id


@pytest.mark.parametrize("state", sorted(LATE_FILL_STATES))
def test_a_late_fill_puts_the_row_right_and_leaves_the_moment_of_its_outcome(
    tmp_path: Path, state: State
) -> None:
    clock = ManualClock()
    ledger = rig.open_ledger(tmp_path, clock)
    row_id = ended(ledger, state)
    clock.now_ms += 5_000

    fill = late(row_id, state, qty="0.50", price="9.9", patch='{"fee":"0.01"}', reason="seen in the trades")
    receipt = ledger.commit([rig.share(moves=[fill])])[0]

    assert receipt.refused == []
    assert rig.rows(tmp_path, "state, status, side, order_id, qty, price, meta_json, exec_ts_ms") == [
        ("filled", "success", "long", "c1", "0.50", "9.9", '{"mode":"testnet","fee":"0.01"}', START_MS)
    ]
    assert rig.rows(tmp_path, "from_state, to_state, final, at_ms, reason", "events")[-1] == (
        state,
        "filled",
        0,
        START_MS + 5_000,
        "seen in the trades",
    )
    assert ledger.unsettled(rig.SYMBOL) == []
    assert str(ledger.holding(rig.SYMBOL)) == "0.50"
    ledger.close()


async def test_the_lines_stay_byte_for_byte_what_they_were_also_when_the_files_are_written_anew(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    async with Outputs(tmp_path, clock, with_skipped=True) as outputs:
        ids = {state: ended(outputs.ledger, state, number) for number, state in enumerate(ENDS)}
        await outputs.skips(9)
        await outputs.drain()
        written = files(tmp_path)
        clock.now_ms += 3_600_000
        moves = [late(row_id, state, qty="0.5") for state, row_id in ids.items()]
        [receipt] = await outputs.commit(rig.share(moves=moves))
        await outputs.drain()
        after = files(tmp_path)
        for name in written:
            (tmp_path / name).unlink()
    async with Outputs(tmp_path, clock, with_skipped=True) as outputs:
        await outputs.drain()

    assert receipt.refused == []
    assert written[HOUR].count(b"\n") == 5
    assert written["skipped_signals.jsonl"].count(b"\n") == 2
    assert after == written
    assert files(tmp_path) == written


async def test_a_late_fill_before_the_line_was_written_makes_no_other_line(tmp_path: Path) -> None:
    lines = []
    for name, is_filled in (("plain", False), ("filled", True)):
        async with Outputs(tmp_path / name, ManualClock(), with_skipped=True) as outputs:
            row_id = ended(outputs.ledger, State.SKIPPED)
            if is_filled:
                await outputs.commit(rig.share(moves=[late(row_id, State.SKIPPED, qty="1")]))
            await outputs.drain()
        lines.append(files(tmp_path / name))

    assert lines[0] == lines[1]
    assert len(lines[0]) == 2


@pytest.mark.parametrize("together", [True, False])
def test_a_second_late_fill_is_refused_and_changes_nothing(tmp_path: Path, together: bool) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    row_id = ended(ledger, State.EXPIRED)
    first, second = late(row_id, State.EXPIRED, qty="0.5"), late(row_id, State.EXPIRED, qty="0.7")

    if together:
        receipt = ledger.commit([rig.share(moves=[first, second])])[0]
    else:
        ledger.commit([rig.share(moves=[first])])
        before = rig.everything(tmp_path)
        receipt = ledger.commit([rig.share(moves=[second, late(row_id, State.FILLED, qty="0.7")])])[0]
        assert rig.everything(tmp_path) == before

    assert receipt.refused[0] == (second, f"row {row_id} is not in state expired")
    assert rig.rows(tmp_path, "qty, state") == [("0.5", "filled")]
    assert str(ledger.holding(rig.SYMBOL)) == "0.5"
    ledger.close()


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_nothing_else_passes_as_a_late_fill(tmp_path: Path, before: State, after: State) -> None:
    if before in LATE_FILL_STATES and after is State.FILLED:
        return
    ledger = rig.open_ledger(tmp_path, ManualClock())
    [row_id] = reserved(ledger, wire(1))
    if before in ENDS:
        move(ledger, row_id, State.RESERVED, before, **ENDS[before])
    elif before in (State.OPEN, State.PARTIAL, State.UNKNOWN, State.FILLED):
        move(ledger, row_id, State.RESERVED, before)
    untouched = rig.everything(tmp_path)

    wrong = Move(row_id=row_id, before=before, after=after, late=True, qty="2", patch='{"x":1}')
    receipt = ledger.commit([rig.share(moves=[wrong])])[0]

    assert [move for move, _ in receipt.refused] == [wrong]
    assert rig.everything(tmp_path) == untouched
    ledger.close()


@pytest.mark.parametrize("state", sorted(LATE_FILL_STATES))
def test_without_the_mark_a_final_row_stays_as_it_is(tmp_path: Path, state: State) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    row_id = ended(ledger, state)
    untouched = rig.everything(tmp_path)

    receipt = ledger.commit([rig.share(moves=[rig.filled(row_id, state, qty="1")])])[0]

    assert len(receipt.refused) == 1
    assert rig.everything(tmp_path) == untouched
    ledger.close()


def test_other_moves_of_the_same_commit_are_made(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    over = ended(ledger, State.REJECTED, 1)
    [row_id] = reserved(ledger, wire(2, "3", "sell"))

    moves = [late(over, State.REJECTED, qty="1"), rig.filled(row_id, qty="3")]
    receipt = ledger.commit([rig.share(wire(3), moves=moves)])[0]

    assert (receipt.refused, receipt.row_ids) == ([], [3])
    assert rig.rows(tmp_path, "state") == [("filled",), ("filled",), ("reserved",)]
    assert ledger.holding(rig.SYMBOL) == -2
    ledger.close()


WINDOWS = {"not sent": State.RESERVED, "proven absent": State.UNKNOWN}


@pytest.mark.parametrize("reason", WINDOWS)
def test_an_order_that_was_provably_not_taken_gets_a_new_window_in_its_row(
    tmp_path: Path, reason: str
) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    before = WINDOWS[reason]
    [row_id] = reserved(ledger, wire(1, order_json='{"send_before_ms":1}'))
    if before is State.UNKNOWN:
        move(ledger, row_id, State.RESERVED, before)

    move(ledger, row_id, before, State.RESERVED, order_json='{"send_before_ms":2}', reason=reason)
    move(ledger, row_id, State.RESERVED, State.UNKNOWN)

    columns = "state, order_json, qty, price, client_order_id, reserved_ms, exec_ts_ms"
    assert rig.rows(tmp_path, columns) == [
        ("unknown", '{"send_before_ms":2}', "1.0", "10", "c1", START_MS, None)
    ]
    events = rig.rows(tmp_path, "from_state, to_state, final, reason", "events")
    assert (before, "reserved", 0, reason) in events
    ledger.close()


def test_a_crowd_of_orders_keeps_each_its_own_window(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    ids = reserve(ledger, *map(wire, range(100))).row_ids
    windows = {row_id: f'{{"n":{number % 3}}}' for number, row_id in enumerate(ids) if number % 5}
    steps: dict[str, Any] = {"before": State.RESERVED, "after": State.RESERVED}

    moves = [Move(row_id=row_id or 0, order_json=windows.get(row_id), **steps) for row_id in ids]
    receipt = ledger.commit([rig.share(moves=moves)])[0]

    assert receipt.refused == []
    expected = [windows.get(row_id, '{"side":"buy","qty":"1.0"}') for row_id in ids]
    assert [row[0] for row in rig.rows(tmp_path, "order_json")] == expected
    ledger.close()
