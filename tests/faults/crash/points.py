"""One point: a scenario whose worker dies at one step, is started again, and works until all is settled.

The disk is what it was at that moment: the database and its WAL are copied, the index of the WAL is memory.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from crash.judge import Entry, judge
from crash.life import Life, reading_from
from crash.scenarios import LONG_LIFE_MS, PRICES, RESTORE_S, SHORT_LIFE_MS, Scenario
from crash.stepping import LifeClock, SteppingLoop, without_threads
from crash.wire import CallbackHost
from rig.exchange_transport import InProcessTransport
from rig.virtual_clock import START_MS

from adapters.exchange.engine import Exchange
from adapters.exchange.faults import FaultPlan
from adapters.exchange.prices import RandomWalk
from config.seams import arm_crash_points, seeded_random
from store.connection import open_store
from store.errors import StoreHeldError
from streams.signal import Record, Signal
from worker.assembly import StartRefusedError

# Virtual seconds after which it is too late: no signal lives that long.
DRAIN_S_MAX = 650.0
LOOK_S = 0.2
LIVES_MAX = 12
# A refusal names the holder, and to find it costs as much as a life.
SECOND_WORKER_SHARE = 0.05


class Crash(BaseException):
    """The process is gone; unwinds what runs just now."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a life dies: at a step, or at the n-th passage of a named crash point."""

    step: int = 0
    name: str = ""
    passage: int = 1

    def __str__(self) -> str:
        return f"{self.name}:{self.passage}" if self.name else str(self.step)

    @classmethod
    def parse(cls, text: str) -> Moment:
        """`417` or `after_reserve:2`."""
        name, _, passage = text.partition(":")
        return cls(step=int(name)) if name.isdigit() else cls(name=name, passage=int(passage or "1"))


@dataclass(slots=True)
class Outcome:
    """What became of a point: the judge's words, and how far each life came."""

    complaints: list[str] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    passages: dict[str, int] = field(default_factory=dict)
    accepted: int = 0
    ended_s: float = 0.0


