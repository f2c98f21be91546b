"""The feed and its source: woken by hints and by its ticker, never asleep over something new."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from jsonl_folder import SYMBOL, SignalFolder, ids, line, lines

from config.seams import SystemClock
from config.settings import Source as SourceSettings
from streams import jsonl
from streams.jsonl import JsonlFeed, JsonlSource
from streams.signal import Signal
from streams.wake import Hint, PortableWatcher, Watcher

NAME = "signals_20251115_1600.jsonl"
SETTINGS = SourceSettings(poll_ms=10, rescan_ms=50, quiet_ms=50)
PATIENCE_S = 10.0


class DeafWatcher:
    """A watcher that misses everything."""

    prompt = True

    def watch(self, folder: str) -> bool:
        """Do nothing."""
        return True

    async def close(self) -> None:
        """Do nothing."""


def deaf(hint: Hint) -> Watcher:
    """Opens the watcher that misses everything."""
    return DeafWatcher()


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[JsonlSource]:
    source = JsonlSource(tmp_path, settings=SETTINGS, clock=SystemClock(), once=False)
    yield source
    await source.close()


@pytest.fixture
def folder(tmp_path: Path) -> SignalFolder:
    return SignalFolder(tmp_path)


async def next_ids(feed: JsonlFeed) -> list[int]:
    """The ids of the next read that is not empty."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            batch = await feed.read(1_000)
            if batch.records:
                return ids(batch)
            await feed.wait()


async def test_an_append_wakes_the_feed(folder: SignalFolder, source: JsonlSource) -> None:
    await source.start()
    feed = source.feed(SYMBOL, [])
    for number in range(20):
        waiting = asyncio.create_task(next_ids(feed))
        await asyncio.sleep(0)
        folder.append(NAME, line(number))
        assert await waiting == [number]


async def test_without_any_hint_the_ticker_finds_appends_new_files_and_late_lines(
    folder: SignalFolder, source: JsonlSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "open_watcher", deaf)
    for minute in range(40):
        folder.append(f"signals_20251115_16{minute:02d}.jsonl", line(minute))
    feed = source.feed(SYMBOL, [])
    await source.start()
    assert await next_ids(feed) == list(range(40))

    folder.append("signals_20251115_1639.jsonl", line(50))
    assert await next_ids(feed) == [50]
    folder.append("signals_20251115_1640.jsonl", line(51))
    assert await next_ids(feed) == [51]
    folder.append("signals_20251115_1602.jsonl", line(52))
    assert await next_ids(feed) == [52]


async def test_a_folder_that_nobody_has_looked_at_yet_is_not_told_to_be_missing(
    folder: SignalFolder, source: JsonlSource
) -> None:
    folder.append(NAME, line(1))

    assert source.feed(SYMBOL, []).state().waiting_for is None


async def test_a_folder_that_is_missing_deleted_and_made_again_is_waited_for(
    folder: SignalFolder, source: JsonlSource
) -> None:
    shutil.rmtree(folder.path)
    feed = source.feed(SYMBOL, [])
    await source.start()
    assert (await feed.read(10)).records == []
    assert "does not exist yet" in str(feed.state().waiting_for)

    folder.path.mkdir()
    folder.append(NAME, line(1))
    assert await next_ids(feed) == [1]
    assert feed.state().waiting_for is None
    shutil.rmtree(folder.path)
    folder.path.mkdir()
    folder.append(NAME, line(2))
    assert await next_ids(feed) == [2]
    folder.append(NAME, line(3))
    assert await next_ids(feed) == [3]


async def test_a_quiet_line_is_taken_when_it_is_due(folder: SignalFolder, source: JsonlSource) -> None:
    folder.append(NAME, line(1, end=b""))
    folder.append("signals_20251115_1601.jsonl", line(2))
    feed = source.feed(SYMBOL, [])
    await source.start()

    assert await next_ids(feed) == [1, 2]


