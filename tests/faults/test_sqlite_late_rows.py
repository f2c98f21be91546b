"""Rows of a WITHOUT ROWID table that become visible behind greater ones: none is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlite_producer import BTC, ETH, T0, ManualClock, Producer, drain, source_of, times

from config import settings
from streams.signal import Malformed
from streams.sqlite import SqliteSource

MINUTE_MS = 60_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def producer(tmp_path: Path) -> Producer:
    return Producer(tmp_path, "sqlite_v2")


@pytest.fixture
def source(tmp_path: Path, clock: ManualClock, producer: Producer) -> SqliteSource:
    return source_of(tmp_path, "sqlite_v2", clock)


async def close(source: SqliteSource, producer: Producer) -> None:
    await source.close()
    producer.close()


async def test_a_row_within_the_look_back_comes_at_once_and_alone(
    producer: Producer, source: SqliteSource
) -> None:
    feed = source.feed(BTC, [])
    producer.write(range(0, 30 * MINUTE_MS, MINUTE_MS))
    await times(feed)

    late = producer.write([25 * MINUTE_MS + 7, 28 * MINUTE_MS - 1])
    producer.write([29 * MINUTE_MS - 3], ETH)

    assert await times(feed) == late
    assert await times(feed) == []
    assert source.counters.late_beyond_lookback == 0
    await close(source, producer)


async def test_late_rows_and_new_ones_in_one_commit_all_come(
    producer: Producer, source: SqliteSource
) -> None:
    feed = source.feed(BTC, [])
    producer.write(range(0, 30 * MINUTE_MS, MINUTE_MS))
    await times(feed)

    late_and_new = producer.write([28 * MINUTE_MS + 5, 40 * MINUTE_MS, 29 * MINUTE_MS + 5])

    assert sorted(await times(feed, 2)) == sorted(late_and_new)
    await close(source, producer)


async def test_a_row_beyond_the_look_back_comes_with_the_next_recount(
    producer: Producer, source: SqliteSource, clock: ManualClock
) -> None:
    feed = source.feed(BTC, [])
    producer.write(range(0, 60 * MINUTE_MS, MINUTE_MS))
    await times(feed)
    late = producer.write([3 * MINUTE_MS + 1, 4 * MINUTE_MS + 1])
    assert await times(feed) == []

    clock.pass_s(600)

    assert await times(feed) == late
    assert source.counters.late_beyond_lookback == 2
    assert source.counters.resets["rescan"] == 1
    clock.pass_s(600)
    assert await times(feed) == []
    assert source.counters.resets["rescan"] == 1
    await close(source, producer)


async def test_a_row_that_came_beyond_the_look_back_while_the_worker_was_down_is_found_at_start(
    tmp_path: Path, producer: Producer, source: SqliteSource
) -> None:
    limits = settings.Source(lookback_ms=MINUTE_MS)
    first = source_of(tmp_path, "sqlite_v2", ManualClock(), limits)
    feed = first.feed(BTC, [])
    producer.write(range(0, 30 * MINUTE_MS, MINUTE_MS))
    await times(feed)
    producer.write([31 * MINUTE_MS])
    _, positions = await drain(feed)
    await first.close()
    late = producer.write([2 * MINUTE_MS + 1])

    again = source_of(tmp_path, "sqlite_v2", ManualClock(), limits)
    found = await times(again.feed(BTC, positions))

    assert set(late) <= set(found)
    assert again.counters.late_beyond_lookback == 1
    await again.close()
    await close(source, producer)


async def test_rows_that_come_behind_a_reader_in_its_backlog_are_not_lost(
    producer: Producer, source: SqliteSource
) -> None:
    feed = source.feed(BTC, [])
    written = producer.write(range(0, 100 * MINUTE_MS, MINUTE_MS))
    found = [record.place for record in (await feed.read(30)).records]
    late = producer.write([5 * MINUTE_MS + 1, 20 * MINUTE_MS + 1])

    rest = await times(feed, 30)

    assert len(found) == 30
    assert set(rest) >= set(written[30:]) | set(late)
    await close(source, producer)


async def test_a_row_from_the_far_future_does_not_hide_those_of_today(
    producer: Producer, source: SqliteSource
) -> None:
    feed = source.feed(BTC, [])
    producer.write([50 * MINUTE_MS])
    producer.write([10**12])
    await times(feed)

    today = producer.write([55 * MINUTE_MS, 56 * MINUTE_MS])

    assert await times(feed) == today
    await close(source, producer)


@pytest.mark.parametrize("ts_ms", ["soon", 10**15, b"\x01"])
async def test_a_time_that_is_none_is_a_dead_letter_and_hides_nothing(
    producer: Producer, source: SqliteSource, ts_ms: object
) -> None:
    feed = source.feed(BTC, [])
    first = producer.write([1])
    producer.connection.execute("CREATE TEMP TABLE one AS SELECT * FROM signals")
    producer.connection.execute("UPDATE one SET ts_ms = ?", (ts_ms,))
    producer.connection.execute("INSERT INTO signals SELECT * FROM one")

    records, _ = await drain(feed)
    after = producer.write([2])

    assert [record.ts_ms for record in records if not isinstance(record, Malformed)] == first
    assert len(records) == 2
    assert await times(feed) == after
    await close(source, producer)


async def test_a_first_start_at_now_never_hands_out_what_was_there_before(
    tmp_path: Path, producer: Producer, source: SqliteSource, clock: ManualClock
) -> None:
    producer.write(range(0, 30 * MINUTE_MS, MINUTE_MS))
    positions = await source.feed(BTC, []).end_positions()
    feed = source.feed(BTC, positions)
    assert await times(feed) == []

    producer.write([3])
    new = producer.write([31 * MINUTE_MS])
    clock.pass_s(6_000)

    assert await times(feed) == new
    late = producer.write([30 * MINUTE_MS])
    assert await times(feed) == late
    await close(source, producer)


async def test_rows_deleted_by_the_producer_bring_no_loss(
    producer: Producer, source: SqliteSource, clock: ManualClock
) -> None:
    feed = source.feed(BTC, [])
    producer.write(range(0, 60 * MINUTE_MS, MINUTE_MS))
    await times(feed)
    producer.connection.execute("DELETE FROM signals WHERE ts_ms < ?", (T0 + 55 * MINUTE_MS,))
    clock.pass_s(600)
    assert await times(feed) == []

    new = producer.write([56 * MINUTE_MS + 1, 61 * MINUTE_MS])

    assert sorted(await times(feed)) == new
    await close(source, producer)


@hypothesis_settings(max_examples=40)
@given(
    commits=st.lists(st.lists(st.integers(0, 90), max_size=6), max_size=8),
    limit=st.integers(1, 9),
    restarts=st.sets(st.integers(0, 7)),
)
async def test_in_whatever_order_rows_come_none_is_lost(
    tmp_path_factory: pytest.TempPathFactory, commits: list[list[int]], limit: int, restarts: set[int]
) -> None:
    folder, clock = tmp_path_factory.mktemp("db"), ManualClock()
    producer = Producer(folder, "sqlite_v2")
    source = source_of(folder, "sqlite_v2", clock)
    feed = source.feed(BTC, [])
    found: set[int] = set()
    written: set[int] = set()
    positions: tuple[object, ...] = ()
    for number, commit in enumerate(commits):
        fresh = sorted({minute * MINUTE_MS for minute in commit} - {ts - T0 for ts in written})
        written.update(producer.write(fresh))
        batch = await feed.read(limit)
        found.update(record.ts_ms for record in batch.records if not isinstance(record, Malformed))
        positions = tuple(batch.positions(0, len(batch.records))) or positions
        if number in restarts and positions:
            await source.close()
            source = source_of(folder, "sqlite_v2", clock)
            feed = source.feed(BTC, positions)  # type: ignore[arg-type] # a tuple of positions

    found.update(await times(feed, limit))
    clock.pass_s(600)
    found.update(await times(feed, limit))

    assert found == written
    await close(source, producer)


async def test_small_letters_are_read_like_capitals_and_stay_counted(
    producer: Producer, source: SqliteSource, clock: ManualClock
) -> None:
    feed = source.feed(BTC, [])
    written = producer.write([0, 2 * MINUTE_MS]) + producer.write([MINUTE_MS, 30 * MINUTE_MS], BTC.lower())
    producer.write([MINUTE_MS], ETH.lower())

    first = await times(feed, 1)
    late = producer.write([29 * MINUTE_MS], BTC.lower())
    second = await times(feed)
    clock.pass_s(600)

    assert first == sorted(written)
    assert second == late
    assert await times(feed) == []
    assert source.counters.resets["rescan"] == 0
    await close(source, producer)
