"""Small files that people and workers leave for each other: whole or not there, on disk, from nobody else.

Blocking; every function raises OSError for the disk's faults.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

BYTES_MAX = 65_536
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DRAFT = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class SmallFileFaultError(Exception):
    """The file is there and must not or cannot be used; the text says why."""


def write_whole(path: Path, data: bytes) -> None:
    """Put the file there at once and for good, readable by its owner alone.

    Root hands it over to the owner of the folder, who is the one that has to read it.
    """
    draft = path.with_name(f".{path.name}.tmp")
    # One that a kill left behind; a symbolic link in its place goes as well.
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, _DRAFT, 0o600)
    try:
        try:
            hand_over(descriptor, path.parent)
            _write(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def hand_over(descriptor: int, folder: Path) -> None:
    """Give what root has made to the owner of `folder`; anybody else's files are their own already."""
    owner = os.stat(folder)
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def read_whole(path: Path, bytes_max: int = BYTES_MAX) -> tuple[bytes, os.stat_result] | None:
    """The bytes of a regular file and its status; None when it is not there.

    Raises SmallFileFaultError for anything else than a readable file of at most `bytes_max`.
    """
    try:
        descriptor = os.open(path, _READ)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SmallFileFaultError(f"{path} cannot be opened ({error.strerror})") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SmallFileFaultError(f"{path} is no regular file")
        data = os.read(descriptor, bytes_max + 1)
    except OSError as error:
        raise SmallFileFaultError(f"{path} cannot be read ({error.strerror})") from None
    finally:
        os.close(descriptor)
    if len(data) > bytes_max:
        raise SmallFileFaultError(f"{path} has more than {bytes_max} bytes")
    return data, status


def remove_whole(path: Path) -> None:
    """Take the file away for good; one that is gone already is fine."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make what was created, renamed or removed in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
