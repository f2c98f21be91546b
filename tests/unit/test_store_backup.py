"""Backup and restore: a whole copy or none, nothing overwritten unasked; a copy knows that it is one."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from rig import rows as rig
from rig.care_store import RULES, build, order, verdict_of
from rig.virtual_clock import START_MS, ManualClock

from store.backup import BackupRefusedError, back_up
from store.connection import COPY_STAMP, DATABASE, FRESH_STAMP, open_store
from store.errors import StoreDamagedError, StoreError, StoreHeldError, StoreRefusedError
from store.ledger import Ledger
from store.restore import put_back
from store.verify import verify

STAMPS = {"mode": "testnet", "account": "key"}
LATER_MS = START_MS + 9_000_000


def sound(path: Path) -> list[str]:
    """As the command verifies a copy."""
    return [found.text for found in verify(path, RULES, quick=True, files=False).findings.told]


def backed_up(
    source: Path, target: Path, *, keep: int | None = None, force: bool = False, at: int = 0
) -> Path:
    return back_up(source, target, clock=ManualClock(LATER_MS + at), force=force, keep=keep, check=sound).path


def restored(source: Path, output: Path, *, force: bool = False, **stamps: str) -> Path | None:
    return put_back(
        source,
        output / "executions",
        clock=ManualClock(LATER_MS),
        stamps={"mode": "testnet", **stamps},
        force=force,
        check=sound,
        who="alice",
    ).aside


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("made")
    build(output)
    return output


@pytest.fixture
def output(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "output")
    return tmp_path / "output"


@pytest.fixture
def database(output: Path) -> Path:
    return output / "executions" / DATABASE


def content(path: Path) -> list[str]:
    """Everything in a database but the stamp of a copy."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
        return [line for line in reader.iterdump() if COPY_STAMP not in line]


def test_a_backup_holds_what_the_store_holds_in_one_file_that_nobody_else_may_read(
    database: Path, tmp_path: Path
) -> None:
    path = backed_up(database, tmp_path / "copy.db")

    assert content(path) == content(database)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["copy.db"]
    assert verdict_of(path).clean


def test_commits_go_on_while_it_is_made_and_it_tells_of_one_moment(database: Path, tmp_path: Path) -> None:
    clock = ManualClock(LATER_MS)
    store = open_store(database.parent, clock=clock, stamps=STAMPS)
    ledger = Ledger(store, clock)
    padding = "x" * 900
    many = [rig.skip(1_000 + number, error_msg=padding) for number in range(4_000)]
    ledger.commit([rig.share(*many)])
    commits = 0

    class Busy(ManualClock):
        async def sleep(self, delay_s: float) -> None:
            nonlocal commits
            commits += 1
            ledger.commit([rig.share(rig.skip(90_000 + commits))])

    made = back_up(database, tmp_path / "copy.db", clock=Busy(LATER_MS), force=False, keep=None, check=sound)
    rows = ledger._connection.execute("SELECT count(*) FROM executions").fetchone()[0]
    ledger.close()

    assert commits >= 3
    assert made.rows == 4_022
    assert rows == 4_022 + commits


