"""The log: events in the past tense with fields, to standard error and to hourly files.

Lines are gathered during one turn of the event loop and written at its end; warnings and errors at
once. So a kill loses one turn at most. Trouble with the files or with standard error never stops the
worker: what could not be written is kept within bounds, counted, tried again and told once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import select
import threading
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

from config import settings
from config.seams import Clock
from worker.log_lines import VALUE_CHARACTERS_MAX, Redactor, Stamps, human_line, json_line, plain_fields

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# A turn that logs more than this is written in between; memory stays flat.
TURN_BYTES_MAX = 65_536
# Lines kept while the disk is full: some minutes of a quiet worker. Later ones are counted instead.
KEPT_BYTES_MAX = 1_048_576
RETRY_S = 1.0
# PIPE_BUF: what a pipe that polls as writable takes without blocking.
STREAM_BYTES_MAX = 4_096
# Takes the name of an event and its fields.
Listener = Callable[[str, Mapping[str, object]], None]
LOG_FILE = re.compile(r"(\d{8}_\d{2})\.log")


class HourlyFile:
    """JSON lines in `{YYYYMMDD_HH}.log`; whole lines, in order, at most once. Not thread-safe."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self.lost_lines = 0
        self.trouble: str | None = None
        self._clock = clock
        self._hour = ""
        self._descriptor = -1
        self._identity = (0, 0)
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._torn = False
        self._retry_at_s = 0.0

    def write(self, hour: str, lines: list[bytes]) -> None:
        """Append `lines` to the file of `hour`, or keep them for a later call."""
        for line in lines:
            if self._kept_bytes + len(line) > KEPT_BYTES_MAX:
                self.lost_lines += 1
            else:
                self._kept.append(line)
                self._kept_bytes += len(line)
        if self.trouble is not None and self._clock.monotonic_s() < self._retry_at_s:
            return
        try:
            self._open(hour)
            self._append()
        except OSError as error:
            self.trouble = f"{self.folder / hour}.log: {error.strerror or error}"
            self._retry_at_s = self._clock.monotonic_s() + RETRY_S
        else:
            self.trouble = None

    def abandon(self) -> None:
        """Count what is still kept as lost."""
        self.lost_lines += sum(line.count(b"\n") for line in self._kept)
        self._kept, self._kept_bytes, self._torn = [], 0, False

    def close(self) -> None:
        """Release the descriptor; a later write opens the file again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self, hour: str) -> None:
        path = self.folder / f"{hour}.log"
        if self._descriptor >= 0 and hour == self._hour and _identity(path) == self._identity:
            return
        self.close()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        found = os.fstat(self._descriptor)
        self._hour, self._identity = hour, (found.st_dev, found.st_ino)
        self._drop_torn_line()
        # A kill or a full disk may have cut the last line; it must not swallow the next one.
        if found.st_size and os.pread(self._descriptor, 1, found.st_size - 1) != b"\n":
            self._kept.insert(0, b"\n")

    def _drop_torn_line(self) -> None:
        """The first part of this line went to another file; its rest would be garbage in this one."""
        if self._torn:
            self._torn = False
            self.lost_lines += 1
            self._kept[0] = self._kept[0].partition(b"\n")[2]

    def _append(self) -> None:
        if not self._kept:
            return
        data = b"".join(self._kept)
        written = os.write(self._descriptor, data)
        rest = data[written:]
        self._torn = bool(rest) and data[written - 1 : written] != b"\n"
        self._kept, self._kept_bytes = ([rest] if rest else []), len(rest)
        if rest:
            raise OSError(0, "only a part of the lines could be written")


class Log:
    """Where events go. Safe to call from any thread; a call costs a few microseconds and never raises
    for the world's faults.
    """

    def __init__(
        self, level: str, file: HourlyFile | None, clock: Clock, stream: TextIO, human: bool
    ) -> None:
        self.redactor = Redactor()
        self.stream_lost_lines = 0
        self._threshold = LEVELS[level]
        self._file = file
        self._clock = clock
        self._stream = stream
        self._human = human
        self._stamps = Stamps()
        self._lock = threading.RLock()
        self._lines: list[bytes] = []
        self._lines_bytes = 0
        self._hour = ""
        self._shown: list[bytes] = []
        self._flushing_on: asyncio.AbstractEventLoop | None = None
        self._told_trouble = False
        self._descriptor, self._poll = _descriptor_of(stream)
        self._handler: _LibraryRecords | None = None
        self._heard: frozenset[str] = frozenset()
        self._listener: Listener | None = None

    def listen(self, names: frozenset[str], listener: Listener) -> None:
        """Hand events of these names to `listener` as well, at whatever level lines are written.

        It gets the fields as a line would show them, without any secret, in the thread that logs: it must
        neither wait nor raise.
        """
        self._heard, self._listener = names, listener

    def redact(self, secret: str) -> None:
        """`secret` never appears in any line from now on."""
        self.redactor.add(secret)

    @property
    def shows_debug(self) -> bool:
        """Whether `debug` writes anything, for those who would have to make many lines."""
        return self._threshold <= LEVELS["debug"]

    def debug(self, name: str, /, **fields: object) -> None:
        """An event for whoever looks for a bug."""
        if self._threshold <= 10:
            self._add("debug", name, fields)

    def event(self, name: str, /, **fields: object) -> None:
        """Something happened, as it should; `name` is in the past tense."""
        if name in self._heard:
            self._hear(name, fields)
        if self._threshold <= 20:
            self._add("info", name, fields)

    def warning(self, name: str, /, **fields: object) -> None:
        """Something happened that a person should look at; written at once."""
        if name in self._heard:
            self._hear(name, fields)
        if self._threshold <= 30:
            self._add("warning", name, fields)

    def error(self, name: str, /, **fields: object) -> None:
        """Something happened that a person must look at; written at once."""
        if name in self._heard:
            self._hear(name, fields)
        self._add("error", name, fields)

    @property
    def lost_lines(self) -> int:
        """Lines that never reached their file, since start."""
        return self._file.lost_lines if self._file is not None else 0

    @property
    def trouble(self) -> str | None:
        """What is wrong with the log files now, for /status; None when nothing is."""
        return self._file.trouble if self._file is not None else None

    def flush(self) -> None:
        """Write what was gathered."""
        with self._lock:
            self._flush_file()
            self._flush_stream()

    def prune(self, keep_days: int) -> int:
        """Remove log files older than `keep_days` days; returns how many. What cannot be removed stays."""
        if self._file is None:
            return 0
        now = datetime.fromtimestamp(self._clock.wall_ms() // 1_000, UTC)
        oldest = (now - timedelta(days=keep_days)).strftime("%Y%m%d_%H")
        removed = 0
        for path in _files(self._file.folder):
            match = LOG_FILE.fullmatch(path.name)
            if match is not None and match[1] < oldest:
                removed += _unlink(path)
        return removed

    def close(self) -> None:
        """Write what is left, let go of the files and of the libraries' records; later events still work."""
        if self._handler is not None:
            logging.captureWarnings(False)
            logging.getLogger().removeHandler(self._handler)
            self._handler = None
        self.flush()
        with self._lock:
            if self._file is not None:
                self._file.abandon()
                self._file.close()

    def take_library_records(self) -> None:
        """From now on what libraries tell `logging` and `warnings` becomes an event here."""
        self._handler = _LibraryRecords(self)
        logging.getLogger().addHandler(self._handler)
        logging.captureWarnings(True)

    def _hear(self, name: str, fields: dict[str, object]) -> None:
        if self._listener is not None:
            self._listener(name, plain_fields(fields, self.redactor))

    def _add(self, level: str, name: str, fields: dict[str, object]) -> None:
        plain = plain_fields(fields, self.redactor) if fields else {}
        with self._lock:
            stamp, time = self._stamps.of(self._clock.wall_ms())
            line = json_line(stamp, level, name, plain)
            if self._hour != self._stamps.hour:
                self._flush_file()
                self._hour = self._stamps.hour
            self._lines.append(line)
            self._lines_bytes += len(line)
            self._shown.append(human_line(time, level, name, plain) if self._human else line)
            if LEVELS[level] >= 30 or self._lines_bytes > TURN_BYTES_MAX or not self._flush_later():
                self.flush()

    def _flush_later(self) -> bool:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if self._flushing_on is not loop:
            loop.call_soon(self._turn_ended)
            self._flushing_on = loop
        return True

    def _turn_ended(self) -> None:
        self._flushing_on = None
        self.flush()

    def _flush_file(self) -> None:
        lines, self._lines, self._lines_bytes = self._lines, [], 0
        if self._file is None or not lines:
            return
        self._file.write(self._hour, lines)
        trouble = self._file.trouble
        if (trouble is not None) == self._told_trouble:
            return
        self._told_trouble = trouble is not None
        self._tell_trouble(trouble)

    def _tell_trouble(self, trouble: str | None) -> None:
        level, name = ("error", "log_file_blocked") if trouble else ("info", "log_file_unblocked")
        fields = plain_fields({"why": trouble} if trouble else {"lost_lines": self.lost_lines}, self.redactor)
        stamp, time = self._stamps.of(self._clock.wall_ms())
        make = human_line if self._human else json_line
        self._shown.append(make(time if self._human else stamp, level, name, fields))

    def _flush_stream(self) -> None:
        shown, self._shown = self._shown, []
        while shown:
            if self._descriptor >= 0 and not self._poll.poll(0):
                # A terminal that was stopped or a pipe that nobody reads must not stop the worker.
                self.stream_lost_lines += len(shown)
                return
            taken, size = 1, len(shown[0])
            while taken < len(shown) and size + len(shown[taken]) <= STREAM_BYTES_MAX:
                size += len(shown[taken])
                taken += 1
            try:
                self._show(b"".join(shown[:taken]))
            except (OSError, ValueError):
                self.stream_lost_lines += taken
            del shown[:taken]

    def _show(self, data: bytes) -> None:
        if self._descriptor >= 0:
            # Past the stream's own buffer: what a broken pipe leaves there would spoil the exit code.
            os.write(self._descriptor, data)
        else:
            self._stream.write(data.decode())
            self._stream.flush()


