"""How a person's command reaches the worker, which is the only writer: files in the folder `control`.

A command posts a request and waits for its answer; both are whole or not there, and survive a kill of
either side. Only the owner of the store's folder (or root, who hands over) is listened to: a request of
anybody else's, a link or a file that others may write is told as unreadable and does nothing.
"""

from __future__ import annotations

import heapq
import os
import re
import stat
from contextlib import suppress
from itertools import islice
from pathlib import Path

import msgspec

from store.errors import StoreError
from store.small_file import SmallFileFaultError, hand_over, read_whole, remove_whole, write_whole

CONTROL_FOLDER = "control"
# More than people type, and few enough to be read between two orders.
WAITING_MAX = 16
# A folder that somebody fills must not hold up the worker.
ENTRIES_MAX = 4_096
# An answer that nobody has fetched for this long goes.
ANSWER_KEPT_MS = 3_600_000

_REQUEST, _ANSWER = ".request.json", ".answer.json"
_ID = re.compile(r"\d{13}-[A-Za-z0-9_-]{1,64}")
# The folder itself, where it cannot be used.
FOLDER_ID = ""


class ControlError(StoreError):
    """A request cannot be left for the worker; the text says what to do."""

    exit_code = 77


class ControlRequest(msgspec.Struct, frozen=True):
    """What a person wants: `do` is halt, resume, resolve, cancel_all, flatten, account, …"""

    do: str
    args: dict[str, str]
    who: str
    at_ms: int


class ControlAnswer(msgspec.Struct, frozen=True):
    """What became of it. `lines` are for people to read, below `text`."""

    done: bool
    text: str
    at_ms: int = 0
    exit_code: int = 0
    lines: tuple[str, ...] = ()


class Unreadable(msgspec.Struct, frozen=True):
    """A file that is there and must not or cannot be used."""

    why: str


_decode_request = msgspec.json.Decoder(ControlRequest).decode
_decode_answer = msgspec.json.Decoder(ControlAnswer).decode


def post(folder: Path, request: ControlRequest, request_id: str) -> str:
    """Leave a request for the worker whose store is in `folder`; its id, for `read_answer` and `discard`.

    The id is the time in milliseconds, a hyphen, and what tells apart requests of the same moment, like
    `1700000000000-4121`. On disk when this returns. Raises ControlError.
    """
    assert _ID.fullmatch(request_id), request_id
    home = folder / CONTROL_FOLDER
    try:
        _make(home)
        why = _why_not_ours(home)
        if why is not None:
            raise ControlError(f"no command can be left for the worker: {why}")
        path = home / f"{request_id}{_REQUEST}"
        if path.exists() or (home / f"{request_id}{_ANSWER}").exists():
            raise ControlError(f"command {path} is there already: wait for its answer")
        write_whole(path, msgspec.json.encode(request) + b"\n")
    except OSError as error:
        raise ControlError(
            f"no command can be left in {home} ({error.strerror}): run this as the user of the worker"
        ) from None
    return request_id


def _make(home: Path) -> None:
    try:
        home.mkdir(mode=0o700)
    except FileExistsError:
        return
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        hand_over(descriptor, home.parent)
    finally:
        os.close(descriptor)


def waiting(folder: Path) -> list[tuple[str, ControlRequest | Unreadable]]:
    """The oldest requests without an answer, in order, at most WAITING_MAX; for the worker.

    Each is to be answered or discarded, else it comes again. The id FOLDER_ID stands for the folder itself,
    where that must not be used; nobody waits for its answer. Never raises for what others left there.
    """
    home = folder / CONTROL_FOLDER
    try:
        names = _names(home)
    except FileNotFoundError:
        return []
    except OSError as error:
        return [(FOLDER_ID, Unreadable(f"{home} cannot be read ({error.strerror})"))]
    answered = {name.removesuffix(_ANSWER) for name in names if name.endswith(_ANSWER)}
    requests = {name.removesuffix(_REQUEST) for name in names if name.endswith(_REQUEST)}
    oldest = heapq.nsmallest(WAITING_MAX, requests - answered)
    if not oldest:
        return []
    why = _why_not_ours(home)
    if why is not None:
        return [(FOLDER_ID, Unreadable(why))]
    found = ((request_id, _request(home, request_id)) for request_id in oldest)
    return [(request_id, request) for request_id, request in found if request is not None]


