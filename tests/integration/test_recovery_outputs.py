"""The whole worker dies in the middle of everything: rows and lines agree in the end, one for one."""

from __future__ import annotations

from pathlib import Path

import pytest
from rig.floor import Crash, crash_at, signal
from rig.outputs import files, lines
from rig.process import Process
from rig.rows import rows
from rig.scripted_adapter import ScriptedAdapter, fills, loses_the_answer, loses_the_order, rejects
from rig.virtual_clock import in_virtual_time, virtual_clock

from config.seams import CRASH_POINTS, arm_crash_points
from streams.signal import Malformed, Place, Record

SYMBOLS = ("BTCUSDT", "ETHUSDT")
COUNT = 30


def inputs_with_everything() -> dict[str, list[Record]]:
    """Orders, skips and malformed lines of two symbols."""
    inputs: dict[str, list[Record]] = {}
    for symbol in SYMBOLS:
        records: list[Record] = [signal(number, symbol, confirm=number % 3 != 0) for number in range(COUNT)]
        place = Place(f"ready/signal/{symbol}/a.jsonl", 7, 3)
        records.insert(11, Malformed(symbol, "not_json", place, b"{bad"))
        inputs[symbol] = records
    return inputs


def judge(folder: Path, venue: ScriptedAdapter) -> None:
    """Each signal has one row and one line, in one order; each malformed line one dead letter."""
    assert len(venue.placed) == len(set(venue.placed))
    for symbol in SYMBOLS:
        names = sorted(name for name in files(folder) if name.startswith(f"{symbol}/"))
        told = [line for name in names for line in lines(folder, name)]
        assert sorted(line["signal_id"] for line in told) == sorted(f"{symbol}-{n}" for n in range(COUNT))
        stored = rows(folder, "signal_id, status", f"executions WHERE symbol = '{symbol}'")
        assert {line["signal_id"]: line["status"] for line in told} == dict(stored)
        assert [line["exec_ts_ms"] for line in told] == sorted(line["exec_ts_ms"] for line in told)
        assert [one for one, _ in stored] == [f"{symbol}-{number}" for number in range(COUNT)]
    letters = [name for name in files(folder) if name.startswith("deadletter/")]
    assert sum(len(lines(folder, name)) for name in letters) == len(SYMBOLS)


@pytest.mark.parametrize(
    ("point", "batch_max"), [(point, (1, 8)[number % 2]) for number, point in enumerate(CRASH_POINTS)]
)
@in_virtual_time
async def test_a_worker_that_dies_again_and_again_tells_every_signal_exactly_once(
    tmp_path: Path, point: str, batch_max: int
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(
        clock,
        batch_max=batch_max,
        latency_s=0.01,
        answers={
            "BTCUSDT-1": [loses_the_answer],
            "BTCUSDT-5": [loses_the_order, fills],
            "ETHUSDT-2": [rejects],
        },
    )
    inputs, died = inputs_with_everything(), 0
    for passage in (1, 3, 2, 5, 1, 0):
        folder = tmp_path / f"life{died}"
        crash_at(point, passage, folder, tmp_path / f"life{died + 1}", venue)
        process = Process(folder, clock, venue, inputs, once=True)
        try:
            async with process:
                await process.task
        except Crash:
            died += 1
        finally:
            arm_crash_points(None)
            venue.cut = False

    assert died >= 1
    judge(folder, venue)