def test_nothing_is_overwritten_unless_it_is_asked_for(database: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("mine")

    with pytest.raises(BackupRefusedError, match="add --force"):
        backed_up(database, target)
    kept = target.read_text()
    backed_up(database, target, force=True)

    assert kept == "mine"
    assert verdict_of(target).clean


def test_no_backup_takes_the_place_of_a_store(database: Path, output: Path, tmp_path: Path) -> None:
    other = tmp_path / "another"
    shutil.copytree(output, other)
    before = database.stat().st_ino

    for name in (DATABASE, f"{DATABASE}-wal"):
        for folder in (database.parent, other / "executions"):
            with pytest.raises(BackupRefusedError, match="is a store"):
                backed_up(database, folder / name, force=True)

    assert database.stat().st_ino == before


def test_a_folder_keeps_the_last_backups_of_this_store_and_everything_else(
    database: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    other = tmp_path / "another"
    build(other)
    with closing(sqlite3.connect(other / "executions" / DATABASE)) as connection, connection:
        connection.execute("UPDATE stamps SET value = 'another' WHERE key = 'store_id'")
    foreign = backed_up(other / "executions" / DATABASE, folder, at=-90_000_000)
    (folder / "executions-20200101T000000Z.db").write_text("not ours to delete")

    made = [backed_up(database, folder, keep=2, at=n * 1_000) for n in range(4)]

    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["executions-20200101T000000Z.db", foreign.name, made[2].name, made[3].name]
    )
    assert made[0].name == "executions-20231115T004320Z.db"


def test_a_damaged_store_gives_no_backup_and_spoils_no_older_one(database: Path, tmp_path: Path) -> None:
    target = backed_up(database, tmp_path / "copy.db")
    before = target.read_bytes()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE executions SET state = 'open' WHERE id = 5")

    with pytest.raises(StoreDamagedError, match="is not sound"):
        backed_up(database, target, force=True)

    assert target.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["copy.db", "output"]


def test_a_place_that_is_missing_is_told(database: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupRefusedError, match="does not exist"):
        backed_up(database, tmp_path / "none" / "copy.db")
    with pytest.raises(BackupRefusedError, match="is no folder"):
        backed_up(database, tmp_path / "copy.db", keep=3)
    with pytest.raises(StoreError, match="cannot be opened"):
        backed_up(tmp_path / "none.db", tmp_path / "copy.db")


def test_a_restored_store_is_what_the_backup_was_and_knows_that_it_is_older(
    database: Path, output: Path, tmp_path: Path
) -> None:
    backup = backed_up(database, tmp_path / "copy.db")
    before = rig.everything(database.parent)
    clock = ManualClock(LATER_MS)
    ledger = Ledger(open_store(database.parent, clock=clock, stamps=STAMPS), clock)
    ledger.commit([rig.share(order(70))])
    ledger.close()

    aside = restored(backup, output)
    now = rig.everything(database.parent)
    audits = now.pop("audit")
    clock.now_ms += 1
    store = open_store(database.parent, clock=clock, stamps=STAMPS)
    stamps = Ledger(store, clock).stamps()
    store.connection.close()
    store.lock.release()

    assert {name: now[name] for name in now if name != "stamps"} == {
        name: before[name] for name in now if name != "stamps"
    }
    assert audits[-1][2:6] == ("restore", "all", "alice", "from copy.db")
    assert stamps[FRESH_STAMP] == str(clock.now_ms)
    assert COPY_STAMP not in stamps
    assert aside is not None
    assert rig.rows(aside, "count(*)") == [(23,)]


def test_a_backup_that_is_moved_into_place_by_hand_knows_it_too(
    database: Path, output: Path, tmp_path: Path
) -> None:
    backup = backed_up(database, tmp_path / "copy.db")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(backup, elsewhere / DATABASE)

    store = open_store(elsewhere, clock=ManualClock(LATER_MS + 5), stamps=STAMPS)
    found = dict(store.connection.execute("SELECT key, value FROM stamps"))
    store.connection.close()
    store.lock.release()

    assert found[FRESH_STAMP] == str(LATER_MS + 5)
    assert COPY_STAMP not in found


def test_lines_from_after_the_backup_go_aside_with_the_store_that_wrote_them(
    database: Path, output: Path, tmp_path: Path
) -> None:
    backup = backed_up(database, tmp_path / "copy.db")
    newer = output / "executions" / "BTCUSDT" / "exec_20310101_00.jsonl"
    newer.write_text("{}\n")
    letters = output / "executions" / "deadletter" / "20310101_00.jsonl"
    letters.parent.mkdir(exist_ok=True)
    letters.write_text("{}\n")
    minutes = sorted((output / "ready" / "execlog" / "BTCUSDT").iterdir())
    ours = minutes[-1].read_bytes()
    minutes[-1].write_bytes(ours + b"{}\n")
    minutes[-1].with_name("exec_20310101_0000.jsonl").write_text("{}\n")

    aside = restored(backup, output)

    assert aside is not None
    assert not newer.exists()
    assert not letters.exists()
    assert minutes[-1].read_bytes() == ours
    assert len(list((aside / "execlog" / "BTCUSDT").iterdir())) == 2
    assert (aside / "BTCUSDT" / newer.name).read_text() == "{}\n"
    assert verdict_of(database).clean


def test_lines_go_aside_too_where_the_store_was_lost_or_a_restore_was_killed(
    database: Path, output: Path, tmp_path: Path
) -> None:
    backup = backed_up(database, tmp_path / "copy.db")
    newer = output / "executions" / "BTCUSDT" / "exec_20310101_00.jsonl"
    newer.write_text("{}\n")
    database.unlink()

    aside = restored(backup, output)
    nothing = restored(backup, tmp_path / "fresh")

    assert aside is not None
    assert (aside / "BTCUSDT" / newer.name).read_text() == "{}\n"
    assert not newer.exists()
    assert nothing is None
    assert [each.name for each in (tmp_path / "fresh" / "executions").iterdir()] == [DATABASE]


def test_a_store_in_use_is_not_replaced(database: Path, output: Path, tmp_path: Path) -> None:
    backup = backed_up(database, tmp_path / "copy.db")
    store = open_store(database.parent, clock=ManualClock(LATER_MS), stamps=STAMPS)
    try:
        with pytest.raises(StoreHeldError, match="is held by"):
            restored(backup, output)
    finally:
        store.connection.close()
        store.lock.release()


def test_a_backup_that_is_not_this_stores_changes_nothing(
    database: Path, output: Path, tmp_path: Path
) -> None:
    backup = backed_up(database, tmp_path / "copy.db")
    before = database.read_bytes()
    marker = database.parent / "store.json"
    marker.write_text(json.dumps({"store_id": "another", "database": DATABASE, "epoch": 7}))

    with pytest.raises(StoreRefusedError, match="belongs to mode testnet"):
        restored(backup, output, mode="live")
    with pytest.raises(StoreRefusedError, match="give --force"):
        restored(backup, output)
    with closing(sqlite3.connect(backup)) as connection, connection:
        connection.execute("UPDATE executions SET state = 'open' WHERE id = 5")
    with pytest.raises(StoreDamagedError, match="take another backup"):
        restored(backup, output, force=True)
    with pytest.raises(StoreError, match="is no file"):
        restored(tmp_path / "none.db", output)

    assert database.read_bytes() == before
    assert [path.name for path in database.parent.iterdir() if path.name.startswith((".", "replaced"))] == []
