"""Commands for a running worker: whole or not there, done once, and from nobody but the store's owner."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from rig.disk import small_disk

from store import control
from store.control import ControlAnswer, ControlError, ControlRequest, Unreadable

AT_MS = 1_700_000_000_000
HALT = ControlRequest(do="halt", args={"scope": "", "why": "a \u2028 word"}, who="me", at_ms=AT_MS)
RESUME = ControlRequest(do="resume", args={}, who="me", at_ms=AT_MS)
DONE = ControlAnswer(done=True, text="halted", lines=("one", "two"))


def request_id(number: int, at_ms: int = AT_MS) -> str:
    """An id as commands make them."""
    return f"{at_ms}-{number}"


def home(folder: Path) -> Path:
    """The folder between command and worker."""
    return folder / control.CONTROL_FOLDER


def refused(folder: Path) -> str:
    """Why the one file that waits is not listened to."""
    [(_, found)] = control.waiting(folder)
    assert isinstance(found, Unreadable)
    return found.why


def test_a_request_is_read_answered_and_fetched(tmp_path: Path) -> None:
    assert control.waiting(tmp_path) == []
    key = control.post(tmp_path, HALT, request_id(1))
    assert control.read_answer(tmp_path, key) is None

    [(found, request)] = control.waiting(tmp_path)
    assert control.answer(tmp_path, found, DONE)

    assert (found, request) == (key, HALT)
    assert control.waiting(tmp_path) == []
    assert control.read_answer(tmp_path, key) == DONE
    control.discard(tmp_path, key)
    control.discard(tmp_path, key)
    assert list(home(tmp_path).iterdir()) == []


def test_requests_come_in_the_order_of_their_time_and_not_too_many_at_once(tmp_path: Path) -> None:
    count = control.WAITING_MAX + 5
    for number in reversed(range(count)):
        control.post(tmp_path, HALT, request_id(1, AT_MS + number))

    found = [key for key, _ in control.waiting(tmp_path)]

    assert found == [request_id(1, AT_MS + number) for number in range(control.WAITING_MAX)]
    for key in found:
        control.answer(tmp_path, key, DONE)
    assert len(control.waiting(tmp_path)) == 5


def test_only_the_owner_can_read_what_is_left(tmp_path: Path) -> None:
    key = control.post(tmp_path, HALT, request_id(1))
    request = next(home(tmp_path).iterdir())
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (request, home(tmp_path))}
    control.answer(tmp_path, key, DONE)
    modes.add(stat.S_IMODE(next(home(tmp_path).iterdir()).stat().st_mode))

    assert modes == {0o600, 0o700}


def test_an_id_is_used_once(tmp_path: Path) -> None:
    key = control.post(tmp_path, HALT, request_id(1))

    with pytest.raises(ControlError, match="wait for its answer") as caught:
        control.post(tmp_path, RESUME, key)
    control.answer(tmp_path, key, DONE)
    with pytest.raises(ControlError):
        control.post(tmp_path, RESUME, key)

    assert caught.value.exit_code == 77


@pytest.mark.parametrize(
    "bad", ["", "x", "../1", f"{AT_MS}-", f"{AT_MS}-../../x", f"{AT_MS}-a/b", f"{AT_MS}-\n"]
)
def test_an_id_that_is_none_reaches_no_file(tmp_path: Path, bad: str) -> None:
    for call in (control.post, control.answer):
        if bad or call is control.post:
            with pytest.raises(AssertionError):
                call(
                    tmp_path, bad if call is control.answer else HALT, DONE if call is control.answer else bad
                )
    with pytest.raises(AssertionError):
        control.read_answer(tmp_path, bad)
    control.discard(tmp_path, bad)

    assert list(tmp_path.iterdir()) == []


def test_a_kill_between_answer_and_removal_does_not_do_it_twice(tmp_path: Path) -> None:
    key = control.post(tmp_path, HALT, request_id(1))
    request = next(home(tmp_path).iterdir())
    kept = request.read_bytes()
    control.answer(tmp_path, key, DONE)
    request.write_bytes(kept)

    assert control.waiting(tmp_path) == []


def test_what_a_killed_command_left_half_written_is_no_request(tmp_path: Path) -> None:
    control.post(tmp_path, HALT, request_id(1))
    [request] = home(tmp_path).iterdir()
    request.rename(request.with_name(f".{request.name}.tmp"))

    assert control.waiting(tmp_path) == []
    control.post(tmp_path, HALT, request_id(1))
    assert len(control.waiting(tmp_path)) == 1


BROKEN = {
    "empty": b"",
    "cut": b'{"do":"halt","args":{',
    "no text": b"\xff\xfe",
    "another type": b'{"do":1,"args":{},"who":"me","at_ms":1}',
    "an argument that is none": b'{"do":"halt","args":{"n":1},"who":"me","at_ms":1}',
    "a field missing": b'{"do":"halt","args":{}}',
    "nested": b"[" * 60_000,
    "too long": b" " * 70_000,
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_a_request_that_cannot_be_read_is_told_and_can_be_answered(tmp_path: Path, data: bytes) -> None:
    key = control.post(tmp_path, HALT, request_id(1))
    next(home(tmp_path).iterdir()).write_bytes(data)

    assert str(home(tmp_path)) in refused(tmp_path)
    assert control.answer(tmp_path, key, ControlAnswer(done=False, text="unreadable"))
    assert control.waiting(tmp_path) == []


def test_a_link_a_folder_and_a_pipe_are_no_requests(tmp_path: Path) -> None:
    control.post(tmp_path, HALT, request_id(1))
    [request] = home(tmp_path).iterdir()
    real = request.rename(tmp_path / "elsewhere")

    request.symlink_to(real)
    by_link = refused(tmp_path)
    request.unlink()
    os.mkfifo(request)
    by_pipe = refused(tmp_path)
    request.unlink()
    request.mkdir()

    assert "cannot be opened" in by_link
    assert "no regular file" in by_pipe
    assert "no regular file" in refused(tmp_path)


def test_a_file_that_others_may_write_is_not_listened_to(tmp_path: Path) -> None:
    control.post(tmp_path, HALT, request_id(1))
    next(home(tmp_path).iterdir()).chmod(0o620)

    assert "may be written by others (mode 620)" in refused(tmp_path)


def test_a_folder_that_others_may_write_is_not_listened_to(tmp_path: Path) -> None:
    control.post(tmp_path, HALT, request_id(1))
    home(tmp_path).chmod(0o770)

    assert "may be written by others" in refused(tmp_path)
    with pytest.raises(ControlError, match="may be written by others"):
        control.post(tmp_path, RESUME, request_id(2))
    [(key, _)] = control.waiting(tmp_path)
    assert key == control.FOLDER_ID
    assert not control.answer(tmp_path, key, DONE)


def test_a_folder_that_is_a_link_is_not_listened_to(tmp_path: Path) -> None:
    store, other = tmp_path / "store", tmp_path / "other"
    store.mkdir()
    other.mkdir()
    control.post(other, HALT, request_id(1))
    home(store).symlink_to(home(other))

    assert "is no folder" in refused(store)
    with pytest.raises(ControlError):
        control.post(store, RESUME, request_id(2))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away: foreign owners were not tried")
def test_somebody_else_is_not_listened_to(tmp_path: Path) -> None:
    control.post(tmp_path, RESUME, request_id(1))
    [request] = home(tmp_path).iterdir()
    os.chown(request, 4_242, 4_242)

    by_file = refused(tmp_path)
    os.chown(request, 0, 0)
    os.chown(home(tmp_path), 4_242, 4_242)

    assert "belongs to user 4242" in by_file
    assert "belongs to user 4242" in refused(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away: foreign owners were not tried")
def test_root_hands_its_requests_over_to_the_owner_of_the_store(tmp_path: Path) -> None:
    os.chown(tmp_path, 4_242, 4_242)

    key = control.post(tmp_path, HALT, request_id(1))

    owners = {path.stat().st_uid for path in (home(tmp_path), next(home(tmp_path).iterdir()))}
    assert owners == {4_242}
    assert control.waiting(tmp_path) == [(key, HALT)]


def test_answers_that_nobody_fetches_go_after_a_while(tmp_path: Path) -> None:
    for number in range(3):
        key = control.post(tmp_path, HALT, request_id(1, AT_MS + number * control.ANSWER_KEPT_MS))
        control.answer(tmp_path, key, DONE)

    assert control.read_answer(tmp_path, request_id(1)) is None
    assert control.read_answer(tmp_path, request_id(1, AT_MS + control.ANSWER_KEPT_MS)) == DONE


def test_a_full_disk_leaves_no_request_that_would_be_done_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        key = control.post(disk.path, HALT, request_id(1))
        disk.fill()

        assert not control.answer(disk.path, key, DONE)
        disk.fill()
        with pytest.raises(ControlError, match="No space left"):
            control.post(disk.path, RESUME, request_id(2))

        assert list(home(disk.path).iterdir()) == []


def test_a_store_that_cannot_be_written_says_who_should_ask(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="as the user of the worker"):
        control.post(tmp_path / "missing", HALT, request_id(1))
