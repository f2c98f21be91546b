"""What the page shows besides /status: where the store and the drills lie, and the last hour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.seams import Clock


@dataclass(frozen=True, slots=True)
class Sights:
    """Where to look."""

    output_dir: Path
    clock: Clock
