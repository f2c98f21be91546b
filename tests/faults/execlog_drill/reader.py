"""Somebody who watches the published folder: whatever shows up there has to be whole when it is seen."""

from __future__ import annotations

import threading
from pathlib import Path

from execlog_drill.judge import lines_of

LOOK_S = 0.002


class Reader(threading.Thread):
    """Reads each file each time that it is another one, until stopped."""

    def __init__(self, folder: Path) -> None:
        super().__init__(name="reader", daemon=True)
        self._folder = folder
        self._over = threading.Event()
        self._known: dict[Path, tuple[int, int, int]] = {}
        self._seen: dict[Path, bytes] = {}
        self.reads = 0
        self.again = 0
        self.complaints: list[str] = []

    def run(self) -> None:
        """Look until told to stop, and once after that."""
        while not self._over.is_set():
            self._look()
            self._over.wait(LOOK_S)
        self._look()

    def stop(self) -> None:
        """Return after the last look."""
        self._over.set()
        self.join()

    def _look(self) -> None:
        for path in sorted(self._folder.glob("*/*")):
            with path.open("rb") as file:
                status = path.stat()
                identity = (status.st_ino, status.st_size, status.st_mtime_ns)
                if self._known.get(path) == identity:
                    continue
                data = file.read()
            self._judge(path, data)
            self._known[path] = identity

    def _judge(self, path: Path, data: bytes) -> None:
        self.reads += 1
        name = f"{path.parent.name}/{path.name}"
        if path.suffix != ".jsonl":
            self.complaints.append(f"{name} shows up where readers look")
        _, bad = lines_of(name, data)
        self.complaints += bad
        before = self._seen.get(path)
        if before is not None:
            self.again += 1
            if not data.startswith(before):
                self.complaints.append(f"{name} says something else than it did before")
        self._seen[path] = data
