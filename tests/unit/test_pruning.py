"""Forgetting positions: only those that still say the same, by the owner only; no commit is miscounted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig import rows as rig
from rig.disk import FailingConnection
from rig.virtual_clock import ManualClock

from store.errors import FencedError
from store.ledger import Ledger
from store.pruning import Place, forget_positions, stored_places

SOURCE = "jsonl"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = rig.open_ledger(tmp_path, ManualClock())
    positions = [rig.position(10 * n, name=f"{n}.jsonl", inode=n) for n in range(3)]
    opened.commit([rig.share(positions=positions)])
    yield opened
    opened._connection.close()
    rig.store_of(opened).lock.release()


def names(ledger: Ledger) -> list[str]:
    """The files whose positions are there."""
    return [position.name for position in ledger.positions(rig.SYMBOL, SOURCE)]


def places(ledger: Ledger) -> list[Place]:
    """All of them, as the pruning reads them."""
    return list(stored_places(rig.store_of(ledger).path, rig.SYMBOL, SOURCE))


def test_the_named_positions_go_and_the_others_stay(ledger: Ledger) -> None:
    gone = [place for place in places(ledger) if place.name != "1.jsonl"]

    forgotten = forget_positions(rig.store_of(ledger), rig.SYMBOL, SOURCE, gone)

    assert forgotten == 2
    assert names(ledger) == ["1.jsonl"]


def test_a_position_that_has_moved_on_meanwhile_stays(ledger: Ledger) -> None:
    seen = places(ledger)
    ledger.commit([rig.share(positions=[rig.position(99, name="1.jsonl", inode=1)])])

    forgotten = forget_positions(rig.store_of(ledger), rig.SYMBOL, SOURCE, seen)

    assert forgotten == 2
    assert names(ledger) == ["1.jsonl"]


def test_other_symbols_and_sources_are_left_alone(ledger: Ledger) -> None:
    store, seen = rig.store_of(ledger), places(ledger)

    assert forget_positions(store, "ETHUSDT", SOURCE, seen) == 0
    assert forget_positions(store, rig.SYMBOL, "sqlite_v2", seen) == 0

    assert len(names(ledger)) == 3


def test_a_worker_that_was_taken_over_forgets_nothing(ledger: Ledger) -> None:
    store = rig.store_of(ledger)
    with sqlite3.connect(store.path) as other:
        other.execute("UPDATE owner SET epoch = epoch + 1")
    other.close()

    with pytest.raises(FencedError, match="was taken over by a newer worker"):
        forget_positions(store, rig.SYMBOL, SOURCE, places(ledger))

    assert not store.connection.in_transaction
    assert len(names(ledger)) == 3


def test_a_failed_transaction_changes_nothing_and_is_ended(ledger: Ledger) -> None:
    store, seen = rig.store_of(ledger), places(ledger)
    real = store.connection
    store.connection = FailingConnection(real, happens=False, code=sqlite3.SQLITE_FULL)

    with pytest.raises(sqlite3.OperationalError):
        forget_positions(store, rig.SYMBOL, SOURCE, seen)

    store.connection = real
    assert not real.in_transaction
    assert len(names(ledger)) == 3


@pytest.mark.parametrize("happens", [False, True])
def test_the_ledger_still_knows_whether_its_next_commit_happened(ledger: Ledger, happens: bool) -> None:
    store = rig.store_of(ledger)
    forget_positions(store, rig.SYMBOL, SOURCE, places(ledger))
    broken = FailingConnection(store.connection, happens=happens, code=sqlite3.SQLITE_IOERR_FSYNC)
    ledger._connection = store.connection = broken

    if happens:
        ledger.commit([rig.share(rig.reservation(1))])
    else:
        with pytest.raises(Exception, match="could not be written"):
            ledger.commit([rig.share(rig.reservation(1))])

    assert len(rig.rows(store.folder, "id")) == int(happens)
