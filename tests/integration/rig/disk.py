"""Disks that fail: a real one that is full, and a connection whose commit ends in an I/O error."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest


class SmallDisk:
    """A mounted tmpfs whose size can be changed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def grow(self, size: str) -> None:
        """Give it more room."""
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.path)], check=True)

    def fill(self) -> Path:
        """Take all the room that is left; the file that took it."""
        ballast = self.path / "ballast"
        with open(ballast, "ab", buffering=0) as file:
            for size in (1_048_576, 4_096):
                with suppress(OSError):
                    while file.write(bytes(size)):
                        pass
        return ballast


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[SmallDisk]:
    """Mount a tmpfs of `size` at `path`; the test is skipped, loudly, where that is not allowed."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here: nothing was proven on a full disk")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


class FailingConnection:
    """An SQLite connection whose next COMMIT reports `code`, with or without having happened."""

    def __init__(self, connection: sqlite3.Connection, *, happens: bool, code: int) -> None:
        self._connection = connection
        self._happens = happens
        self._code = code

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        """As usual, until COMMIT."""
        if statement == "COMMIT":
            if self._happens:
                self._connection.execute(statement)
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self._code
            raise error
        return self._connection.execute(statement, *parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
