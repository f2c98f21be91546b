"""A database that is missing, locked or not readable yet: waited for, said in a sentence, nothing lost."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlite_producer import BTC, V1, ManualClock, Producer, drain, source_of, times, times_of

from config import settings
from streams.signal import Signal
from streams.sqlite import SqliteKind

BOTH: list[SqliteKind] = ["sqlite_v1", "sqlite_v2"]
IMPATIENT = settings.Source(sqlite_busy_timeout_ms=0)


@pytest.mark.parametrize("kind", BOTH)
async def test_a_missing_database_is_waited_for_and_read_from_its_first_row(
    tmp_path: Path, kind: SqliteKind
) -> None:
    source = source_of(tmp_path / "later", kind, ManualClock())
    feed = source.feed(BTC, [])
    assert await times(feed) == []
    assert "is not there yet" in str(feed.state().waiting_for)

    (tmp_path / "later").mkdir()
    producer = Producer(tmp_path / "later", kind)
    written = producer.write(range(5))

    assert await times(feed) == written
    assert feed.state().waiting_for is None
    producer.close()
    await source.close()


async def test_a_table_that_is_created_later_is_read_then(tmp_path: Path) -> None:
    producer = Producer(tmp_path, "sqlite_v1", schema="CREATE TABLE other (a)")
    source = source_of(tmp_path, "sqlite_v1", ManualClock())
    feed = source.feed(BTC, [])
    assert await times(feed) == []
    assert "has no table signals yet" in str(feed.state().waiting_for)
    assert await feed.end_positions() == ()

    producer.connection.executescript(V1)
    written = producer.write(range(3))

    assert await times(feed) == written
    producer.close()
    await source.close()


@pytest.mark.parametrize("kind", BOTH)
async def test_a_database_locked_by_a_writer_is_read_when_it_lets_go(
    tmp_path: Path, kind: SqliteKind
) -> None:
    clock = ManualClock()
    producer = Producer(tmp_path, kind, journal="delete")
    source = source_of(tmp_path, kind, clock, IMPATIENT)
    feed = source.feed(BTC, [])
    first = producer.write(range(3))
    assert await times(feed) == first

    second = producer.write(range(3, 6))
    producer.connection.execute("BEGIN EXCLUSIVE")
    assert await times(feed) == []
    assert "is locked by another program" in str(feed.state().waiting_for)
    producer.connection.execute("COMMIT")
    clock.pass_s(60)

    assert await times(feed) == second
    assert feed.state().waiting_for is None
    producer.close()
    await source.close()


async def test_the_end_is_not_guessed_while_the_database_is_locked(tmp_path: Path) -> None:
    clock = ManualClock()
    producer = Producer(tmp_path, "sqlite_v1", journal="delete")
    written = producer.write(range(4))
    source = source_of(tmp_path, "sqlite_v1", clock, IMPATIENT)
    producer.connection.execute("BEGIN EXCLUSIVE")
    naps = 0

    async def sleep(delay_s: float) -> None:
        nonlocal naps
        naps += 1
        clock.pass_s(delay_s)
        if naps == 3:
            producer.connection.execute("COMMIT")

    clock.sleep = sleep  # type: ignore[method-assign] # the lock ends while the feed sleeps
    (position,) = await source.feed(BTC, []).end_positions()

    assert naps >= 3
    assert position.offset == len(written)
    producer.close()
    await source.close()


async def test_a_database_in_a_folder_that_nobody_writes_to_is_read(tmp_path: Path) -> None:
    producer = Producer(tmp_path, "sqlite_v1", journal="delete")
    written = producer.write(range(5))
    producer.close()
    (tmp_path / "signals.db").chmod(0o444)
    tmp_path.chmod(0o555)
    source = source_of(tmp_path, "sqlite_v1", ManualClock())

    found = await times(source.feed(BTC, []))
    await source.close()
    tmp_path.chmod(0o755)

    assert found == written
    assert [path.name for path in tmp_path.iterdir()] == ["signals.db"]


@pytest.mark.parametrize("column", ["score", "confirm"])
async def test_a_missing_column_is_named_and_its_rows_wait_for_it(tmp_path: Path, column: str) -> None:
    producer = Producer(tmp_path, "sqlite_v1")
    written = producer.write(range(3))
    producer.connection.execute(f"ALTER TABLE signals RENAME COLUMN {column} TO elsewhere")
    source = source_of(tmp_path, "sqlite_v1", ManualClock())
    feed = source.feed(BTC, [])

    assert await times(feed) == []
    assert f"has no column {column}" in str(feed.state().waiting_for)

    producer.connection.execute(f"ALTER TABLE signals RENAME COLUMN elsewhere TO {column}")
    assert await times(feed) == written
    producer.close()
    await source.close()


async def test_columns_that_come_and_go_do_not_stop_the_reading(tmp_path: Path) -> None:
    producer = Producer(tmp_path, "sqlite_v1")
    source = source_of(tmp_path, "sqlite_v1", ManualClock())
    feed = source.feed(BTC, [])
    producer.connection.execute("ALTER TABLE signals DROP COLUMN regime")
    first = producer.write([1])
    assert await times(feed) == first

    producer.connection.execute("ALTER TABLE signals ADD COLUMN price REAL")
    producer.connection.execute("ALTER TABLE signals ADD COLUMN colour TEXT DEFAULT 'blue'")
    second = producer.write([2])
    producer.connection.execute("UPDATE signals SET price = 101.25 WHERE ts_ms = ?", (second[0],))
    records, _ = await drain(feed)

    assert times_of(records) == second
    assert isinstance(records[0], Signal)
    assert str(records[0].price) == "101.25"
    assert source.counters.resets["rebuilt"] == 0
    producer.close()
    await source.close()


@pytest.mark.parametrize("content", [b"", b"this is not a database, it is a sentence" * 200])
async def test_a_file_that_is_no_database_is_waited_for(tmp_path: Path, content: bytes) -> None:
    clock = ManualClock()
    (tmp_path / "signals.db").write_bytes(content)
    source = source_of(tmp_path, "sqlite_v1", clock)
    feed = source.feed(BTC, [])
    assert await times(feed) == []
    assert feed.state().waiting_for is not None

    (tmp_path / "signals.db").unlink()
    producer = Producer(tmp_path, "sqlite_v1")
    written = producer.write([1])
    clock.pass_s(60)

    assert await times(feed) == written
    producer.close()
    await source.close()


@pytest.mark.parametrize("name", ["id", "row_id"])
async def test_a_table_with_a_primary_key_of_its_own_is_read_by_it(tmp_path: Path, name: str) -> None:
    schema = V1.replace(
        "(ts_ms INTEGER", f"({name} INTEGER PRIMARY KEY AUTOINCREMENT, ts_ms INTEGER"
    ).replace(",\nPRIMARY KEY (run_id, ts_ms, symbol)", "")
    producer = Producer(tmp_path, "sqlite_v1", schema=schema)
    written = producer.write(range(5))
    source = source_of(tmp_path, "sqlite_v1", ManualClock())

    records, _ = await drain(source.feed(BTC, []))

    assert times_of(records) == written
    assert [record.place.offset for record in records] == [1, 2, 3, 4, 5]
    assert sqlite3.sqlite_version_info >= (3, 37)
    producer.close()
    await source.close()


async def test_closing_does_not_wait_for_somebody_else_s_lock(tmp_path: Path) -> None:
    limits = settings.Source(sqlite_busy_timeout_ms=60_000)
    producer = Producer(tmp_path, "sqlite_v1", journal="delete")
    producer.write([1])
    source = source_of(tmp_path, "sqlite_v1", ManualClock(), limits)
    feed = source.feed(BTC, [])
    await times(feed)
    producer.connection.execute("BEGIN EXCLUSIVE")
    reading = asyncio.create_task(feed.end_positions())
    await asyncio.sleep(0)

    await asyncio.wait_for(source.close(), 10)

    assert await asyncio.wait_for(reading, 10) == ()
    producer.close()
