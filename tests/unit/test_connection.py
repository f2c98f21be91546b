"""Opening the store: what is accepted, and what is refused with which code and which advice."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from rig import rows as rig
from rig.disk import small_disk
from rig.virtual_clock import START_MS, ManualClock

from store import connection as store_connection
from store.connection import (
    APPLICATION_ID,
    DATABASE,
    FRESH_STAMP,
    MARKER,
    SCHEMA_FOLDER,
    migrate,
    newest_version,
    open_store,
)
from store.errors import StoreDamagedError, StoreError, StoreHeldError, StoreRefusedError
from store.lock import lock_holder

SCHEMAS = sorted(SCHEMA_FOLDER.glob("*.sql"))


OLD_TABLES = ("executions", "events", "source_positions", "dead_letters", "projections")
OLD_ROWS = f"""
INSERT INTO executions (signal_ts_ms, symbol, signal_id, id_given, state, status, exec_ts_ms, order_id, side,
    qty, price, gating, run_source, meta_json, order_json, score, place_file, place_offset, place_length,
    reserved_ms)
VALUES
    ({rig.T0 + 1}, 'BTCUSDT', 'id-1', 0, 'filled', 'success', {rig.T0}, 'dryrun:id-1', 'long', '100.0',
     '7.10', 1, 'prod', '{{}}', '{{}}', 0.9, 'a.jsonl', 0, 1, {rig.T0}),
    ({rig.T0 + 2}, 'BTCUSDT', 'id-2', 0, 'reserved', 'pending', NULL, 'dryrun:id-2', 'long', '100.0',
     NULL, 1, 'prod', '{{}}', '{{}}', 0.9, 'a.jsonl', 1, 1, {rig.T0});
INSERT INTO events (execution_id, at_ms, from_state, to_state, final)
VALUES (1, {rig.T0}, NULL, 'reserved', 0), (1, {rig.T0}, 'reserved', 'filled', 1);
INSERT INTO source_positions VALUES ('BTCUSDT', 'jsonl', 'a.jsonl', 1, 2, 3, 'm', 4, '');
INSERT INTO dead_letters VALUES (1, {rig.T0}, 'BTCUSDT', 'jsonl', 'a.jsonl', 9, 'h', 'not_json', x'ff');
INSERT INTO projections VALUES ('executions', 2);
"""


def schema_of(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    """Every table and index as it was declared, without differences of space."""
    found = connection.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master")
    return sorted((*row[:3], re.sub(r"\s+", " ", row[3])) for row in found)


@pytest.mark.parametrize("version", range(len(SCHEMAS)))
def test_a_store_of_any_older_version_becomes_what_a_fresh_one_is(version: int) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        migrate(fresh)
        expected = schema_of(fresh)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as older:
        for path in SCHEMAS[:version]:
            older.executescript(path.read_text())
            older.execute(f"PRAGMA user_version={int(path.stem)}")
        migrate(older)

        assert schema_of(older) == expected
        assert older.execute("PRAGMA user_version").fetchone() == (newest_version(),)
        assert older.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert older.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_store_of_version_1_keeps_its_rows(tmp_path: Path) -> None:
    rig.open_ledger(tmp_path, ManualClock()).close()
    path = tmp_path / DATABASE
    path.unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as older:
        older.executescript(SCHEMAS[0].read_text())
        older.execute(f"PRAGMA application_id={APPLICATION_ID}")
        older.execute("PRAGMA user_version=1")
        older.executescript(OLD_ROWS)
        expected, columns = {}, {}
        for table in OLD_TABLES:
            found = older.execute(f"SELECT * FROM {table}")
            expected[table] = found.fetchall()
            # Later versions may add columns; what was there stays.
            columns[table] = ", ".join(column[0] for column in found.description)

    ledger = rig.open_ledger(tmp_path, ManualClock())
    kept = {table: rig.rows(tmp_path, columns[table], table) for table in OLD_TABLES}
    receipt = ledger.commit([rig.share(rig.reservation(1), rig.reservation(3))])[0]
    ledger.close()

    assert kept == expected
    assert all(expected.values())
    assert receipt.row_ids == [None, 3]


def test_the_versions_are_numbered_without_a_gap() -> None:
    assert [int(path.stem) for path in SCHEMAS] == list(range(1, len(SCHEMAS) + 1))


def test_a_step_that_fails_leaves_the_former_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "schema"
    shutil.copytree(SCHEMA_FOLDER, folder)
    (folder / f"{newest_version() + 1:04}.sql").write_text("CREATE TABLE x (a);\nCREATE TABLE x (a);\n")
    rig.open_ledger(tmp_path / "store", ManualClock()).close()
    before = rig.everything(tmp_path / "store")
    monkeypatch.setattr(store_connection, "SCHEMA_FOLDER", folder)

    with pytest.raises(StoreError):
        rig.open_ledger(tmp_path / "store", ManualClock())

    assert rig.everything(tmp_path / "store") == before
    assert rig.rows(tmp_path / "store", "name", "sqlite_master WHERE name = 'x'") == []


def test_a_store_is_durable_and_reads_do_not_block_it(tmp_path: Path) -> None:
    store = open_store(tmp_path, clock=ManualClock(), stamps=rig.STAMPS)

    pragmas = {
        name: store.connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "busy_timeout", "mmap_size")
    }

    assert pragmas.pop("busy_timeout") > 0
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "mmap_size": 0}
    store.connection.close()
    store.lock.release()


def test_every_start_has_a_higher_epoch_and_the_stamps_stay(tmp_path: Path) -> None:
    clock = ManualClock()
    epochs, stamps = [], []
    for _ in range(3):
        ledger = rig.open_ledger(tmp_path, clock)
        epochs.append(rig.store_of(ledger).epoch)
        stamps.append(ledger.stamps())
        clock.now_ms += 1_000
        ledger.close()

    assert epochs == [1, 2, 3]
    assert stamps[0] == stamps[1] == stamps[2]
    assert stamps[0]["created_ms"] == str(START_MS)
    assert rig.rows(tmp_path, "pid", "owner") == [(os.getpid(),)]


def foreign(folder: Path) -> None:
    """Another program's database in our place."""
    with closing(sqlite3.connect(folder / DATABASE)) as other:
        other.execute("CREATE TABLE theirs (a)")


