"""The file HALT in the store's folder: a halt that works when the store cannot be read or written.

It halts all symbols. `touch HALT` is a full halt; what a worker writes into it tells why, and may end it. A
file that is there and says nothing sensible is a halt without an end.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from store.halts import stronger
from store.records import Halt
from store.small_file import (
    SmallFileFaultError,
    hand_over,
    read_whole,
    remove_whole,
    sync_folder,
    write_whole,
)

HALT_FILE = "HALT"
FILE_WHY = "file HALT"
WORDS_MAX = 200


class HaltFileFaultError(Exception):
    """The file is there and cannot be read: a full halt, whose reason is this text."""


class _Written(msgspec.Struct, frozen=True):
    why: str = FILE_WHY
    who: str = ""
    at_ms: int | None = None
    new_only: bool = False
    until_ms: int | None = None


_decode = msgspec.json.Decoder(_Written).decode


def write_halt(folder: Path, halt: Halt) -> None:
    """Halt all symbols by file, on disk when this returns; a halt by file that is in force is not weakened.

    On a full disk the file is left empty, which is a full halt. Raises OSError when that is not possible.
    """
    path = folder / HALT_FILE
    try:
        before = read_halt(folder)
    except HaltFileFaultError:
        return
    written = msgspec.structs.replace(stronger(before, halt), scope="")
    data = msgspec.json.encode(written) + b"\n"
    try:
        write_whole(path, data)
    except OSError:
        _write_empty(path)


def _write_empty(path: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        hand_over(descriptor, path.parent)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def read_halt(folder: Path) -> Halt | None:
    """The halt that the file tells of, whether or not its end has come; None when there is no file.

    Words that no worker wrote are its reason. Raises HaltFileFaultError when the file is there and cannot be
    read: nothing may be sent then.
    """
    path = folder / HALT_FILE
    try:
        found = read_whole(path)
    except SmallFileFaultError as error:
        raise HaltFileFaultError(f"{error}: remove it to resume") from None
    if found is None:
        return None
    data, status = found
    since_ms = status.st_mtime_ns // 1_000_000
    try:
        written = _decode(data)
    except (msgspec.MsgspecError, RecursionError):
        return Halt(scope="", why=_words(data), who="", at_ms=since_ms)
    at_ms = since_ms if written.at_ms is None else written.at_ms
    return Halt("", written.why, written.who, at_ms, written.new_only, written.until_ms)


def _words(data: bytes) -> str:
    text = "".join(mark if mark.isprintable() else " " for mark in data.decode("utf-8", "replace"))
    said = " ".join(text.split())[:WORDS_MAX]
    return f"{FILE_WHY}: {said}" if said else FILE_WHY


def remove_halt(folder: Path) -> None:
    """End the halt by file, for good; none there is fine. Raises OSError."""
    remove_whole(folder / HALT_FILE)
