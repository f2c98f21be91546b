"""The simulated venue's journal on disk: one fact a line, on disk before anybody is told of it.

What a crash cut off at the end was never told and is removed at the next start. What does not fit onto the
disk is taken back at once, so that what was not accepted cannot turn up as accepted later.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from adapters.paper.facts import Fact

# Some two million orders; a journal is read as a whole at each start.
JOURNAL_BYTES_MAX = 1 << 30
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)

# How a line begins that takes an order, and what stands before its symbol, as they are written here.
_PLACED, _SYMBOL = b'{"fact":"placed"', b'"symbol":"'

_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Fact] = msgspec.json.Decoder(Fact)


Kind = Literal["unavailable", "permission", "configuration"]


class JournalError(Exception):
    """The journal cannot be used; the text says why and what to do, `kind` what sort of trouble it is."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class JournalWriteError(Exception):
    """Facts that are not in the journal; not `certain`: one of them may be found there after a crash."""

    def __init__(self, text: str, *, certain: bool) -> None:
        super().__init__(text)
        self.certain = certain


class JournalFile:
    """An append-only file of this process alone. Every call may take as long as the disk does."""

    def __init__(self, path: Path) -> None:
        """Open it, and make it where it is not; raises JournalError."""
        self.path = path
        self._descriptor = -1
        self._end = 0
        self._dirty = False
        self._given_up = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            made = not path.exists()
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if made:
                _sync_folder(path.parent)
        except OSError as error:
            self.close()
            kind: Kind = "permission" if error.errno in _DENIED else "unavailable"
            raise JournalError(
                kind,
                f"the simulated venue's journal {path} cannot be opened ({_why(error)}): make it writable",
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise JournalError(
                "unavailable",
                f"the simulated venue's journal {path} is written by another process: stop that one,"
                " or give this worker its own --output",
            ) from error

    def facts(self) -> Iterator[Fact]:
        """What former runs wrote, oldest first; an end that was cut short is removed once all is read.

        Raises JournalError where a line in the middle is no fact, and after `give_up`.
        """
        size = os.fstat(self._descriptor).st_size
        if size > JOURNAL_BYTES_MAX:
            raise JournalError(
                "configuration",
                f"the simulated venue's journal {self.path} has {size} bytes, at most {JOURNAL_BYTES_MAX} can"
                " be read at a start: begin a new one with another --output",
            )
        self._end = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                self._go_on()
                yield self._fact(number, line)
                self._end += len(line)
        if self._end < size:
            self._dirty = True
            self._clean()

    def give_up(self) -> None:
        """End whatever reads it in another thread: a large journal takes longer than a stop may."""
        self._given_up = True

    def read_again(self, symbol: str | None = None) -> Iterator[Fact]:
        """All that is in it at this moment, oldest first; may be written meanwhile.

        With `symbol`, what is about others may be left out.
        """
        own = b'"symbol":"%s"' % (symbol or "").encode()
        left = self._end
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                left -= len(line)
                if left < 0:
                    # What is beyond was never told, and could not be taken back yet.
                    return
                # To look at a line costs a twentieth of reading it; each symbol asks at a start.
                if symbol is not None and line.startswith(_PLACED) and own not in line and _SYMBOL in line:
                    continue
                self._go_on()
                yield self._fact(number, line)

    def _go_on(self) -> None:
        if self._given_up:
            raise JournalError("unavailable", f"the reading of {self.path} was given up: start again")

    def _fact(self, number: int, line: bytes) -> Fact:
        try:
            return _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self.damaged(number, f"is no fact of the venue ({error})") from error

    def damaged(self, number: int, what: str) -> JournalError:
        """The error to raise for a line that cannot be true."""
        return JournalError(
            "configuration",
            f"the simulated venue's journal {self.path} line {number} {what}: put an undamaged copy in its"
            " place, or begin anew with another --output",
        )

    def append(self, facts: Sequence[Fact]) -> None:
        """Put the facts on disk, all of them; raises JournalWriteError when they are not."""
        data = b"".join(_encode(fact) + b"\n" for fact in facts)
        try:
            self._clean()
            self._dirty = True
            written = 0
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise JournalWriteError(
                f"the simulated venue's journal {self.path} cannot be written ({_why(error)})",
                certain=self.is_clean(),
            ) from error
        self._end += len(data)
        self._dirty = False

    def is_clean(self) -> bool:
        """Whether it holds nothing but what was accepted; takes back what is left of a failed write."""
        try:
            self._clean()
        except OSError:
            return False
        return True

    def _clean(self) -> None:
        if self._dirty:
            os.ftruncate(self._descriptor, self._end)
            os.fdatasync(self._descriptor)
            self._dirty = False

    def close(self) -> None:
        """Let others have it; may be repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
