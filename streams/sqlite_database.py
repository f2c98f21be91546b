"""One read-only connection to a producer's database, and what stands in the way of reading it.

All reads go through short transactions, one at a time. The world's faults (missing, locked, corrupt,
replaced) end in `fault`, a sentence, and are tried again with a growing pause; none is raised. The file
is never opened by other means: closing any descriptor of it would drop SQLite's locks.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import aiosqlite

from config.seams import Clock
from streams.codec import ROW_FIELDS

TABLE = "signals"
REQUIRED_COLUMNS = ("ts_ms", "symbol", "score", "confirm")
RETRY_DELAY_S_MIN = 0.05
RETRY_DELAY_S_MAX = 5.0
# Closing waits for a lock that long at most, so a worker told to stop can stop.
BUSY_TIMEOUT_MS_MAX = 2_000

ASK_AFTER_MOVE_S = 0.1
ASK_EVERY_S = 1.0

Row = tuple[object, ...]
FileMark = tuple[int, int, int] | None
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Table:
    """The shape of the producer's table: what can be asked of it."""

    columns: tuple[str, ...]  # of ours, those that it has
    rowid: str | None  # a name under which the rowid answers; None for WITHOUT ROWID
    schema_version: int

    @property
    def selection(self) -> str:
        """Our columns for a SELECT; the names are ours, so they need no quoting."""
        return ", ".join(self.columns)