def _names(home: Path) -> list[str]:
    with os.scandir(home) as entries:
        return [entry.name for entry in islice(entries, ENTRIES_MAX) if _ID.match(entry.name)]


def _request(home: Path, request_id: str) -> ControlRequest | Unreadable | None:
    path = home / f"{request_id}{_REQUEST}"
    data = _read(path)
    if data is None or isinstance(data, Unreadable):
        return data
    try:
        return _decode_request(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        return Unreadable(f"{path} is no request ({error})")


def answer(folder: Path, request_id: str, said: ControlAnswer) -> bool:
    """Answer a request, on disk when this returns, and take the request away.

    False when the disk refused: the request is gone all the same, so that it is not done twice.
    """
    home = folder / CONTROL_FOLDER
    if request_id == FOLDER_ID:
        return False
    assert _ID.fullmatch(request_id), request_id
    try:
        write_whole(home / f"{request_id}{_ANSWER}", msgspec.json.encode(said) + b"\n")
        # Killed here: the request is not done again, because it has an answer.
        remove_whole(home / f"{request_id}{_REQUEST}")
        for name in _forgotten(home, _time_of(request_id) - ANSWER_KEPT_MS):
            remove_whole(home / name)
    except OSError:
        with suppress(OSError):
            remove_whole(home / f"{request_id}{_REQUEST}")
        return False
    return True


def _forgotten(home: Path, before_ms: int) -> list[str]:
    return [name for name in _names(home) if name.endswith(_ANSWER) and _time_of(name) < before_ms]


def _time_of(name: str) -> int:
    return int(name.partition("-")[0])


def read_answer(folder: Path, request_id: str) -> ControlAnswer | Unreadable | None:
    """The worker's answer; None while there is none."""
    assert _ID.fullmatch(request_id), request_id
    path = folder / CONTROL_FOLDER / f"{request_id}{_ANSWER}"
    data = _read(path)
    if data is None or isinstance(data, Unreadable):
        return data
    try:
        return _decode_answer(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        return Unreadable(f"{path} is no answer ({error})")


def discard(folder: Path, request_id: str) -> None:
    """Take a request and its answer away; those that are gone are fine. Raises OSError."""
    if not _ID.fullmatch(request_id):
        return
    for suffix in (_REQUEST, _ANSWER):
        remove_whole(folder / CONTROL_FOLDER / f"{request_id}{suffix}")


def _read(path: Path) -> bytes | Unreadable | None:
    try:
        found = read_whole(path)
        if found is None:
            return None
        data, status = found
        why = _why_foreign(path, status, os.stat(path.parent).st_uid)
    except SmallFileFaultError as error:
        return Unreadable(str(error))
    except OSError as error:
        return Unreadable(f"{path} cannot be read ({error.strerror})")
    return data if why is None else Unreadable(why)


def _why_not_ours(home: Path) -> str | None:
    """Why the folder must not be used; None when it is its owner's alone, and that is us or we are root."""
    try:
        status = os.lstat(home)
    except OSError as error:
        return f"{home} cannot be read ({error.strerror})"
    if not stat.S_ISDIR(status.st_mode):
        return f"{home} is no folder: remove it"
    if os.geteuid() not in (0, status.st_uid):
        return f"{home} belongs to user {status.st_uid}: run this as that user"
    return _why_foreign(home, status, os.stat(home.parent).st_uid)


def _why_foreign(path: Path, status: os.stat_result, owner: int) -> str | None:
    if status.st_uid != owner:
        return f"{path} belongs to user {status.st_uid}, its folder to user {owner}: remove it"
    if status.st_mode & 0o022:
        return f"{path} may be written by others (mode {stat.S_IMODE(status.st_mode):o}): remove it"
    return None
