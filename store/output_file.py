"""Output files on disk: cut to a known size, append and sync, rewrite whole. Blocking; run in a thread."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from config.seams import crash_point


class ShorterThanKnownError(Exception):
    """The file has fewer bytes than are known to have been written: it must be written anew."""


def repair(path: Path, size: int) -> bool:
    """Cut what lies beyond `size`; False when the file is shorter or missing. Raises OSError."""
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        return size == 0
    if found > size:
        os.truncate(path, size)
    return found >= size


def append_lines(path: Path, data: bytes, size: int) -> int:
    """Make the file its first `size` bytes and `data`, on disk; the new size.

    Raises ShorterThanKnownError when the file has fewer than `size` bytes, OSError.
    """
    descriptor, is_new = _open(path)
    try:
        found = os.fstat(descriptor).st_size
        if found < size:
            raise ShorterThanKnownError(str(path))
        if found > size:
            os.ftruncate(descriptor, size)
        _write(descriptor, data)
        crash_point("after_projection_write")
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        sync_folder(path.parent)
    return size + len(data)


def _open(path: Path) -> tuple[int, bool]:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    try:
        return os.open(path, flags), False
    except FileNotFoundError:
        is_new_folder = not path.parent.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_new_folder:
            sync_folder(path.parent.parent)
        return os.open(path, flags | os.O_CREAT, 0o644), True


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def rewrite(path: Path, data: bytes) -> int:
    """Replace the file by `data`, whole or not at all; its size. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        _write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(draft, path)
    sync_folder(path.parent)
    return len(data)


def unlink_all(paths: Iterable[Path]) -> None:
    """Delete files; those that are gone already are fine. Raises OSError."""
    for path in paths:
        path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Put a folder's names on disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
