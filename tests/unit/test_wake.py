"""The watchers: every change in a watched folder becomes a hint."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from streams.wake import InotifyWatcher, PortableWatcher, Watcher, open_watcher

PATIENCE_S = 10.0


class Hints:
    """What a watcher said."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[tuple[str, str | None]] = asyncio.Queue()

    def __call__(self, folder: str, name: str | None) -> None:
        self.said.put_nowait((folder, name))

    async def until(self, folder: Path, name: str | None) -> None:
        """Return when this hint was given."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.said.get() != (str(folder), name):
                pass


@pytest.fixture
def hints() -> Hints:
    return Hints()


@pytest.fixture(params=[InotifyWatcher, PortableWatcher])
async def watcher(request: pytest.FixtureRequest, hints: Hints) -> AsyncIterator[Watcher]:
    make: Callable[[Hints], Watcher] = request.param
    watcher = make(hints)
    yield watcher
    await watcher.close()


async def test_an_append_is_hinted_with_the_name_of_the_file(
    watcher: Watcher, hints: Hints, tmp_path: Path
) -> None:
    assert watcher.watch(str(tmp_path))

    async def keep_appending() -> None:
        # The portable watcher starts in a thread and says nothing of what happened before.
        while True:
            with (tmp_path / "a.jsonl").open("ab") as file:
                file.write(b"x")
            await asyncio.sleep(0.02)

    appending = asyncio.create_task(keep_appending())
    await hints.until(tmp_path, "a.jsonl")
    appending.cancel()


async def test_a_folder_that_does_not_exist_is_not_watched(watcher: Watcher, tmp_path: Path) -> None:
    assert not watcher.watch(str(tmp_path / "missing"))


async def test_creation_rename_and_deletion_are_hinted(hints: Hints, tmp_path: Path) -> None:
    watcher = InotifyWatcher(hints)
    watcher.watch(str(tmp_path))

    (tmp_path / "a").touch()
    await hints.until(tmp_path, "a")
    (tmp_path / "a").rename(tmp_path / "b")
    await hints.until(tmp_path, "b")
    (tmp_path / "b").unlink()
    await hints.until(tmp_path, "b")
    await watcher.close()


async def test_a_lost_folder_is_hinted_and_the_new_one_of_its_name_can_be_watched(
    hints: Hints, tmp_path: Path
) -> None:
    watcher = InotifyWatcher(hints)
    folder = tmp_path / "signal"
    folder.mkdir()
    watcher.watch(str(folder))

    shutil.rmtree(folder)
    await hints.until(folder, None)
    folder.mkdir()
    assert watcher.watch(str(folder))
    (folder / "a").touch()
    await hints.until(folder, "a")
    folder.rename(tmp_path / "moved")
    await hints.until(folder, None)
    await watcher.close()


async def test_an_overflow_says_that_anything_may_have_changed(hints: Hints, tmp_path: Path) -> None:
    watcher = InotifyWatcher(hints)
    watcher.watch(str(tmp_path))
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    paths = [str(tmp_path / "a"), str(tmp_path / "b")]

    # Without a turn of the loop nothing is read, and alternating names are never merged.
    for number in range(limit + 10):
        os.close(os.open(paths[number % 2], os.O_WRONLY | os.O_CREAT))

    await hints.until(tmp_path, None)
    await watcher.close()


async def test_without_watches_left_the_portable_watcher_takes_over(
    hints: Hints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = InotifyWatcher(hints)
    monkeypatch.setattr(ctypes, "get_errno", lambda: 28)

    class NoWatches:
        def inotify_add_watch(self, descriptor: int, path: bytes, mask: int) -> int:
            return -1

    monkeypatch.setattr(watcher, "_libc", NoWatches())

    assert watcher.watch(str(tmp_path))
    await watcher.close()


async def test_this_system_grants_the_fast_watcher(hints: Hints) -> None:
    watcher = open_watcher(hints)
    assert isinstance(watcher, InotifyWatcher)
    await watcher.close()
    await watcher.close()
