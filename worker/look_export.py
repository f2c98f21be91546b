"""`execution-worker export`: every execution into one file, in little memory, as a whole or not at all.

The file is written under another name beside its place, brought to disk and then given its name. The keys are
those of the contract. Money is exact in all three shapes: decimal text in CSV and Parquet, numbers with all
their digits in JSON Lines.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from config.load import Loaded
from store.small_file import sync_folder
from store.statements_look import RECORD_KEYS
from worker.exits import Exit
from worker.look_executions import folder_of, unreadable
from worker.look_pages import Look, LookError, Wanted
from worker.look_table import csv_line

SHAPES = (".parquet", ".csv", ".jsonl")
# Rows of one group in a Parquet file; the reader's pieces have about as many.
GROUP_ROWS_MIN = 10_000
_INTEGERS = ("exec_ts_ms", "signal_ts_ms")
_FEW_VALUES = ("symbol", "side", "status", "error_code", "guard_reason", "run_source")


class ExportError(Exception):
    """The file cannot be written; the text says why and what to do."""

    def __init__(self, text: str, code: Exit) -> None:
        super().__init__(text)
        self.code = code


def print_export(loaded: Loaded, wanted: Wanted, target: Path, *, force: bool) -> int:
    """Write the file and say how many rows it has; a sentence and an exit code where that cannot be done."""
    output = loaded.settings.execution.output_dir
    try:
        _check_target(target, output)
        if not force:
            _refuse_existing(target)
        with Look(folder_of(loaded)) as opened:
            rows = export(opened, wanted, target, force=force)
    except LookError as error:
        sys.stderr.write(f"{error}\n")
        return Exit.DATA
    except ExportError as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    except sqlite3.Error as error:
        sys.stderr.write(unreadable(folder_of(loaded), error))
        return Exit.DATA
    sys.stdout.write(f"{rows} executions in {target} ({target.stat().st_size} bytes)\n")
    return Exit.OK


def _check_target(target: Path, output: Path) -> None:
    if target.suffix.lower() not in SHAPES:
        raise ExportError(
            f"--to {target} says no shape, must end in {', '.join(SHAPES)}: give it one of these endings",
            Exit.USAGE,
        )
    refuse_inside(target, output, "--to")


def refuse_inside(target: Path, output: Path, option: str) -> None:
    """Raise ExportError for a place where only the worker writes."""
    for own in (output / "executions", output / "ready"):
        if target.resolve().is_relative_to(own.resolve()):
            raise ExportError(
                f"{option} {target} is inside {own}, where only the worker writes: name another folder",
                Exit.USAGE,
            )


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise ExportError(
            f"{target} is there already: give another name, or --force to replace it", Exit.CANNOT_WRITE
        )


def export(opened: Look, wanted: Wanted, target: Path, *, force: bool) -> int:
    """Write what is wanted, oldest first; how many rows. Raises ExportError, sqlite3.Error."""
    write = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}[target.suffix.lower()]
    try:
        with draft_of(target, force=force) as draft:
            return write(opened, wanted, draft)
    except OSError as error:
        raise unwritable(target, error) from None


def unwritable(target: Path, error: OSError) -> ExportError:
    """What to tell of a file that the disk or its folder refused."""
    why = os.strerror(error.errno) if error.errno else str(error)
    return ExportError(
        f"{target} cannot be written ({why}): see that its folder exists, has room and is yours to write",
        Exit.CANNOT_WRITE,
    )


@contextmanager
def draft_of(target: Path, *, force: bool) -> Iterator[IO[bytes]]:
    """A file beside the target that takes its name when the block ends well, and is gone otherwise."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(draft, "xb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        _publish(draft, target, force=force)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(target.parent)


def _publish(draft: Path, target: Path, *, force: bool) -> None:
    """Give the draft its name; without `force` a file that came there meanwhile stays."""
    if not force:
        # A link fails where there is a file. Where there are no links, looking once more has to do.
        with suppress(PermissionError, NotImplementedError):
            try:
                os.link(draft, target)
            except FileExistsError:
                _refuse_existing(target)
            else:
                return
        _refuse_existing(target)
    os.replace(draft, target)


def _jsonl(opened: Look, wanted: Wanted, draft: IO[bytes]) -> int:
    count = 0
    for rows in opened.all_of(wanted, lines=True):
        draft.write("".join(f"{row[0]}\n" for row in rows).encode())
        count += len(rows)
    return count


def _csv(opened: Look, wanted: Wanted, draft: IO[bytes]) -> int:
    draft.write(csv_line(RECORD_KEYS).encode())
    count = 0
    for rows in opened.all_of(wanted):
        draft.write("".join(csv_line(row[: len(RECORD_KEYS)]) for row in rows).encode())
        count += len(rows)
    return count


def _parquet(opened: Look, wanted: Wanted, draft: IO[bytes]) -> int:
    """Typed columns; groups of rows, so that memory does not grow with the file."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise ExportError(
            "a Parquet file needs pyarrow: pip install 'execution-worker[parquet]', or name a .csv or .jsonl",
            Exit.CONFIGURATION,
        ) from None
    schema = arrow.schema([(key, _kind(arrow, key)) for key in RECORD_KEYS])
    count = 0
    with parquet.ParquetWriter(draft, schema, compression="zstd", use_dictionary=list(_FEW_VALUES)) as writer:
        for group in _groups(opened.all_of(wanted)):
            columns = list(zip(*group, strict=True))[: len(RECORD_KEYS)]
            arrays = [
                arrow.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)
            ]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
            count += len(group)
    return count


def _kind(arrow: Any, key: str) -> Any:
    if key in _INTEGERS:
        return arrow.int64()
    return arrow.int8() if key == "gating" else arrow.string()


def _groups(pieces: Iterator[list[tuple[Any, ...]]]) -> Iterator[list[tuple[Any, ...]]]:
    """The same rows in groups that are not tiny, however few of a piece were wanted."""
    group: list[tuple[Any, ...]] = []
    for rows in pieces:
        group += rows
        if len(group) >= GROUP_ROWS_MIN:
            yield group
            group = []
    if group:
        yield group