class Play:
    """One scenario on one exchange, through as many lives as it takes."""

    def __init__(self, scenario: Scenario, first: Moment | None, root: Path, loop: SteppingLoop) -> None:
        self.scenario = scenario
        self.outcome = Outcome()
        self.journal: list[Entry] = []
        self.inputs: dict[str, list[Record]] = {symbol: [] for symbol in PRICES}
        self._dice = seeded_random(scenario.seed * 1_000_003 + (first.step if first else 0))
        self._moments = [first, *self._later_moments(first)]
        self._root = root
        self._loop = loop
        self._clock = LifeClock(loop)
        self._host = self._exchange()
        self._life: Life | None = None
        self._crashed: asyncio.Future[Path] | None = None
        self._older: Path | None = None

    def source(self) -> object:
        """Of the present life."""
        assert self._life is not None
        return self._life.source

    def _later_moments(self, first: Moment | None) -> list[Moment | None]:
        """Every third restart is killed as well, and of these again."""
        found: list[Moment | None] = []
        while first is not None and self._dice.random() < 1 / 3 and len(found) < 3:
            found.append(Moment(step=1 + int(self._dice.random() ** 2 * 1_500)))
        return found

    def _exchange(self) -> CallbackHost:
        scenario, seed = self.scenario, self.scenario.seed
        prices = (
            RandomWalk(dict(PRICES), seeded_random(seed + 5), start_ms=START_MS) if scenario.walks else None
        )
        exchange = Exchange(
            start_ms=START_MS,
            faults=FaultPlan(scenario.rules, seeded_random(seed + 6)),
            seed=seed,
            prices=prices,
            policy=scenario.policy,
            journal=self.journal.append,
        )
        return CallbackHost(exchange, self._clock, self._loop)

    def _latency(self) -> float:
        if self._dice.random() < self.scenario.slow_wire:
            return 0.05 + self._dice.random() * 0.15
        return 0.001 + self._dice.random() * 0.01

    async def run(self) -> Outcome:
        """Until everything is settled; what the judge says of it stands in the outcome."""
        for at_s, record in self.scenario.arrivals:
            self._host.later(at_s, self._arrives, record)
        self._host.stir()
        output = self._root / "1"
        for number in range(1, LIVES_MAX + 1):
            next_output = await self._one_life(number, output)
            if next_output is None:
                break
            output = next_output
        else:
            self.outcome.complaints.append(f"stuck: {LIVES_MAX} lives were not enough")
        self._sum_up(output)
        return self.outcome

    def _arrives(self, record: Record) -> None:
        if self._life is not None and record.symbol in self._life.source.feeds and self._loop.alive > 0:
            self._life.add(record)
        else:
            self.inputs[record.symbol].append(record)

    async def _one_life(self, number: int, output: Path) -> Path | None:
        """The output folder that the next life finds; None when there is nothing left to do."""
        transport = InProcessTransport(self._host, self._clock, self._latency)  # type: ignore[arg-type]  # same face
        life = self._life = Life(output, self.scenario.settings, self._clock, transport, self.inputs)
        self._crashed = self._loop.create_future()
        moment = self._moments.pop(0) if self._moments else None
        context = self._loop.begin(number)
        self._arm(number, moment)
        task = self._loop.create_task(life.run(), context=context)
        drained = self._loop.create_task(self._drained(life, task))
        await asyncio.wait({task, drained, self._crashed}, return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()
        self.outcome.steps.append(self._loop.steps)
        if self._crashed.done():
            await self._clock.sleep(self._downtime_s())
            return self._crashed.result()
        return await self._end(life, task, output)

    async def _end(self, life: Life, task: asyncio.Task[None], output: Path) -> Path | None:
        """A clean end, in which it may still be killed, or one that was not asked for."""
        assert self._crashed is not None
        asked = not task.done()
        if asked:
            life.stop()
            await asyncio.wait({task, self._crashed}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
            if self._crashed.done():
                await self._clock.sleep(self._downtime_s())
                return self._crashed.result()
        arm_crash_points(None)
        error = task.exception() if task.done() else None
        if isinstance(error, StartRefusedError):
            # Nobody trades by a clock that is an hour off: somebody has to set it right.
            self._clock.skew_ms = 0
            life.let_go()
            await self._clock.sleep(1.0)
            return output
        if not task.done() or error is not None or not asked:
            self.outcome.complaints.append(f"ended: {error!r}, done {task.done()}, asked {asked}")
        self._loop.kill()
        life.let_go()
        return None

    def _arm(self, number: int, moment: Moment | None) -> None:
        at_step = self._loop.at_step
        if number == 1:
            length = LENGTHS.get(self.scenario.seed, 800)
            for accident in self.scenario.accidents:
                at_step[1 + int(accident.at * length)] = lambda accident=accident: self._befall(
                    accident.kind, accident.amount_ms
                )
        if self._dice.random() < SECOND_WORKER_SHARE:
            at_step[self._dice.randint(30, 900)] = self._second_worker
        if self.scenario.kind == "older_store":
            at_step[self._dice.randint(50, 700)] = self._back_up
        if moment is not None and moment.step:
            at_step[moment.step] = self._crash
        passed = self.outcome.passages
        left = moment.passage if moment is not None and moment.name else 0

        def at_point(name: str) -> None:
            nonlocal left
            if number == 1:
                passed[name] = passed.get(name, 0) + 1
            if left and moment is not None and moment.name == name:
                left -= 1
                if left == 0:
                    self._crash()
                    raise Crash(name)

        arm_crash_points(at_point)

    def _befall(self, kind: str, amount_ms: int) -> None:
        match kind:
            case "wall":
                self._clock.skew_ms += amount_ms
            case "suspend":
                self._clock.suspended_s += amount_ms / 1_000
                self._host.later(0, self._host.stir)
            case "stop":
                self._loop.freeze()
                self._host.later(amount_ms / 1_000, self._loop.thaw)

    def _second_worker(self) -> None:
        """Another one is started on the same store: it must not get it."""
        life = self._life
        if life is None or life.store is None:
            return
        exit_code = None
        try:
            open_store(life.folder, clock=self._clock, stamps={}).lock.release()
        except StoreHeldError as error:
            exit_code = error.exit_code
        if exit_code != 75:
            self.outcome.complaints.append(f"second: a second worker ended with {exit_code} instead of 75")

    def _back_up(self) -> None:
        life = self._life
        if life is not None and life.folder.exists():
            self._older = self._root / "older"
            shutil.rmtree(self._older, ignore_errors=True)
            copy_disk(life.output, self._older)

    def _crash(self) -> None:
        """Keep the disk as it is, and nothing else."""
        life, crashed = self._life, self._crashed
        assert life is not None
        assert crashed is not None
        output = self._root / f"{life.output.name}x"
        if life.output.exists():
            copy_disk(life.output, output)
        self._lose_store(output)
        self._loop.kill()
        arm_crash_points(None)
        life.let_go()
        crashed.set_result(output)

    def _lose_store(self, output: Path) -> None:
        if self.scenario.kind == "lost_store":
            shutil.rmtree(output, ignore_errors=True)
        if self.scenario.kind == "older_store" and self._older is not None:
            shutil.rmtree(output, ignore_errors=True)
            shutil.copytree(self._older, output)

    def _downtime_s(self) -> float:
        # A lost store is noticed by the next one; an older copy of the whole folder cannot be.
        if self.scenario.kind == "older_store":
            return RESTORE_S
        return self._dice.choice((0.0, 0.01, 0.2, 1.0))

    async def _drained(self, life: Life, task: asyncio.Task[None]) -> None:
        """Returns when everything has arrived, stands in the store and is settled, or never will be."""
        arrived = self.scenario.arrivals[-1][0]
        wanted = {(one.symbol, one.signal_id) for _, one in self.scenario.arrivals if isinstance(one, Signal)}
        while self._loop.time() < 1_000.0 + DRAIN_S_MAX:
            await self._clock.sleep(LOOK_S)
            daemon = life.daemon
            if daemon is None or self._loop.time() < 1_000.0 + arrived or daemon.recovery_s is None:
                continue
            assert life.store is not None
            connection = life.store.connection
            rows = connection.execute("SELECT count(*) FROM executions").fetchone()[0]
            if rows < len(wanted) or any(feed.state().backlog_bytes for feed in life.source.feeds.values()):
                continue
            if not connection.execute("SELECT 1 FROM executions WHERE exec_ts_ms IS NULL").fetchone():
                return

    def _sum_up(self, output: Path) -> None:
        outcome = self.outcome
        feed = [record for _, record in self.scenario.arrivals]
        life_ms = LONG_LIFE_MS if self.scenario.has_long_life else SHORT_LIFE_MS
        outcome.complaints += judge(
            feed,
            self.journal,
            output / "executions",
            excused=not self.scenario.has_long_life,
            over_ms=self._clock.true_ms() + self.scenario.skew_ms - life_ms,
        )
        outcome.accepted = sum(entry["kind"] == "accepted" for entry in self.journal)
        outcome.ended_s = self._loop.time() - 1_000.0


# How many steps the first life of a seed has when nothing happens to it.
LENGTHS: dict[int, int] = {}


def copy_disk(source: Path, target: Path) -> None:
    """Every file as it stands; the index of the WAL does not outlive the machine."""
    os.makedirs(target, exist_ok=True)
    with os.scandir(source) as found:
        for one in found:
            if one.is_dir():
                copy_disk(Path(one.path), target / one.name)
            elif not one.name.endswith(".db-shm"):
                shutil.copyfile(one.path, target / one.name)


def scratch() -> Path:
    """Memory where there is some: a point syncs a hundred times, and the power does not go out here."""
    memory = Path("/dev/shm")
    folder = memory if memory.is_dir() else None
    return Path(tempfile.mkdtemp(prefix="crash-", dir=folder))


def play(
    scenario: Scenario,
    moment: Moment | None,
    plant: Callable[[ExitStack], None] | None = None,
    kind: type[Play] = Play,
) -> Outcome:
    """Play one point from its beginning to the judge's words. The same arguments give the same outcome."""
    root = scratch()
    loop = SteppingLoop()
    try:
        with ExitStack() as stack, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stack.enter_context(without_threads())
            if plant is not None:
                plant(stack)
            game = kind(scenario, moment, root, loop)
            stack.enter_context(reading_from(game.source))  # type: ignore[arg-type]  # of the present life
            try:
                outcome = loop.run_until_complete(game.run())
            except BaseException as error:
                error.add_note(f"--seed {scenario.seed} --point {moment}")
                raise
            del game
            loop.forget()
            return outcome
    finally:
        arm_crash_points(None)
        loop.close()
        shutil.rmtree(root, ignore_errors=True)
