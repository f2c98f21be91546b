"""The course of one drill: everybody is started, killed and started again, then drained and judged."""

from __future__ import annotations

import os
import signal
import sqlite3
from pathlib import Path
from random import Random

import msgspec

from config.seams import CRASH_POINTS, Clock, seeded_random
from worker.drill.figures import Moment, RowResult, percentile
from worker.drill.judge import Verdict, bounded, judge
from worker.drill.left import fingerprint, gathered
from worker.drill.plans import Plan, Target
from worker.drill.process import DrillError, Process
from worker.drill.scene import Scene

# Of the deaths of the worker so many come before it is ready, ...
EARLY_SHARE = 0.25
# ... and so many at a named point: around a commit or an order, where chance seldom strikes.
NAMED_SHARE = 0.30
NAMED_PASSAGES = (1, 1, 2, 5)
NAMED_PATIENCE_S = 2.0
# The feed lives so long before it is killed, and stays away so long.
FEED_LIFE_S = 0.6
FEED_AWAY_S = 0.3
# The feed waits while so many signals have no row: none may grow too old while orders take their time.
BACKLOG_MAX = 160
DRAIN_S_MAX = 120.0
STOP_S_MAX = 20.0
AFTERGLOW_S = 0.5
POLL_S = 0.2
KILLED = -signal.SIGKILL


