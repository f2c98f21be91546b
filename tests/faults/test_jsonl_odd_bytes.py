"""Long lines, NUL runs, marks and blank lines: bytes that are no records never stall the stream."""

from __future__ import annotations

from pathlib import Path

from jsonl_folder import SETTINGS, SignalFolder, dead_letters, line, lines, read, read_all

from config.settings import Source as SourceSettings
from streams.position import SourcePosition
from streams.signal import Malformed

NAME = "signals_20251115_1600.jsonl"
LATER = "signals_20251115_1601.jsonl"


def test_a_line_of_ten_megabytes_becomes_one_bounded_dead_letter(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NAME, line(1) + b"x" * 10_000_000 + b"\n" + line(2))
    tail = folder.tail()
    tail.pull(10)
    batch = tail.take(10)
    tail.pull(10)
    rest = tail.take(10)
    records = [*batch.records, *rest.records]

    (letter,) = [record for record in records if isinstance(record, Malformed)]

    assert len(records) == 3
    assert letter.reason == "line_too_long"
    assert letter.place.offset == len(line(1))
    assert letter.place.length == 10_000_000
    assert len(letter.raw) == 4_096


def test_a_long_line_that_is_still_being_written_is_never_held_and_comes_out_once(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    tail = folder.tail()
    for _ in range(10):
        folder.append(NAME, b"y" * 3_000)
        assert read(tail) == []
    folder.append(NAME, b"\n" + line(1))

    assert [letter.place.length for letter in dead_letters(tail)] == [30_000]
    assert tail.take(10).records == []
    assert read_all(folder.tail()) == [1]


def test_a_restart_inside_a_long_line_starts_at_its_beginning(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NAME, line(1))
    tail = folder.tail()
    tail.pull(10)
    batch = tail.take(10)
    committed = batch.positions(0, 1)
    folder.append(NAME, b"y" * 9_000)
    assert read(tail) == []

    folder.append(NAME, b"\n" + line(2))

    assert [letter.place.length for letter in dead_letters(folder.tail(committed))] == [9_000]


def test_a_long_line_in_a_finished_file_lets_the_later_file_go_on(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NAME, b"y" * 9_000)
    folder.append(LATER, line(2))
    tail = folder.tail()

    assert read(tail) == []
    folder.clock.now_s += SETTINGS.quiet_ms / 1_000
    assert read(tail) == [2]


def test_a_line_within_its_limit_but_beyond_a_chunk_is_read(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    wide = line(1)[:-2] + b',"pad":"' + b"z" * 30_000 + b'"}\n'
    folder.append(NAME, wide + line(2))
    settings = SourceSettings(chunk_bytes=4_096, max_line_bytes=40_000)

    assert read_all(folder.tail(settings=settings)) == [1, 2]


def test_a_long_run_of_nul_bytes_is_stripped_from_the_line_behind_it(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NAME, line(1) + b"\0" * 50_000)
    tail = folder.tail()
    assert read(tail) == [1]
    assert read(tail) == []

    folder.append(NAME, line(2))

    assert read_all(tail) == [2]


def test_space_that_was_filled_with_nul_beforehand_is_read_when_lines_are_written_into_it(
    tmp_path: Path,
) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NAME, b"\0" * 20_000)
    tail = folder.tail()
    assert read(tail) == []

    with (folder.path / NAME).open("r+b") as file:
        file.write(lines(range(3)))
        file.flush()
        assert read_all(tail) == [0, 1, 2]


def test_marks_carriage_returns_blank_lines_and_nul_runs_do_not_stall(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    tail = folder.tail()
    folder.append(NAME, b"\xef\xbb\xbf" + line(1, end=b"\r\n"))
    assert read(tail) == [1]
    folder.append(NAME, b"\r\n" * 10_000 + b"\n" * 10_000)
    assert read(tail) == []
    folder.append(NAME, b"\0" * 100 + line(2))
    assert read(tail) == [2]


def test_a_position_covers_the_blank_lines_behind_the_last_record(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NAME, line(1) + b"\n\n" + line(2) + b"\r\n\n")
    tail = folder.tail()
    tail.pull(10)
    batch = tail.take(10)

    (first,) = batch.positions(0, 1)
    (last,) = batch.positions(1, 2)

    assert first.offset == len(line(1))
    assert first.mtime_ns == 0
    assert last.offset == (folder.path / NAME).stat().st_size
    assert last.mtime_ns == (folder.path / NAME).stat().st_mtime_ns


def test_every_prefix_of_a_batch_resumes_at_its_next_record(tmp_path: Path) -> None:
    folder = SignalFolder(tmp_path)
    folder.append(NAME, lines(range(40)))
    folder.append(LATER, lines(range(40, 60)))
    tail = folder.tail()
    tail.pull(60)
    batch = tail.take(60)
    committed: dict[str, SourcePosition] = {}

    for index in range(60):
        committed.update({position.name: position for position in batch.positions(index, index + 1)})
        assert read_all(folder.tail(list(committed.values()))) == list(range(index + 1, 60))
    assert {position.name for position in batch.positions(39, 41)} == {NAME, LATER}
