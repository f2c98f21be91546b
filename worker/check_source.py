"""Doubts about the signals: is there a source, which one is it, and may it be read?

The producer's database is looked at by stat and by its first bytes only. Opening it could leave
-wal and -shm files behind that belong to whoever ran the check, and lock the producer out.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from config.settings import Execution, SinkKind
from streams.choice import SIGNAL_FOLDER, resolve_kind
from streams.files import candidate_of
from streams.sqlite import FILE_NAMES
from worker.doubt import Row, fail, ok, warn

DATABASES: dict[str, str] = {str(kind): name for kind, name in FILE_NAMES.items()}
JSONL = "jsonl"
SQLITE_MAGIC = b"SQLite format 3\0"

# Named one by one up to here, counted beyond it.
NAMED_MAX = 3


def source_rows(execution: Execution, stamped: str | None) -> Iterator[Row]:
    """Where signals come from; `stamped` is the source that the store has read so far, if any."""
    folder = execution.signals_dir
    try:
        is_folder = stat.S_ISDIR(os.stat(folder).st_mode)
    except FileNotFoundError:
        yield warn(
            "signals",
            f"{folder} does not exist yet: the worker will wait for it",
            "start the producer, or name its folder with --signals",
        )
        return
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        yield fail("signals", f"{folder} cannot be looked at ({reason})", _let_read(folder))
        return
    if not is_folder:
        yield fail(
            "signals", f"{folder} is a file, must be a folder", "name the producer's folder with --signals"
        )
        return
    if not os.access(folder, os.R_OK | os.X_OK):
        yield fail("signals", f"{folder} cannot be read", _let_read(folder))
        return
    yield ok("signals", str(folder))
    kind: str = resolve_kind(execution.sink.kind, folder)
    if stamped not in (None, kind) and execution.sink.kind in (SinkKind.AUTO, stamped.partition("_")[0]):
        kind = stamped
        yield ok("source", f"{kind}, as the store has read so far: {_what(kind)}")
    else:
        yield kind_row(execution.sink.kind, kind, stamped)
    yield from _ignored_rows(execution, folder, kind)
    if kind == JSONL:
        for symbol in execution.symbols:
            yield jsonl_row(folder / SIGNAL_FOLDER / symbol, symbol)
    else:
        yield from database_rows(folder / DATABASES[kind])


def kind_row(wanted: SinkKind, kind: str, stamped: str | None) -> Row:
    """Which source is read, and whether the store agrees."""
    if stamped not in (None, kind):
        return fail(
            "source",
            f"the store has read {stamped} so far, execution.sink.kind asks for {kind}",
            "go on from now with --accept-source-change, or give this worker another --output",
        )
    how = "auto resolves to " if wanted is SinkKind.AUTO else ""
    return ok("source", f"{how}{kind}: {_what(kind)}")


def _what(kind: str) -> str:
    return f"table in {DATABASES[kind]}" if kind in DATABASES else "lines in ready/signal/SYMBOL/*.jsonl"


def _ignored_rows(execution: Execution, folder: Path, kind: str) -> Iterator[Row]:
    """A second source beside the chosen one is not read; that should be no surprise."""
    present = [each for each, name in DATABASES.items() if _is_filled(folder / name)]
    if any(_has_files(folder / SIGNAL_FOLDER / symbol) for symbol in execution.symbols):
        present.append(JSONL)
    others = [each for each in present if each != kind]
    if others and kind in present:
        yield warn(
            "source",
            f"{' and '.join(others)} is there as well and is not read",
            "say which one with --sink, and remove what the producer no longer writes",
        )
    elif others:
        yield warn(
            "source",
            f"{kind} is not there yet, {' and '.join(others)} is and is not read",
            "--sink auto takes what is there",
        )


def _is_filled(path: Path) -> bool:
    # A reader that came before the producer leaves an empty file behind.
    return os.path.exists(path) and os.path.getsize(path) > 0


def _has_files(folder: Path) -> bool:
    try:
        return any(candidate_of(name) for name in os.listdir(folder))
    except OSError:
        return False


def jsonl_row(folder: Path, symbol: str) -> Row:
    """Whether the files of one symbol are there and can be read."""
    subject = f"signals {symbol}"
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return warn(
            subject,
            f"{folder} does not exist yet: the worker will wait for it",
            "check the spelling of the symbol, or start the producer",
        )
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return fail(subject, f"{folder} cannot be listed ({reason})", _let_read(folder))
    files = [folder / name for name in names if candidate_of(name)]
    closed = [path.name for path in files if not os.access(path, os.R_OK)]
    if closed:
        return fail(subject, f"{folder}: {_named(closed)} cannot be read", _let_read(folder))
    others = len(names) - len(files)
    shown = "1 file" if len(files) == 1 else f"{len(files):,} files"
    shown += f", {others:,} others that are not read" if others else ""
    return ok(subject, shown)


def database_rows(path: Path) -> Iterator[Row]:
    """Whether the producer's database is there, and whether both of us may work on it."""
    try:
        with path.open("rb") as file:
            header = file.read(20)
        status = path.stat()
    except FileNotFoundError:
        yield warn(
            "database",
            f"{path} does not exist yet: the worker will wait for it",
            "start the producer, or check --signals and --sink",
        )
        return
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        yield fail("database", f"{path} cannot be read ({reason})", _let_read(path))
        return
    if header and not header.startswith(SQLITE_MAGIC):
        yield fail("database", f"{path} is no SQLite database", "name the producer's folder with --signals")
        return
    yield ok("database", f"{path}, {status.st_size:,} bytes")
    if header[18:19] == b"\x02":
        yield shared_row(
            path, status, user=os.geteuid(), groups={os.getegid(), *os.getgroups()}, umask=_umask()
        )


def shared_row(path: Path, status: os.stat_result, *, user: int, groups: set[int], umask: int) -> Row:
    """Whether producer and worker can share a WAL database: each writes its -shm, whoever made it."""
    owner = _user(status.st_uid)
    if user in (status.st_uid, 0):
        return ok("sharing", f"{path.name} belongs to {owner}" + (", this user is root" if user == 0 else ""))
    remedy = f"run the worker as {owner}, or put both in one group with umask 007 (UMask=0007 in the unit)"
    if status.st_gid not in groups:
        group = _group(status.st_gid)
        finding = f"{path.name} belongs to {owner}, this is {_user(user)}, and group {group} is not ours"
        return fail("sharing", finding, remedy)
    if not status.st_mode & stat.S_IWGRP or umask & stat.S_IWGRP:
        whose = "the producer's file" if not status.st_mode & stat.S_IWGRP else "our umask"
        finding = (
            f"{path.name} is shared through group {_group(status.st_gid)}, but {whose} lets it not write"
        )
        return fail("sharing", finding, remedy)
    closed = [
        beside.name
        for beside in (path.parent, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm"))
        if os.path.exists(beside) and not os.access(beside, os.W_OK)
    ]
    if closed:
        return fail("sharing", f"{_named(closed)} beside {path.name} cannot be written", remedy)
    return ok("sharing", f"{path.name} is shared with {owner} through group {_group(status.st_gid)}")


def _umask() -> int:
    # The only way to read it is to set it; a check has one thread and makes no file meanwhile.
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _let_read(path: Path) -> str:
    return f"let user {_user(os.geteuid())} read {path}, or check --signals"


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return ", ".join(sorted(names)[:NAMED_MAX]) + more


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
