"""What cannot be read is counted, passed by and tried again; what is not a signal file is left alone."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from jsonl_folder import SETTINGS, SignalFolder, line, read, read_all

from streams.jsonl import JsonlFeed
from streams.tail import counts_of

OLD = "signals_20251115_1600.jsonl"
NEW = "signals_20251115_1601.jsonl"
RETRY_S = SETTINGS.rescan_ms / 1_000


def test_a_file_that_cannot_be_opened_is_passed_by_and_read_when_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(OLD, line(1))
    folder.append(NEW, line(2))
    tail = folder.tail()
    opened = os.open

    def refuse_the_old_file(path: str, flags: int) -> int:
        if path.endswith(OLD):
            raise PermissionError(13, "denied", path)
        return opened(path, flags)

    with monkeypatch.context() as patch:
        patch.setattr("streams.burst.os.open", refuse_the_old_file)
        assert read_all(tail) == [2]
        folder.clock.now_s += RETRY_S
        assert read_all(tail) == []
    assert tail.catalog.ignored == Counter(unreadable=1)
    assert tail.catalog.due_s is not None

    folder.clock.now_s += RETRY_S
    assert read_all(tail) == [1]


def test_a_read_error_is_like_an_open_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(OLD, line(1))
    tail = folder.tail()

    def broken_disk(descriptor: int, wanted: int, offset: int) -> bytes:
        raise OSError(5, "input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("streams.burst.os.pread", broken_disk)
        assert read_all(tail) == []
    folder.clock.now_s += RETRY_S
    assert read_all(tail) == [1]


def test_a_directory_a_fifo_and_a_broken_link_are_counted_once_and_do_not_stop_the_others(
    tmp_path: Path,
) -> None:
    folder = SignalFolder(tmp_path)
    (folder.path / "signals_20251115_1500.jsonl").mkdir()
    os.mkfifo(folder.path / "signals_20251115_1501.jsonl")
    (folder.path / "signals_20251115_1502.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    folder.append(OLD, line(1))
    tail = folder.tail()

    assert read_all(tail) == [1]
    folder.append(NEW, line(2))
    assert read_all(tail) == [2]
    assert tail.catalog.ignored == Counter(unreadable=3)

    (tmp_path / "elsewhere.jsonl").write_bytes(line(3))
    folder.clock.now_s += RETRY_S
    assert read_all(tail) == [3]


def test_a_link_to_a_regular_file_is_read(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    (tmp_path / "real").write_bytes(line(1))
    (folder.path / OLD).symlink_to(tmp_path / "real")

    assert read_all(folder.tail()) == [1]


def test_names_that_are_no_signal_files_are_counted_once_and_never_read(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    for name in ("a.jsonl.part", "b.tmp", "c.jsonl.gz", "notes.txt", ".hidden.jsonl"):
        folder.append(name, line(9))
    folder.append("without_time.jsonl", line(2))
    folder.append(OLD, line(1))
    tail = folder.tail()

    assert read_all(tail) == [1, 2]
    folder.append(NEW, line(3))
    assert read_all(tail) == [3]
    assert tail.catalog.ignored == Counter(part=1, tmp=1, gz=1, foreign=2)


def test_a_file_published_by_rename_from_its_part_is_read(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(f"{OLD}.part", line(1))
    tail = folder.tail()
    assert read(tail) == []

    (folder.path / f"{OLD}.part").rename(folder.path / OLD)

    assert read(tail) == [1]


def test_a_count_that_is_being_summed_up_is_not_disturbed_by_a_new_reason(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(OLD, line(1))
    tail = folder.tail()
    read(tail)
    summing = [iter(counts.items()) for counts in (tail.catalog.ignored, tail.catalog.resets)]
    first = [next(counts) for counts in summing]

    for name in ("x.part", "x.tmp", "x.gz", "x.txt"):
        folder.append(name, b"")
    os.truncate(folder.path / OLD, 0)
    read(tail)

    rest = [list(counts) for counts in summing]
    assert first == [("part", 0), ("truncated", 0)]
    assert rest[0] == [("tmp", 1), ("gz", 1), ("foreign", 1), ("unreadable", 0)]
    resets, ignored = counts_of([tail, tail])
    assert (resets["truncated"], ignored["part"], ignored["unreadable"]) == (2, 2, 0)


def test_a_file_that_cannot_be_opened_is_a_fault_until_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(OLD, line(1))
    tail = folder.tail()
    feed = JsonlFeed(tail, folder.clock, poll_s=0.05)

    def refuse(path: str, flags: int) -> int:
        raise PermissionError(13, "denied", path)

    with monkeypatch.context() as patch:
        patch.setattr("streams.burst.os.open", refuse)
        read_all(tail)
    closed = feed.state()
    folder.clock.now_s += RETRY_S
    read_all(tail)

    assert closed.fault == closed.waiting_for
    assert closed.fault == f"{folder.path}/{OLD} cannot be read: let this user read it"
    assert feed.state().fault is None


def test_a_folder_that_is_a_file_is_a_fault_and_one_that_is_not_there_is_none(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    tail = folder.tail()
    feed = JsonlFeed(tail, folder.clock, poll_s=0.05)
    folder.path.rmdir()
    read_all(tail)
    absent = feed.state()
    folder.path.write_text("")

    assert absent.fault is None
    assert absent.waiting_for is not None
    assert feed.state().fault == f"{folder.path} is a file, must be a folder: move it away"
