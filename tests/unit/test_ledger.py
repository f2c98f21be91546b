"""The ledger: one row per signal whatever comes twice, one commit for all lanes, one fault for one signal."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from rig import rows as rig
from rig.virtual_clock import START_MS, ManualClock

from config.seams import arm_crash_points
from store import statements as sql
from store.ledger import Ledger
from store.lifecycle import State
from store.records import Move


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock):
    opened = rig.open_ledger(tmp_path, clock)
    yield opened
    opened.close()


def test_only_a_row_that_was_not_there_comes_back_to_be_sent(ledger: Ledger, tmp_path: Path) -> None:
    first = ledger.commit([rig.share(rig.reservation(1), rig.reservation(2))])[0]
    second = ledger.commit([rig.share(rig.reservation(2), rig.reservation(3))])[0]

    assert first.row_ids == [1, 2]
    assert second.row_ids == [None, 3]
    assert (first.duplicates, second.duplicates) == (0, 1)
    assert rig.rows(tmp_path, "execution_id, to_state", "events") == [
        (1, "reserved"),
        (2, "reserved"),
        (3, "reserved"),
    ]


def test_a_key_that_stands_twice_in_one_share_is_one_row_and_one_order(
    ledger: Ledger, tmp_path: Path
) -> None:
    receipt = ledger.commit([rig.share(rig.reservation(1), rig.reservation(1), rig.reservation(1))])[0]

    assert receipt.row_ids == [1, None, None]
    assert (receipt.duplicates, receipt.conflicts) == (2, 0)
    assert len(rig.rows(tmp_path, "id")) == 1
    assert len(rig.rows(tmp_path, "seq", "events")) == 1


@pytest.mark.parametrize("changes", [{"score": 0.1}, {"gating": False}, {"guard_reason": "spread"}])
@pytest.mark.parametrize("together", [True, False])
def test_a_duplicate_that_says_something_else_is_counted_and_the_first_one_stays(
    ledger: Ledger, tmp_path: Path, changes: dict[str, object], together: bool
) -> None:
    one, other = rig.reservation(1), rig.reservation(1, **changes)

    if together:
        receipt = ledger.commit([rig.share(one, other)])[0]
    else:
        ledger.commit([rig.share(one)])
        receipt = ledger.commit([rig.share(other)])[0]

    assert (receipt.duplicates, receipt.conflicts) == (1, 1)
    assert rig.rows(tmp_path, "score, gating, guard_reason") == [(0.9, 1, None)]


def test_the_same_id_and_time_of_two_symbols_are_two_signals(ledger: Ledger, tmp_path: Path) -> None:
    receipts = ledger.commit(
        [rig.share(rig.reservation(1)), rig.share(rig.reservation(1, symbol="ETHUSDT"), symbol="ETHUSDT")]
    )

    assert [receipt.row_ids for receipt in receipts] == [[1], [2]]


def test_ids_that_nobody_gave_may_come_again_at_another_time(ledger: Ledger) -> None:
    receipt = ledger.commit([rig.share(rig.reservation(1), rig.reservation(2, signal_id="id-1"))])[0]

    assert receipt.row_ids == [1, 2]
    assert receipt.reused == []


@pytest.mark.parametrize("where", ["same_share", "other_share", "other_commit"])
def test_a_given_id_at_another_time_is_recorded_as_a_skip_and_never_sent(
    ledger: Ledger, tmp_path: Path, where: str
) -> None:
    first = rig.reservation(1, id_given=True)
    again = rig.reservation(2, id_given=True, signal_id="id-1")
    mate = rig.reservation(3, id_given=True)

    if where == "same_share":
        receipt, index = ledger.commit([rig.share(first, again, mate)])[0], 1
    elif where == "other_share":
        receipt, index = ledger.commit([rig.share(first), rig.share(again, mate)])[1], 0
    else:
        ledger.commit([rig.share(first)])
        receipt, index = ledger.commit([rig.share(again, mate)])[0], 0

    assert receipt.reused == [index]
    assert receipt.row_ids[index] is None
    assert receipt.row_ids[-1] is not None
    assert rig.rows(tmp_path, "signal_ts_ms, signal_id, state, status, side, error_code") == [
        (rig.T0 + 1, "id-1", "reserved", "pending", "long", None),
        (rig.T0 + 2, "id-1", "skipped", "skip", "skip", "id_reused"),
        (rig.T0 + 3, "id-3", "reserved", "pending", "long", None),
    ]


def test_a_reused_id_that_is_read_again_is_an_ordinary_duplicate(ledger: Ledger, tmp_path: Path) -> None:
    shares = rig.share(
        rig.reservation(1, id_given=True),
        rig.reservation(2, id_given=True, signal_id="id-1"),
        rig.reservation(3, id_given=True, signal_id="id-1"),
    )
    first = ledger.commit([shares])[0]
    before = rig.everything(tmp_path)

    second = ledger.commit([shares])[0]

    assert first.reused == [1, 2]
    assert (second.row_ids, second.reused, second.duplicates) == ([None] * 3, [], 3)
    assert rig.everything(tmp_path) == before


def test_the_same_given_id_of_another_symbol_is_not_reused(ledger: Ledger) -> None:
    other = rig.reservation(2, symbol="ETHUSDT", signal_id="id-1", id_given=True)

    receipts = ledger.commit(
        [rig.share(rig.reservation(1, id_given=True)), rig.share(other, symbol="ETHUSDT")]
    )

    assert [receipt.row_ids for receipt in receipts] == [[1], [2]]


def test_a_reused_id_leaves_the_receipts_of_duplicates_beside_it_right(ledger: Ledger) -> None:
    ledger.commit([rig.share(rig.reservation(1, id_given=True))])

    receipt = ledger.commit(
        [
            rig.share(
                rig.reservation(1, id_given=True),
                rig.reservation(2, id_given=True, signal_id="id-1"),
                rig.reservation(4),
                rig.reservation(4, score=0.1),
            )
        ]
    )[0]

    assert receipt.row_ids[:2] == [None, None]
    assert receipt.row_ids[2] is not None
    assert receipt.row_ids[3] is None
    assert (receipt.duplicates, receipt.conflicts, receipt.reused) == (2, 1, [1])


POISONS = {
    "lone_surrogate": {"guard_reason": "\ud800"},
    "lone_surrogate_in_the_order": {"order_json": "\udcff"},
    "integer_beyond_64_bits": {"place_length": 2**63},
    "lone_surrogate_in_the_file_name": {"place_file": "signals-\udcff.jsonl"},
    "lone_surrogate_in_the_side": {"side": "\udcff"},
    "wrong_type": {"qty": b"\xff"},
}


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)
def test_a_row_that_cannot_be_written_fails_alone(ledger: Ledger, tmp_path: Path, poison: dict) -> None:
    lane = rig.share(
        rig.reservation(1), rig.reservation(2, **poison), rig.reservation(3), positions=[rig.position(30)]
    )
    other = rig.share(rig.reservation(4, symbol="ETHUSDT"), symbol="ETHUSDT")

    first, second = ledger.commit([lane, other])

    assert first.row_ids[1] is None
    assert [index for index, _ in first.failed] == [1]
    assert None not in (first.row_ids[0], first.row_ids[2], second.row_ids[0])
    assert rig.rows(tmp_path, "signal_id, state, status, error_code", order="signal_ts_ms") == [
        ("id-1", "reserved", "pending", None),
        ("id-2", "rejected", "failed", "internal_error"),
        ("id-3", "reserved", "pending", None),
        ("id-4", "reserved", "pending", None),
    ]
    assert ledger.positions(rig.SYMBOL, "jsonl") == [rig.position(30)]


def test_a_poisoned_row_that_is_read_again_is_a_duplicate(ledger: Ledger, tmp_path: Path) -> None:
    lane = rig.share(rig.reservation(1, guard_reason="\ud800", id_given=True))
    ledger.commit([lane])
    before = rig.everything(tmp_path)

    ledger.commit([lane])

    assert rig.everything(tmp_path) == before


def test_more_rows_than_one_statement_can_hold_are_one_commit(ledger: Ledger, tmp_path: Path) -> None:
    count = 2 * sql.RESERVATIONS_MAX + 77

    receipt = ledger.commit([rig.share(*(rig.reservation(number) for number in range(count)))])[0]

    assert receipt.row_ids == list(range(1, count + 1))
    assert rig.rows(tmp_path, "commits", "owner") == [(1,)]


def test_the_shares_of_all_lanes_are_one_transaction(ledger: Ledger, tmp_path: Path) -> None:
    shares = [rig.share(rig.reservation(1, symbol=f"S{n}USDT"), symbol=f"S{n}USDT") for n in range(20)]

    ledger.commit(shares)

    assert rig.rows(tmp_path, "commits", "owner") == [(1,)]
    assert len(rig.rows(tmp_path, "id")) == 20


def test_position_rows_dead_letters_and_moves_happen_together_or_not_at_all(
    ledger: Ledger, tmp_path: Path
) -> None:
    [row_id] = ledger.commit([rig.share(rig.reservation(1), positions=[rig.position(10)])])[0].row_ids
    before = rig.everything(tmp_path)
    lane = rig.share(
        rig.reservation(2),
        moves=[rig.filled(row_id)],
        positions=[rig.position(20)],
        dead_letters=[rig.dead_letter()],
        stamps={"start:jsonl:BTCUSDT": "now"},
        projected={"executions": 1},
    )

    def fail(name: str) -> None:
        if name == "in_reserve":
            raise KeyboardInterrupt

    arm_crash_points(fail)
    try:
        with pytest.raises(KeyboardInterrupt):
            ledger.commit([lane, rig.share(rig.reservation(3, symbol="ETHUSDT"), symbol="ETHUSDT")])
    finally:
        arm_crash_points(None)
    untouched = rig.everything(tmp_path)
    ledger.commit([lane])

    assert untouched == before
    assert rig.rows(tmp_path, "state") == [("filled",), ("reserved",)]
    assert ledger.positions(rig.SYMBOL, "jsonl") == [rig.position(20)]


def test_moves_come_before_reservations_so_that_one_cycle_is_one_commit(
    ledger: Ledger, tmp_path: Path
) -> None:
    [row_id] = ledger.commit([rig.share(rig.reservation(1))])[0].row_ids

    ledger.commit([rig.share(rig.reservation(2), moves=[rig.filled(row_id)])])

    assert rig.rows(tmp_path, "execution_id, to_state", "events", "seq") == [
        (1, "reserved"),
        (1, "filled"),
        (2, "reserved"),
    ]


def test_the_time_of_an_outcome_never_decreases_when_the_clock_is_set_back(
    ledger: Ledger, tmp_path: Path, clock: ManualClock
) -> None:
    ledger.commit([rig.share(rig.skip(1))])
    clock.now_ms -= 3_600_000
    ledger.commit([rig.share(rig.skip(2))])
    clock.now_ms += 3_600_001
    ledger.commit([rig.share(rig.skip(3))])

    assert rig.rows(tmp_path, "exec_ts_ms") == [(START_MS,), (START_MS,), (START_MS + 1,)]


def test_the_time_of_an_outcome_does_not_decrease_over_a_restart_either(
    tmp_path: Path, clock: ManualClock
) -> None:
    ledger = rig.open_ledger(tmp_path, clock)
    ledger.commit([rig.share(rig.skip(1), dead_letters=[rig.dead_letter(1)])])
    ledger.close()
    clock.now_ms -= 86_400_000

    ledger = rig.open_ledger(tmp_path, clock)
    ledger.commit([rig.share(rig.skip(2), dead_letters=[rig.dead_letter(2)])])
    ledger.close()

    assert rig.rows(tmp_path, "exec_ts_ms") == [(START_MS,), (START_MS,)]
    assert rig.rows(tmp_path, "ts_ms", "dead_letters") == [(START_MS,), (START_MS,)]


def test_the_high_water_mark_is_the_greatest_time_read_and_knows_nothing_of_other_symbols(
    ledger: Ledger,
) -> None:
    assert ledger.get_high_water_ts(rig.SYMBOL) is None

    ledger.commit([rig.share(rig.skip(5), rig.reservation(3))])
    ledger.commit([rig.share(rig.reservation(4))])

    assert ledger.get_high_water_ts(rig.SYMBOL) == rig.T0 + 5
    assert ledger.last_order_ts_ms(rig.SYMBOL) == rig.T0 + 4
    assert ledger.get_high_water_ts("ETHUSDT") is None
    assert ledger.last_order_ts_ms("ETHUSDT") == 0


def test_a_duplicate_is_no_order_and_starts_no_cooldown(ledger: Ledger) -> None:
    ledger.commit([rig.share(rig.skip(7))])

    ledger.commit([rig.share(rig.reservation(7))])

    assert ledger.last_order_ts_ms(rig.SYMBOL) == 0


def test_a_reused_id_and_a_failed_row_start_no_cooldown(ledger: Ledger) -> None:
    ledger.commit([rig.share(rig.reservation(1, id_given=True))])
    ledger.commit(
        [
            rig.share(
                rig.reservation(5, id_given=True, signal_id="id-1"),
                rig.reservation(6, guard_reason="\ud800"),
            )
        ]
    )

    assert ledger.last_order_ts_ms(rig.SYMBOL) == rig.T0 + 1


def test_source_positions_come_back_as_they_went_in(ledger: Ledger) -> None:
    kept = [
        rig.position(0),
        rig.position(2**62, name="b.jsonl", inode=2**62, detail='{"x":1}', mtime_ns=2**62),
    ]
    ledger.commit(
        [rig.share(positions=[*kept, rig.position(5, symbol="ETHUSDT"), rig.position(6, source="sqlite_v1")])]
    )

    assert ledger.positions(rig.SYMBOL, "jsonl") == kept
    ledger.commit([rig.share(positions=[msgspec.structs.replace(kept[0], offset=9, marker="n")])])
    assert ledger.positions(rig.SYMBOL, "jsonl")[0] == rig.position(9, marker="n")


def test_what_is_unsettled_is_what_has_no_final_outcome_oldest_first(ledger: Ledger) -> None:
    states = [State.UNKNOWN, State.OPEN, State.PARTIAL, State.FILLED, State.CANCELED, State.REJECTED]
    new = [rig.reservation(number, order_json="{}", client_order_id=f"c{number}") for number in range(7)]
    row_ids = ledger.commit([rig.share(*new)])[0].row_ids
    ledger.commit(
        [
            rig.share(
                moves=[
                    Move(row_id=row_id, before=State.RESERVED, after=after)
                    for row_id, after in zip(row_ids, states, strict=False)
                ]
            )
        ]
    )

    found = ledger.unsettled(rig.SYMBOL)

    assert [(row.row_id, row.state) for row in found] == [
        (1, State.UNKNOWN),
        (2, State.OPEN),
        (3, State.PARTIAL),
        (7, State.RESERVED),
    ]
    assert (found[3].client_order_id, found[3].order_json, found[3].reserved_ms) == ("c6", "{}", START_MS)
    assert ledger.unsettled("ETHUSDT") == []
    assert sorted(ledger.unsettled_summary()) == [
        (rig.SYMBOL, state, 1, START_MS)
        for state in (State.OPEN, State.PARTIAL, State.RESERVED, State.UNKNOWN)
    ]
    assert ledger.row_of("c1") == (2, State.OPEN)
    assert ledger.row_of("c9") is None


def test_the_same_malformed_line_is_set_aside_once(ledger: Ledger, tmp_path: Path) -> None:
    one, two = rig.dead_letter(1), rig.dead_letter(2)

    first = ledger.commit([rig.share(dead_letters=[one, one, two])])[0]
    second = ledger.commit([rig.share(dead_letters=[one, rig.dead_letter(1, raw=b"rewritten")])])[0]

    assert (first.dead_letters, second.dead_letters) == (2, 1)
    assert rig.rows(tmp_path, "offset, reason, raw", "dead_letters") == [
        (1, "not_json", one.raw),
        (2, "not_json", two.raw),
        (1, "not_json", b"rewritten"),
    ]


def test_a_move_merges_what_it_knows_into_the_row(ledger: Ledger, tmp_path: Path) -> None:
    new = rig.reservation(1, meta_json='{"mode":"dry_run","attempts":1}', price="7", qty="0.10")
    [row_id] = ledger.commit([rig.share(new)])[0].row_ids

    ledger.commit([rig.share(moves=[rig.filled(row_id, qty="0.1", patch='{"attempts":2,"fee":"0.00"}')])])

    assert rig.rows(tmp_path, "qty, price, meta_json") == [
        ("0.1", "7", '{"mode":"dry_run","attempts":2,"fee":"0.00"}')
    ]
