"""Halts, as rows and as a file: sticky, never weakened by a second one, and there when in doubt."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig import rows as rig
from rig.disk import small_disk
from rig.virtual_clock import START_MS, ManualClock

from store.halt_file import HALT_FILE, HaltFileFaultError, read_halt, remove_halt, write_halt
from store.halts import is_over, stronger
from store.ledger import Ledger
from store.records import Audit, Halt, Share


@pytest.fixture
def ledger(tmp_path: Path):
    opened = rig.open_ledger(tmp_path, ManualClock())
    yield opened
    opened.close()


def halt(scope: str = "", **changes: Any) -> Halt:
    """A full halt without an end."""
    return Halt(**{"scope": scope, "why": "news", "who": "me", "at_ms": START_MS, **changes})


def test_halts_are_there_after_a_restart_until_they_are_resumed(tmp_path: Path) -> None:
    ledger = rig.open_ledger(tmp_path, ManualClock())
    kept = [halt(), halt("BTCUSDT", new_only=True, until_ms=START_MS + 5), halt("ETHUSDT")]
    assert ledger.halts() == []

    ledger.commit([Share(symbol="", halts=kept)])
    ledger.close()
    ledger = rig.open_ledger(tmp_path, ManualClock())

    assert ledger.halts() == kept
    ledger.commit([Share(symbol="", resumes=["BTCUSDT", "nothing"])])
    assert ledger.halts() == [kept[0], kept[2]]
    ledger.commit([Share(symbol="", resumes=[""])])
    assert ledger.halts() == []
    ledger.close()


def test_a_halt_beside_a_resume_holds(ledger: Ledger) -> None:
    ledger.commit([Share(symbol="", halts=[halt(why="old")])])

    ledger.commit([Share(symbol="", halts=[halt("BTCUSDT", why="new")], resumes=[""])])

    assert ledger.halts() == [halt("BTCUSDT", why="new")]


@pytest.mark.parametrize(
    ("before", "new", "expected"),
    [
        ({}, {"new_only": True}, {}),
        ({"new_only": True}, {"why": "b"}, {"why": "b"}),
        ({"until_ms": START_MS + 9}, {"until_ms": START_MS + 5}, {"until_ms": START_MS + 9}),
        (
            {"until_ms": START_MS + 5},
            {"until_ms": START_MS + 9, "why": "b"},
            {"until_ms": START_MS + 9, "why": "b"},
        ),
        ({}, {"until_ms": START_MS + 9}, {}),
        ({"until_ms": START_MS + 9}, {"new_only": True, "why": "b"}, {"why": "b"}),
        ({"until_ms": START_MS}, {"new_only": True, "why": "b"}, {"new_only": True, "why": "b"}),
    ],
)
def test_the_stronger_of_two_halts_of_one_scope_is_kept(
    ledger: Ledger, before: dict[str, Any], new: dict[str, Any], expected: dict[str, Any]
) -> None:
    ledger.commit([Share(symbol="", halts=[halt(**before)])])

    ledger.commit([Share(symbol="", halts=[halt(**new), halt("BTCUSDT")])])

    assert ledger.halts() == [halt(**expected), halt("BTCUSDT")]


ends = st.one_of(st.none(), st.integers(START_MS, START_MS + 20))
some_halts = st.builds(
    Halt,
    scope=st.just(""),
    why=st.sampled_from("ab"),
    who=st.just("me"),
    at_ms=st.integers(START_MS, START_MS + 10),
    new_only=st.booleans(),
    until_ms=ends,
)


@given(before=some_halts, new=some_halts)
def test_nothing_that_was_in_force_is_lost_to_another_halt(before: Halt, new: Halt) -> None:
    both = stronger(before, new)

    for now_ms in range(max(before.at_ms, new.at_ms), START_MS + 40):
        holding = [one for one in (before, new) if not is_over(one, now_ms)]
        assert is_over(both, now_ms) <= (not holding)
        if holding:
            assert both.new_only <= all(one.new_only for one in holding)


def test_what_people_decided_is_kept_for_ever_newest_first(ledger: Ledger, tmp_path: Path) -> None:
    audits = [Audit(action="halt", subject="all", who="me", why=f"{n}", detail="d") for n in range(5)]
    ledger.commit([Share(symbol="", audits=audits[:2])])
    ledger.commit([rig.share(rig.skip(1), audits=audits[2:])])

    found = ledger.audits(3)

    assert [(entry.at_ms, entry.why, entry.detail) for entry in found] == [
        (START_MS, "4", "d"),
        (START_MS, "3", "d"),
        (START_MS, "2", "d"),
    ]
    assert len(ledger.audits(100)) == 5
    assert len(rig.rows(tmp_path, "id")) == 1


def test_words_that_cannot_be_stored_do_not_cost_the_halt(ledger: Ledger) -> None:
    bad = "caf\udce9"

    ledger.commit(
        [
            Share(
                symbol="",
                halts=[halt(why=bad)],
                audits=[Audit(action="halt", subject="all", who=bad, why=bad)],
            )
        ]
    )

    assert ledger.halts()[0].why == "caf\\udce9"
    assert ledger.audits(1)[0].who == "caf\\udce9"


def test_the_file_tells_what_was_written_into_it(tmp_path: Path) -> None:
    assert read_halt(tmp_path) is None

    write_halt(tmp_path, halt(new_only=True, until_ms=START_MS + 5))
    written = read_halt(tmp_path)
    mode = (tmp_path / HALT_FILE).stat().st_mode & 0o777
    remove_halt(tmp_path)
    remove_halt(tmp_path)

    assert written == halt(new_only=True, until_ms=START_MS + 5)
    assert mode == 0o600
    assert read_halt(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_not_weakened_by_another_halt_and_halts_all_symbols(tmp_path: Path) -> None:
    write_halt(tmp_path, halt(why="first"))
    write_halt(tmp_path, halt("BTCUSDT", new_only=True, until_ms=START_MS + 5, why="second"))
    assert read_halt(tmp_path) == halt(why="first")
    remove_halt(tmp_path)

    write_halt(tmp_path, halt("BTCUSDT"))

    assert read_halt(tmp_path) == halt()


def test_an_empty_file_is_a_full_halt(tmp_path: Path) -> None:
    (tmp_path / HALT_FILE).touch()
    os.utime(tmp_path / HALT_FILE, (1_700_000_000, 1_700_000_000))

    assert read_halt(tmp_path) == Halt(scope="", why="file HALT", who="", at_ms=1_700_000_000_000)


@pytest.mark.parametrize(
    ("data", "why", "until_ms"),
    [
        (b"maintenance\n until\tMonday\x1b[31m", "file HALT: maintenance until Monday [31m", None),
        (b'{"until_ms": 5}', "file HALT", 5),
        (b'{"until_ms": "soon", "why": "x"}', 'file HALT: {"until_ms": "soon", "why": "x"}', None),
        (b'{"new_only": true, "until_ms":', 'file HALT: {"new_only": true, "until_ms":', None),
        (b"\xff\xfe", "file HALT: \ufffd\ufffd", None),
        (b"null", "file HALT: null", None),
        (b"x" * 1_000, "file HALT: " + "x" * 200, None),
    ],
)
def test_whatever_stands_in_the_file_is_a_halt(
    tmp_path: Path, data: bytes, why: str, until_ms: int | None
) -> None:
    (tmp_path / HALT_FILE).write_bytes(data)

    found = read_halt(tmp_path)

    assert found is not None
    assert (found.why, found.until_ms, found.new_only) == (why, until_ms, False)


@given(data=st.binary(max_size=300))
def test_no_content_makes_the_file_no_halt(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("store")
    (folder / HALT_FILE).write_bytes(data)

    assert read_halt(folder) is not None


def test_a_file_that_cannot_be_read_is_told_and_stays_a_halt(tmp_path: Path) -> None:
    path = tmp_path / HALT_FILE
    faults = []
    for make in (
        lambda: path.mkdir(),
        lambda: path.symlink_to(tmp_path / "missing"),
        lambda: os.mkfifo(path),
        lambda: path.write_bytes(b" " * 100_000),
    ):
        make()
        with pytest.raises(HaltFileFaultError, match="remove it to resume") as caught:
            read_halt(tmp_path)
        write_halt(tmp_path, halt(new_only=True))
        with pytest.raises(HaltFileFaultError):
            read_halt(tmp_path)
        faults.append(str(caught.value))
        path.rmdir() if path.is_dir() else path.unlink()

    assert all(str(path) in fault for fault in faults)


def test_what_a_killed_writer_left_does_not_hinder_the_next(tmp_path: Path) -> None:
    (tmp_path / f".{HALT_FILE}.tmp").symlink_to(tmp_path / "victim")

    write_halt(tmp_path, halt())

    assert read_halt(tmp_path) == halt()
    assert [path.name for path in tmp_path.iterdir()] == [HALT_FILE]


@pytest.mark.parametrize("is_there", [True, False])
def test_on_a_full_disk_the_file_still_halts(tmp_path: Path, is_there: bool) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        if is_there:
            write_halt(disk.path, halt(new_only=True, until_ms=START_MS + 5))
        disk.fill()

        write_halt(disk.path, halt())

        found = read_halt(disk.path)
        assert found is not None
        assert (found.new_only, found.until_ms) == (False, None)
        assert sorted(path.name for path in disk.path.iterdir()) == [HALT_FILE, "ballast"]


def test_the_file_is_plain_json_for_people(tmp_path: Path) -> None:
    write_halt(tmp_path, halt(until_ms=9))

    text = (tmp_path / HALT_FILE).read_text()

    assert text.endswith("}\n")
    assert json.loads(text) == msgspec.to_builtins(halt(until_ms=9))
