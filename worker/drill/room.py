"""A disk that can be filled: a small file system of the drill's own or, where none can be mounted, a limit.

The small one is mounted in a mount namespace that ends with the process that made it, so nothing that a
drill does to it can be seen outside, and nothing has to be undone after it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from worker.drill.process import DrillError, Process

# Too small for the room that the worker makes for its WAL, large enough for the WAL itself between two
# checkpoints: so every commit needs room, and there is enough of it while the disk is not filled.
SMALL_DISK = "17m"
BALLAST = "ballast"
BALLAST_CHUNK = 1 << 16
# Ways into a mount namespace of one's own: as root, and as a user who is root in there alone.
WAYS: tuple[tuple[str, ...], ...] = (("-m",), ("-r", "-m"))
TRIAL_S_MAX = 20.0
# With this limit no byte but the first of any file can be written.
NO_BYTES = 1


class Room(Protocol):
    """What can be filled and freed again. `ends_workers`: a worker may end with 73 in it."""

    words: str
    ends_workers: bool

    def fill(self, worker: Process) -> None:
        """From now on nothing can be written."""

    def free(self, worker: Process) -> None:
        """There is room again."""


class SmallDisk:
    """A file system of its own, filled by a file."""

    words = "a file system of 17 MiB (tmpfs) of its own was filled to the last byte"
    ends_workers = False

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / BALLAST

    def fill(self, worker: Process) -> None:
        """Write until there is no room for a byte."""
        descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            for size in (BALLAST_CHUNK, 1):
                # The only way to see that a disk is full is to be refused by it.
                with contextlib.suppress(OSError):
                    while True:
                        os.write(descriptor, b"x" * size)
        finally:
            os.close(descriptor)

    def free(self, worker: Process) -> None:
        """Remove the file; may be repeated."""
        self._ballast.unlink(missing_ok=True)


class FileLimit:
    """No file system could be mounted: the worker's own files may not grow, by RLIMIT_FSIZE."""

    words = (
        "NO FULL DISK: this user may mount no file system, so the worker was forbidden to write files "
        "(RLIMIT_FSIZE); it may end with 73 then, and is started again"
    )
    ends_workers = True

    def fill(self, worker: Process) -> None:
        """Forbid it."""
        self._limit(worker, NO_BYTES)

    def free(self, worker: Process) -> None:
        """Allow it again, when the worker is still there."""
        self._limit(worker, None)

    def _limit(self, worker: Process, bytes_max: int | None) -> None:
        if worker.code is not None:
            return
        _, hard = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (hard if bytes_max is None else bytes_max, hard))


def mount_small_disk(folder: Path) -> None:
    """Mount it on `folder`; raises DrillError with what mount says."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK},mode=0700", "tmpfs", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise DrillError(f"no file system can be mounted on {folder}: {done.stderr.strip()}")


def way_to_mount(folder: Path) -> Sequence[str] | None:
    """The words before a command that may mount; None when this user may not. `folder` is a trial's."""
    unshare = shutil.which("unshare")
    if unshare is None or shutil.which("mount") is None:
        return None
    for way in WAYS:
        command = [unshare, *way, "--", "mount", "-t", "tmpfs", "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=TRIAL_S_MAX, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return [unshare, *way, "--"]
    return None
