"""The disk drill: the disk is full under a worker that trades, and it must neither send nor forget.

While nothing can be written no reservation can be, so no order may leave: the exchange's journal says
whether one did. When there is room again the worker has to go on by itself.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from config.seams import Clock, SystemClock
from store.paths import DATABASE
from worker.drill.course import Course
from worker.drill.figures import RowResult
from worker.drill.plans import Plan, plans
from worker.drill.process import Process, die_with_parent
from worker.drill.room import FileLimit, Room, SmallDisk, mount_small_disk, way_to_mount

UNREADY = 503
NOTICED_S_MAX = 40.0
RECOVERED_S_MAX = 60.0
# An answer that was on its way when the disk became full may still arrive at the exchange's journal.
IN_FLIGHT_S = 0.3
FULL_S_MAX = 1.2
# After the disk was filled: the worker dies and there is room before the next one starts; the next one starts
# on the full disk; there is room while it runs.
DIES, STARTS_FULL, GOES_ON = "dies", "starts full", "goes on"
CANNOT_WRITE = 73
ROW_FILE = "row.json"
# A quarter of the length at which SQLite begins the WAL again at its front and needs no more room.
WAL_BYTES = 4_000_000
EVIDENCE = "output-kept"


class DiskCourse(Course):
    """A course whose every death has a full disk before it."""

    def __init__(self, plan: Plan, folder: Path, seed: int, clock: Clock, room: Room | None = None) -> None:
        super().__init__(plan, folder, seed, clock)
        self._room = room or self._mounted()
        self.notes.append(self._room.words)

    def _mounted(self) -> Room:
        mount_small_disk(self._scene.output)
        return SmallDisk(self._scene.output)

    async def _strike(self) -> None:
        worker = await self._running()
        if self._wal_is_long():
            # An orderly stop takes it back; in a long one the worker could go on writing on a full disk.
            await self._stop(worker)
            worker = await self._running()
        await self._clock.sleep(self._dice.uniform(0.1, self.plan.life_s))
        self._room.fill(worker)
        self._note("the disk full")
        noticed = await self._scene.until_ready(worker, UNREADY, NOTICED_S_MAX)
        if noticed:
            await self._must_not_send()
        elif worker.code is None:
            self._complaints.append(f"{worker.log.name}: the disk was full and /readyz did not say so")
        if worker.code is not None:
            self._ended(worker)
            return
        ways = (GOES_ON, DIES) if self._room.ends_workers else (GOES_ON, GOES_ON, DIES, STARTS_FULL)
        match self._dice.choice(ways):
            case "goes on":
                await self._goes_on(worker)
            case "starts full":
                await self._starts_full(worker)
            case _:
                self._kill(worker, "on a full disk")
                self._free(worker)

    def _wal_is_long(self) -> bool:
        wal = self._scene.output / "executions" / f"{DATABASE}-wal"
        return wal.exists() and wal.stat().st_size > WAL_BYTES

    async def _must_not_send(self) -> None:
        """No order is accepted while the disk is full."""
        await self._clock.sleep(IN_FLIGHT_S)
        before = self._accepted()
        await self._clock.sleep(self._dice.uniform(IN_FLIGHT_S, FULL_S_MAX))
        after = self._accepted()
        if after != before:
            self._complaints.append(f"sent: {after - before} orders left while the disk was full")

    def _accepted(self) -> int:
        return sum(1 for entry in self._journal() or () if entry["kind"] == "accepted")

    async def _goes_on(self, worker: Process) -> None:
        self._free(worker)
        if await self._scene.until_ready(worker, patience_s=RECOVERED_S_MAX):
            self._note("ready again by itself")
        elif self._room.ends_workers and worker.code is not None:
            self._ended(worker)
            return
        else:
            self._complaints.append(
                f"{worker.log.name}: not ready {RECOVERED_S_MAX:.0f} s after there was room again"
            )
        await self._clock.sleep(self._dice.uniform(0, self.plan.life_s))
        self._kill(worker)

    async def _starts_full(self, worker: Process) -> None:
        """The next worker finds a full disk: it may refuse, or wait; it may not send."""
        self._kill(worker, "on a full disk")
        after = self._start()
        await self._clock.sleep(self._start_s)
        await self._must_not_send()
        if after.code is None:
            self._kill(after, "started on a full disk")
        elif after.code != CANNOT_WRITE:
            self._complaints.append(
                f"{after.log.name}: ended with {after.code} on a full disk: {after.tail()}"
            )
        self._free(after)

    def _ended(self, worker: Process) -> None:
        """The worker ended by itself while nothing could be written."""
        if not self._room.ends_workers or worker.code != CANNOT_WRITE:
            self._complaints.append(f"{worker.log.name}: ended by itself with {worker.code}: {worker.tail()}")
        self._struck("the worker ended with 73")
        self._free(worker)

    def _free(self, worker: Process) -> None:
        self._room.free(worker)
        self._note("room again")


def disk_plan() -> Plan:
    """The one plan of this kind."""
    return next(plan for plan in plans() if plan.kind == "disk")


def command_in_namespace(trial: Path, folder: Path, seed: int, kills: int) -> Sequence[str] | None:
    """The command that carries the drill out where a disk can be mounted; None when this user cannot."""
    way = way_to_mount(trial)
    if way is None:
        return None
    return [*way, sys.executable, "-m", "worker.drill.disk", str(folder), str(seed), str(kills)]


def limited_course(folder: Path, seed: int, clock: Clock) -> DiskCourse:
    """The drill for users who may not mount."""
    return DiskCourse(disk_plan(), folder, seed, clock, FileLimit())


def read_row(folder: Path) -> RowResult | None:
    """What the process in the namespace found; None when it did not come to its end."""
    path = folder / ROW_FILE
    return msgspec.json.decode(path.read_bytes(), type=RowResult) if path.exists() else None


def main() -> int:
    """The process in the namespace: drill, and carry the evidence out of the small disk."""
    die_with_parent()
    folder, seed, kills = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    course = DiskCourse(disk_plan(), folder, seed, SystemClock())
    row = asyncio.run(course.run(kills))
    shutil.copytree(folder / "output", folder / EVIDENCE, ignore=shutil.ignore_patterns("ballast"))
    (folder / ROW_FILE).write_bytes(msgspec.json.encode(row))
    return 0


if __name__ == "__main__":
    sys.exit(main())
