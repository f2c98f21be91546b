"""Files that hold a secret: only their owner can read or exchange them, or they are refused with a sentence.

No sentence of this module contains what a file holds.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Literal

# The folder that systemd's LoadCredential fills.
CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"

# An API key has 64 characters and a private key in PEM some 120; a larger file is another file.
SECRET_BYTES_MAX = 8_192

Kind = Literal["permission", "configuration"]


class SecretFileError(Exception):
    """The file cannot be used. `kind` decides the exit code (77, 78), the text is the sentence."""

    def __init__(self, sentence: str, kind: Kind = "configuration") -> None:
        self.kind: Kind = kind
        super().__init__(sentence)


def read_secret(path: Path, where: str, *, owners: tuple[int, ...], forbidden: int) -> str:
    """The text of a file that only its owner can read; what is checked is the file that was opened.

    Nor may anybody else be able to put another file in its place: every folder above it counts.

    `where` is how the sentences name it, `owners` who may own it, `forbidden` the mode bits it must not have.
    Raises SecretFileError.
    """
    try:
        # Not blocking, so that a pipe in the file's place cannot hold the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _cannot_open(where, error) from None
    try:
        _check_rights(os.fstat(descriptor), where, owners, forbidden)
        data = os.read(descriptor, SECRET_BYTES_MAX + 1)
    except OSError as error:
        raise SecretFileError(f"{where} cannot be read ({os.strerror(error.errno or 0)}): check it") from None
    finally:
        os.close(descriptor)
    check_folders(path, where, owners)
    if len(data) > SECRET_BYTES_MAX:
        raise SecretFileError(
            f"{where} has more than {SECRET_BYTES_MAX} bytes, must hold one credential and nothing else"
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SecretFileError(f"{where} is no text, must hold one credential and nothing else") from None


def _cannot_open(where: str, error: OSError | ValueError) -> SecretFileError:
    number = error.errno if isinstance(error, OSError) else None
    match number:
        case errno.ELOOP:
            return SecretFileError(f"{where} is a symbolic link: name the file itself", "permission")
        case errno.ENOENT | errno.ENOTDIR:
            return SecretFileError(f"{where} does not exist: create it with mode 0600, or remove the setting")
        case errno.EACCES | errno.EPERM:
            return SecretFileError(
                f"{where} may not be read by this user: give it to this user", "permission"
            )
    return SecretFileError(f"{where} cannot be opened ({os.strerror(number or errno.EINVAL)}): check it")


def _check_rights(status: os.stat_result, where: str, owners: tuple[int, ...], forbidden: int) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        raise SecretFileError(f"{where} is no regular file: name a file", "permission")
    if status.st_uid not in owners:
        raise SecretFileError(
            f"{where} belongs to user {status.st_uid}, must belong to user {owners[0]}, who runs this: "
            "chown it",
            "permission",
        )
    if mode & forbidden:
        raise SecretFileError(
            f"{where} has mode {mode:04o}, must be 0600 so that no other user can read it: chmod 600 it",
            "permission",
        )
    if status.st_nlink > 1:
        raise SecretFileError(
            f"{where} has {status.st_nlink} names, must have one, because another name may lie where others "
            "can reach it: remove the other names (hard links), or copy the file",
            "permission",
        )


def check_folders(path: Path, where: str, owners: tuple[int, ...]) -> None:
    """Refuse a file in whose place somebody else could put another one, here or further up.

    In a folder with the sticky bit, such as /tmp, nobody can remove what belongs to others.
    Raises SecretFileError.
    """
    try:
        for folder in path.resolve().parents:
            _check_folder(folder, folder.stat(), where, owners)
    except OSError as error:
        raise SecretFileError(
            f"the folders above {where} cannot be looked at ({os.strerror(error.errno or 0)}): check them",
            "permission",
        ) from None


def _check_folder(folder: Path, status: os.stat_result, where: str, owners: tuple[int, ...]) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid not in (0, *owners):
        raise SecretFileError(
            f"{where} lies below {folder}, which belongs to user {status.st_uid} and must belong to root or "
            f"user {owners[0]}, because its owner can exchange the file: chown it, or move the file",
            "permission",
        )
    if mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
        raise SecretFileError(
            f"{where} lies below {folder}, which has mode {mode:04o} and must be writable by its owner "
            "alone, because others could exchange the file: chmod go-w it, or move the file",
            "permission",
        )
