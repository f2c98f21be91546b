"""A last line without its newline: waited for, taken when it is whole, passed by when it is not."""

from __future__ import annotations

from pathlib import Path

from jsonl_folder import SETTINGS, SignalFolder, commit_all, line, read, read_all

from streams.position import SourcePosition

OLD = "signals_20251115_1600.jsonl"
NEW = "signals_20251115_1601.jsonl"
QUIET_S = SETTINGS.quiet_ms / 1_000


def test_a_partial_line_of_the_last_file_waits_for_its_newline_for_ever(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(OLD, line(1) + line(2, end=b""))
    tail = folder.tail()

    assert read(tail) == [1]
    folder.clock.now_s += 3_600
    assert read(tail) == []
    folder.append(OLD, b"\n")
    assert read(tail) == [2]


def test_a_line_cut_inside_a_utf8_character_comes_out_whole(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    tail = folder.tail()
    whole = line(1)
    cut = whole.index("ü".encode()) + 1

    folder.append(OLD, whole[:cut])
    assert read(tail) == []
    folder.append(OLD, whole[cut:])
    assert read(tail) == [1]


def test_a_whole_line_without_newline_holds_the_later_file_until_it_was_quiet(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(OLD, line(1, end=b""))
    folder.append(NEW, line(2))
    tail = folder.tail()

    assert read(tail) == []
    assert tail.catalog.due_s is not None
    folder.clock.now_s += QUIET_S
    assert read(tail) == [1, 2]
    folder.append(OLD, b"\n")
    folder.append(OLD, line(3))
    assert read_all(tail) == [3]


def test_half_a_line_holds_the_later_file_no_longer_than_the_quiet_time(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    whole = line(1)
    folder.append(OLD, whole[:40])
    folder.append(NEW, line(2))
    tail = folder.tail()

    assert read(tail) == []
    folder.clock.now_s += QUIET_S
    assert read(tail) == [2]
    folder.append(OLD, whole[40:])
    assert read(tail) == [1]


def test_a_line_that_keeps_growing_holds_the_later_file_no_longer_than_the_quiet_time(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NEW, line(2))
    folder.append(OLD, line(1)[:10])
    tail = folder.tail()
    found: list[int] = read(tail)
    for position in range(10, 20):
        folder.clock.now_s += QUIET_S / 8
        folder.append(OLD, line(1)[position : position + 1])
        found += read(tail)

    assert found == [2]
    folder.append(OLD, line(1)[20:])
    assert read(tail) == [1]


def test_once_takes_a_whole_last_line_at_once_and_leaves_half_a_line(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(OLD, line(1)[:30])
    folder.append(NEW, line(2) + line(3, end=b""))

    assert read_all(folder.tail(once=True)) == [2, 3]


def test_a_taken_line_is_not_taken_again_after_a_restart(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(OLD, line(1, end=b""))
    committed: dict[str, SourcePosition] = {}
    assert commit_all(folder.tail(once=True), committed) == [1]

    folder.append(OLD, b"\n" + line(2))

    assert read_all(folder.tail(list(committed.values()))) == [2]
