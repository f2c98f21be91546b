"""Backups: a whole copy of the store in one file, taken while the worker runs.

One read transaction is held open for the whole copy, so that it tells of one moment and commits never make
it begin anew; the steps are small and rest in between, so that commits go on. The file is checked before it
gets its name. It knows that it is a copy: whoever opens it as a store treats it as an older one.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from config.seams import Clock
from store import statements as sql
from store import statements_care as care
from store.connection import COPY_STAMP, open_reader
from store.errors import StoreDamagedError, StoreError
from store.output_file import sync_folder
from store.paths import DATABASE, MARKER
from store.small_file import hand_over

# 1 MiB in one step, on disk every 4 MiB: a commit of the worker never waits behind more than that.
STEP_PAGES = 256
SYNC_STEPS = 4
# Of the time that a step takes, so much is rested after it.
REST_SHARE = 1.0
REST_S_MAX = 0.25
_NAME = re.compile(r"executions-\d{8}T\d{6}Z\.db")
_STORE_ID = "store_id"

Check = Callable[[Path], list[str]]


class BackupRefusedError(StoreError):
    """The backup was not made as asked, and nothing was overwritten; exit code of a wrong usage."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Backup:
    """What was written."""

    path: Path
    size: int
    rows: int
    took_s: float
    pruned: tuple[str, ...] = ()


def name_of(now_ms: int) -> str:
    """The name of a backup that is put into a folder."""
    return f"executions-{datetime.fromtimestamp(now_ms / 1000, UTC):%Y%m%dT%H%M%SZ}.db"


def back_up(
    source: Path, target: Path, *, clock: Clock, force: bool, keep: int | None, check: Check
) -> Backup:
    """Copy the store at `source` to the file `target`, or into that folder under a name with the time.

    `check` gives what is wrong with the copy, before it gets its name. `keep`: how many backups of this
    store stay in the folder. Raises BackupRefusedError, StoreDamagedError or StoreError; then the target is
    as before.
    """
    started_s = clock.monotonic_s()
    into_folder = target.is_dir()
    path = target / name_of(clock.wall_ms()) if into_folder else target
    if keep is not None and not into_folder:
        raise BackupRefusedError(
            f"--keep counts the backups of a folder, and {target} is no folder: make it first (mkdir -m 700)"
        )
    if not path.parent.is_dir():
        raise BackupRefusedError(f"folder {path.parent} does not exist: make it, then back up again")
    if _is_of_a_store(path, source):
        raise BackupRefusedError(f"{path} is a store and no backup, whatever --force says: name another file")
    if path.exists() and (not force or not path.is_file()):
        raise BackupRefusedError(f"{path} is there already: name another file, or add --force")
    draft = path.with_name(f".{path.name}.tmp")
    try:
        copy_database(source, draft, clock=clock, hand_to=path.parent)
        stamp_copy(draft, clock.wall_ms())
        _refuse_damaged(draft, source, check(draft))
        rows = _count(draft)
        _put(draft, path, force=force)
        sync_folder(path.parent)
        pruned = _prune(path, keep) if keep is not None else ()
        size = path.stat().st_size
    except OSError as error:
        raise StoreError(
            f"backup {path} cannot be written ({error.strerror}): make room there, or name another place"
        ) from None
    finally:
        _remove(draft)
    return Backup(path, size, rows, clock.monotonic_s() - started_s, pruned)


def copy_database(source: Path, draft: Path, *, clock: Clock, hand_to: Path) -> None:
    """Copy what is committed at `source` into the new file `draft`, readable by its owner alone, on disk.

    Root hands it over to the owner of the folder `hand_to`. Raises StoreError, OSError.
    """
    _remove(draft)
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        hand_over(descriptor, hand_to)
        with closing(open_reader(source)) as reader, closing(_writer_of(draft)) as copy:
            reader.execute("BEGIN")
            reader.execute(sql.TABLES).fetchone()
            with asyncio.Runner() as runner:
                reader.backup(copy, pages=STEP_PAGES, progress=_Pace(descriptor, clock, runner))
            reader.execute("COMMIT")
            # One file that can be read where nothing can be written beside it.
            copy.execute("PRAGMA journal_mode=DELETE")
        os.fsync(descriptor)
    except sqlite3.DatabaseError as error:
        raise _failed(source, draft, error) from None
    finally:
        os.close(descriptor)


