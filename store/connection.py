"""Opening the store: pragmas, migrations, stamps and the owner's epoch.

The one place where a database is accepted or refused. A store that existed before is never made
anew silently: a marker file beside it remembers that it was there.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname

import msgspec

from config.seams import Clock
from store import statements as sql
from store.errors import StoreDamagedError, StoreError, StoreRefusedError
from store.lock import FolderLock
from store.paths import DATABASE, MARKER, read_only_uri
from store.small_file import write_whole

# Since when this store knows of everything: orders from before may be missing in it.
FRESH_STAMP = "fresh_ms"
# When a copy was taken; stands in backups alone, until one is opened as a store.
COPY_STAMP = "copied_ms"
APPLICATION_ID = 0x45574B31  # "EWK1"
SCHEMA_FOLDER = Path(__file__).parent / "schema"

# Wait this long for another writer (a backup tool, say) before a commit counts as failed; it is tried again,
# and a stop has to wait for it.
BUSY_TIMEOUT_MS = 2_000
# 16 MiB of WAL between checkpoints; the file is cut back to 64 MiB after a burst.
WAL_CHECKPOINT_PAGES = 4_000
WAL_BYTES_MAX = 67_108_864
CACHE_KIB = 8_192


@dataclass(slots=True)
class Store:
    """An opened, locked and owned store."""

    folder: Path
    connection: sqlite3.Connection
    lock: FolderLock
    epoch: int

    @property
    def path(self) -> Path:
        """The database file."""
        return self.folder / DATABASE


def open_store(folder: Path, *, clock: Clock, stamps: dict[str, str]) -> Store:
    """Lock, open, migrate and claim the store in `folder`; `stamps` must equal those it carries.

    Raises StoreHeldError, StoreRefusedError, StoreDamagedError or StoreError, each with a sentence.
    """
    lock = FolderLock.acquire(folder)
    try:
        _refuse_missing(folder)
        connection = _connect(folder / DATABASE)
        try:
            migrate(connection)
            _check_stamps(connection, folder, stamps, clock)
            epoch = _claim(connection, clock)
            _note_if_restored(connection, folder, epoch, clock)
            _write_marker(folder, connection, epoch)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.OperationalError, OSError) as error:
        lock.release()
        raise StoreError(
            f"store {folder / DATABASE} cannot be opened or written ({error}): make room on its disk, "
            "see that this user may write there, then start again"
        ) from None
    except sqlite3.DatabaseError as error:
        lock.release()
        raise StoreDamagedError(
            f"store {folder / DATABASE} cannot be opened ({error}): keep a copy, then restore a backup, "
            "or start a new store with another --output"
        ) from None
    except BaseException:
        lock.release()
        raise
    return Store(folder, connection, lock, epoch)


def _refuse_missing(folder: Path) -> None:
    """A file without a byte is as good as none: SQLite would begin a new store in it."""
    database = folder / DATABASE
    if (database.exists() and database.stat().st_size > 0) or not (folder / MARKER).exists():
        return
    copies = sorted(path.name for path in folder.glob("executions_rescued_*.db"))
    copies += sorted(str(path) for path in folder.parent.glob("executions_rescued_*.db"))
    advice = f"move {copies[-1]} back to {DATABASE}" if copies else "restore it from a backup"
    raise StoreError(
        f"store {folder / DATABASE} is missing or empty although {MARKER} beside it says it existed: "
        f"{advice}; without it, signals that were executed may be executed again. "
        f"To begin anew on purpose, remove {folder / MARKER}"
    )


def _connect(path: Path) -> sqlite3.Connection:
    """The one read-write connection; used from one thread at a time."""
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=0
    )
    try:
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        _refuse_foreign(connection, path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={WAL_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES_MAX}")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        connection.execute("PRAGMA mmap_size=0")
        # Debian builds SQLite to overwrite what it frees; nothing in here needs that.
        connection.execute("PRAGMA secure_delete=OFF")
    except BaseException:
        connection.close()
        raise
    return connection


def reconnect(path: Path) -> sqlite3.Connection:
    """Open the database anew after an I/O error, and prove that it is whole.

    Raises StoreDamagedError when it is not.
    """
    connection = _connect(path)
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        connection.close()
        raise StoreDamagedError(f"store {path} is corrupt ({verdict}): keep a copy, then restore a backup")
    return connection


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute(sql.TABLES).fetchone()[0]
    if tables and application_id != APPLICATION_ID:
        raise StoreDamagedError(
            f"{path} is a database of another program (application_id {application_id}): "
            "give the worker another --output, or move that file away"
        )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    newest = newest_version()
    if version > newest:
        raise StoreRefusedError(
            f"store {path} has schema version {version}, this program knows up to {newest}: "
            "start the newer program again, or give this one another --output"
        )


def newest_version() -> int:
    """The schema version that this program writes."""
    return max(int(path.stem) for path in SCHEMA_FOLDER.glob("*.sql"))


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema to the newest version, one numbered file and one transaction a step."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for path in sorted(SCHEMA_FOLDER.glob("*.sql")):
        number = int(path.stem)
        if number <= version:
            continue
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{path.read_text()}\nPRAGMA application_id={APPLICATION_ID};"
            f"PRAGMA user_version={number};\nCOMMIT;"
        )


def _check_stamps(connection: sqlite3.Connection, folder: Path, wanted: dict[str, str], clock: Clock) -> None:
    found = dict(connection.execute(sql.STAMPS))
    # What has executed nothing belongs to no account yet: a mistyped key must not spoil its folder.
    if "account" in wanted and not connection.execute(sql.LAST_ROW).fetchone()[0]:
        found.pop("account", None)
    for key, value in wanted.items():
        if key in found and found[key] != value:
            raise StoreRefusedError(
                f"store {folder / DATABASE} belongs to {key} {found[key]}, "
                f"this worker runs with {key} {value}: "
                "give it another --output (and --signals for the producer's folder)"
            )
    # The id makes a copy of this store tell itself apart from another one; it need not be secret.
    now_ms = clock.wall_ms()
    fresh = {"store_id": f"{now_ms:x}-{os.getpid():x}", "created_ms": str(now_ms), FRESH_STAMP: str(now_ms)}
    missing = {key: value for key, value in {**fresh, **wanted}.items() if key not in found}
    connection.executemany(sql.STAMP, missing.items())


def _claim(connection: sqlite3.Connection, clock: Clock) -> int:
    row = connection.execute(
        sql.CLAIM,
        (os.getpid(), clock.wall_ms(), gethostname()),
    ).fetchall()
    epoch: int = row[0][0]
    return epoch


class _Marker(msgspec.Struct):
    """What the marker file tells: which store is here, and how often it had been started."""

    store_id: str
    database: str = DATABASE
    epoch: int = 0


def _note_if_restored(connection: sqlite3.Connection, folder: Path, epoch: int, clock: Clock) -> None:
    """A backup, or a database that has seen fewer starts than its marker, forgets what came since."""
    is_copy = connection.execute(sql.STAMP_OF, (COPY_STAMP,)).fetchone() is not None
    if is_copy or _marked_epoch(folder) >= epoch:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(sql.STAMP, (FRESH_STAMP, str(clock.wall_ms())))
        connection.execute(sql.FORGET_STAMP, (COPY_STAMP,))
        connection.execute("COMMIT")


def _marked_epoch(folder: Path) -> int:
    try:
        return msgspec.json.decode((folder / MARKER).read_bytes(), type=_Marker).epoch
    except (OSError, msgspec.DecodeError):
        return -1


def _write_marker(folder: Path, connection: sqlite3.Connection, epoch: int) -> None:
    stamps = dict(connection.execute(sql.STAMPS))
    marker = _Marker(store_id=stamps["store_id"], epoch=epoch)
    write_whole(folder / MARKER, msgspec.json.encode(marker) + b"\n")


def open_reader(path: Path) -> sqlite3.Connection:
    """A read-only connection for people's commands; raises sqlite3.Error when there is no store."""
    return sqlite3.connect(read_only_uri(path), uri=True, isolation_level=None, timeout=2)
