"""Truncated, replaced, rotated, deleted: a file is read on only while it is the same file."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from jsonl_folder import SignalFolder, commit_all, dead_letters, line, lines, read, read_all

from streams.position import SourcePosition

NAME = "signals_20251115_1600.jsonl"


def test_truncation_and_regrowth_to_a_smaller_size_is_read_from_the_start(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NAME, lines(range(5)))
    tail = folder.tail()
    assert read(tail) == [0, 1, 2, 3, 4]

    os.truncate(folder.path / NAME, 0)
    folder.append(NAME, line(7))

    assert read(tail) == [7]
    assert tail.catalog.resets == Counter(truncated=1)


def test_truncation_and_regrowth_beyond_the_old_size_is_noticed_by_the_marker(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NAME, lines(range(2)))
    tail = folder.tail()
    assert read(tail) == [0, 1]

    os.truncate(folder.path / NAME, 0)
    folder.append(NAME, lines(range(10, 20)))

    assert read(tail) == list(range(10, 20))
    assert tail.catalog.resets == Counter(marker=1)


def test_truncation_under_a_producer_that_keeps_its_descriptor_leaves_nul_bytes_that_do_not_stall(
    tmp_path: Path,
) -> None:
    folder = SignalFolder(tmp_path)
    tail = folder.tail()
    with (folder.path / NAME).open("wb") as producer:
        producer.write(lines(range(3)))
        producer.flush()
        assert read(tail) == [0, 1, 2]
        os.truncate(folder.path / NAME, 0)
        producer.write(line(3))

    assert read_all(tail) == [3]


def test_copytruncate_reads_the_copy_again_and_the_emptied_file_from_its_start(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NAME, lines(range(3)))
    tail = folder.tail()
    assert read(tail) == [0, 1, 2]

    folder.append(NAME, line(3))
    shutil.copy(folder.path / NAME, folder.path / f"{NAME}.1")
    os.truncate(folder.path / NAME, 0)
    folder.append(NAME, line(4))

    assert read_all(tail) == [0, 1, 2, 3, 4]
    assert tail.catalog.resets == Counter(truncated=1)


def test_a_rotated_file_is_read_on_under_its_new_name(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NAME, lines(range(3)))
    tail = folder.tail()
    assert read(tail) == [0, 1, 2]

    folder.append(NAME, line(3))
    (folder.path / NAME).rename(folder.path / f"{NAME}.1")
    folder.append(NAME, line(4))

    assert read_all(tail) == [3, 4]
    assert not tail.catalog.resets.total()


def test_a_rotation_across_a_restart_reads_nothing_again(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    committed: dict[str, SourcePosition] = {}
    folder.append(NAME, lines(range(3)))
    assert commit_all(folder.tail(), committed) == [0, 1, 2]

    (folder.path / NAME).rename(folder.path / f"{NAME}.1")
    folder.append(NAME, lines(range(3, 5)))
    assert commit_all(folder.tail(list(committed.values())), committed) == [3, 4]

    assert committed.keys() == {NAME, f"{NAME}.1"}
    assert read_all(folder.tail(list(committed.values()))) == []


def test_a_file_deleted_and_written_anew_is_read_from_its_start(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NAME, lines(range(3)))
    tail = folder.tail()
    assert read(tail) == [0, 1, 2]

    # The new file is often given the inode of the old one.
    (folder.path / NAME).unlink()
    folder.append(NAME, lines(range(10, 16)))

    assert read_all(tail) == list(range(10, 16))


def test_an_inode_used_again_under_another_name_does_not_inherit_the_position(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NAME, lines(range(3)))
    status = (folder.path / NAME).stat()
    stranger = SourcePosition(
        symbol="BTCUSDT",
        source="jsonl",
        name="signals_20251115_1500.jsonl",
        device=status.st_dev,
        inode=status.st_ino,
        offset=100,
        marker="00",
    )
    tail = folder.tail([stranger])

    assert read_all(tail) == [0, 1, 2]
    assert not tail.catalog.resets.total()


def test_a_file_replaced_by_rename_is_read_from_its_start_and_counted(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NAME, lines(range(3)))
    tail = folder.tail()
    assert read(tail) == [0, 1, 2]

    folder.append("new.part", lines(range(10, 13)))
    (folder.path / "new.part").rename(folder.path / NAME)

    assert read_all(tail) == [10, 11, 12]
    assert tail.catalog.resets == Counter(replaced=1)


def test_the_folder_may_come_late_go_and_come_back(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.path.rmdir()
    tail = folder.tail()
    assert read(tail) == []
    assert tail.catalog.sign is None

    folder.path.mkdir()
    folder.append(NAME, line(1))
    assert read(tail) == [1]

    shutil.rmtree(folder.path)
    assert read(tail) == []
    folder.path.mkdir()
    folder.append(NAME, line(2))
    assert read_all(tail) == [2]


def test_a_file_replaced_between_the_look_and_the_open_is_not_taken_for_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NAME, lines([0, 1, 2]))
    tail = folder.tail()
    assert read(tail) == [0, 1, 2]
    opened = os.open
    folder.append(NAME, line(3))
    # The same bytes before the position and behind it, so that only the inode tells.
    folder.append("new.part", lines([7, 1, 2, 3]))

    def open_while_it_is_replaced(path: str, flags: int) -> int:
        if (folder.path / "new.part").exists():
            (folder.path / "new.part").rename(folder.path / NAME)
        return opened(path, flags)

    monkeypatch.setattr("streams.burst.os.open", open_while_it_is_replaced)

    assert read_all(tail) == [7, 1, 2, 3]
    assert tail.catalog.resets == Counter(replaced=1)


def test_a_file_renamed_inside_a_long_line_still_gives_its_dead_letter(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NAME, line(1) + b"y" * 9_000)
    tail = folder.tail()
    assert read_all(tail) == [1]

    (folder.path / NAME).rename(folder.path / f"{NAME}.1")
    folder.append(f"{NAME}.1", b"\n")

    assert [letter.place.length for letter in dead_letters(tail)] == [9_000]