def _is_of_a_store(path: Path, source: Path) -> bool:
    """Whether a store lives under that name: a copy in its place is a store put back under its worker."""
    if not path.name.startswith(DATABASE):
        return False
    return (path.parent / MARKER).exists() or path.parent.resolve() == source.parent.resolve()


class _Pace:
    """Lets commits of the worker through between the steps of a copy."""

    def __init__(self, descriptor: int, clock: Clock, runner: asyncio.Runner) -> None:
        self._descriptor = descriptor
        self._clock = clock
        self._runner = runner
        self._steps = 0
        self._since_s = clock.monotonic_s()

    def __call__(self, status: int, remaining: int, total: int) -> None:
        self._steps += 1
        if self._steps % SYNC_STEPS == 0:
            # Else the disk gets it all at once, and with it every commit that waits for its journal.
            os.fdatasync(self._descriptor)
        if remaining:
            worked_s = self._clock.monotonic_s() - self._since_s
            self._runner.run(self._clock.sleep(min(REST_SHARE * worked_s, REST_S_MAX)))
        self._since_s = self._clock.monotonic_s()


def _writer_of(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    # Nobody needs this file before it is whole.
    connection.execute("PRAGMA synchronous=OFF")
    return connection


def stamp_copy(path: Path, now_ms: int) -> None:
    """Have the database at `path` say that it is a copy, on disk. Raises StoreError."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(sql.STAMP, (COPY_STAMP, str(now_ms)))
    except sqlite3.DatabaseError as error:
        raise _failed(path, path, error) from None


def _failed(source: Path, target: Path, error: sqlite3.DatabaseError) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY):
        return StoreError(f"{target} cannot be written ({error}): make room there, or name another place")
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreError(f"{source} cannot be opened ({error}): name the folder of the store with --output")
    return StoreDamagedError(f"{source} cannot be copied ({error}): execution-worker store verify tells more")


def _refuse_damaged(draft: Path, source: Path, findings: list[str]) -> None:
    if findings:
        more = f" and {len(findings) - 1} more" if len(findings) > 1 else ""
        raise StoreDamagedError(
            f"the copy of {source} is not sound ({findings[0]}{more}), so no backup was made: keep the last "
            "one, and look at the store with execution-worker store verify"
        )


def _count(path: Path) -> int:
    with closing(open_reader(path)) as reader:
        return int(reader.execute(care.COUNT_ROWS).fetchone()[0])


def _put(draft: Path, path: Path, *, force: bool) -> None:
    """Give the copy its name; one that came there meanwhile is not overwritten without `force`."""
    if force:
        draft.replace(path)
        return
    try:
        os.link(draft, path)
    except FileExistsError:
        raise BackupRefusedError(f"{path} is there already: name another file, or add --force") from None
    except PermissionError:
        # A file system without hard links.
        draft.rename(path)


def _prune(newest: Path, keep: int) -> tuple[str, ...]:
    """Delete all but the newest `keep` backups of the same store there; the names of those that went."""
    own = _store_id_of(newest)
    names = sorted(
        (each.name for each in newest.parent.iterdir() if _NAME.fullmatch(each.name)), reverse=True
    )
    same = [name for name in names if own is not None and _store_id_of(newest.parent / name) == own]
    gone = [name for name in same[keep:] if name != newest.name]
    for name in gone:
        (newest.parent / name).unlink(missing_ok=True)
    if gone:
        sync_folder(newest.parent)
    return tuple(gone)


def _store_id_of(path: Path) -> str | None:
    """Which store a file is a copy of; None when it cannot be told."""
    try:
        with closing(open_reader(path)) as reader:
            row = reader.execute(sql.STAMP_OF, (_STORE_ID,)).fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else str(row[0])


def _remove(draft: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        with suppress(OSError):
            draft.with_name(draft.name + suffix).unlink()