class Reader:
    """Queries inside one read transaction."""

    def __init__(self, connection: aiosqlite.Connection, table: Table) -> None:
        self._connection = connection
        self.table = table

    async def rows(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        """All rows; the statement bounds them. Raises sqlite3.Error."""
        return [tuple(row) for row in await self._connection.execute_fetchall(statement, parameters)]

    async def number(self, statement: str, parameters: Sequence[object] = ()) -> int:
        """The one integer that a count gives."""
        ((value,),) = await self.rows(statement, parameters)
        assert isinstance(value, int)
        return value


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether a page of the file cannot be trusted."""
    return _code_of(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code_of(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _mark_of(path: Path) -> FileMark:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def text_or_bytes(value: bytes) -> str | bytes:
    """Broken UTF-8 stays bytes: one such row must not cost the page it stands on."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


class Database:
    """The connection, its table, and `generation`, which moves whenever there may be something new."""

    def __init__(self, path: Path, *, busy_timeout_ms: int, clock: Clock) -> None:
        self.path = path
        self.fault: str | None = f"{path.name} was not looked for yet"
        self.generation = 0
        # Moves when the file under the name is another one.
        self.file_epoch = 0
        self.device = 0
        self.inode = 0
        self._busy_timeout_s = min(busy_timeout_ms, BUSY_TIMEOUT_MS_MAX) / 1_000
        self._clock = clock
        self._connection: aiosqlite.Connection | None = None
        self._table: Table | None = None
        self._data_version = -1
        self._lock = asyncio.Lock()
        self._failures = 0
        self._retry_at_s = 0.0
        self._closed = False
        self._is_absent = False
        self._wal_path = path.with_name(f"{path.name}-wal")
        self._moved: tuple[FileMark, FileMark] = (None, None)
        self._ask_until_s = 0.0
        self._asked_at_s = 0.0

    @property
    def may_hold_signals(self) -> bool:
        """False when the file or its table was looked for and is not there yet."""
        return not (self._closed or self._is_absent)

    @property
    def is_absent(self) -> bool:
        """Whether the file or its table was not there at the last look."""
        return self._is_absent

    @property
    def retry_is_due(self) -> bool:
        """Whether the last read failed and its pause is over; what is merely absent announces itself."""
        return self._failures > 0 and self._clock.monotonic_s() >= self._retry_at_s

    async def look(self) -> bool:
        """Whether something was committed since the last look. Never misses a commit."""
        before = self.generation
        await self._alone(self._look)
        return self.generation != before

    async def poll(self) -> bool:
        """Like `look`, at the price of two stats while nothing moves; may be a second late.

        File times move in steps of some milliseconds, so two commits can share one: after a movement
        the database itself is asked for a while, and once a second in any case.
        """
        now_s = self._clock.monotonic_s()
        moved = (_mark_of(self.path), _mark_of(self._wal_path))
        if moved != self._moved:
            self._moved = moved
            self._ask_until_s = now_s + ASK_AFTER_MOVE_S
        if now_s > self._ask_until_s and now_s < self._asked_at_s + ASK_EVERY_S and not self.retry_is_due:
            return False
        self._asked_at_s = now_s
        return await self.look()

    async def transaction(self, work: Callable[[Reader], Awaitable[T]]) -> T | None:
        """What `work` returns for one snapshot, or None when `fault` says why not. Cancellable safely."""
        return await self._alone(lambda: self._transact(work))

    async def close(self) -> None:
        """Close the connection and end its thread; may be repeated."""
        self._closed = True
        if self._connection is not None:
            await self._connection.interrupt()
        await self._alone(self._disconnect)

    async def _alone(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run to the end under the lock, even when the caller is cancelled meanwhile.

        Cancelling an await leaves its SQL running in the thread: the next user of the connection
        would find itself inside the transaction of the cancelled one.
        """
        async with self._lock:
            task = asyncio.ensure_future(work())
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                while not task.done():
                    try:
                        await asyncio.wait({task})
                    except asyncio.CancelledError:
                        continue
                raise

    async def _look(self) -> None:
        if not await self._is_connected():
            return
        assert self._connection is not None
        try:
            ((version,),) = await self._connection.execute_fetchall("PRAGMA data_version")
        except sqlite3.Error as error:
            await self._failed(error)
            return
        self._saw(int(version))

    async def _transact(self, work: Callable[[Reader], Awaitable[T]]) -> T | None:
        if not await self._is_connected():
            return None
        connection = self._connection
        assert connection is not None
        try:
            await connection.execute_fetchall("BEGIN")
            try:
                table = await self._table_now(connection)
                if table is None:
                    return None
                result = await work(Reader(connection, table))
            finally:
                if connection.in_transaction:
                    await connection.execute_fetchall("ROLLBACK")
        except sqlite3.Error as error:
            await self._failed(error)
            return None
        self.fault = None
        self._failures = 0
        return result

    async def _is_connected(self) -> bool:
        if self._closed:
            return False
        try:
            found = os.stat(self.path)
        except OSError as error:
            await self._gone(error)
            return False
        if self._connection is not None and (found.st_dev, found.st_ino) == (self.device, self.inode):
            return self._failures == 0 or self.retry_is_due
        if self._connection is not None:
            await self._disconnect()
            self.file_epoch += 1
            self._failures = 0
        if self._failures > 0 and not self.retry_is_due:
            return False
        return await self._connect(found)

    async def _gone(self, error: OSError) -> None:
        if self._connection is not None:
            await self._disconnect()
            # Another file may come under the same inode number now.
            self.file_epoch += 1
        self._failures = 0
        self._is_absent = isinstance(error, FileNotFoundError)
        if self._is_absent:
            self.fault = f"{self.path.name} is not there yet: it is read as soon as the producer creates it"
        else:
            self.fault = f"{self.path.name} cannot be looked at ({error.strerror}): check the folder's rights"

    async def _connect(self, found: os.stat_result) -> bool:
        try:
            connection = await aiosqlite.connect(
                f"{self.path.absolute().as_uri()}?mode=ro",
                uri=True,
                timeout=self._busy_timeout_s,
                isolation_level=None,
            )
        except sqlite3.Error as error:
            await self._failed(error)
            return False
        connection.text_factory = text_or_bytes
        self._connection = connection
        self._table = None
        self._data_version = -1
        self.device, self.inode = found.st_dev, found.st_ino
        self.generation += 1
        try:
            now = os.stat(self.path)
        except OSError as error:
            await self._gone(error)
            return False
        # Replaced between the two looks: which of the files was opened is not known, so neither is read.
        if (now.st_dev, now.st_ino) != (self.device, self.inode):
            self.device, self.inode = 0, 0
            return False
        return True

    async def _disconnect(self) -> None:
        if self._connection is None:
            return
        connection, self._connection = self._connection, None
        self._table = None
        await connection.close()

    async def _table_now(self, connection: aiosqlite.Connection) -> Table | None:
        (versions,) = await connection.execute_fetchall(
            "SELECT (SELECT schema_version FROM pragma_schema_version),"
            " (SELECT data_version FROM pragma_data_version)"
        )
        self._saw(int(versions[1]))
        if self._table is None or self._table.schema_version != versions[0]:
            self._table = None
            names = await connection.execute_fetchall("SELECT name FROM pragma_table_info(?)", (TABLE,))
            kinds = await connection.execute_fetchall(
                "SELECT type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", (TABLE,)
            )
            self._is_absent = not kinds
            self._table = self._shape_of(
                {str(row[0]).lower() for row in names}, list(kinds), int(versions[0])
            )
        return self._table

    def _shape_of(self, names: set[str], kinds: list[sqlite3.Row], schema_version: int) -> Table | None:
        """The shape of the table, or None with a sentence about what it lacks."""
        if not kinds or kinds[0][0] != "table":
            self.fault = (
                f"{self.path.name} has no table {TABLE} yet: it is read as soon as the producer creates it"
            )
            return None
        free = [alias for alias in ("_rowid_", "rowid", "oid") if alias not in names]
        rowid = None if kinds[0][1] or not free else free[0]
        required = REQUIRED_COLUMNS if rowid is not None else (*REQUIRED_COLUMNS, "signal_id")
        missing = [name for name in required if name not in names]
        if missing:
            self.fault = (
                f"table {TABLE} of {self.path.name} has no column {', '.join(missing)}: "
                "it is read as soon as the producer adds it"
            )
            return None
        return Table(tuple(name for name in ROW_FIELDS if name in names), rowid, schema_version)

    def _saw(self, data_version: int) -> None:
        if data_version != self._data_version:
            self._data_version = data_version
            self.generation += 1

    async def _failed(self, error: sqlite3.Error) -> None:
        delay_s = min(RETRY_DELAY_S_MIN * 2 ** min(self._failures, 10), RETRY_DELAY_S_MAX)
        self._failures += 1
        self._retry_at_s = self._clock.monotonic_s() + delay_s
        name = self.path.name
        if _code_of(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            self.fault = f"{name} is locked by another program: reading goes on when it lets go"
        elif is_corrupt(error):
            self.fault = (
                f"{name} is damaged ({error}): what stands before the damage was read, the rest waits; "
                "restore the file or let the producer rebuild it"
            )
        else:
            self.fault = f"{name} cannot be read ({error}): check the rights on the file and its folder"
            await self._disconnect()