class Course:
    """One drill in a folder of its own. Nothing of it runs on when `run` has returned."""

    def __init__(self, plan: Plan, folder: Path, seed: int, clock: Clock) -> None:
        folder.mkdir(parents=True)
        self.plan = plan
        self.kills = 0
        self.notes: list[str] = []
        self._folder = folder
        self._clock = clock
        self._dice: Random = seeded_random(seed)
        self._scene = Scene(plan, folder, seed, clock)
        self._complaints: list[str] = []
        self._recoveries_s: list[float] = []
        self._timeline: list[Moment] = []
        self._began_s = clock.monotonic_s()
        self._start_s = 1.0

    @property
    def fed(self) -> int:
        """How many signals were fed so far."""
        return self._scene.progress.fed()

    async def run(self, kills: int) -> RowResult:
        """Kill so often, drain, judge; a drill that cannot be carried out has failed."""
        self._began_s = self._clock.monotonic_s()
        verdict = Verdict(0, 0, 0, 0, None, 0, 0, ())
        try:
            await self._scene.begin()
            while self.kills < kills:
                await self._strike()
                self._pace()
            await self._drain()
            verdict = judge(gathered(self._folder, self._scene.output, self._journal()))
        except (DrillError, OSError, TimeoutError, sqlite3.Error, msgspec.DecodeError) as error:
            self._complaints.append(f"not carried out: {error or type(error).__name__}")
        finally:
            self._scene.end()
        return self._result(verdict)

    def _journal(self) -> list[dict[str, object]] | None:
        return None if self._scene.exchange is None else self._scene.exchange.entries()

    async def _strike(self) -> None:
        """The next death."""
        targets = self.plan.targets
        target: Target = self._dice.choices(list(targets), list(targets.values()))[0]
        match target:
            case "worker":
                await self._kill_worker()
            case "feed":
                await self._kill_feed()
            case "exchange":
                await self._kill_exchange()

    async def _kill_worker(self) -> None:
        chance = self._dice.random()
        if self._alive() is None and chance < NAMED_SHARE:
            await self._die_at_a_point()
            return
        if self._alive() is None and chance < NAMED_SHARE + EARLY_SHARE:
            worker = self._start()
            await self._clock.sleep(self._dice.uniform(0, self._start_s))
        else:
            worker = await self._running()
            await self._clock.sleep(self._dice.uniform(0, self.plan.life_s))
        self._kill(worker)

    async def _die_at_a_point(self) -> None:
        """A point that is not passed in time, because there is nothing to do, becomes any other moment."""
        point = self._dice.choice(CRASH_POINTS)
        worker = self._start(f"{point}:{self._dice.choice(NAMED_PASSAGES)}")
        await worker.wait(self._clock, self._start_s + NAMED_PATIENCE_S)
        self._kill(worker, point)

    async def _kill_feed(self) -> None:
        await self._running()
        feed = self._scene.feed
        assert feed is not None
        await self._clock.sleep(self._dice.uniform(0, FEED_LIFE_S))
        if feed.code is not None:
            raise DrillError(f"the feed ended by itself; it said {feed.tail()}")
        feed.kill()
        self._struck("the feed killed")
        await self._clock.sleep(self._dice.uniform(0, FEED_AWAY_S))
        await self._scene.start_feed()

    async def _kill_exchange(self) -> None:
        exchange = self._scene.exchange
        assert exchange is not None
        await self._running()
        await self._clock.sleep(self._dice.uniform(0, self.plan.life_s))
        exchange.kill()
        self._struck("the exchange killed")
        await self._clock.sleep(self._dice.uniform(0, 1.0))
        await exchange.start(self.plan.rules)

    def _alive(self) -> Process | None:
        worker = self._scene.worker
        return worker if worker is not None and worker.code is None else None

    def _start(self, crash_point: str | None = None) -> Process:
        if self.plan.shift_ms_max:
            shift_ms = self._scene.put_clock_off(self._dice)
            self._note(f"the worker's clock put off by {shift_ms / 3_600_000:+.1f} h")
        return self._scene.start_worker(crash_point)

    async def _running(self) -> Process:
        """A worker that is ready: the one that lives, or the next; its recovery is measured."""
        alive = self._alive()
        began_s = self._clock.monotonic_s()
        worker = alive or self._start()
        if not await self._scene.until_ready(worker):
            raise DrillError(f"{worker.log.name}: it does not become ready; it said {worker.tail()}")
        if alive is None:
            self._start_s = self._clock.monotonic_s() - began_s
            self._recoveries_s.append(round(self._start_s, 3))
            self._note("ready")
        if self.plan.shift_ms_max:
            # While it runs, too.
            self._scene.put_clock_off(self._dice)
        return worker

    def _kill(self, worker: Process, where: str = "") -> None:
        code = worker.kill()
        if code != KILLED:
            self._complaints.append(f"{worker.log.name}: ended by itself with {code}: {worker.tail()[-300:]}")
        self._struck("the worker killed" + (f" ({where})" if where else ""))

    def _struck(self, what: str) -> None:
        self.kills += 1
        self._note(what)

    def _note(self, what: str) -> None:
        self._timeline.append(Moment(round(self._clock.monotonic_s() - self._began_s, 2), what))

    def _pace(self) -> None:
        feed = self._scene.feed
        if feed is None or feed.code is not None or self.plan.mode != "testnet":
            return
        waits = self.fed - self._scene.progress.recorded()[0] > BACKLOG_MAX
        os.kill(feed.pid, signal.SIGSTOP if waits else signal.SIGCONT)

    async def _drain(self) -> None:
        """Everybody tells the truth: what is left is worked off, and a further start adds nothing."""
        scene = self._scene
        assert scene.feed is not None
        os.kill(scene.feed.pid, signal.SIGCONT)
        code = await scene.feed.stop(self._clock, STOP_S_MAX)
        if code:
            raise DrillError(f"the feed ended with {code}; it said {scene.feed.tail()}")
        if scene.exchange is not None:
            await scene.exchange.lie([])
        scene.shift_clock(0)
        worker = await self._running()
        until_s = self._clock.monotonic_s() + DRAIN_S_MAX
        while not scene.progress.is_settled():
            if worker.code is not None or self._clock.monotonic_s() > until_s:
                rows, unsettled = scene.progress.recorded()
                raise DrillError(
                    f"{worker.log.name}: of {self.fed} signals {rows} have a row, {unsettled} of those have "
                    f"no outcome, after {DRAIN_S_MAX:.0f} s; it said {worker.tail()}"
                )
            await self._clock.sleep(POLL_S)
        await self._stop(worker)
        before = fingerprint(scene.output, self._journal())
        again = await self._running()
        await self._clock.sleep(AFTERGLOW_S)
        await self._stop(again)
        if scene.exchange is not None:
            await scene.exchange.stop()
        if fingerprint(scene.output, self._journal()) != before:
            self._complaints.append("not repeatable: a further start changed rows, lines or orders")

    async def _stop(self, worker: Process) -> None:
        code = await worker.stop(self._clock, STOP_S_MAX)
        if code:
            self._complaints.append(f"{worker.log.name}: ended with {code} after SIGTERM: {worker.tail()}")
        self._note("the worker stopped in order")

    def _result(self, verdict: Verdict) -> RowResult:
        complaints = (*bounded(self._complaints), *verdict.complaints)
        passed = not complaints and not verdict.duplicates and not verdict.lost and verdict.signals > 0
        why = "; ".join(complaints[:3]) if complaints else ("" if passed else "no signal was fed")
        return RowResult(
            kind=self.plan.kind,
            drill=self.plan.name,
            kills=self.kills,
            signals=verdict.signals,
            rows=verdict.rows,
            lines=verdict.lines,
            accepted=verdict.accepted,
            duplicates=verdict.duplicates,
            lost=verdict.lost,
            recovery_p50_s=percentile(self._recoveries_s, 0.5),
            recovery_p99_s=percentile(self._recoveries_s, 0.99),
            passed=passed,
            why=why,
            folder=self._folder.name,
            took_s=round(self._clock.monotonic_s() - self._began_s, 1),
            recoveries_s=tuple(self._recoveries_s),
            complaints=complaints,
            notes=tuple(self.notes),
            timeline=tuple(self._timeline),
        )
