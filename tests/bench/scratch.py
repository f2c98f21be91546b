"""The folder that a bench works in, on the repository's own disk, and what several benches share there."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import full_store
import signals_made
from figures import say
from workers import ROOT


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    drain_signals: int
    drain_rounds: int
    sample_signals: int
    past_rows: int
    latency_signals: int
    restart_rounds: int
    idle_s: float
    memory_signals: tuple[int, int]


WHOLE = Size(200_000, 3, 2_000, 5_000_000, 300, 9, 20.0, (200_000, 2_000_000))
SHORT = Size(50_000, 3, 1_000, 500_000, 120, 7, 8.0, (100_000, 400_000))


class Scratch:
    """A folder of its own below `.bench`, gone afterwards; the store with a past is made when needed."""

    def __init__(self, size: Size) -> None:
        self.size = size
        (ROOT / ".bench").mkdir(exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(dir=ROOT / ".bench"))
        self._next_ms = signals_made.FIRST_MS

    def fresh(self, name: str) -> Path:
        """An unused path; what stood there is removed."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.with_name(f"{name}.log").unlink(missing_ok=True)
        return path

    def backlog(self, name: str, count: int) -> Path:
        """A signals folder with `count` signals to drain."""
        signals = self.fresh(name)
        signals_made.write_backlog(signals, count)
        return signals

    @cached_property
    def lived(self) -> tuple[Path, Path]:
        """Signals and output folder of a worker with a long past."""
        began_s = time.monotonic()
        signals, output = self.fresh("lived-signals"), self.fresh("lived")
        database = full_store.build(signals, output, self.size.past_rows)
        settle()
        say(
            f"made a store of {self.size.past_rows:,} rows ({database.stat().st_size / 1e6:,.0f} MB) "
            f"and {full_store.FILES:,} finished files in {time.monotonic() - began_s:.0f} s"
        )
        return signals, output

    def next_hour_ms(self) -> int:
        """A later hour each time, so that new signals of the long-lived store are never duplicates."""
        self._next_ms += full_store.HOUR_MS
        return self._next_ms

    def remove(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.folder, ignore_errors=True)


def settle() -> None:
    """Let the disk finish what earlier steps wrote, so that it is not paid for by the next one."""
    os.sync()
