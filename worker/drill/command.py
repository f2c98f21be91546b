"""The drill as a command: the plans are carried out a few at a time; what came of them is told and kept."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from config.seams import Clock
from worker.drill import disk
from worker.drill.course import Course
from worker.drill.figures import DrillResult, RowResult, table
from worker.drill.plans import Plan, chosen, shared_out
from worker.drill.process import COMPILED, Process
from worker.drill.report import page
from worker.exits import Exit
from worker.version import VERSION

# On two cores: one of three waits for an exchange or a full disk at any time.
AT_ONCE = 3
TELL_S = 5.0
# The drill in the namespace has this much for each kill, and for its beginning and end.
DISK_S_PER_KILL = 60.0
DISK_S = 300.0
SEEDS = 1_000_000
WHY_MAX = 600
RESULT, REPORT, TABLE = "result.json", "report.html", "table.txt"


@dataclass(frozen=True, slots=True)
class DrillOptions:
    """What the command line gave; `seed` None: any."""

    kind: str
    kills: int
    into: Path
    seed: int | None = None
    report: Path | None = None
    as_json: bool = False


class Drills:
    """All the drills of one command, in one folder."""

    def __init__(self, options: DrillOptions, folder: Path, seed: int, clock: Clock) -> None:
        self._folder = folder
        self._seed = seed
        self._clock = clock
        self._plans = chosen(options.kind)
        self._shares = dict(
            zip((plan.folder for plan in self._plans), shared_out(options.kills, self._plans), strict=True)
        )
        self._running: dict[str, Course | None] = {}
        self._done: dict[str, RowResult] = {}

    async def run(self) -> list[RowResult]:
        """Carry them out; in the order of the table."""
        turns = asyncio.Semaphore(AT_ONCE)
        telling = asyncio.create_task(self._tell_again())
        try:
            async with asyncio.TaskGroup() as group:
                # Those that wait for an exchange take longest: they come first, so that none is left over.
                for plan in sorted(self._plans, key=lambda plan: plan.mode != "testnet"):
                    group.create_task(self._carry_out(plan, turns))
        finally:
            telling.cancel()
        return [self._done[plan.folder] for plan in self._plans]

    async def _carry_out(self, plan: Plan, turns: asyncio.Semaphore) -> None:
        folder, kills = self._folder / plan.folder, self._shares[plan.folder]
        seed = self._seed + sum(map(ord, plan.folder))
        async with turns:
            if plan.kind == "disk":
                row = await self._disk(plan, folder, seed, kills)
            else:
                course = Course(plan, folder, seed, self._clock)
                self._running[plan.folder] = course
                row = await course.run(kills)
            self._running.pop(plan.folder, None)
        self._done[plan.folder] = row
        say(f"{row.drill}: {row.kills} kills in {row.took_s:.0f} s, {'passed' if row.passed else 'FAILED'}")
        for text in (*row.notes, *(f"objection: {one}" for one in row.complaints)):
            say(f"  {text}")

    async def _disk(self, plan: Plan, folder: Path, seed: int, kills: int) -> RowResult:
        """In a mount namespace where that can be had; the row is read from what its process left."""
        beside = self._folder / "disk-start"
        beside.mkdir()
        command = disk.command_in_namespace(beside, folder, seed, kills)
        if command is None:
            course = disk.limited_course(folder, seed, self._clock)
            self._running[plan.folder] = course
            return await course.run(kills)
        self._running[plan.folder] = None
        process = Process(command, beside / "disk.log", beside)
        try:
            await process.wait(self._clock, DISK_S + DISK_S_PER_KILL * kills)
        finally:
            process.kill()
        row = disk.read_row(folder)
        return row or _not_carried_out(plan, f"its process ended with {process.code}: {process.tail()}")

    async def _tell_again(self) -> None:
        """Who is how far, every few seconds."""
        while True:
            await self._clock.sleep(TELL_S)
            at = [self._how_far(name, course) for name, course in self._running.items()]
            if at:
                say("; ".join(at))

    def _how_far(self, name: str, course: Course | None) -> str:
        if course is None:
            return f"{name}: {self._shares[name]} kills under way"
        return f"{name}: {course.kills} of {self._shares[name]} kills, {course.fed} signals"


def _not_carried_out(plan: Plan, why: str) -> RowResult:
    return RowResult(
        kind=plan.kind, drill=plan.name, kills=0, signals=0, rows=0, lines=0, accepted=None, duplicates=0,
        lost=0, recovery_p50_s=None, recovery_p99_s=None, passed=False, why=why, folder=plan.folder,
        took_s=0.0, complaints=(f"not carried out: {why}",),
    )  # fmt: skip


def say(line: str) -> None:
    """To a person who watches."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def fresh_folder(into: Path, kind: str, now_ms: int) -> Path:
    """A folder that was not there before, made now; raises OSError."""
    name = f"{datetime.fromtimestamp(now_ms // 1_000, UTC):%Y%m%d-%H%M%S}-{kind}"
    into.mkdir(parents=True, exist_ok=True)
    for number in range(1, SEEDS):
        folder = into.resolve() / (name if number == 1 else f"{name}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            return folder
    raise FileExistsError(f"{into} has {SEEDS} drills of this second")


async def _until_done(drills: Drills) -> list[RowResult] | None:
    """The rows; None when a signal ended it."""
    task = asyncio.create_task(drills.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return None


def run_drill(options: DrillOptions, clock: Clock) -> tuple[int, str | None]:
    """Carry the drills out and tell of them: 0 passed, 1 failed, 73 nowhere to write, 130 stopped.

    With the exit code comes, of drills that failed, the sentence that others should be told.
    """
    started_ms = clock.wall_ms()
    seed = started_ms % SEEDS if options.seed is None else options.seed
    try:
        if options.report is not None:
            # Half an hour later would be a bad moment to learn that it cannot be written.
            options.report.open("a").close()
        folder = fresh_folder(options.into, options.kind, started_ms)
    except OSError as error:
        say(f"execution-worker: {error.filename or options.into} takes no drill ({error.strerror}): "
            "name a folder that is yours with --into")  # fmt: skip
        return Exit.CANNOT_WRITE, None
    say(f"drill {options.kind}: {options.kills} kills, seed {seed}; the evidence is kept in {folder}")
    try:
        rows = asyncio.run(_until_done(Drills(options, folder, seed, clock)))
    finally:
        shutil.rmtree(folder / COMPILED, ignore_errors=True)
    if rows is None:
        say(f"stopped before its end, no process is left; what there is lies in {folder}")
        return Exit.INTERRUPTED, None
    result = DrillResult(
        kind=options.kind,
        seed=seed,
        started_ms=started_ms,
        ended_ms=clock.wall_ms(),
        passed=all(row.passed for row in rows),
        rows=tuple(rows),
        version=VERSION,
    )
    _keep(result, folder, options.report)
    _print(result, folder, as_json=options.as_json)
    if result.passed:
        return Exit.OK, None
    failed = [row for row in rows if not row.passed]
    return Exit.BUG, f"{'; '.join(f'{row.drill}: {row.why}' for row in failed)[:WHY_MAX]}; see {folder}"


def _keep(result: DrillResult, folder: Path, report: Path | None) -> None:
    html = page(result, folder)
    (folder / TABLE).write_text("\n".join(sentences(result, folder)) + "\n")
    (folder / REPORT).write_text(html)
    if report is not None:
        report.write_text(html)
    # The last: whoever looks for it finds everything else there already.
    part = folder / f".{RESULT}.part"
    part.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1))
    part.rename(folder / RESULT)


def _print(result: DrillResult, folder: Path, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    else:
        sys.stdout.write("\n".join(sentences(result, folder)) + "\n")
    sys.stdout.flush()


def sentences(result: DrillResult, folder: Path) -> Sequence[str]:
    """The table, what was objected, and where everything lies."""
    lines = table(result.rows)
    for row in result.rows:
        lines += [f"{row.drill}: {complaint}" for complaint in row.complaints]
    took_s = (result.ended_ms - result.started_ms) / 1_000
    word = "passed" if result.passed else "FAILED"
    lines.append(
        f"{word} in {took_s:.0f} s, seed {result.seed}; "
        f"the lists of the feeds, stores, lines, journals and logs lie in {folder}"
    )
    return lines
