"""The SQLite source on healthy tables: everything once, in order, resumed where it stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlite_producer import BTC, ETH, T0, ManualClock, Producer, drain, source_of, times, times_of

from config import settings
from config.seams import SystemClock
from streams.signal import Malformed, Signal
from streams.sqlite import SqliteKind, SqliteSource

KINDS: list[SqliteKind] = ["sqlite_v1", "sqlite_v2"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> SqliteKind:
    found: SqliteKind = request.param
    return found


@pytest.fixture
async def producer(tmp_path: Path, kind: SqliteKind) -> AsyncIterator[Producer]:
    made = Producer(tmp_path, kind)
    yield made
    made.close()


@pytest.fixture
async def source(tmp_path: Path, kind: SqliteKind, producer: Producer) -> AsyncIterator[SqliteSource]:
    made = source_of(tmp_path, kind, ManualClock())
    yield made
    await made.close()


@pytest.mark.parametrize("limit", [1, 7, 100, 1_000])
async def test_each_row_of_the_symbol_comes_once_and_in_order(
    producer: Producer, source: SqliteSource, limit: int
) -> None:
    written = producer.write(range(0, 300, 2))
    producer.write(range(1, 300, 2), ETH)

    assert await times(source.feed(BTC, []), limit) == written


async def test_what_is_committed_later_comes_later(producer: Producer, source: SqliteSource) -> None:
    feed = source.feed(BTC, [])
    first = producer.write(range(10))
    assert await times(feed) == first

    second = producer.write(range(10, 20))

    assert await times(feed) == second
    assert await times(feed) == []


async def test_a_lane_far_behind_loses_nothing_to_one_that_is_ahead(
    producer: Producer, source: SqliteSource
) -> None:
    ahead, behind = source.feed(BTC, []), source.feed(ETH, [])
    for start in range(0, 200, 50):
        for_behind = producer.write(range(start, start + 50), ETH)
        for_ahead = producer.write(range(start, start + 50))
        assert await times(ahead) == for_ahead
        if start == 0:
            assert times_of((await behind.read(10)).records) == for_behind[:10]

    assert await times(behind, 7) == [T0 + number for number in range(10, 200)]


async def test_every_prefix_of_a_batch_has_the_position_that_resumes_behind_it(
    tmp_path: Path, kind: SqliteKind, producer: Producer, source: SqliteSource
) -> None:
    written = producer.write(range(0, 2_000_000, 100_000))
    batch = await source.feed(BTC, []).read(100)

    for end in range(1, len(written) + 1):
        again = source_of(tmp_path, kind, ManualClock(), settings.Source(lookback_ms=0))
        rest = await times(again.feed(BTC, batch.positions(0, end)))
        await again.close()

        # A look-back of nothing still covers the millisecond of the cursor.
        assert rest == written[end - (kind == "sqlite_v2") :]
        assert again.counters.resets == {"replaced": 0, "rebuilt": 0, "rescan": 0}
    assert batch.positions(3, 3) == ()


async def test_a_resume_repeats_nothing_from_beyond_the_look_back(
    tmp_path: Path, kind: SqliteKind, producer: Producer, source: SqliteSource
) -> None:
    written = producer.write(range(0, 1_200_000, 60_000))
    _, positions = await drain(source.feed(BTC, []))
    new = producer.write([1_200_000, 1_260_000])

    again = source_of(tmp_path, kind, ManualClock())
    found = await times(again.feed(BTC, positions))
    await again.close()

    repeated = [] if kind == "sqlite_v1" else written[-11:]
    assert found == repeated + new


async def test_the_end_positions_leave_out_what_is_there_now(
    tmp_path: Path, kind: SqliteKind, producer: Producer, source: SqliteSource
) -> None:
    producer.write(range(0, 2_000_000, 100_000))
    producer.write([5], ETH)
    positions = await source.feed(BTC, []).end_positions()
    new = producer.write([3_000_000])

    again = source_of(tmp_path, kind, ManualClock())
    found = await times(again.feed(BTC, positions))
    await again.close()

    assert found == new


async def test_an_empty_table_has_no_end_position(source: SqliteSource) -> None:
    assert await source.feed(BTC, []).end_positions() == ()


async def test_a_malformed_row_is_a_dead_letter_between_its_neighbours(
    producer: Producer, source: SqliteSource
) -> None:
    producer.write([1])
    producer.write([2])
    producer.connection.execute("UPDATE signals SET confirm = 7 WHERE ts_ms = ?", (T0 + 2,))
    producer.write([3])

    records, _ = await drain(source.feed(BTC, []))

    assert [type(record) for record in records] == [Signal, Malformed, Signal]


async def test_broken_utf8_costs_one_row(producer: Producer, source: SqliteSource) -> None:
    producer.write([1, 2, 3])
    producer.connection.execute(
        "UPDATE signals SET run_id = CAST(x'ff61' AS TEXT) WHERE ts_ms = ?", (T0 + 2,)
    )

    records, _ = await drain(source.feed(BTC, []))

    reasons = [record.reason for record in records if isinstance(record, Malformed)]
    assert (len(records), reasons) == (3, ["not_utf8"])


async def test_the_oldest_row_bounds_what_can_still_come(producer: Producer, source: SqliteSource) -> None:
    producer.write([70, 80])
    assert source.reachable_since_ms(BTC) is None

    await drain(source.feed(BTC, []))

    assert source.reachable_since_ms(BTC) == T0 + 70


async def test_a_commit_wakes_a_waiting_feed_and_closing_leaves_no_thread(
    tmp_path: Path, kind: SqliteKind, producer: Producer
) -> None:
    threads = set(threading.enumerate())
    limits = settings.Source(poll_ms=5, rescan_ms=60_000)
    source = SqliteSource(tmp_path, kind=kind, settings=limits, clock=SystemClock(), once=False)
    await source.start()
    feed = source.feed(BTC, [])
    assert await times(feed) == []

    waiting = asyncio.create_task(feed.wait())
    await asyncio.sleep(0)
    written = producer.write([1])
    await asyncio.wait_for(waiting, 10)
    found = await times(feed)
    left_waiting = asyncio.create_task(feed.wait())
    await asyncio.sleep(0)
    await source.close()
    await asyncio.wait_for(left_waiting, 10)

    assert found == written
    for thread in set(threading.enumerate()) - threads:
        thread.join(10)
    assert set(threading.enumerate()) <= threads


async def test_a_cancelled_read_loses_no_row(producer: Producer, source: SqliteSource) -> None:
    written = producer.write(range(500))
    feed = source.feed(BTC, [])
    found: list[int] = []
    for turns in range(1, 60):
        reading = asyncio.create_task(feed.read(20))
        for _ in range(turns):
            await asyncio.sleep(0)
        reading.cancel()
        done = (await asyncio.gather(reading, return_exceptions=True))[0]
        if not isinstance(done, BaseException):
            found += times_of(done.records)

    found += await times(feed)

    assert found == written
