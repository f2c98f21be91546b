"""The output files: one line per final execution, in order, exact to the digit, function of the row."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path

import pytest
from rig import rows as rig
from rig.outputs import Outputs, files, ids, lines
from rig.virtual_clock import START_MS, ManualClock, in_virtual_time, until, virtual_clock

from store.lifecycle import State
from store.projector import LINES_MAX, hour_name
from store.records import Move

HOUR = "BTCUSDT/exec_20231114_22.jsonl"
NEXT_HOUR = "BTCUSDT/exec_20231114_23.jsonl"


async def test_every_final_execution_has_one_line_with_the_columns_of_the_contract(tmp_path: Path) -> None:
    async with Outputs(tmp_path, ManualClock()) as outputs:
        new = rig.reservation(
            1,
            order_id="dryrun:id-1",
            qty="0.10",
            price="43210.10",
            guard_reason='a "quoted"\nline\u2028é',
            meta_json='{"mode":"dry_run","fee":"0.00"}',
        )
        [receipt] = await outputs.commit(rig.share(new))
        await outputs.drain()
        assert files(tmp_path) == {}
        await outputs.commit(rig.share(moves=[rig.filled(receipt.row_ids[0])]))
        await outputs.drain()

    assert lines(tmp_path, HOUR) == [
        {
            "exec_ts_ms": START_MS,
            "signal_ts_ms": rig.T0 + 1,
            "symbol": "BTCUSDT",
            "signal_id": "id-1",
            "order_id": "dryrun:id-1",
            "side": "long",
            "qty": "0.10",
            "price": "43210.10",
            "gating": 1,
            "guard_reason": 'a "quoted"\nline\u2028é',
            "status": "success",
            "error_code": None,
            "error_msg": None,
            "run_source": "prod",
            "meta_json": {"mode": "dry_run", "fee": "0.00"},
        }
    ]


@pytest.mark.parametrize(
    "exact",
    [
        "0.1",
        "100.0",
        "0.10000000000000000000000001",
        "1E+3",
        "1E-8",
        "0E-8",
        "-0.5",
        "79228162514264337593.5",
    ],
)
async def test_quantities_and_prices_keep_every_digit(tmp_path: Path, exact: str) -> None:
    assert str(Decimal(exact)) == exact
    async with Outputs(tmp_path, ManualClock()) as outputs:
        await outputs.skips(1, qty=exact, price=exact)
        await outputs.drain()

    text = (tmp_path / HOUR).read_text()
    [line] = [json.loads(one, parse_float=str, parse_int=str) for one in text.splitlines()]
    assert (line["qty"], line["price"]) == (exact, exact)


async def test_lines_stand_in_the_order_of_the_outcomes_over_all_symbols_and_hours(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Outputs(tmp_path, clock) as outputs:
        await outputs.commit(rig.share(rig.reservation(1)))
        await outputs.skips(2, 3)
        await outputs.skips(1, symbol="ETHUSDT")
        await outputs.drain()
        clock.now_ms += 3_600_000
        await outputs.commit(rig.share(rig.skip(4), moves=[rig.filled(1)]))
        await outputs.drain()

    assert [line["signal_id"] for line in lines(tmp_path, HOUR)] == ["id-2", "id-3"]
    assert [line["signal_id"] for line in lines(tmp_path, NEXT_HOUR)] == ["id-1", "id-4"]
    assert [line["signal_id"] for line in lines(tmp_path, "ETHUSDT/exec_20231114_22.jsonl")] == ["id-1"]
    assert [line["exec_ts_ms"] for line in lines(tmp_path, NEXT_HOUR)] == [START_MS + 3_600_000] * 2


async def test_a_clock_that_is_set_back_over_the_hour_opens_no_older_file_again(tmp_path: Path) -> None:
    clock = ManualClock(START_MS + 3_600_000)
    async with Outputs(tmp_path, clock) as outputs:
        await outputs.skips(1)
        clock.now_ms -= 3_600_000
        await outputs.skips(2)
        await outputs.drain()

    assert list(files(tmp_path)) == [NEXT_HOUR]
    assert ids(tmp_path) == ["id-1", "id-2"]


async def test_only_final_outcomes_have_lines(tmp_path: Path) -> None:
    async with Outputs(tmp_path, ManualClock()) as outputs:
        [receipt] = await outputs.commit(rig.share(*map(rig.reservation, range(4))))
        after = (State.OPEN, State.UNKNOWN, State.PARTIAL, State.CANCELED)
        moves = [
            Move(row_id=row_id, before=State.RESERVED, after=state)
            for row_id, state in zip(receipt.row_ids, after, strict=True)
        ]
        await outputs.commit(rig.share(moves=moves))
        await outputs.drain()
        early = ids(tmp_path)
        later = [
            rig.filled(1, State.OPEN),
            Move(row_id=2, before=State.UNKNOWN, after=State.QUARANTINED),
            Move(row_id=2, before=State.QUARANTINED, after=State.REJECTED),
        ]
        await outputs.commit(rig.share(moves=later))
        await outputs.drain()

    assert early == ["id-3"]
    assert ids(tmp_path) == ["id-3", "id-0", "id-1"]


async def test_more_lines_than_one_pass_holds_are_all_written(tmp_path: Path) -> None:
    count = 2 * LINES_MAX + 7
    async with Outputs(tmp_path, ManualClock()) as outputs:
        await outputs.skips(*range(count))
        await outputs.drain()
        (tmp_path / HOUR).unlink()
    async with Outputs(tmp_path, ManualClock()) as outputs:
        await outputs.drain()

    assert ids(tmp_path) == [f"id-{number}" for number in range(count)]


async def test_a_second_run_over_the_same_store_adds_nothing(tmp_path: Path) -> None:
    for _ in range(3):
        async with Outputs(tmp_path, ManualClock(), with_skipped=True) as outputs:
            await outputs.skips(1, 2, 3)
            await outputs.commit(rig.share(dead_letters=[rig.dead_letter(1)]))
            await outputs.drain()
            await outputs.drain()

    assert ids(tmp_path) == ["id-1", "id-2", "id-3"]
    assert {name: data.count(b"\n") for name, data in files(tmp_path).items()} == {
        HOUR: 3,
        "deadletter/20231114_22.jsonl": 1,
        "skipped_signals.jsonl": 3,
    }


async def test_dead_letters_show_where_they_came_from_and_what_they_were(tmp_path: Path) -> None:
    async with Outputs(tmp_path, ManualClock()) as outputs:
        letters = [
            rig.dead_letter(5, raw=b'{"a":\xff\x00\n\x1b[31m"}'),
            rig.dead_letter(7, source="sqlite_v1", raw=b"row"),
            rig.dead_letter(5, raw=b'{"a":\xff\x00\n\x1b[31m"}'),
        ]
        await outputs.commit(rig.share(dead_letters=letters))
        await outputs.drain()

    first, second = lines(tmp_path, "deadletter/20231114_22.jsonl")
    assert first == {
        "ts_ms": START_MS,
        "source": "jsonl",
        "file": "a.jsonl",
        "offset": 5,
        "reason": "not_json",
        "raw": '{"a":\\xff\x00\n\x1b[31m"}',
    }
    assert (second["rowid"], second["raw"]) == (7, "row")
    assert "offset" not in second


async def test_the_skip_file_tells_every_skip_of_a_new_store_and_no_order(tmp_path: Path) -> None:
    async with Outputs(tmp_path, ManualClock(), with_skipped=True) as outputs:
        await outputs.skips(1)  # before the projector had its first turn
        await outputs.commit(rig.share(rig.reservation(2)))
        await outputs.drain()
        await outputs.skips(3)
        await outputs.commit(rig.share(moves=[rig.filled(2)]))
        await outputs.drain()

    assert [line["signal_id"] for line in lines(tmp_path, "skipped_signals.jsonl")] == ["id-1", "id-3"]
    assert {line["status"] for line in lines(tmp_path, "skipped_signals.jsonl")} == {"skip"}


async def test_the_skip_file_begins_where_it_was_switched_on_and_stays_whole_while_it_is_off(
    tmp_path: Path,
) -> None:
    for number, with_skipped in enumerate((False, True, False, True)):
        async with Outputs(tmp_path, ManualClock(), with_skipped=with_skipped) as outputs:
            await outputs.drain()
            await outputs.skips(number)
            await outputs.drain()

    told = [line["signal_id"] for line in lines(tmp_path, "skipped_signals.jsonl")]
    assert told[0] == "id-1"
    assert told[-1] == "id-3"
    assert len(told) == len(set(told))


async def test_the_skip_file_misses_nothing_when_the_first_run_ends_before_its_first_line(
    tmp_path: Path,
) -> None:
    async with Outputs(tmp_path, ManualClock()) as outputs:
        await outputs.skips(0)
        await outputs.drain()
    async with Outputs(tmp_path, ManualClock(), with_skipped=True) as outputs:
        await outputs.projector._start()
        await outputs.skips(1, 2)  # and then the process is killed
    async with Outputs(tmp_path, ManualClock(), with_skipped=True) as outputs:
        await outputs.drain()

    assert [line["signal_id"] for line in lines(tmp_path, "skipped_signals.jsonl")] == ["id-1", "id-2"]


async def test_without_the_option_there_is_no_skip_file(tmp_path: Path) -> None:
    async with Outputs(tmp_path, ManualClock()) as outputs:
        await outputs.skips(1)
        await outputs.drain()

    assert list(files(tmp_path)) == [HOUR]


async def test_files_older_than_keep_days_go_and_the_table_keeps_what_they_said(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Outputs(tmp_path, clock, with_skipped=True) as outputs:
        await outputs.skips(1)
        await outputs.commit(rig.share(dead_letters=[rig.dead_letter(1)]))
        await outputs.drain()
        clock.now_ms += 86_400_000
        await outputs.skips(2)
        await outputs.drain()
        gone = await outputs.projector.prune(1)
        still = sorted(files(tmp_path))
        clock.now_ms += 3_600_000
        gone += await outputs.projector.prune(1)
        await outputs.skips(3)
        await outputs.drain()

    assert len(still) == 4
    assert gone == 2
    assert sorted(files(tmp_path)) == [
        "BTCUSDT/exec_20231115_22.jsonl",
        "BTCUSDT/exec_20231115_23.jsonl",
        "skipped_signals.jsonl",
    ]
    assert len(rig.rows(tmp_path, "id")) == 3
    async with Outputs(tmp_path, clock, with_skipped=True) as outputs:
        await outputs.drain()
    assert ids(tmp_path) == ["id-2", "id-3"]


async def test_a_file_that_cannot_be_deleted_does_not_stop_the_worker(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Outputs(tmp_path, clock) as outputs:
        await outputs.skips(1)
        await outputs.drain()
        (tmp_path / HOUR).unlink()
        (tmp_path / HOUR).mkdir()
        clock.now_ms += 3 * 86_400_000

        await outputs.projector.prune(1)
        await outputs.skips(2)
        await outputs.drain()

    (tmp_path / HOUR).rmdir()
    assert ids(tmp_path) == ["id-2"]


@in_virtual_time
async def test_the_running_projector_follows_the_store_and_waits_for_nothing_else(tmp_path: Path) -> None:
    clock = virtual_clock()
    async with Outputs(tmp_path, clock) as outputs:
        task = asyncio.create_task(outputs.projector.run())
        for number in range(3):
            await outputs.skips(number)
            await until(lambda number=number: ids(tmp_path)[-1:] == [f"id-{number}"], clock, within_s=1)
        await clock.sleep(3_600)
        behind, commits = outputs.projector.behind_since_ms, outputs.writer.commits
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert behind is None
    assert commits == 6  # one for each signal, one for each cursor, none while idle


def test_hours_are_named_in_utc() -> None:
    assert hour_name(START_MS // 3_600_000) == "20231114_22"
    assert hour_name(0) == "19700101_00"
