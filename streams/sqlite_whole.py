"""A producer's table, read once from its beginning to its end, in one snapshot.

Nothing is written, not even beside the file: a database in WAL mode that nobody has open is read as it lies
there, so that a folder without write permission serves as well. If it changes meanwhile, the reading fails.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from streams.codec import ROW_FIELDS, decode_row, own_symbol
from streams.signal import Place, Record
from streams.sqlite_database import REQUIRED_COLUMNS, TABLE, text_or_bytes
from streams.whole import RECORDS_MAX, InputFile, WholeInputError

MAGIC = b"SQLite format 3\0"
# Both halves of the version number in the header are 2 in WAL mode.
_VERSIONS = slice(18, 20)
_WAL = b"\x02\x02"


class TablePart:
    """The rows of one symbol, in the order in which a live worker takes them."""

    begin_ms = 0
    unfinished = 0

    def __init__(self, table: WholeTable, symbol: str, total: int, files: Sequence[InputFile]) -> None:
        self.symbol = symbol
        self.files = files
        self.total = total
        self.done = 0
        self._table = table

    def bursts(self) -> Iterator[Sequence[Record]]:
        """See `Part.bursts`."""
        for rows in self._table.rows(self.symbol):
            self.done += len(rows)
            yield rows
        self._table.check_unchanged()


class WholeTable:
    """The table `signals` of one file. Raises WholeInputError when it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.files = _files_of(path)
        self._path = path
        self._lies_still = len(self.files) == 1 and _is_wal(path) and not _beside(path, "-wal").exists()
        self._signs = self._sign()
        immutable = "&immutable=1" if self._lies_still else ""
        try:
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro{immutable}", uri=True, isolation_level=None
            )
            self._connection.text_factory = text_or_bytes
            self._connection.execute("BEGIN")
            self._columns, self._rowid = self._shape()
        except sqlite3.Error as error:
            raise self._unreadable(error) from None

    def parts(self, wanted: Sequence[str] | None) -> list[TablePart]:
        """One part for each symbol that the table has, or for each of `wanted`."""
        try:
            counted: dict[str, int] = {}
            for written, rows in self._connection.execute(
                f"SELECT symbol, count(*) FROM {TABLE} GROUP BY symbol"
            ):
                symbol = own_symbol(written) if isinstance(written, str) else None
                if symbol is not None:
                    counted[symbol] = counted.get(symbol, 0) + rows
        except sqlite3.Error as error:
            raise self._unreadable(error) from None
        symbols = sorted(counted) if wanted is None else wanted
        return [TablePart(self, symbol, counted.get(symbol, 0), self.files) for symbol in symbols]

    def rows(self, symbol: str) -> Iterator[list[Record]]:
        """The records of a symbol. Raises WholeInputError."""
        columns = ", ".join(self._columns)
        if self._rowid is not None:
            # upper() keeps the planner off an index on symbol, which would make it sort all the rows.
            statement = (
                f"SELECT {self._rowid}, {columns} FROM {TABLE} WHERE upper(symbol) = ? ORDER BY {self._rowid}"
            )
        else:
            statement = f"SELECT -1, {columns} FROM {TABLE} WHERE symbol = ? ORDER BY ts_ms, signal_id"
        try:
            cursor = self._connection.execute(statement, (self._spelling(symbol),))
            while rows := cursor.fetchmany(RECORDS_MAX):
                yield [self._record(symbol, row) for row in rows]
        except sqlite3.Error as error:
            raise self._unreadable(error) from None

    def check_unchanged(self) -> None:
        """Refuse what was read if somebody wrote meanwhile; a snapshot of SQLite's own needs no check."""
        if self._lies_still and (self._sign() != self._signs or _beside(self._path, "-wal").exists()):
            raise WholeInputError(f"{self._path} was written while it was read: replay it again")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _spelling(self, symbol: str) -> str:
        """A table without rowids is searched by key, where the producer may write small letters."""
        if self._rowid is not None:
            return symbol
        small = self._connection.execute(f"SELECT 1 FROM {TABLE} WHERE symbol = ? LIMIT 1", (symbol.lower(),))
        return symbol.lower() if small.fetchone() else symbol

    def _record(self, symbol: str, row: tuple[object, ...]) -> Record:
        offset = row[0]
        assert isinstance(offset, int)
        values = dict(zip(self._columns, row[1:], strict=True))
        return decode_row(values, symbol=symbol, place=Place(self._path.name, offset, 0))

    def _shape(self) -> tuple[tuple[str, ...], str | None]:
        """Our columns, and a name under which the rowid answers. Raises sqlite3.Error, WholeInputError."""
        kinds = self._connection.execute(
            "SELECT type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", (TABLE,)
        ).fetchone()
        if kinds is None:
            raise WholeInputError(f"{self._path} has no table {TABLE}: name the producer's database")
        found = self._connection.execute("SELECT name FROM pragma_table_info(?)", (TABLE,))
        names = {str(name).lower() for (name,) in found}
        free = [alias for alias in ("_rowid_", "rowid", "oid") if alias not in names]
        rowid = None if kinds[1] or not free else free[0]
        required = REQUIRED_COLUMNS if rowid is not None else (*REQUIRED_COLUMNS, "signal_id")
        missing = [name for name in required if name not in names]
        if missing:
            names_missing = ", ".join(missing)
            raise WholeInputError(
                f"table {TABLE} of {self._path} has no column {names_missing}: name the producer's database"
            )
        return tuple(name for name in ROW_FIELDS if name in names), rowid

    def _sign(self) -> tuple[int, int, int]:
        found = self._path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _unreadable(self, error: sqlite3.Error) -> WholeInputError:
        return WholeInputError(f"{self._path} cannot be read ({error}): restore the file or check its rights")


def _files_of(path: Path) -> tuple[InputFile, ...]:
    """The database, and what was committed and not yet moved into it."""
    wal = _beside(path, "-wal")
    files = [InputFile(path.name, path, path.stat().st_size)]
    if wal.exists() and wal.stat().st_size:
        files.append(InputFile(wal.name, wal, wal.stat().st_size))
    return tuple(files)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _is_wal(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_VERSIONS.stop)[_VERSIONS] == _WAL
