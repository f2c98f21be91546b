"""The exchange's journal on disk: one JSON object a line, written before the reply to its order leaves.

Appending is one system call, so a killed exchange loses no line; a line that a full disk cut short is
removed when the file is opened again, for nobody was told of it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

# Far more than days of practice; a journal that is larger belongs elsewhere.
JOURNAL_BYTES_MAX = 1 << 30


class JournalFileError(Exception):
    """The journal cannot be used; the text says why and what to do."""


class JournalTakenError(JournalFileError):
    """Another exchange writes this journal."""


class JournalUnreadableError(JournalFileError):
    """The file holds something else than a journal."""


class JournalFile:
    """An append-only file of this process alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalFileError(
                f"journal {path} cannot be opened ({_why(error)}): name another one"
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise JournalTakenError(
                f"journal {path} is written by another exchange: stop that one, or name another journal"
            ) from error

    def entries(self) -> list[dict[str, object]]:
        """What former runs wrote, oldest first; a last line that was cut short is removed."""
        size = os.fstat(self._descriptor).st_size
        if size > JOURNAL_BYTES_MAX:
            raise JournalUnreadableError(
                f"journal {self.path} has {size} bytes, at most {JOURNAL_BYTES_MAX}: begin another one"
            )
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._descriptor, whole)
        return [self._entry(number, line) for number, line in enumerate(data[:whole].splitlines(), start=1)]

    def _entry(self, number: int, line: bytes) -> dict[str, object]:
        try:
            return msgspec.json.decode(line, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise JournalUnreadableError(
                f"journal {self.path} line {number} is no JSON object ({error}): name another journal"
            ) from error

    def append(self, entry: Mapping[str, object]) -> None:
        """Write one line; raises JournalFileError, after which nothing may be answered any more."""
        line = msgspec.json.encode(dict(entry)) + b"\n"
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            raise JournalFileError(
                f"journal {self.path} cannot be written ({_why(error)}): make room"
            ) from error
        if written < len(line):
            raise JournalFileError(f"journal {self.path} took half a line: make room")

    def close(self) -> None:
        """Let others have it; may be repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
