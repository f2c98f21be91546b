"""Files and lines that come late are read, and finished files cost a stat."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jsonl_folder import SignalFolder, commit_all, line, lines, read, read_all

from streams.position import SourcePosition


def name_of(minute: int) -> str:
    return f"signals_20251115_{16 + minute // 60:02d}{minute % 60:02d}.jsonl"


def test_an_older_file_that_appears_late_is_read_from_its_start(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(name_of(5), line(5))
    tail = folder.tail()
    assert read(tail) == [5]

    folder.append(name_of(1), line(1))

    assert read(tail) == [1]


def test_a_late_append_to_a_hot_older_file_is_read_without_a_hint(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    for minute in range(10):
        folder.append(name_of(minute), line(minute))
    tail = folder.tail()
    assert read_all(tail) == list(range(10))

    folder.append(name_of(2), line(20))

    assert read(tail) == [20]


def test_a_late_append_to_a_cold_file_is_read_once_it_is_named(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    for minute in range(40):
        folder.append(name_of(minute), line(minute))
    tail = folder.tail()
    assert read_all(tail) == list(range(40))

    folder.append(name_of(2), line(99))
    tail.pull(10, [name_of(2)])

    assert read(tail) == [99]


def test_after_a_watch_overflowed_every_file_is_looked_at(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    for minute in range(40):
        folder.append(name_of(minute), line(minute))
    tail = folder.tail()
    read_all(tail)

    folder.append(name_of(0), line(100))
    folder.append(name_of(20), line(120))
    tail.pull(10, None)

    assert read(tail) == [100, 120]


def test_finished_files_are_not_opened_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SignalFolder(tmp_path)
    for minute in range(100):
        folder.append(name_of(minute), line(minute) + b"\n\n")
    committed: dict[str, SourcePosition] = {}
    assert commit_all(folder.tail(), committed) == list(range(100))
    opened = os.open
    paths: list[str] = []

    def counted_open(path: str, flags: int) -> int:
        paths.append(path)
        return opened(path, flags)

    monkeypatch.setattr("streams.burst.os.open", counted_open)

    assert read_all(folder.tail(list(committed.values()))) == []
    assert paths == []


def test_one_read_goes_over_many_small_files(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    for minute in range(300):
        folder.append(name_of(minute), line(minute))
    tail = folder.tail()

    assert read(tail, 250) == list(range(250))
    assert read(tail, 250) == list(range(250, 300))


def test_twenty_thousand_files_are_read_in_order(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    for number in range(20_000):
        day, minute = divmod(number, 1_440)
        name = f"signals_202511{day + 1:02d}{minute // 60:02d}{minute % 60:02d}.jsonl"
        (folder.path / name).write_bytes(line(number))
    tail = folder.tail()

    tail.pull(15_000)
    first = tail.take(15_000)
    rest = read_all(tail)

    assert len(first.records) == 15_000
    assert len(first.positions(0, 15_000)) == 15_000
    assert rest == list(range(15_000, 20_000))


def test_end_positions_skip_what_is_there_and_keep_a_line_that_is_being_written(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(name_of(0), lines(range(3)))
    folder.append(name_of(1), line(3) + line(4)[:20])
    folder.append(name_of(2), line(5)[:10])
    ends = folder.tail().ends()

    folder.append(name_of(1), line(4)[20:])
    folder.append(name_of(2), line(5)[10:])

    assert sorted(position.name for position in ends) == [name_of(0), name_of(1), name_of(2)]
    assert read_all(folder.tail(ends)) == [4, 5]
