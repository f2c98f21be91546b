"""A Parquet file of signals, read once: the columns of CONTRACTS 1.2, one row group's batch at a time.

pyarrow is an optional extra, and is imported only when such a file is read.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from streams.codec import ROW_FIELDS, decode_row
from streams.signal import Place, Record
from streams.sqlite_database import REQUIRED_COLUMNS
from streams.whole import RECORDS_MAX, InputFile, WholeInputError

MAGIC = b"PAR1"


class ParquetPart:
    """The rows of one file, each of the symbol that it names. Raises WholeInputError."""

    symbol = ""
    begin_ms = 0
    unfinished = 0

    def __init__(self, path: Path) -> None:
        self.files: Sequence[InputFile] = (InputFile(path.name, path, path.stat().st_size),)
        self.done = 0
        self._path = path
        # By name at run time: the types of an extra that may be missing cannot be checked.
        try:
            reader: Any = importlib.import_module("pyarrow.parquet")
            self._errors: Any = importlib.import_module("pyarrow").ArrowException
        except ImportError:
            raise WholeInputError(
                f"{path} is a Parquet file, which needs pyarrow: pip install 'execution-worker[parquet]'"
            ) from None
        try:
            self._file: Any = reader.ParquetFile(path)
        except (OSError, ValueError, self._errors) as error:
            raise self._unreadable(error) from None
        names = set(self._file.schema_arrow.names)
        missing = [name for name in REQUIRED_COLUMNS if name not in names]
        if missing:
            raise WholeInputError(
                f"{path} has no column {', '.join(missing)}: its columns must be the fields of a signal"
            )
        self._columns = [name for name in ROW_FIELDS if name in names]
        self.total: int = self._file.metadata.num_rows

    def bursts(self) -> Iterator[Sequence[Record]]:
        """See `Part.bursts`."""
        try:
            for batch in self._file.iter_batches(batch_size=RECORDS_MAX, columns=self._columns):
                rows: list[dict[str, object]] = batch.to_pylist()
                start = self.done
                self.done += len(rows)
                yield [
                    decode_row(row, symbol=None, place=Place(self._path.name, start + number, 0))
                    for number, row in enumerate(rows)
                ]
        except (OSError, ValueError, self._errors) as error:
            raise self._unreadable(error) from None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _unreadable(self, error: Exception) -> WholeInputError:
        why = " ".join(str(error).split())[:200]
        return WholeInputError(f"{self._path} cannot be read as Parquet ({why}): restore the file")
