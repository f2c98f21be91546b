"""Room in the WAL: longer, and still the same store, for whoever opens it next."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from store.wal_room import make_room


def open_wal(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA wal_autocheckpoint=4000")
    connection.execute("PRAGMA synchronous=OFF")
    return connection


def some_rows(connection: sqlite3.Connection, count: int) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS rows (value TEXT)")
    for number in range(count):
        connection.execute("INSERT INTO rows VALUES (?)", (f"{number:0500}",))


def wal_bytes(path: Path) -> int:
    return Path(f"{path}-wal").stat().st_size


def test_the_wal_is_lengthened_once_and_commits_do_not_lengthen_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = open_wal(path)
    some_rows(connection, 5)

    assert make_room(connection, path) is None
    roomy = wal_bytes(path)
    assert make_room(connection, path) is None
    some_rows(connection, 6_000)

    assert roomy > 16 * 1_048_576
    assert wal_bytes(path) == roomy
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT count(*) FROM rows").fetchone() == (6_005,)
    connection.close()


def test_after_a_crash_the_commits_before_the_zeros_are_all_there(tmp_path: Path) -> None:
    path, crashed = tmp_path / "store.db", tmp_path / "crashed.db"
    connection = open_wal(path)
    some_rows(connection, 5)
    make_room(connection, path)
    some_rows(connection, 7)

    for end in ("", "-wal"):
        shutil.copyfile(f"{path}{end}", f"{crashed}{end}")
    connection.close()
    opened = open_wal(crashed)

    assert opened.execute("SELECT count(*) FROM rows").fetchone() == (12,)
    assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    opened.close()


def test_a_store_that_somebody_else_writes_keeps_its_wal_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection, other = open_wal(path), open_wal(path)
    some_rows(connection, 5)
    connection.execute("PRAGMA busy_timeout=0")
    before = wal_bytes(path)

    other.execute("BEGIN IMMEDIATE")
    why = make_room(connection, path)
    other.execute("ROLLBACK")

    assert "locked" in str(why)
    assert wal_bytes(path) == before
    connection.close()
    other.close()
