"""The ledger when the store fails: nothing half written, nothing doubled, and closed when in doubt."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from rig import rows as rig
from rig.disk import FailingConnection, small_disk
from rig.virtual_clock import ManualClock

from store.errors import FencedError, StoreDamagedError, StoreError, StoreReplacedError, StoreWriteError
from store.ledger import Ledger
from store.lifecycle import State
from store.records import Move


@pytest.fixture
def ledger(tmp_path: Path):
    opened = rig.open_ledger(tmp_path / "store", ManualClock())
    yield opened
    opened._connection.close()
    rig.store_of(opened).lock.release()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def held(ledger: Ledger) -> list[tuple[object, ...]]:
    """The rows that the open connection still sees, wherever its file has gone."""
    return ledger._connection.execute("SELECT signal_id FROM executions ORDER BY id").fetchall()


def test_a_worker_that_was_overtaken_writes_nothing_any_more(tmp_path: Path) -> None:
    old = rig.open_ledger(tmp_path, ManualClock())
    old.commit([rig.share(rig.reservation(1))])
    rig.store_of(old).lock.release()
    new = rig.open_ledger(tmp_path, ManualClock())
    new.commit([rig.share(rig.reservation(2))])
    before = rig.everything(tmp_path)

    with pytest.raises(FencedError, match="taken over by a newer worker") as caught:
        old.commit([rig.share(rig.reservation(3))])
    untouched = rig.everything(tmp_path)
    new.commit([rig.share(rig.reservation(3))])

    assert caught.value.exit_code == 75
    assert untouched == before
    assert rig.rows(tmp_path, "signal_id") == [("id-1",), ("id-2",), ("id-3",)]
    old._connection.close()
    new.close()


@pytest.mark.parametrize("victim", ["executions.db", "executions.db-wal", "."])
@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_store_that_was_removed_or_replaced_is_noticed_before_anything_is_written(
    ledger: Ledger, folder: Path, tmp_path: Path, victim: str, how: str
) -> None:
    ledger.commit([rig.share(rig.reservation(1))])
    path = folder / victim
    moved = tmp_path / "moved"
    if path.is_dir():
        folder.rename(moved)
        if how == "replaced":
            shutil.copytree(moved, folder)
    else:
        path.rename(moved)
        if how == "replaced":
            shutil.copy(moved, path)
    assert not ledger.intact()

    with pytest.raises(StoreReplacedError) as caught:
        ledger.commit([rig.share(rig.reservation(2))])

    assert caught.value.exit_code == 73
    assert str(folder) in str(caught.value)
    assert held(ledger) == [("id-1",)]


def test_a_full_disk_refuses_the_commit_whole_and_takes_it_later_once(ledger: Ledger, folder: Path) -> None:
    ledger.commit([rig.share(rig.reservation(0), positions=[rig.position(1)])])
    before = rig.everything(folder)
    pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
    ledger._connection.execute(f"PRAGMA max_page_count={pages}")
    big = rig.share(
        *(rig.reservation(number, meta_json='{"x":"' + "y" * 500 + '"}') for number in range(1, 200)),
        positions=[rig.position(2)],
    )
    other = rig.share(rig.reservation(1, symbol="ETHUSDT"), symbol="ETHUSDT")

    for _ in range(3):
        with pytest.raises(StoreWriteError, match="full") as caught:
            ledger.commit([other, big])
    untouched = rig.everything(folder)
    ledger._connection.execute("PRAGMA max_page_count=1000000")
    receipts = ledger.commit([other, big])

    assert caught.value.exit_code == 73
    assert untouched == before
    assert None not in receipts[1].row_ids
    assert len(rig.rows(folder, "id")) == 201
    assert len(rig.rows(folder, "seq", "events")) == 201
    assert ledger.positions(rig.SYMBOL, "jsonl") == [rig.position(2)]


def test_a_really_full_disk_refuses_the_commit_whole_and_takes_it_later_once(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        folder = disk.path / "store"
        ledger = rig.open_ledger(folder, ManualClock())
        ledger.commit([rig.share(rig.reservation(0))])
        ballast = disk.fill()
        lanes = [rig.share(*(rig.reservation(number) for number in range(1, 600)))]

        for _ in range(3):
            with pytest.raises(StoreWriteError):
                ledger.commit(lanes)
        untouched = rig.rows(folder, "signal_id")
        ballast.unlink()
        receipt = ledger.commit(lanes)[0]

        assert untouched == [("id-0",)]
        assert None not in receipt.row_ids
        assert len(rig.rows(folder, "seq", "events")) == 600
        ledger.close()


def test_a_store_that_turns_read_only_is_waited_for(ledger: Ledger, folder: Path) -> None:
    ledger._connection.execute("PRAGMA query_only=ON")

    with pytest.raises(StoreWriteError, match="readonly"):
        ledger.commit([rig.share(rig.reservation(1))])
    untouched = rig.rows(folder, "id")
    ledger._connection.execute("PRAGMA query_only=OFF")
    receipt = ledger.commit([rig.share(rig.reservation(1))])[0]

    assert untouched == []
    assert receipt.row_ids == [1]


def test_a_store_that_another_program_locks_is_waited_for(ledger: Ledger, folder: Path) -> None:
    ledger._connection.execute("PRAGMA busy_timeout=10")
    other = sqlite3.connect(folder / "executions.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreWriteError, match="locked"):
        ledger.commit([rig.share(rig.reservation(1))])
    other.execute("ROLLBACK")
    other.close()

    assert ledger.commit([rig.share(rig.reservation(1))])[0].row_ids == [1]


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_CORRUPT])
def test_a_commit_that_failed_after_it_happened_is_answered_as_done(
    ledger: Ledger, folder: Path, code: int
) -> None:
    ledger.commit([rig.share(rig.reservation(1))])
    ledger._connection = FailingConnection(ledger._connection, happens=True, code=code)

    receipt = ledger.commit([rig.share(rig.reservation(2), rig.reservation(1))])[0]
    again = ledger.commit([rig.share(rig.reservation(3))])[0]

    assert receipt.row_ids == [2, None]
    assert again.row_ids == [3]
    assert ledger.intact()
    assert rig.rows(folder, "signal_id") == [("id-1",), ("id-2",), ("id-3",)]


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_WRITE])
def test_a_commit_that_failed_before_it_happened_may_be_tried_again(
    ledger: Ledger, folder: Path, code: int
) -> None:
    ledger.commit([rig.share(rig.reservation(1))])
    ledger._connection = FailingConnection(ledger._connection, happens=False, code=code)

    with pytest.raises(StoreWriteError):
        ledger.commit([rig.share(rig.reservation(2))])
    untouched = rig.rows(folder, "signal_id")
    receipt = ledger.commit([rig.share(rig.reservation(2))])[0]

    assert untouched == [("id-1",)]
    assert receipt.row_ids == [2]
    assert ledger.intact()


def test_no_room_for_the_index_of_the_wal_is_a_full_disk_and_no_damage(ledger: Ledger) -> None:
    whole = ledger._connection
    ledger._connection = FailingConnection(whole, happens=False, code=sqlite3.SQLITE_IOERR_SHMSIZE)

    for _ in range(3):
        with pytest.raises(StoreWriteError):
            ledger.commit([rig.share(rig.reservation(1))])
    ledger._connection = whole

    assert ledger.commit([rig.share(rig.reservation(1))])[0].row_ids == [1]


def test_a_second_io_error_in_a_row_stops_the_worker_and_one_now_and_then_does_not(
    ledger: Ledger, folder: Path
) -> None:
    def fail_next() -> None:
        ledger._connection = FailingConnection(
            ledger._connection, happens=False, code=sqlite3.SQLITE_IOERR_FSYNC
        )

    for number in range(3):
        fail_next()
        with pytest.raises(StoreWriteError):
            ledger.commit([rig.share(rig.reservation(number))])
        ledger.commit([rig.share(rig.reservation(number))])
    fail_next()
    with pytest.raises(StoreWriteError):
        ledger.commit([rig.share(rig.reservation(9))])
    fail_next()
    with pytest.raises(StoreError, match="2 times in a row") as caught:
        ledger.commit([rig.share(rig.reservation(9))])

    assert not isinstance(caught.value, StoreWriteError)
    assert caught.value.exit_code == 73
    assert rig.rows(folder, "signal_id") == [("id-0",), ("id-1",), ("id-2",)]


def test_an_error_after_which_the_store_is_corrupt_stops_the_worker(ledger: Ledger, folder: Path) -> None:
    ledger.commit([rig.share(*(rig.reservation(number) for number in range(500)))])
    ledger._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(folder / "executions.db", "r+b") as file:
        file.seek(4_096 * 3)
        file.write(b"\xff" * 4_096 * 4)
    ledger._connection = FailingConnection(ledger._connection, happens=False, code=sqlite3.SQLITE_IOERR_READ)

    with pytest.raises(StoreDamagedError, match="backup") as caught:
        ledger.commit([rig.share(rig.reservation(1_000))])

    assert caught.value.exit_code == 65


def test_a_worker_that_was_overtaken_during_an_error_is_fenced(ledger: Ledger) -> None:
    ledger._connection.execute("UPDATE owner SET epoch = epoch + 1")
    ledger._connection = FailingConnection(ledger._connection, happens=False, code=sqlite3.SQLITE_IOERR)

    with pytest.raises(FencedError):
        ledger.commit([rig.share(rig.reservation(1))])


POISONED_PARTS = {
    "move": {"moves": [Move(row_id=1, before=State.RESERVED, after=State.REJECTED, error_msg="\ud800")]},
    "position": {"positions": [rig.position(1, name="signals-\udcff.jsonl")]},
    "dead_letter": {"dead_letters": [rig.dead_letter(1, file="signals-\udcff.jsonl")]},
}


@pytest.mark.parametrize("part", POISONED_PARTS)
def test_a_share_with_something_unwritable_in_it_costs_the_other_lanes_nothing(
    ledger: Ledger, folder: Path, part: str
) -> None:
    ledger.commit([rig.share(rig.reservation(0))])
    lane = rig.share(rig.reservation(1), **POISONED_PARTS[part])
    other = rig.share(rig.reservation(2, symbol="ETHUSDT"), symbol="ETHUSDT")

    ledger.commit([lane, other])

    assert rig.rows(folder, "signal_id") == [("id-0",), ("id-1",), ("id-2",)]


def test_a_row_that_breaks_every_later_statement_on_it_does_not_stop_the_store(
    ledger: Ledger, folder: Path
) -> None:
    ledger.commit([rig.share(rig.reservation(0, meta_json="{not json"))])

    lanes = [
        rig.share(moves=[rig.filled(1)]),
        rig.share(rig.reservation(2, symbol="ETHUSDT"), symbol="ETHUSDT"),
    ]
    receipts = ledger.commit(lanes)

    assert receipts[1].row_ids == [2]
    assert rig.rows(folder, "signal_id") == [("id-0",), ("id-2",)]