async def test_a_cancelled_read_loses_nothing(folder: SignalFolder, source: JsonlSource) -> None:
    folder.append(NAME, lines(range(500)))
    feed = source.feed(SYMBOL, [])
    found: list[int] = []
    for _ in range(50):
        reading = asyncio.create_task(feed.read(10))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        if not reading.cancelled():
            found += ids(reading.result())
    while (batch := await feed.read(10)).records:
        found += ids(batch)

    assert found == list(range(500))


async def test_the_state_tells_the_backlog(folder: SignalFolder, source: JsonlSource) -> None:
    folder.append(NAME, lines(range(10_000)))
    feed = source.feed(SYMBOL, [])
    size = (folder.path / NAME).stat().st_size

    await feed.read(1)
    assert feed.state().backlog_bytes > size // 2
    assert feed.state().last_read_ms > 0
    while (await feed.read(1_000)).records:
        pass
    assert feed.state().backlog_bytes == 0


async def test_once_watches_nothing_and_does_not_wait(folder: SignalFolder, tmp_path: Path) -> None:
    folder.append(NAME, line(1) + line(2, end=b""))
    source = JsonlSource(tmp_path, settings=SETTINGS, clock=folder.clock, once=True)
    await source.start()
    feed = source.feed(SYMBOL, [])

    assert ids(await feed.read(10)) == [1, 2]
    assert (await feed.read(10)).records == []
    await feed.wait()
    await source.close()


async def test_two_feeds_do_not_disturb_each_other(tmp_path: Path, source: JsonlSource) -> None:
    folder = SignalFolder(tmp_path)
    other = tmp_path / "ready" / "signal" / "ETHUSDT"
    other.mkdir()
    feeds = [source.feed(symbol, []) for symbol in (SYMBOL, "ETHUSDT")]
    await source.start()
    for number in range(10):
        folder.append(NAME, line(number))
        with (other / NAME).open("ab") as file:
            file.write(line(number, symbol="ETHUSDT"))
        assert await asyncio.gather(*(next_ids(feed) for feed in feeds)) == [[number], [number]]


async def test_what_is_reachable_begins_an_hour_before_the_first_name(
    folder: SignalFolder, source: JsonlSource
) -> None:
    assert source.reachable_since_ms(SYMBOL) is None
    folder.append("signals-20251115-17.jsonl", b"")
    folder.append("signals_202511151600.jsonl", b"")
    assert source.reachable_since_ms(SYMBOL) == 1_763_222_400_000 - 3_600_000
    folder.append("timeless.jsonl", b"")
    assert source.reachable_since_ms(SYMBOL) is None


async def test_the_counters_sum_over_the_feeds(folder: SignalFolder, source: JsonlSource) -> None:
    folder.append(NAME, line(1))
    folder.append("x.part", b"")
    feed = source.feed(SYMBOL, [])
    await feed.read(10)
    os.truncate(folder.path / NAME, 0)
    await feed.read(10)

    assert source.counters.resets == {"truncated": 1, "replaced": 0, "marker": 0}
    assert source.counters.ignored_files["part"] == 1


@pytest.mark.parametrize("shape", ["v1-jsonl", "v2-jsonl"])
async def test_the_real_files_give_six_hundred_signals(signals_dir: Path, shape: str) -> None:
    source = JsonlSource(signals_dir / shape, settings=SourceSettings(), clock=SystemClock(), once=True)
    keys = set()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        feed = source.feed(symbol, [])
        while (batch := await feed.read(97)).records:
            for record in batch.records:
                assert isinstance(record, Signal)
                keys.add((record.symbol, record.ts_ms, record.signal_id))
    await source.close()

    assert len(keys) == 600


async def test_where_the_system_has_no_watches_left_lines_still_arrive(
    folder: SignalFolder, source: JsonlSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(hint: Hint) -> Watcher:
        raise OSError(errno.EMFILE, "too many instances")

    monkeypatch.setattr("streams.wake.InotifyWatcher", refuse)
    feed = source.feed(SYMBOL, [])
    await source.start()
    assert isinstance(source._watcher, PortableWatcher)
    folder.append(NAME, line(1))

    assert await next_ids(feed) == [1]