class _LibraryRecords(logging.Handler):
    """Hands the records of `logging` on as events named `library_reported`."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """One record; of a long traceback the end travels in `trace`, which names the fault."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            message = str(record.msg)
        fields: dict[str, object] = {"logger": record.name, "message": message}
        if record.exc_info and record.exc_info[0] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info))
            # Cleaned before it is cut: half a secret would no longer be recognised.
            fields["trace"] = self._log.redactor.clean(trace)[-VALUE_CHARACTERS_MAX:]
        if record.levelno >= logging.ERROR:
            self._log.error("library_reported", **fields)
        elif record.levelno >= logging.WARNING:
            self._log.warning("library_reported", **fields)
        else:
            self._log.debug("library_reported", **fields)


def configure(chosen: settings.Log, folder: Path | None, clock: Clock, stream: TextIO) -> Log:
    """The log of this process: lines to `stream` and, unless None, to hourly files in `folder`.

    `folder` need not exist. Takes over the records of `logging` and `warnings` until `close()`.
    """
    human = chosen.format is settings.LogFormat.HUMAN or (
        chosen.format is settings.LogFormat.AUTO and stream.isatty()
    )
    log = Log(
        chosen.level.value, HourlyFile(folder, clock) if folder is not None else None, clock, stream, human
    )
    log.take_library_records()
    return log


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (0, 0)
    return (found.st_dev, found.st_ino)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _unlink(path: Path) -> int:
    try:
        path.unlink()
    except OSError:
        return 0
    return 1


def _descriptor_of(stream: TextIO) -> tuple[int, select.poll]:
    """The stream's descriptor and a poll for its room; -1 for a stream in memory."""
    poll = select.poll()
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return -1, poll
    poll.register(descriptor, select.POLLOUT)
    return descriptor, poll
