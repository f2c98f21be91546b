"""Another file under the name, or a table that was built anew: read from its start, nothing lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlite_producer import BTC, V1, V2, ManualClock, Producer, drain, source_of, times

from streams.sqlite import SqliteKind

BOTH: list[SqliteKind] = ["sqlite_v1", "sqlite_v2"]


def forget_the_log(path: Path) -> None:
    """What whoever replaces a database has to do: the log of the old one would be played into the new."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@pytest.mark.parametrize("kind", BOTH)
async def test_a_database_replaced_by_rename_is_read_from_its_start(tmp_path: Path, kind: SqliteKind) -> None:
    producer = Producer(tmp_path, kind)
    source = source_of(tmp_path, kind, ManualClock())
    feed = source.feed(BTC, [])
    old = producer.write(range(5))
    assert await times(feed) == old
    producer.close()

    (tmp_path / "new").mkdir()
    other = Producer(tmp_path / "new", kind, journal="delete")
    new = other.write(range(100, 120))
    other.close()
    forget_the_log(producer.path)
    os.replace(other.path, producer.path)

    assert await times(feed) == new
    assert source.counters.resets["replaced"] == 1
    await source.close()


@pytest.mark.parametrize("kind", BOTH)
async def test_a_database_that_was_replaced_meanwhile_is_read_from_its_start(
    tmp_path: Path, kind: SqliteKind
) -> None:
    producer = Producer(tmp_path, kind)
    producer.write(range(5))
    before = source_of(tmp_path, kind, ManualClock())
    _, positions = await drain(before.feed(BTC, []))
    await before.close()
    producer.close()

    producer.path.rename(tmp_path / "old.db")
    producer = Producer(tmp_path, kind)
    written = producer.write(range(3, 30))
    source = source_of(tmp_path, kind, ManualClock())

    assert await times(source.feed(BTC, positions)) == written
    assert source.counters.resets["replaced"] == 1
    producer.close()
    await source.close()


@pytest.mark.parametrize("kind", BOTH)
async def test_a_database_deleted_and_created_again_is_read_from_its_start(
    tmp_path: Path, kind: SqliteKind
) -> None:
    clock = ManualClock()
    producer = Producer(tmp_path, kind)
    source = source_of(tmp_path, kind, clock)
    feed = source.feed(BTC, [])
    producer.write(range(5))
    await times(feed)
    producer.close()
    producer.path.unlink()
    assert await times(feed) == []
    assert "is not there yet" in str(feed.state().waiting_for)

    forget_the_log(producer.path)
    producer = Producer(tmp_path, kind)
    written = producer.write(range(5))

    assert await times(feed) == written
    producer.close()
    await source.close()


@pytest.mark.parametrize(("kind", "schema"), [("sqlite_v1", V1), ("sqlite_v2", V2)])
@pytest.mark.parametrize("rows", [3, 50])
async def test_a_table_built_anew_in_place_is_read_from_its_start(
    tmp_path: Path, kind: SqliteKind, schema: str, rows: int
) -> None:
    producer = Producer(tmp_path, kind)
    source = source_of(tmp_path, kind, ManualClock())
    feed = source.feed(BTC, [])
    producer.write(range(10))
    await times(feed)

    producer.connection.execute("DROP TABLE signals")
    producer.connection.executescript(schema)
    written = producer.write(range(1_000, 1_000 + rows), run_id="r2")

    assert await times(feed) == written
    assert source.counters.resets["rebuilt"] == 1
    producer.close()
    await source.close()


async def test_rowids_that_start_again_while_the_worker_is_down_are_noticed(tmp_path: Path) -> None:
    producer = Producer(tmp_path, "sqlite_v1")
    producer.write(range(10))
    before = source_of(tmp_path, "sqlite_v1", ManualClock())
    _, positions = await drain(before.feed(BTC, []))
    await before.close()

    producer.connection.execute("DELETE FROM signals")
    written = producer.write(range(500, 540), run_id="r2")
    source = source_of(tmp_path, "sqlite_v1", ManualClock())

    assert await times(source.feed(BTC, positions)) == written
    assert source.counters.resets["rebuilt"] == 1
    producer.close()
    await source.close()


async def test_a_table_that_loses_its_rowids_is_read_by_its_keys(tmp_path: Path) -> None:
    producer = Producer(tmp_path, "sqlite_v2", schema=V2.replace(" WITHOUT ROWID", ""))
    source = source_of(tmp_path, "sqlite_v2", ManualClock())
    feed = source.feed(BTC, [])
    assert await times(feed) == []
    producer.write([1, 2])
    _, positions = await drain(feed)

    producer.connection.execute("DROP TABLE signals")
    producer.connection.executescript(V2)
    written = producer.write([3, 4, 5])
    resumed = source_of(tmp_path, "sqlite_v2", ManualClock())

    assert await times(feed) == written
    assert await times(resumed.feed(BTC, positions)) == written
    producer.close()
    await source.close()
    await resumed.close()
