"""Whether a worker is well: what a dead man's switch asks for. Cheap; asked once in a while."""

from __future__ import annotations

from worker.daemon import Daemon
from worker.probe import WorkerProbe


def is_well(daemon: Daemon) -> bool:
    """True while it is ready, shows life, gets on or has nothing to do, and the exchange listens."""
    probe, progress = WorkerProbe(daemon), daemon.progress
    if probe.ready() is not None or probe.alive() is not None:
        return False
    if progress.stuck is not None or progress.refused is not None:
        return False
    return daemon.execution.notify.ping.while_halted or not daemon.floor.halts.in_force()
