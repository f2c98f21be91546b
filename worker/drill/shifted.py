"""The worker with a clock that somebody sets while it runs: `python -m worker.drill.shifted ARGUMENTS`.

Only the wall clock's reading is another one, by the milliseconds that stand in the file that
EXECUTION_WORKER_DRILL_SHIFT names; everything else is the program itself. So a drill needs no right to set
the host's clock.
"""

from __future__ import annotations

import os
from pathlib import Path

from config.seams import SystemClock

SHIFT_VARIABLE = "EXECUTION_WORKER_DRILL_SHIFT"
# The file is read again this often.
LOOK_S = 0.1


def shift_clock(path: Path) -> None:
    """Let every wall clock of this process be off by what `path` says."""
    true_ms = SystemClock.wall_ms
    look_at_s = 0.0
    shift_ms = 0

    def wall_ms(clock: SystemClock) -> int:
        nonlocal look_at_s, shift_ms
        if clock.monotonic_s() >= look_at_s:
            look_at_s = clock.monotonic_s() + LOOK_S
            shift_ms = int(path.read_text() or 0)
        return true_ms(clock) + shift_ms

    # The one seam through which the worker reads the time.
    setattr(SystemClock, "wall_ms", wall_ms)  # noqa: B010  # a method is replaced on purpose


def main() -> None:
    """The process."""
    shift_clock(Path(os.environ[SHIFT_VARIABLE]))
    from worker.cli import main as run

    run()


if __name__ == "__main__":
    main()
