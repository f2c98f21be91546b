"""Files and lines that come late are read, and finished files cost a stat."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from jsonl_folder import SignalFolder, commit_all, ids, line, lines, read, read_all

from streams import catalog
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


def restarted(folder: SignalFolder, files: int) -> tuple[dict[str, SourcePosition], list[str]]:
    """The positions after a worker has read `files` files to their ends, and the files' names."""
    names = [name_of(minute) for minute in range(files)]
    for minute, name in enumerate(names):
        folder.append(name, line(minute))
        os.utime(folder.path / name, ns=(minute * 10**9 + 10**18,) * 2)
    committed: dict[str, SourcePosition] = {}
    assert commit_all(folder.tail(), committed) == list(range(files))
    return committed, names


def test_the_first_read_after_a_restart_looks_at_no_cold_finished_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SignalFolder(tmp_path)
    committed, names = restarted(folder, 900)
    folder.append(names[-1], line(5_000))
    folder.append(name_of(901), line(5_001))
    looked = os.stat
    stats: list[str] = []

    def counted_stat(path: str, **options: bool) -> os.stat_result:
        stats.append(os.path.basename(path))
        return looked(path, **options)

    monkeypatch.setattr(os, "stat", counted_stat)
    tail = folder.tail(list(committed.values()))

    assert read(tail) == [5_000, 5_001]
    assert not set(stats) & set(names[: -catalog.HOT_FILES])
    rounds = 0
    while tail.catalog.resting:
        assert tail.catalog.due_s == folder.clock.now_s
        assert read(tail) == []
        rounds += 1
    assert rounds == 4
    assert set(stats) >= set(names)
    assert len(tail.catalog.order) == 901


def test_a_cold_file_that_grew_while_no_worker_ran_is_read_within_a_few_rounds(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    committed, names = restarted(folder, 900)
    folder.append(names[0], line(5_000))
    folder.append(names[500], line(5_001))

    tail = folder.tail(list(committed.values()))

    assert read(tail) == []
    tail.pull(10, [names[0]])
    assert ids(tail.take(10)) == [5_000]
    found: list[int] = []
    while tail.catalog.resting:
        found += read(tail)
    assert found == [5_001]


def test_files_that_were_written_last_are_looked_at_first_whatever_their_names(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    committed, names = restarted(folder, 100)
    os.utime(folder.path / names[3], ns=(2 * 10**18,) * 2)
    old = committed[names[3]]
    committed[names[3]] = msgspec.structs.replace(old, mtime_ns=2 * 10**18)
    folder.append(names[3], line(5_000))
    folder.append(names[-1], line(5_001))

    assert read(folder.tail(list(committed.values()))) == [5_000, 5_001]


def test_a_tail_that_ends_with_its_input_looks_at_every_file_at_once(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    committed, names = restarted(folder, 100)
    folder.append(names[0], line(5_000))
    folder.append(names[-1], line(5_001))

    assert read(folder.tail(list(committed.values()), once=True)) == [5_000, 5_001]
    assert len(folder.tail(list(committed.values())).ends()) == 100


def test_a_resting_file_may_be_renamed_replaced_deleted_and_truncated(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    committed, names = restarted(folder, 100)
    tail = folder.tail(list(committed.values()))
    assert read(tail) == []
    assert tail.catalog.resting == 100 - catalog.HOT_FILES

    (folder.path / names[0]).rename(folder.path / "signals_20251115_1600.jsonl.1")
    folder.append("signals_20251115_1600.jsonl.1", line(5_000))
    folder.append("new", line(5_001))
    (folder.path / "new").rename(folder.path / names[1])
    (folder.path / names[2]).unlink()
    (folder.path / names[3]).write_bytes(b"")

    assert sorted(read_all(tail)) == [5_000, 5_001]
    folder.append(names[3], line(5_003))
    tail.pull(10, [names[3]])
    assert ids(tail.take(10)) == [5_003]
    assert tail.catalog.resets == Counter(replaced=1, truncated=1)
    assert len(tail.catalog.order) == 99