def garbage(folder: Path) -> None:
    """No database at all."""
    (folder / DATABASE).write_bytes(b"\xff" * 8_192)


def changed(statement: str) -> Callable[[Path], None]:
    """A store of ours with an execution, and with something changed in it."""

    def change(folder: Path) -> None:
        ledger = rig.open_ledger(folder, ManualClock())
        ledger.commit([rig.share(rig.skip(0))])
        ledger.close()
        with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as connection:
            connection.execute(statement)

    return change


def damaged(folder: Path) -> None:
    """A store of ours whose first tables were overwritten."""
    rig.open_ledger(folder, ManualClock()).close()
    with open(folder / DATABASE, "r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 4_096)


def missing(folder: Path) -> None:
    """A store that existed and was removed, with what belonged to it."""
    rig.open_ledger(folder, ManualClock()).close()
    for path in folder.glob(f"{DATABASE}*"):
        path.unlink()


def emptied(folder: Path) -> None:
    """A store that existed and was cut to nothing."""
    missing(folder)
    (folder / DATABASE).touch()


def missing_with_a_copy(folder: Path) -> None:
    """A removed store whose content was saved beside it."""
    missing(folder)
    (folder / "executions_rescued_20260101T000000.db").touch()


def no_folder(folder: Path) -> None:
    """A file where the folder should be."""
    folder.rmdir()
    folder.write_text("not a folder")


REFUSALS = {
    "foreign": (foreign, StoreDamagedError, 65, "another program"),
    "garbage": (garbage, StoreDamagedError, 65, "restore a backup"),
    "damaged": (damaged, StoreDamagedError, 65, "restore a backup"),
    "newer": (changed("PRAGMA user_version=99"), StoreRefusedError, 78, "start the newer program again"),
    "other_mode": (
        changed("UPDATE stamps SET value = 'live' WHERE key = 'mode'"),
        StoreRefusedError,
        78,
        "another --output",
    ),
    "other_account": (
        changed("UPDATE stamps SET value = 'abc' WHERE key = 'account'"),
        StoreRefusedError,
        78,
        "another --output",
    ),
    "missing": (missing, StoreError, 73, "restore it from a backup"),
    "emptied": (emptied, StoreError, 73, "restore it from a backup"),
    "missing_with_a_copy": (
        missing_with_a_copy,
        StoreError,
        73,
        "move executions_rescued_20260101T000000.db back",
    ),
    "no_folder": (no_folder, StoreError, 73, "another --output"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_store_that_must_not_be_used_is_refused_with_what_to_do_and_left_as_it_is(
    tmp_path: Path, case: str
) -> None:
    arrange, kind, code, advice = REFUSALS[case]
    folder = tmp_path / "executions"
    folder.mkdir()
    arrange(folder)
    before = {path.name: path.read_bytes() for path in tmp_path.rglob("*.db") if path.is_file()}

    with pytest.raises(StoreError) as caught:
        open_store(folder, clock=ManualClock(), stamps=rig.STAMPS)

    assert type(caught.value) is kind
    assert caught.value.exit_code == code
    assert advice in str(caught.value)
    assert str(folder) in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*.db") if path.is_file()} == before
    assert lock_holder(folder) is None


def test_a_store_that_has_executed_nothing_takes_the_account_it_is_given(tmp_path: Path) -> None:
    rig.open_ledger(tmp_path, ManualClock()).close()

    store = open_store(tmp_path, clock=ManualClock(), stamps={**rig.STAMPS, "account": "other"})

    stamps = dict(store.connection.execute("SELECT key, value FROM stamps"))
    store.connection.close()
    store.lock.release()
    assert stamps["account"] == "other"


def test_a_store_on_a_full_disk_says_that_the_disk_is_full_and_not_that_it_is_damaged(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        folder = disk.path / "executions"
        rig.open_ledger(folder, ManualClock()).close()
        ballast = disk.fill()

        with pytest.raises(StoreError, match="make room on its disk") as caught:
            open_store(folder, clock=ManualClock(), stamps=rig.STAMPS)
        ballast.unlink()
        rig.open_ledger(folder, ManualClock()).close()

        assert caught.value.exit_code == 73
        assert "backup" not in str(caught.value)


def test_a_first_start_on_a_full_disk_is_no_traceback_and_can_be_repeated(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        folder = disk.path / "executions"
        folder.mkdir()
        ballast = disk.fill()

        with pytest.raises(StoreError) as caught:
            open_store(folder, clock=ManualClock(), stamps=rig.STAMPS)
        ballast.unlink()
        rig.open_ledger(folder, ManualClock()).close()

        assert caught.value.exit_code == 73


def test_the_marker_is_written_once_the_store_is_and_names_it(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    stamps = ledger.stamps()
    ledger.close()

    assert stamps["store_id"] in (tmp_path / MARKER).read_text()


def test_a_marker_that_was_removed_on_purpose_lets_a_new_store_begin(tmp_path: Path) -> None:
    missing(tmp_path)
    (tmp_path / MARKER).unlink()

    rig.open_ledger(tmp_path, ManualClock()).close()

    assert rig.rows(tmp_path, "epoch", "owner") == [(1,)]


SECOND = """
import sys
from pathlib import Path
from config.seams import SystemClock
from store.connection import open_store
from store.errors import StoreError
try:
    open_store(Path(sys.argv[1]), clock=SystemClock(), stamps={"mode": "dry_run", "account": "none"})
except StoreError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def test_a_second_process_is_refused_naming_the_first_and_served_once_that_is_gone(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    root = Path(store_connection.__file__).parents[1]
    command = [sys.executable, "-c", SECOND, str(tmp_path)]

    refused = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    holder = lock_holder(tmp_path)
    ledger.commit([rig.share(rig.reservation(1))])
    ledger.close()
    served = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    assert (refused.returncode, refused.stderr) == (75, "")
    assert f"held by pid {os.getpid()} since 2023-11-14 22:13:20" in refused.stdout
    assert "stop that worker" in refused.stdout
    assert holder == os.getpid()
    assert served.returncode == 0, served.stdout


def test_a_second_opener_in_the_same_process_is_refused_too(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())

    with pytest.raises(StoreHeldError):
        rig.open_ledger(tmp_path, ManualClock())

    ledger.close()
    rig.open_ledger(tmp_path, ManualClock()).close()


def test_an_older_copy_that_was_put_back_is_noticed_by_its_marker(tmp_path: Path) -> None:
    folder, copy = tmp_path / "store", tmp_path / "copy.db"
    clock = ManualClock()
    for start in range(3):
        store = open_store(folder, clock=clock, stamps=rig.STAMPS)
        store.connection.close()
        store.lock.release()
        if start == 0:
            shutil.copy(folder / DATABASE, copy)
    shutil.copy(copy, folder / DATABASE)
    clock.now_ms += 60_000

    restored = open_store(folder, clock=clock, stamps=rig.STAMPS)

    fresh_ms = dict(restored.connection.execute("SELECT key, value FROM stamps"))[FRESH_STAMP]
    restored.connection.close()
    restored.lock.release()
    assert int(fresh_ms) == clock.now_ms


def test_an_ordinary_restart_makes_no_store_new(tmp_path: Path) -> None:
    clock = ManualClock()
    began_ms = clock.now_ms
    for _ in range(3):
        store = open_store(tmp_path, clock=clock, stamps=rig.STAMPS)
        fresh_ms = dict(store.connection.execute("SELECT key, value FROM stamps"))[FRESH_STAMP]
        store.connection.close()
        store.lock.release()
        clock.now_ms += 60_000

    assert int(fresh_ms) == began_ms
