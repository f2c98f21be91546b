"""The output files after crashes and on failing disks: no line missing, none doubled, none cut."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rig import rows as rig
from rig.disk import small_disk
from rig.floor import Crash
from rig.outputs import Outputs, die_at, files, ids
from rig.virtual_clock import ManualClock, in_virtual_time, until, virtual_clock

from config.seams import CRASH_POINTS, arm_crash_points

HOUR = "BTCUSDT/exec_20231114_22.jsonl"
POINTS = [*(name for name in CRASH_POINTS if "projection" in name), "in_reserve"]


@pytest.mark.parametrize("passage", [1, 2, 3])
@pytest.mark.parametrize("point", POINTS)
async def test_dying_while_lines_are_written_leaves_exactly_one_of_each(
    tmp_path: Path, point: str, passage: int
) -> None:
    clock = ManualClock()
    expected: list[str] = []
    for life in range(5):
        async with Outputs(tmp_path, clock, with_skipped=True) as outputs:
            await outputs.skips(2 * life, 2 * life + 1)
            await outputs.skips(life, symbol="ETHUSDT")
            await outputs.commit(rig.share(dead_letters=[rig.dead_letter(life)]))
            expected += [f"id-{2 * life}", f"id-{2 * life + 1}"]
            die_at(point, passage)
            try:
                with pytest.raises(Crash):
                    await outputs.drain()
            finally:
                arm_crash_points(None)
        clock.now_ms += 1_800_000
    async with Outputs(tmp_path, clock, with_skipped=True) as outputs:
        await outputs.drain()

    assert ids(tmp_path) == expected
    counts = {name: data.count(b"\n") for name, data in files(tmp_path).items()}
    assert sum(count for name, count in counts.items() if name.startswith("ETH")) == 5
    assert sum(count for name, count in counts.items() if name.startswith("dead")) == 5
    assert counts["skipped_signals.jsonl"] == 15


def cut_to(size: int) -> Callable[[Path], None]:
    """The file ends early."""

    def damage(path: Path) -> None:
        with open(path, "r+b") as file:
            file.truncate(size)

    return damage


def grown(path: Path) -> None:
    """Half a line stands behind the last one."""
    with open(path, "ab") as file:
        file.write(b'{"exec_ts_ms":17000000')


def replaced_by_longer(path: Path) -> None:
    """Whole foreign lines stand behind ours."""
    with open(path, "ab") as file:
        file.write(b"{}\n" * 1_000)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "removed": Path.unlink,
    "folder_removed": lambda path: shutil.rmtree(path.parent),
    "emptied": cut_to(0),
    "cut_in_a_line": cut_to(500),
    "grown": grown,
    "longer": replaced_by_longer,
}


@pytest.mark.parametrize("when", ["between runs", "between passes", "and nothing new comes"])
@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_file_has_the_same_bytes_again(tmp_path: Path, damage: str, when: str) -> None:
    twin, folder = tmp_path / "twin", tmp_path / "store"
    for place in (twin, folder):
        async with Outputs(place, ManualClock()) as outputs:
            await outputs.skips(*range(10))
            await outputs.drain()
            if place is folder and when == "between passes":
                DAMAGES[damage](folder / HOUR)
            if when == "between passes":
                await outputs.skips(*range(10, 15))
                await outputs.drain()
        if place is folder and when != "between passes":
            DAMAGES[damage](folder / HOUR)
        async with Outputs(place, ManualClock()) as outputs:
            if when == "between runs":
                await outputs.skips(*range(10, 15))
            await outputs.drain()

    assert files(folder) == files(twin)


@pytest.mark.parametrize("name", ["deadletter/20231114_22.jsonl", "skipped_signals.jsonl"])
async def test_the_other_outputs_are_rebuilt_as_well(tmp_path: Path, name: str) -> None:
    async with Outputs(tmp_path, ManualClock(), with_skipped=True) as outputs:
        await outputs.skips(1, 2, 3)
        await outputs.commit(rig.share(dead_letters=[rig.dead_letter(n) for n in range(3)]))
        await outputs.drain()
        before = files(tmp_path)
    (tmp_path / name).unlink()

    async with Outputs(tmp_path, ManualClock(), with_skipped=True) as outputs:
        await outputs.drain()

    assert files(tmp_path) == before


@in_virtual_time
async def test_an_output_that_cannot_be_written_is_waited_for_and_told_and_loses_nothing(
    tmp_path: Path,
) -> None:
    clock = virtual_clock()
    (tmp_path / "BTCUSDT").write_text("a file where the folder should be")
    async with Outputs(tmp_path, clock) as outputs:
        task = asyncio.create_task(outputs.projector.run())
        for number in range(3):
            await outputs.skips(number)
            await outputs.skips(number, symbol="ETHUSDT")
            await clock.sleep(5)
        trouble, commits = outputs.projector.trouble, len(rig.rows(tmp_path, "id"))
        (tmp_path / "BTCUSDT").unlink()
        await until(lambda: outputs.projector.trouble is None, clock, within_s=10)
        await clock.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert "goes on by itself" in (trouble or "")
    assert commits == 6
    assert ids(tmp_path) == ["id-0", "id-1", "id-2"]
    assert sum(data.count(b"\n") for data in files(tmp_path).values()) == 6


@in_virtual_time
async def test_outputs_go_on_once_a_full_disk_has_room_again(tmp_path: Path) -> None:
    clock = virtual_clock()
    with small_disk(tmp_path / "disk", "8m") as disk:
        folder = disk.path / "store"
        async with Outputs(folder, clock) as outputs:
            await outputs.skips(*range(1_000))
            ballast = disk.fill()
            task = asyncio.create_task(outputs.projector.run())
            await clock.sleep(5)
            trouble = outputs.projector.trouble
            ballast.unlink()
            await until(lambda: len(ids_or_none(folder)) == 1_000, clock, within_s=10)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        assert trouble is not None
        assert ids(folder) == [f"id-{number}" for number in range(1_000)]


def ids_or_none(folder: Path) -> list[str]:
    """The ids, while the file may be in the middle of a line."""
    return ids(folder) if all(data.endswith(b"\n") or not data for data in files(folder).values()) else []


async def test_trouble_at_the_last_pass_is_told_and_made_good_by_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "BTCUSDT").write_text("a file where the folder should be")
    async with Outputs(tmp_path, ManualClock()) as outputs:
        await outputs.skips(1)
        await outputs.drain()
        trouble = outputs.projector.trouble
    (tmp_path / "BTCUSDT").unlink()
    async with Outputs(tmp_path, ManualClock()) as outputs:
        await outputs.drain()

    assert "behind the store" in (trouble or "")
    assert ids(tmp_path) == ["id-1"]


async def test_a_quantity_that_is_no_number_stops_no_other_line(tmp_path: Path) -> None:
    async with Outputs(tmp_path, ManualClock()) as outputs:
        await outputs.skips(1, qty="NaN")
        await outputs.skips(2)
        await outputs.drain()

    assert "id-2" in ids(tmp_path)
