"""A damaged page: what stands before it is read, nothing behind it is skipped silently."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlite_producer import BTC, ManualClock, Producer, drain, source_of, times, times_of

from streams.sqlite import SqliteKind

BOTH: list[SqliteKind] = ["sqlite_v1", "sqlite_v2"]


def damage_the_middle(path: Path) -> None:
    """Overwrite a leaf page of the table in its middle, as a bad sector would."""
    connection = sqlite3.connect(path)
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'signals'").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    data = bytearray(path.read_bytes())
    page = data[(root - 1) * page_bytes : root * page_bytes]
    cells = int.from_bytes(page[3:5], "big")
    cell = int.from_bytes(page[12 + 2 * (cells // 2) :][:2], "big")
    leaf = int.from_bytes(page[cell : cell + 4], "big")
    data[(leaf - 1) * page_bytes : leaf * page_bytes] = b"\xee" * page_bytes
    path.write_bytes(data)


@pytest.mark.parametrize("kind", BOTH)
async def test_rows_before_the_damage_come_and_those_behind_it_wait_for_repair(
    tmp_path: Path, kind: SqliteKind
) -> None:
    clock = ManualClock()
    producer = Producer(tmp_path, kind, journal="delete")
    written = producer.write(range(2_000))
    producer.close()
    sound = producer.path.read_bytes()
    damage_the_middle(producer.path)
    source = source_of(tmp_path, kind, clock)
    feed = source.feed(BTC, [])

    records, positions = await drain(feed, 500)
    before = times_of(records)

    assert 0 < len(before) < len(written)
    assert before == written[: len(before)]
    assert "is damaged" in str(feed.state().waiting_for)
    clock.pass_s(60)
    assert await times(feed) == []
    assert "is damaged" in str(feed.state().waiting_for)

    await source.close()
    producer.path.write_bytes(sound)
    again = source_of(tmp_path, kind, ManualClock())
    rest = await times(again.feed(BTC, positions))
    assert set(rest) >= set(written[len(before) :])
    if kind == "sqlite_v1":
        assert rest == written[len(before) :]
    await again.close()


async def test_a_repaired_file_under_the_name_is_read_without_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    producer = Producer(tmp_path, "sqlite_v1", journal="delete")
    written = producer.write(range(2_000))
    producer.close()
    repaired = tmp_path / "repaired.db"
    repaired.write_bytes(producer.path.read_bytes())
    damage_the_middle(producer.path)
    source = source_of(tmp_path, "sqlite_v1", clock)
    feed = source.feed(BTC, [])
    before = await times(feed)

    repaired.rename(producer.path)
    after = await times(feed)

    assert len(before) < len(written)
    assert after == written
    assert feed.state().waiting_for is None
    await source.close()
