"""A symbol's folder as listed: which names are there, and whether it may have changed since.

A listing costs one pass over the folder, a sign one stat; names are listed again only when the sign
changed, was seen too recently to be trusted, or every so often for file systems whose folders keep
no time.
"""

from __future__ import annotations

import os
import stat

import msgspec

from streams.files import Candidate, candidate_of, ignored_reason

FolderSign = tuple[int, int, int]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One candidate. `inode` is the name's own: a symlink's, not its target's."""

    candidate: Candidate
    inode: int


class Identity(msgspec.Struct, frozen=True, gc=False):
    """A regular file as stat sees it."""

    device: int
    inode: int
    size: int
    mtime_ns: int


def sign_of(folder: str) -> FolderSign | None:
    """Device, inode and mtime of the folder; None while there is none."""
    try:
        status = os.stat(folder)
    except OSError:
        return None
    if not stat.S_ISDIR(status.st_mode):
        return None
    return (status.st_dev, status.st_ino, status.st_mtime_ns)


def identify(path: str) -> Identity | None:
    """What `path` is, links followed; None unless it is a regular file that can be looked at."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def list_names(folder: str) -> list[tuple[str, int]]:
    """Every name in the folder with its own inode; empty when the folder cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return [(entry.name, entry.inode()) for entry in entries]
    except OSError:
        return []


def sort_names(names: list[tuple[str, int]]) -> tuple[list[Entry], dict[str, str]]:
    """The candidates, newest first, and the ignored names with their reasons."""
    candidates: list[Entry] = []
    ignored: dict[str, str] = {}
    for name, inode in names:
        candidate = candidate_of(name)
        if candidate is None:
            ignored[name] = ignored_reason(name)
        else:
            candidates.append(Entry(candidate, inode))
    candidates.sort(key=lambda entry: entry.candidate.order, reverse=True)
    return candidates, ignored
