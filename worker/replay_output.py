"""The output folder of a replay: built aside, and there only when it is whole.

Everything is written below `.part` and renamed at the end, the run's own file last: without `run.json` a
folder is no finished replay, whatever was killed when. A folder that is anything else is left alone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from store.paths import DATABASE
from store.projector import hour_name
from streams.signal import Malformed

PART = ".part"
RUN = "run.json"
SUMMARY = "summary.json"
FILLS = "fills.jsonl"
EXECUTIONS = "executions"
DEAD_LETTERS = "deadletter"
PRODUCT = "execution-worker replay"
# In the order of their renaming.
PUBLISHED = (EXECUTIONS, FILLS, SUMMARY, RUN)
# Lines in memory before they are written out: few enough for a core's own cache, and so many for each file
# that opening it costs nothing beside.
LINES_MAX = 1_000
LINES_MAX_A_SYMBOL = 50
HOUR_MS = 3_600_000

_pretty = msgspec.json.Encoder(decimal_format="string", order=None)


class ReplayOutputError(Exception):
    """The output folder cannot be used; the message is the whole sentence."""


class ReplayLines:
    """The lines of a replay, on their way into files below `part`. Raises ReplayOutputError.

    `latest_ms` is how far the replay has come, in the time of the signals.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.part = folder / PART
        self.latest_ms = 0
        self._lines: dict[str, dict[int, list[str]]] = {}
        self._fills: list[str] = []
        self._letters: dict[int, list[bytes]] = {}
        self._count = 0
        self._count_max = LINES_MAX

    def execution(self, symbol: str, at_ms: int, line: str) -> None:
        """One execution has its outcome."""
        hour = at_ms // HOUR_MS
        # Nearly always there.
        try:
            self._lines[symbol][hour].append(line)
        except KeyError:
            self._lines.setdefault(symbol, {})[hour] = [line]
            self._count_max = max(LINES_MAX, LINES_MAX_A_SYMBOL * len(self._lines))
        self._count += 1
        if self._count >= self._count_max:
            self.flush()

    def fill(self, line: str) -> None:
        """One trade."""
        self._fills.append(line)

    def dead_letter(self, found: Malformed, source: str, ts_ms: int) -> None:
        """One malformed line, in the shape of the worker's dead letters."""
        self._letter(ts_ms, _letter_of(found, source, ts_ms))
        self._count += 1
        if self._count >= self._count_max:
            self.flush()

    def flush(self) -> None:
        """Write out what is held. Raises ReplayOutputError."""
        try:
            self._write()
        except OSError as error:
            raise self.unwritable(error) from None
        self._lines.clear()
        self._letters.clear()
        self._fills.clear()
        self._count = 0

    def unwritable(self, error: OSError) -> ReplayOutputError:
        """What to say of it."""
        why = (error.strerror or str(error)).lower()
        return ReplayOutputError(
            f"{self.folder} cannot be written ({why}): name a folder of this user with --out"
        )

    def _letter(self, ts_ms: int, letter: bytes) -> None:
        self._letters.setdefault(ts_ms // HOUR_MS, []).append(letter)

    def _write(self) -> None:
        folder = self.part / EXECUTIONS
        for symbol, hours in self._lines.items():
            for hour, lines in hours.items():
                append(folder / symbol / f"exec_{hour_name(hour)}.jsonl", "".join(lines).encode())
        for hour, letters in self._letters.items():
            append(folder / DEAD_LETTERS / f"{hour_name(hour)}.jsonl", b"".join(letters))
        if self._fills:
            append(self.part / FILLS, "".join(self._fills).encode())


class ReplayOutput(ReplayLines):
    """The files of one replay. Raises ReplayOutputError; `publish` or `discard` ends it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        # Held for as long as this process or one that it was given to has it open.
        self.lock = -1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._hold()
            self._refuse_what_is_not_ours()
            shutil.rmtree(self.part, ignore_errors=True)
            (self.part / EXECUTIONS).mkdir(parents=True)
            (self.part / FILLS).touch()
        except OSError as error:
            self._let_go()
            raise self.unwritable(error) from None
        except ReplayOutputError:
            self._let_go()
            raise

    def publish(self, summary: object, run: object) -> None:
        """Put what was built in the place of a former replay. Raises ReplayOutputError."""
        self.flush()
        try:
            (self.part / SUMMARY).write_bytes(as_json(summary))
            (self.part / RUN).write_bytes(as_json(run))
            for name in reversed(PUBLISHED):
                _remove(self.folder / name)
            for name in PUBLISHED:
                os.rename(self.part / name, self.folder / name)
            self.part.rmdir()
        except OSError as error:
            raise self.unwritable(error) from None
        finally:
            self._let_go()

    def discard(self) -> None:
        """Leave nothing of this replay behind; after `publish` it does nothing."""
        if self.lock >= 0:
            shutil.rmtree(self.part, ignore_errors=True)
            self._let_go()

    def _hold(self) -> None:
        self.lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ReplayOutputError(
                f"another replay writes to {self.folder}: give this one its own --out"
            ) from None

    def _let_go(self) -> None:
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1

    def _refuse_what_is_not_ours(self) -> None:
        names = sorted(entry.name for entry in self.folder.iterdir())
        if any((self.folder / below / DATABASE).exists() for below in ("", EXECUTIONS)):
            raise ReplayOutputError(
                f"{self.folder} holds the store of a worker, which no replay may touch: name another --out"
            )
        if names and not (PART in names or is_replay(self.folder)):
            raise ReplayOutputError(
                f"{self.folder} holds {names[0]} and is no former replay: empty it, or name another --out"
            )


def append(path: Path, data: bytes) -> None:
    """Write to the end of a file, in a folder that is made when it is needed. Raises OSError."""
    try:
        file = path.open("ab")
    except FileNotFoundError:
        path.parent.mkdir(exist_ok=True)
        file = path.open("ab")
    with file:
        file.write(data)


def _letter_of(found: Malformed, source: str, ts_ms: int) -> bytes:
    place = found.place
    where = "offset" if source == "jsonl" else "rowid"
    letter = {"ts_ms": ts_ms, "source": source, "file": place.file, where: place.offset}
    letter |= {"reason": found.reason, "raw": found.raw.decode("utf-8", "backslashreplace")}
    return msgspec.json.encode(letter) + b"\n"


def is_replay(folder: Path) -> bool:
    """Whether a folder holds a finished replay."""
    try:
        found = msgspec.json.decode((folder / RUN).read_bytes())
    except (OSError, msgspec.DecodeError):
        return False
    return isinstance(found, dict) and found.get("made_by") == PRODUCT


def as_json(value: object) -> bytes:
    """JSON for people and programs, with money as exact decimal text."""
    return msgspec.json.format(_pretty.encode(value), indent=2) + b"\n"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def lines_files(folder: Path) -> Sequence[Path]:
    """The files of executions below an output folder, of a replay or of a worker."""
    return sorted((folder / EXECUTIONS).glob("*/exec_*.jsonl"))
