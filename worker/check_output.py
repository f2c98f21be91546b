"""Doubts about what the worker writes: output folder, disk, store, lock, status port."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from config.secret_file import SecretFileError
from config.settings import ExecLog, Execution
from store import statements as sql
from store.connection import APPLICATION_ID, newest_version, open_reader
from store.execlog_files import READY, SPOOL
from store.lock import holder_pid
from store.paths import DATABASE, MARKER
from worker.doubt import Row, fail, ok, warn
from worker.http import BindError, bind_socket
from worker.http_token import check_token
from worker.parts import EXECUTIONS_FOLDER

DISK_WARN_BYTES = 1 << 30
DISK_FAIL_BYTES = 64 << 20

OTHER_OUTPUT = "give this worker another --output (and --signals for the producer's folder)"


def output_rows(execution: Execution) -> Iterator[Row]:
    """Where the worker writes; the folder is probed and left as it was found."""
    yield from folder_rows(execution.output_dir)
    folder = execution.output_dir / EXECUTIONS_FOLDER
    yield from store_rows(folder, {"mode": execution.mode.value})
    yield from lock_rows(folder)
    if execution.execlog is ExecLog.JSONL:
        yield from execlog_rows(execution.output_dir)
    yield port_row(execution.http.host, execution.http.port)


def folder_rows(folder: Path) -> Iterator[Row]:
    """Whether the output folder can be made and written, and whether the disk has room."""
    subject = "output folder"
    nearest = folder
    while not os.path.exists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    if not os.path.isdir(nearest):
        yield fail(subject, f"{folder}: {nearest} is a file", "move that file away, or change --output")
        return
    # Where the nodes below exist already with other owners, writing above them proves nothing.
    parts = [nearest] if nearest != folder else [folder, folder / EXECUTIONS_FOLDER, folder / "logs"]
    for part in parts:
        reason = _refused(part) if os.path.isdir(part) else None
        if reason is not None:
            yield fail(
                subject,
                f"{folder}: {part} cannot be written ({reason})",
                f"make it writable for user {_user(os.geteuid())}, or change --output",
            )
            return
    yield ok(subject, f"{folder}" + ("" if nearest == folder else " will be made"))
    yield disk_row(nearest)


def _refused(folder: Path) -> str | None:
    """Why no file can be made in `folder`; None when one could (it is gone again)."""
    probe = folder / f".check-{os.getpid()}"
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    try:
        os.write(descriptor, b"check\n")
        os.fsync(descriptor)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    finally:
        os.close(descriptor)
        os.unlink(probe)
    return None


def execlog_rows(folder: Path) -> Iterator[Row]:
    """Doubts about the execution log: a producer may own ready/, and a rename does not cross file systems.

    Warnings: trouble with an output stops no trading.
    """
    subject, nearest = "execution log", []
    for path in (folder / SPOOL, folder / READY):
        while not os.path.isdir(path) and path != path.parent:
            path = path.parent
        nearest.append(path)
        # Above it the row on the output folder has told.
        reason = _refused(path) if folder in path.parents else None
        if reason is not None:
            remedy = f"make it writable for user {_user(os.geteuid())}, or set execution.execlog: sqlite"
            yield warn(subject, f"{path} cannot be written ({reason})", remedy)
            return
    spool, ready = nearest
    if os.stat(spool).st_dev != os.stat(ready).st_dev:
        finding = f"{spool} and {ready} are on different file systems: no file can be renamed into the other"
        yield warn(subject, finding, "put both on one disk, or set execution.execlog: sqlite")


def disk_row(folder: Path) -> Row:
    """Whether the disk has room for what is to come."""
    state = os.statvfs(folder)
    free = state.f_bavail * state.f_frsize
    return free_space_row(free, inodes_gone=state.f_files > 0 and state.f_favail == 0)


def free_space_row(free_bytes: int, *, inodes_gone: bool) -> Row:
    """What `free_bytes` mean: a full disk stops all sending, so it should be seen before."""
    subject, remedy = "disk", "make room, or move --output to another disk"
    shown = f"{free_bytes / (1 << 20):,.0f} MiB free"
    if inodes_gone:
        return fail(subject, f"{shown}, and no inode for a new file", remedy)
    if free_bytes < DISK_FAIL_BYTES:
        return fail(subject, f"{shown}, must be at least {DISK_FAIL_BYTES >> 20} MiB", remedy)
    if free_bytes < DISK_WARN_BYTES:
        return warn(subject, f"{shown}, a day of work may need {DISK_WARN_BYTES >> 20} MiB", remedy)
    return ok(subject, shown)


def store_rows(folder: Path, stamps: dict[str, str]) -> Iterator[Row]:
    """Whether the store in `folder` can be ours: of this program, not newer, with these stamps."""
    path = folder / DATABASE
    if not os.path.exists(path):
        if os.path.exists(folder / MARKER):
            yield fail(
                "store",
                f"{path} is missing although {MARKER} beside it says it existed",
                f"restore it; to begin anew, and perhaps execute signals again, remove {folder / MARKER}",
            )
        else:
            yield ok("store", f"{path} will be made")
        return
    try:
        with closing(open_reader(path)) as connection:
            yield _store_row(connection, path, stamps)
    except sqlite3.Error as error:
        yield fail(
            "store",
            f"{path} cannot be read ({error})",
            "check its owner and rights; if it is damaged keep a copy, then restore a backup",
        )


def stamps_of(folder: Path) -> dict[str, str]:
    """What the store in `folder` is bound to; empty where there is none that can be read."""
    path = folder / DATABASE
    if not os.path.exists(path):
        return {}
    try:
        with closing(open_reader(path)) as connection:
            return dict(connection.execute(sql.STAMPS))
    except sqlite3.Error:
        # Whatever is wrong with it stands in the row about the store.
        return {}


def _store_row(connection: sqlite3.Connection, path: Path, stamps: dict[str, str]) -> Row:
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if not connection.execute("PRAGMA schema_version").fetchone()[0]:
        return ok("store", f"{path} is empty")
    if application_id != APPLICATION_ID:
        return fail("store", f"{path} is a database of another program", OTHER_OUTPUT)
    newest = newest_version()
    if version > newest:
        return fail(
            "store",
            f"{path} has schema version {version}, this program knows up to {newest}",
            "start the newer program again, or give this one another --output",
        )
    found = dict(connection.execute(sql.STAMPS))
    for key, wanted in stamps.items():
        if found.get(key, wanted) != wanted:
            finding = f"{path} belongs to {key} {found[key]}, this worker runs with {key} {wanted}"
            return fail("store", finding, OTHER_OUTPUT)
    if version < newest:
        return ok("store", f"{path} has schema version {version}, a start brings it to {newest}")
    rows = connection.execute(sql.LAST_ROW).fetchone()[0]
    unsettled = sum(count for _, _, count, _ in connection.execute(sql.UNSETTLED_SUMMARY))
    shown = f"{path}, {rows:,} executions"
    return ok("store", shown + (f", {unsettled:,} to settle first" if unsettled else ""))


def lock_rows(folder: Path) -> Iterator[Row]:
    """Whether another worker holds the store; the lock is tried and given back at once."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        pid = holder_pid(descriptor)
        holder = f"pid {pid}" if pid is not None else "another process"
        yield fail(
            "lock", f"{folder} is held by {holder}", "stop that worker, or give this one its own --output"
        )
    else:
        yield ok("lock", f"{folder} is free")
    finally:
        os.close(descriptor)


def port_row(host: str, port: int) -> Row:
    """Whether the status server can have its address."""
    try:
        bind_socket(host, port).close()
    except BindError as error:
        finding, _, remedy = str(error).rpartition(": ")
        return fail("status port", finding, remedy)
    return ok("status port", f"{host}:{port}" if port else f"{host}, any free port")


def control_rows(path: Path | None, environ: Mapping[str, str]) -> Iterator[Row]:
    """Whether the token of those who may halt and resume over HTTP can be used; none: no row."""
    subject = "control over HTTP"
    if path is None:
        return
    try:
        check_token(path, environ)
    except SecretFileError as error:
        finding, _, remedy = str(error).rpartition(": ")
        yield fail(subject, finding, remedy)
    else:
        yield ok(subject, f"for those who hold the token in {path}")


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
