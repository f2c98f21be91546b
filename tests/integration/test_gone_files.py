"""Positions of files that are gone: forgotten after an hour, never those of a file that may come again."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from rig import rows as rig
from rig.virtual_clock import ManualClock

from store.writer import Writer
from worker import gone_files
from worker.gone_files import GONE_S, GoneFiles


class HandClock(ManualClock):
    """Monotonic time that is moved by hand."""

    now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s


class Place:
    """A producer's folder, a store that has read it, and what looks for files that are gone."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "signals" / "ready" / "signal" / rig.SYMBOL
        self.folder.mkdir(parents=True)
        self.clock = HandClock()
        self.ledger = rig.open_ledger(tmp_path / "store", self.clock)
        self.executor = ThreadPoolExecutor(max_workers=1)
        self.writer = Writer(self.ledger, executor=self.executor, clock=self.clock)
        self.gone = GoneFiles(
            rig.store_of(self.ledger),
            self.writer,
            self.clock,
            signals_dir=tmp_path / "signals",
            symbols=[rig.SYMBOL],
        )

    async def read(self, *names: str) -> None:
        """The producer writes these files, and the worker reads them to their ends."""
        for name in names:
            path = self.folder / name
            path.write_text("{}\n")
            status = path.stat()
            position = rig.position(3, name=name, device=status.st_dev, inode=status.st_ino)
            await self.writer.commit(rig.share(positions=[position]))

    async def later(self, seconds: float) -> int:
        """Look after this time; how many positions were forgotten."""
        self.clock.now_s += seconds
        return await self.gone.forget()

    @property
    def names(self) -> list[str]:
        """The files whose positions are stored."""
        return [position.name for position in self.ledger.positions(rig.SYMBOL, "jsonl")]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    opened = Place(tmp_path)
    await opened.read("signals_20231114_2200.jsonl", "signals_20231114_2201.jsonl")
    yield opened
    opened.executor.shutdown(wait=True)
    opened.ledger.close()


OLD, NEW = "signals_20231114_2200.jsonl", "signals_20231114_2201.jsonl"


async def test_a_deleted_file_is_forgotten_an_hour_after_it_was_missed_first(place: Place) -> None:
    (place.folder / OLD).unlink()

    forgotten = [await place.later(seconds) for seconds in (0, GONE_S - 1, 1, GONE_S)]

    assert forgotten == [0, 0, 1, 0]
    assert place.names == [NEW]


async def test_a_file_that_came_back_has_its_hour_again(place: Place) -> None:
    away = place.folder.parent / "away"
    (place.folder / OLD).rename(away)
    await place.later(0)
    away.rename(place.folder / OLD)
    await place.later(GONE_S)
    (place.folder / OLD).rename(away)

    assert await place.later(GONE_S) == 0
    assert place.names == [OLD, NEW]


@pytest.mark.parametrize(
    "new_name", ["signals_20231114_2200.jsonl.1", "signals_20231114_2200.part", ".hidden"]
)
async def test_a_renamed_file_keeps_its_only_position(place: Place, new_name: str) -> None:
    (place.folder / OLD).rename(place.folder / new_name)

    await place.later(0)

    assert await place.later(GONE_S) == 0
    assert place.names == [OLD, NEW]


async def test_the_old_name_goes_once_the_position_stands_under_the_new_one(place: Place) -> None:
    renamed = place.folder / "signals_20231114_2200.jsonl.1"
    (place.folder / OLD).rename(renamed)
    status = renamed.stat()
    carried = rig.position(3, name=renamed.name, device=status.st_dev, inode=status.st_ino)
    await place.writer.commit(rig.share(positions=[carried]))

    await place.later(0)

    assert await place.later(GONE_S) == 1
    assert place.names == [renamed.name, NEW]


@pytest.mark.parametrize("what", ["emptied", "removed", "a file"])
async def test_a_folder_that_shows_no_files_proves_nothing(place: Place, what: str) -> None:
    await place.later(0)
    for path in place.folder.iterdir():
        path.unlink()
    if what != "emptied":
        place.folder.rmdir()
    if what == "a file":
        place.folder.write_text("")

    await place.later(GONE_S)

    assert await place.later(GONE_S) == 0
    assert place.names == [OLD, NEW]


async def test_files_that_were_missed_while_the_folder_was_away_have_their_hour_again(place: Place) -> None:
    (place.folder / OLD).unlink()
    await place.later(0)
    place.folder.rename(place.folder.with_name("elsewhere"))
    await place.later(GONE_S - 1)
    place.folder.with_name("elsewhere").rename(place.folder)

    assert await place.later(1) == 0
    assert await place.later(GONE_S) == 1


async def test_a_used_again_inode_does_not_keep_the_position_of_a_deleted_file(place: Place) -> None:
    (place.folder / OLD).unlink()
    status = (place.folder / NEW).stat()
    former = rig.position(3, name=OLD, device=status.st_dev, inode=status.st_ino)
    await place.writer.commit(rig.share(positions=[former]))
    await place.later(0)

    assert await place.later(GONE_S) == 1
    assert place.names == [NEW]


async def test_a_store_that_is_locked_is_tried_again_and_told(place: Place) -> None:
    (place.folder / OLD).unlink()
    await place.later(0)
    path = rig.store_of(place.ledger).path
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert await place.later(GONE_S) == 0
        trouble = place.gone.trouble

    assert trouble is not None
    assert "database is locked" in trouble
    assert await place.later(GONE_S) == 1
    assert place.gone.trouble is None


async def test_a_store_that_was_replaced_is_not_written(place: Place) -> None:
    (place.folder / OLD).unlink()
    await place.later(0)
    path = rig.store_of(place.ledger).path
    os.rename(path, f"{path}.away")

    forgotten = await place.later(GONE_S)

    os.rename(f"{path}.away", path)
    assert forgotten == 0
    assert place.names == [OLD, NEW]


async def test_more_missed_files_than_are_remembered_have_their_turn_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gone_files, "MISSED_MAX", 2)
    names = [f"signals_20231114_23{number:02}.jsonl" for number in range(5)]
    await place.read(*names)
    for name in names:
        (place.folder / name).unlink()

    forgotten = [await place.later(seconds) for seconds in (0, GONE_S, GONE_S, GONE_S)]

    assert forgotten == [0, 2, 2, 1]
    assert place.names == [OLD, NEW]
