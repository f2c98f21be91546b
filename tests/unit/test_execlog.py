"""The execution log in files: published whole when a minute is over, and going on where it stopped."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from rig import rows as rig
from rig.execlog import LogLife, events_in, parts, published, told, two_lines
from rig.virtual_clock import START_MS, ManualClock, in_virtual_time, until, virtual_clock

from config.settings import ExecLog
from store.execlog import LINES_MAX, TROUBLE_DELAY_S_MAX
from store.execlog_files import MINUTE_MS, Files, Minute, minute_name
from store.execlog_table import ExecTableProjector
from worker.outputs import begin_log

# START_MS is 22:13:20 UTC.
FILE = "BTCUSDT/exec_20231114_2213.jsonl"
NEXT = "BTCUSDT/exec_20231114_2214.jsonl"


async def test_nothing_is_published_before_its_minute_is_over_and_everything_is_after_it(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    async with LogLife(tmp_path, clock) as life:
        await life.orders(1, 2)
        await life.orders(1, symbol="ETHUSDT")
        await life.pass_on()
        early = published(tmp_path), parts(tmp_path)
        clock.now_ms += MINUTE_MS
        await life.pass_on()

    assert early == ({}, [f"{symbol}/exec_20231114_2213.jsonl.part" for symbol in ("BTCUSDT", "ETHUSDT")])
    assert sorted(published(tmp_path)) == [FILE, "ETHUSDT/exec_20231114_2213.jsonl"]
    assert parts(tmp_path) == []
    assert told(tmp_path) == two_lines(1, 2)
    assert told(tmp_path, "ETHUSDT") == two_lines(1, symbol="ETHUSDT")


async def test_a_stop_publishes_and_the_next_life_goes_on_in_the_same_file(tmp_path: Path) -> None:
    seen: list[bytes] = []
    for number in range(3):
        async with LogLife(tmp_path, ManualClock()) as life:
            await life.orders(number)
            await life.log.drain()
        seen.append(published(tmp_path)[FILE])

    assert [len(events_in(data)) for data in seen] == [2, 4, 6]
    assert seen[1].startswith(seen[0])
    assert seen[2].startswith(seen[1])
    assert list(published(tmp_path)) == [FILE]


async def test_a_minute_that_goes_on_shows_the_older_file_until_the_longer_one_is_there(
    tmp_path: Path,
) -> None:
    async with LogLife(tmp_path, ManualClock()) as life:
        await life.orders(1)
        await life.log.drain()
        before = published(tmp_path)
        await life.orders(2)
        await life.pass_on()
        between, being_written = published(tmp_path), parts(tmp_path)
        await life.log.drain()

    assert between == before
    assert being_written == [f"{FILE}.part"]
    assert told(tmp_path) == two_lines(1) + two_lines(2)


async def test_a_clock_that_is_set_back_opens_no_older_minute(tmp_path: Path) -> None:
    clock = ManualClock(START_MS + MINUTE_MS)
    async with LogLife(tmp_path, clock) as life:
        await life.orders(1)
        clock.now_ms -= 30 * MINUTE_MS
        await life.orders(2)
        await life.log.drain()
        clock.now_ms += 31 * MINUTE_MS
        await life.orders(3)
        await life.log.drain()

    assert {name: len(events_in(data)) for name, data in published(tmp_path).items()} == {
        NEXT: 4,
        "BTCUSDT/exec_20231114_2215.jsonl": 2,
    }
    times = [one.ts_ms for data in published(tmp_path).values() for one in events_in(data)]
    assert times == sorted(times)


async def test_more_lines_than_one_step_holds_over_many_minutes_are_all_there(tmp_path: Path) -> None:
    clock = ManualClock()
    wanted: list[tuple[str, str]] = []
    async with LogLife(tmp_path, clock) as life:
        for minute in range(5):
            numbers = range(minute * 500, minute * 500 + 500)
            await life.orders(*numbers)
            wanted += two_lines(*numbers)
            clock.now_ms += MINUTE_MS
        await life.pass_on()

    assert len(wanted) > LINES_MAX
    assert told(tmp_path) == wanted
    assert len(published(tmp_path)) == 5
    # Only the minute that may still go on is remembered.
    assert rig.rows(tmp_path / "executions", "path", "projected_files") == [
        ("ready/execlog/BTCUSDT/exec_20231114_2217.jsonl",)
    ]


async def test_skips_alone_make_no_file_and_no_commit(tmp_path: Path) -> None:
    async with LogLife(tmp_path, ManualClock()) as life:
        await life.commit(rig.share(rig.skip(1), rig.skip(2)))
        commits = life.writer.commits
        await life.log.drain()
        assert life.writer.commits == commits

    assert published(tmp_path) == {}
    assert parts(tmp_path) == []


@in_virtual_time
async def test_the_running_log_publishes_within_seconds_of_the_minute_and_then_rests(tmp_path: Path) -> None:
    clock = virtual_clock()
    async with LogLife(tmp_path, clock) as life:
        task = asyncio.create_task(life.log.run())
        await life.orders(1)
        await until(lambda: bool(parts(tmp_path)), clock, within_s=3)
        left_s = (MINUTE_MS - clock.wall_ms() % MINUTE_MS) / 1000
        await clock.sleep(left_s - 0.1)
        early = published(tmp_path)
        await until(lambda: FILE in published(tmp_path), clock, within_s=3)
        commits = life.writer.commits
        await clock.sleep(3_600)
        rested = life.writer.commits
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert early == {}
    assert rested == commits
    assert told(tmp_path) == two_lines(1)


@in_virtual_time
async def test_a_clock_that_was_set_back_by_hours_keeps_no_file_from_its_readers(tmp_path: Path) -> None:
    clock = virtual_clock()
    async with LogLife(tmp_path, clock) as life:
        task = asyncio.create_task(life.log.run())
        await life.orders(1)
        clock.skew_ms -= 5 * 3_600_000
        await clock.sleep(63)
        once = told(tmp_path)
        await life.orders(2)
        await clock.sleep(63)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert once == two_lines(1)
    assert told(tmp_path) == two_lines(1) + two_lines(2)
    assert list(published(tmp_path)) == [FILE]


@in_virtual_time
async def test_a_rename_that_a_reader_refuses_is_tried_again_and_told_and_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = virtual_clock()
    held = True
    rename = os.replace

    def refuse(source: Path, target: Path) -> None:
        if held and "BTCUSDT" in str(target):
            raise PermissionError(errno.EBUSY, "a reader holds it", str(target))
        rename(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    async with LogLife(tmp_path, clock) as life:
        task = asyncio.create_task(life.log.run())
        await life.orders(1)
        await life.orders(1, symbol="ETHUSDT")
        await clock.sleep(63)
        alone = list(published(tmp_path))
        trouble = life.log.trouble
        await life.orders(2)
        await until(lambda: len(parts(tmp_path)) == 2, clock, within_s=5)
        held = False
        await until(lambda: FILE in published(tmp_path) and life.log.trouble is None, clock, within_s=5)
        await life.log.drain()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert alone == ["ETHUSDT/exec_20231114_2213.jsonl"]
    assert trouble is not None
    assert "a reader holds it" in trouble
    assert told(tmp_path) == two_lines(1) + two_lines(2)


@in_virtual_time
async def test_minutes_that_nobody_lets_it_publish_are_tried_seldom_and_all_come_at_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = virtual_clock()
    (tmp_path / "ready").touch()
    tries: list[int] = []
    publish = Files.publish

    def counted(files: Files, minutes: Sequence[Minute]) -> tuple[list[Minute], OSError | None]:
        tries.append(len(minutes))
        return publish(files, minutes)

    monkeypatch.setattr(Files, "publish", counted)
    async with LogLife(tmp_path, clock) as life:
        task = asyncio.create_task(life.log.run())
        for number in range(3):
            await life.orders(number)
            await clock.sleep(60)
        few = len(tries)
        (tmp_path / "ready").unlink()
        await until(lambda: not parts(tmp_path), clock, within_s=70)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert few <= 180 / TROUBLE_DELAY_S_MAX
    assert told(tmp_path) == [line for number in range(3) for line in two_lines(number)]


async def test_published_files_older_than_keep_days_go_also_those_of_former_lives(tmp_path: Path) -> None:
    clock = ManualClock()
    foreign = tmp_path / "ready" / "execlog" / "BTCUSDT" / "notes.jsonl"
    for day in range(3):
        async with LogLife(tmp_path, clock) as life:
            await life.orders(day)
            await life.log.drain()
            foreign.touch()
            gone = await life.log.prune(1)
        clock.now_ms += 86_400_000

    assert gone == 1
    assert sorted(published(tmp_path)) == [
        "BTCUSDT/exec_20231115_2213.jsonl",
        "BTCUSDT/exec_20231116_2213.jsonl",
        "BTCUSDT/notes.jsonl",
    ]


async def test_the_log_begins_where_it_is_switched_on_and_again_after_it_was_off(tmp_path: Path) -> None:
    clock = ManualClock()
    for number, kind in enumerate([None, "jsonl", "jsonl", "off", "jsonl", "sqlite", "jsonl"]):
        async with LogLife(tmp_path, clock) as life:
            if kind is not None:
                await begin_log(
                    ExecLog(kind), tmp_path / "executions", tmp_path, life.ledger, life.writer, clock
                )
            await life.orders(number)
            if kind == "jsonl" and number != 2:
                await life.log.drain()
            elif kind == "jsonl":
                await life.pass_on()  # and then it is killed, and switched off

    assert told(tmp_path) == [line for number in (1, 2, 4, 6) for line in two_lines(number)]
    assert parts(tmp_path) == []


async def test_the_table_has_each_event_once_however_often_it_is_told(tmp_path: Path) -> None:
    clock = ManualClock()
    for number in range(3):
        async with LogLife(tmp_path, clock) as life:
            await life.orders(number)
            await life.commit(rig.share(rig.skip(100 + number)))
            table = ExecTableProjector(tmp_path / "executions", life.writer, clock)
            await table.drain()
            await table.drain()
            assert table.trouble is None

    found = rig.rows(tmp_path / "executions", "event, state, order_id, price, qty", "exec_events", "seq")
    assert found == [
        line
        for number in range(3)
        for line in [
            ("submit", "reserved", f"BTCUSDT-{number}", None, "0.5"),
            ("filled", "filled", f"BTCUSDT-{number}", "101", "0.5"),
        ]
    ]


async def test_a_stop_while_rows_are_on_their_way_to_the_table_tells_none_of_them_twice(
    tmp_path: Path,
) -> None:
    async with LogLife(tmp_path, ManualClock()) as life:
        await life.orders(1, 2)
        table = ExecTableProjector(tmp_path / "executions", life.writer, ManualClock())
        running = asyncio.create_task(table.run())
        while life.writer.commits == 2 and not life.writer._busy:  # noqa: ASYNC110  # the very moment is meant
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait({running})
        await asyncio.wait_for(table.drain(), 10)

    assert rig.rows(tmp_path / "executions", "count(*)", "exec_events") == [(4,)]


def test_minutes_are_named_in_utc() -> None:
    assert minute_name(START_MS // MINUTE_MS) == "20231114_2213"
