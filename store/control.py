"""Control: how a person's command reaches a running worker, which alone writes the store. (draft)"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from store.small_file import SmallFileFaultError, read_whole, remove_whole, write_whole

FOLDER = "control"
WAITING_MAX = 100


class ControlRequest(msgspec.Struct, frozen=True):
    """What is asked."""

    do: str
    args: dict[str, str]
    who: str
    at_ms: int


class ControlAnswer(msgspec.Struct, frozen=True):
    """What came of it."""

    done: bool
    text: str


class Unreadable(msgspec.Struct, frozen=True):
    """A request that cannot be used."""

    why: str


def post(folder: Path, request: ControlRequest, key: str) -> str:
    (folder / FOLDER).mkdir(mode=0o700, exist_ok=True)
    write_whole(folder / FOLDER / f"{key}.request", msgspec.json.encode(request))
    return key


def waiting(folder: Path) -> list[tuple[str, ControlRequest | Unreadable]]:
    try:
        names = sorted(os.listdir(folder / FOLDER))
    except OSError:
        return []
    found: list[tuple[str, ControlRequest | Unreadable]] = []
    for name in [name for name in names if name.endswith(".request")][:WAITING_MAX]:
        try:
            read = read_whole(folder / FOLDER / name)
            if read is None:
                continue
            found.append((name.removesuffix(".request"), msgspec.json.decode(read[0], type=ControlRequest)))
        except (SmallFileFaultError, msgspec.DecodeError) as error:
            found.append((name.removesuffix(".request"), Unreadable(str(error))))
    return found


def answer(folder: Path, key: str, answer: ControlAnswer) -> None:
    write_whole(folder / FOLDER / f"{key}.answer", msgspec.json.encode(answer))
    remove_whole(folder / FOLDER / f"{key}.request")


def read_answer(folder: Path, key: str) -> ControlAnswer | None:
    read = read_whole(folder / FOLDER / f"{key}.answer")
    return None if read is None else msgspec.json.decode(read[0], type=ControlAnswer)


def discard(folder: Path, key: str) -> None:
    remove_whole(folder / FOLDER / f"{key}.request")
    remove_whole(folder / FOLDER / f"{key}.answer")
