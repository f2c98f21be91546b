"""A producer that writes to the old file and then to the new one is never overtaken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jsonl_folder import SignalFolder, line, lines, read, read_all

OLD = "signals_20251115_1600.jsonl"
NEW = "signals_20251115_1601.jsonl"


@pytest.mark.parametrize("new_is_there", [True, False])
def test_two_appends_across_a_rotation_come_out_in_the_order_they_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_is_there: bool
) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(OLD, line(1))
    tail = folder.tail()
    assert read(tail) == [1]
    if new_is_there:
        folder.append(NEW, b"")
    read(tail)
    look = os.stat
    pending = [(OLD, line(2)), (NEW, line(3))]

    def stat_while_the_producer_writes(path: str, **options: bool) -> os.stat_result:
        found = look(path, **options)
        while str(path).endswith(".jsonl") and pending:
            folder.append(*pending.pop(0))
        return found

    monkeypatch.setattr(os, "stat", stat_while_the_producer_writes)

    assert read_all(tail) + read_all(tail) == [2, 3]


def test_a_new_file_that_appears_during_the_look_waits_for_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(OLD, line(1))
    tail = folder.tail()
    assert read(tail) == [1]
    listed = os.scandir
    pending = [(OLD, line(2)), (NEW, line(3))]

    def scandir_while_the_producer_rotates(path: str) -> object:
        while pending:
            folder.append(*pending.pop(0))
        return listed(path)

    folder.append(OLD, line(9))
    folder.append("other.txt", b"")
    monkeypatch.setattr(os, "scandir", scandir_while_the_producer_rotates)

    assert read_all(tail) == [9, 2, 3]


def test_a_newer_file_is_read_no_further_than_it_was_seen_before_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(OLD, lines(range(5)))
    folder.append(NEW, lines(range(10, 15)))
    tail = folder.tail()
    opened = os.open
    pending = [(OLD, line(5)), (NEW, line(15))]

    def open_while_a_late_line_comes(path: str, flags: int) -> int:
        while path.endswith(NEW) and pending:
            folder.append(*pending.pop(0))
        return opened(path, flags)

    monkeypatch.setattr("streams.burst.os.open", open_while_a_late_line_comes)

    assert read_all(tail) == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 5, 15]


def test_an_older_file_made_after_the_listing_comes_before_the_bytes_written_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NEW, line(1))
    tail = folder.tail()
    assert read(tail) == [1]
    look = os.stat
    pending = [(OLD, line(2)), (NEW, line(3))]

    def stat_after_the_producer_wrote(path: str, **options: bool) -> os.stat_result:
        while str(path).endswith(NEW) and pending:
            folder.append(*pending.pop(0))
        return look(path, **options)

    monkeypatch.setattr(os, "stat", stat_after_the_producer_wrote)

    assert read_all(tail) == [2, 3]
