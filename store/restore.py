"""Restore: a backup takes the place of the store; what was there is kept aside.

The old database goes first, whole: killed at any point, the next start finds either a whole store or none,
and a store that is missing although its marker says that it was there is refused. The restored store says of
itself that it is a copy, so that the next start takes it for an older one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from config.seams import Clock
from store import statements as sql
from store import statements_care as care
from store.backup import copy_database, stamp_copy
from store.connection import migrate, open_reader
from store.errors import StoreDamagedError, StoreError, StoreRefusedError
from store.lock import FolderLock
from store.output_file import sync_folder
from store.paths import DATABASE, MARKER
from store.restore_outputs import set_outputs_aside
from store.small_file import read_whole

ASIDE = "replaced_"
_DRAFT = f".{DATABASE}.restored"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put in place; `aside` is the folder of what was there."""

    rows: int
    last_at: str
    aside: Path | None


def put_back(
    source: Path,
    folder: Path,
    *,
    clock: Clock,
    stamps: Mapping[str, str],
    force: bool,
    check: Callable[[Path], list[str]],
    who: str,
) -> Restored:
    """Make the backup `source` the store in `folder`; `stamps` must equal those that it carries.

    Raises StoreHeldError while a worker holds the store, StoreRefusedError, StoreDamagedError or StoreError;
    then the store is as before.
    """
    if not source.is_file():
        raise StoreError(f"backup {source} is no file: name the file of a backup with --from")
    lock = FolderLock.acquire(folder)
    draft = folder / _DRAFT
    try:
        copy_database(source, draft, clock=clock, hand_to=folder)
        findings = check(draft)
        if findings:
            raise StoreDamagedError(
                f"backup {source} is not sound ({findings[0]}): nothing was changed; take another backup"
            )
        _refuse_other(draft, source, folder, stamps, force=force)
        rows, last_ms = _prepare(draft, source, clock.wall_ms(), who)
        _keep_mode(draft, folder / DATABASE)
        aside = _set_aside(folder, clock.wall_ms())
        set_outputs_aside(folder, draft, aside, last_ms)
        draft.replace(folder / DATABASE)
        sync_folder(folder)
        told = _unless_empty(aside)
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}): make room there, then restore again"
        ) from None
    finally:
        draft.unlink(missing_ok=True)
        lock.release()
    return Restored(rows, _time_of(last_ms), told)


def _refuse_other(draft: Path, source: Path, folder: Path, stamps: Mapping[str, str], *, force: bool) -> None:
    with closing(open_reader(draft)) as reader:
        found: dict[str, str] = dict(reader.execute(sql.STAMPS).fetchall())
    for key, value in stamps.items():
        if found.get(key, value) != value:
            raise StoreRefusedError(
                f"backup {source} belongs to {key} {found[key]}, the settings say {key} {value}: "
                "give the --config of its worker (or --mode before the word store), or another --output"
            )
    marked = _marked_id(folder)
    if marked is not None and marked != found.get("store_id") and not force:
        raise StoreRefusedError(
            f"backup {source} is of store {found.get('store_id')}, in {folder} is store {marked}: "
            "give --force if it is to take its place"
        )


def _marked_id(folder: Path) -> str | None:
    found = read_whole(folder / MARKER)
    if found is None:
        return None
    try:
        values = msgspec.json.decode(found[0], type=dict[str, str | int])
    except msgspec.DecodeError:
        return None
    return str(values.get("store_id"))


def _prepare(draft: Path, source: Path, now_ms: int, who: str) -> tuple[int, int]:
    """Say in the copy that it is one, and who put it back; its rows, and when the last event was."""
    stamp_copy(draft, now_ms)
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        migrate(connection)
        connection.execute("PRAGMA synchronous=FULL")
        row = connection.execute(sql.LAST_EVENT_MS).fetchone()
        last_ms = int(row[0]) if row else 0
        words = ("restore", "all", who, f"from {source.name}", "")
        connection.execute(sql.AUDIT, (max(now_ms, last_ms), *words))
        return int(connection.execute(care.COUNT_ROWS).fetchone()[0]), last_ms


def _set_aside(folder: Path, now_ms: int) -> Path:
    """The old store into a folder of its own, the database first.

    Where there is none, it was lost, or a restore was killed: its lines are there all the same, and go there.
    """
    names = [name for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm") if (folder / name).exists()]
    aside = folder / f"{ASIDE}{datetime.fromtimestamp(now_ms / 1000, UTC):%Y%m%dT%H%M%SZ}_{os.getpid()}"
    aside.mkdir(mode=0o700)
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.chown(aside, owner.st_uid, owner.st_gid)
    for name in names:
        (folder / name).rename(aside / name)
        sync_folder(folder)
    sync_folder(aside)
    return aside


def _unless_empty(aside: Path) -> Path | None:
    """The folder, when anything was set aside; one with nothing in it goes."""
    if any(aside.iterdir()):
        return aside
    aside.rmdir()
    return None


def _keep_mode(draft: Path, path: Path) -> None:
    """Whoever could read the store can read it again."""
    if path.exists():
        draft.chmod(path.stat().st_mode & 0o777)


def _time_of(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC" if at_ms else "no event"
