"""The execution log after crashes and on failing disks: no line missing, doubled or cut, no file partial."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rig.disk import small_disk
from rig.execlog import LogLife, parts, published, told, two_lines
from rig.floor import Crash
from rig.outputs import die_at
from rig.virtual_clock import ManualClock

from config.seams import CRASH_POINTS, arm_crash_points
from store import output_file
from store.execlog import ExecLogProjector
from store.execlog_files import MINUTE_MS, Files, Minute
from store.execlog_line import Fact
from store.records import ProjectedFile, Share

POINTS = [*(name for name in CRASH_POINTS if "projection" in name), "in_reserve"]
FILE = "BTCUSDT/exec_20231114_2213.jsonl"


class Reader:
    """Somebody who reads whatever is published, each time whole, and remembers it."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._seen: dict[str, bytes] = {}
        self.complaints: list[str] = []

    def look(self) -> None:
        """Read everything; a file may only ever grow by whole lines."""
        for name, data in published(self._output).items():
            if not data.endswith(b"\n") or not name.endswith(".jsonl"):
                self.complaints.append(f"{name} is no whole file")
            if not data.startswith(self._seen.get(name, b"")):
                self.complaints.append(f"{name} says something else than it did")
            self._seen[name] = data


async def lives(output: Path, point: str, passage: int, make: type[ExecLogProjector]) -> Reader:
    """Five lives that die at a point, in one minute and over several, each followed by a reader's look."""
    clock, reader = ManualClock(), Reader(output)
    for life_number in range(5):
        async with LogLife(output, clock, make) as life:
            await life.orders(2 * life_number, 2 * life_number + 1)
            await life.orders(life_number, symbol="ETHUSDT")
            die_at(point, passage)
            try:
                await life.pass_on()
                await life.log.drain()
            except Crash:
                pass
            finally:
                arm_crash_points(None)
            reader.look()
        clock.now_ms += (0, 0, MINUTE_MS, MINUTE_MS // 2)[life_number % 4]
    async with LogLife(output, clock, make) as life:
        await life.log.drain()
    reader.look()
    return reader


def wanted(symbol: str = "BTCUSDT") -> list[tuple[str, str]]:
    """What five lives lead to."""
    each: list[Sequence[int]] = [(2 * n, 2 * n + 1) if symbol == "BTCUSDT" else (n,) for n in range(5)]
    return [line for numbers in each for line in two_lines(*numbers, symbol=symbol)]


@pytest.mark.parametrize("passage", range(1, 5))
@pytest.mark.parametrize("point", POINTS)
async def test_dying_anywhere_leaves_each_line_once_and_every_published_file_whole(
    tmp_path: Path, point: str, passage: int
) -> None:
    reader = await lives(tmp_path, point, passage, ExecLogProjector)

    assert reader.complaints == []
    assert told(tmp_path) == wanted()
    assert told(tmp_path, "ETHUSDT") == wanted("ETHUSDT")
    assert parts(tmp_path) == []


class CursorFirst(ExecLogProjector):
    """The mistake: the cursor says that lines are written which are not."""

    async def _append(self, minute: Minute, facts: Sequence[Fact]) -> ProjectedFile:
        await self._commit(Share(symbol="", projected={"execlog": facts[-1].seq}))
        return await super()._append(minute, facts)


class ForgetsWhatWasPublished(ExecLogProjector):
    """The mistake: a minute that goes on starts with nothing."""

    def _append_lines(self, minute: Minute, facts: Sequence[Fact], known: ProjectedFile | None) -> int:
        was_published = known is not None and known.path == minute.ready
        return super()._append_lines(minute, facts, None if was_published else known)


class CursorBeforeRename(ExecLogProjector):
    """The mistake: a file counts as published before it is."""

    async def _publish(self, minutes: Sequence[Minute]) -> None:
        await self._note_published(minutes)
        output_file.crash_point("before_projection")
        await self._in_thread(self._disk.publish, minutes)


class WrittenInPlace(Files):
    """The mistake: lines are copied to where readers look."""

    def publish(self, minutes: Sequence[Minute]) -> tuple[list[Minute], OSError | None]:
        for minute in minutes:
            ready = self._output / minute.ready
            ready.parent.mkdir(parents=True, exist_ok=True)
            data = (self._output / minute.part).read_bytes()
            ready.write_bytes(data[: len(data) // 2 + 3])
            output_file.crash_point("after_projection_write")
            ready.write_bytes(data)
        return list(minutes), None


class PublishesInPieces(ExecLogProjector):
    """The mistake above, in a projector."""

    def __init__(self, *arguments: object, output: Path, **named: object) -> None:
        super().__init__(*arguments, output=output, **named)  # type: ignore[arg-type]  # handed on as given
        self._disk = WrittenInPlace(output)


@pytest.mark.parametrize(
    "planted", [CursorFirst, ForgetsWhatWasPublished, CursorBeforeRename, PublishesInPieces]
)
async def test_a_planted_mistake_is_caught(tmp_path: Path, planted: type[ExecLogProjector]) -> None:
    for number, (point, passage) in enumerate(
        (point, passage) for passage in (2, 1, 3, 4) for point in POINTS
    ):
        output = tmp_path / str(number)
        try:
            reader = await lives(output, point, passage, planted)
        except (OSError, AssertionError):
            return
        if reader.complaints or told(output) != wanted() or told(output, "ETHUSDT") != wanted("ETHUSDT"):
            return

    pytest.fail("nothing was lost, doubled or cut")


def cut_to(size: int) -> Callable[[Path], None]:
    """The file ends early."""
    return lambda path: os.truncate(path, size)


def grown(path: Path) -> None:
    """Half a line stands behind the last one."""
    with open(path, "ab") as file:
        file.write(b'{"ts_ms":17000000')


DAMAGES: dict[str, Callable[[Path], None]] = {
    "removed": Path.unlink,
    "folder_removed": lambda path: shutil.rmtree(path.parent.parent.parent),
    "emptied": cut_to(0),
    "cut_in_a_line": cut_to(300),
    "grown": grown,
}


@pytest.mark.parametrize("when", ["between lives", "between passes", "before it is published"])
@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_part_has_the_same_bytes_again(tmp_path: Path, damage: str, when: str) -> None:
    twin, output = tmp_path / "twin", tmp_path / "output"
    for place in (twin, output):
        clock = ManualClock()
        async with LogLife(place, clock) as life:
            await life.orders(*range(5))
            await life.pass_on()
            if place is output and when != "between lives":
                DAMAGES[damage](place / "spool" / "execlog" / f"{FILE}.part")
            if when == "between passes":
                await life.orders(6)
            if when != "between lives":
                clock.now_ms += MINUTE_MS
                await life.pass_on()
        if place is output and when == "between lives":
            DAMAGES[damage](place / "spool" / "execlog" / f"{FILE}.part")
        async with LogLife(place, clock) as life:
            await life.log.drain()

    assert published(output) == published(twin) != {}


async def test_a_published_file_that_was_taken_away_comes_again_whole_when_its_minute_goes_on(
    tmp_path: Path,
) -> None:
    async with LogLife(tmp_path, ManualClock()) as life:
        await life.orders(1)
        await life.log.drain()
        (tmp_path / "ready" / "execlog" / FILE).unlink()
        await life.orders(2)
        await life.log.drain()

    assert told(tmp_path) == two_lines(1) + two_lines(2)


async def test_what_a_crash_left_in_the_spool_unknown_to_the_store_goes(tmp_path: Path) -> None:
    stray = tmp_path / "spool" / "execlog" / "BTCUSDT" / "exec_20200101_0000.jsonl.part"
    foreign = stray.with_name("notes.txt")
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"{}\n")
    foreign.touch()

    async with LogLife(tmp_path, ManualClock()) as life:
        await life.log.drain()

    assert parts(tmp_path) == ["BTCUSDT/notes.txt"]


async def test_lines_and_names_are_on_disk_before_the_store_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    names: dict[int, str] = {}
    for name in ("open", "fdatasync", "fsync", "replace"):
        original = getattr(os, name)

        def noted(*arguments: object, name: str = name, original: Callable[..., object] = original) -> object:
            result = original(*arguments)
            if name == "open":
                assert isinstance(result, int)
                names[result] = str(arguments[0])
            else:
                subject = names.get(arguments[0], "?") if isinstance(arguments[0], int) else str(arguments[1])
                done.append(f"{name} {Path(subject).relative_to(tmp_path)}")
            return result

        monkeypatch.setattr(os, name, noted)
    async with LogLife(tmp_path, ManualClock()) as life:
        await life.orders(1)
        commit = life.writer.commit

        async def told_to_store(share: Share, **more: bool) -> object:
            done.append("cursor" if share.projected or share.projected_files else "barrier")
            return await commit(share, **more)

        monkeypatch.setattr(life.writer, "commit", told_to_store)
        done.clear()
        await life.log.drain()

    assert done == [
        "fsync .",
        "fsync spool",
        "fsync spool/execlog",
        f"fdatasync spool/execlog/{FILE}.part",
        "fsync spool/execlog/BTCUSDT",
        "cursor",
        "fsync .",
        "fsync ready",
        "fsync ready/execlog",
        f"replace ready/execlog/{FILE}",
        "fsync ready/execlog/BTCUSDT",
        "fsync spool/execlog/BTCUSDT",
        "cursor",
    ]


async def test_a_full_disk_costs_no_line(tmp_path: Path) -> None:
    (tmp_path / "executions").mkdir()
    with small_disk(tmp_path / "disk", "4m") as disk:
        # The store has a disk of its own, so that the log alone runs out of room.
        (disk.path / "executions").symlink_to(tmp_path / "executions")
        async with LogLife(disk.path, ManualClock()) as life:
            await life.orders(1)
            await life.pass_on()
            ballast = disk.fill()
            await life.orders(*range(2, 200))
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                await life.pass_on()
            ballast.unlink()
            await life.log.drain()

        assert told(disk.path) == two_lines(1) + two_lines(*range(2, 200))


async def test_a_stop_in_the_middle_of_a_publication_leaves_nothing_undone(tmp_path: Path) -> None:
    async with LogLife(tmp_path, ManualClock()) as life:
        await life.orders(1)
        await life.pass_on()
        first = asyncio.create_task(life.log._publish(life.log._open()))
        while not life.log._publishing:  # noqa: ASYNC110  # the very moment is meant
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait({first})
        await life.orders(2)
        await life.log.drain()
        assert life.log.trouble is None

    assert told(tmp_path) == two_lines(1) + two_lines(2)
    assert parts(tmp_path) == []
