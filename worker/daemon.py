"""The daemon: start, recover, run, drain, stop.

It owns the tasks and ends all of them together: when one fails, nothing is sent any more. What was
reserved and not settled by then is settled by the next start.
"""

from __future__ import annotations

import asyncio
import gc
import math
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from config.seams import Clock
from config.settings import Execution
from store.errors import StoreError
from store.ledger import Ledger
from store.lifecycle import State
from streams.choice import ignored_newer_sources
from streams.source import Source
from worker import whereabouts
from worker.controls import Controls
from worker.floor import Floor
from worker.gauges import Gauges
from worker.gone_files import GoneFiles
from worker.history import History
from worker.lane import Lane
from worker.logs import Log
from worker.metrics import Metrics
from worker.notices.progress import Progress, Sample
from worker.notify import Notifier
from worker.outputs import Outputs
from worker.pulse import Pulses
from worker.shadow_watch import ShadowWatch
from worker.tempo import Tempo

# The server's import takes 0.2 s of the loop's time, which belong to the first orders.
SERVE_DELAY_S_MAX = 1.0
HEARTBEAT_S = 10.0
HOUSEKEEPING_S = 1.0
SELDOM_S = 15.0
PRUNE_S = 3_600.0
# systemd's own default stop time is 90 s; the contract promises 10: for the lanes, the last lines, and
# a commit that waits for somebody else's lock.
STOP_S_MAX = 6.0
DRAIN_S_MAX = 1.0
# A task that shows no life for this long is late, where systemd names no limit.
SILENCE_S_MAX = 30.0


class Daemon:
    """All running parts of one worker."""

    def __init__(
        self,
        *,
        execution: Execution,
        floor: Floor,
        lanes: Sequence[Lane],
        ledger: Ledger,
        source: Source,
        projector: Outputs,
        pulses: Pulses,
        metrics: Metrics,
        log: Log,
        notifier: Notifier,
        controls: Controls,
        clock: Clock,
        started_s: float,
        gone_files: GoneFiles | None = None,
        shadow: ShadowWatch | None = None,
        tempo: Tempo | None = None,
    ) -> None:
        self.execution = execution
        self.floor = floor
        self.lanes = lanes
        self.source = source
        self.projector = projector
        self.metrics = metrics
        self.pulses = pulses
        self.recovery_s: float | None = None
        self.ignored_sources: Sequence[str] = ()
        self.unsettled: Sequence[tuple[str, State, int, int]] = ()
        self.tempo = tempo
        self._gone_files = gone_files
        self._shadow = shadow
        self._ledger = ledger
        self._log = log
        self._notifier = notifier
        self._controls = controls
        self.clock = clock
        self.started_s = started_s
        self._stop = asyncio.Event()
        self._told: dict[str, str | None] = {}
        self.progress = Progress(execution.notify)
        self.history = History(metrics, self._queue_len, clock, pulses.of("history"))
        self._gauges = Gauges(
            floor=floor, lanes=lanes, source=source, outputs=projector, metrics=metrics, clock=clock
        )
        metrics.look = self._look

    @property
    def stopping(self) -> bool:
        """True once a stop was asked for."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask for a clean end."""
        self._stop.set()

    async def run(self, serve: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
        """Work until stopped, or until the lanes are drained with `once`.

        Raises what ended the first task that failed, after everything else was stopped.
        """
        try:
            await self.source.start()
            await self._work(serve)
        finally:
            # The source last and whatever happens: its thread would keep the process from ending.
            try:
                await self.floor.adapter.flush()
                await self.floor.adapter.close()
            finally:
                await self.source.close()

    async def _work(self, serve: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
        lanes = [asyncio.create_task(lane.run(), name=f"lane {lane.symbol}") for lane in self.lanes]
        others = [
            asyncio.create_task(self.projector.run(), name="projector"),
            asyncio.create_task(self._follow_updates(), name="updates"),
            asyncio.create_task(self._controls.run(), name="controls"),
            asyncio.create_task(self._serve(serve), name="http"),
            asyncio.create_task(self._keep_house(), name="housekeeping"),
            asyncio.create_task(self._keep_house_seldom(), name="seldom"),
            asyncio.create_task(self._beat(), name="heartbeat"),
            asyncio.create_task(self._feed_watchdog(), name="watchdog"),
            asyncio.create_task(self.history.run(), name="history"),
        ]
        if self.tempo is not None:
            others.append(asyncio.create_task(self.tempo.run(), name="tempo"))
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            await self._until_over(lanes, others, stop)
        finally:
            self._stop.set()
            await self._end(lanes, [*others, stop])

    async def _until_over(
        self, lanes: list[asyncio.Task[None]], others: list[asyncio.Task[None]], stop: asyncio.Task[bool]
    ) -> None:
        running: set[asyncio.Task[Any]] = {*lanes, *others, stop}
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if stop in done or all(lane.done() for lane in lanes):
                return

    async def _end(self, lanes: list[asyncio.Task[None]], others: list[asyncio.Task[Any]]) -> None:
        """Let the lanes settle what is in flight, then end the rest and write out the last lines."""
        drained = all(lane.done() for lane in lanes)
        self._notifier.stopping()
        for lane in self.lanes:
            lane.stop()
        await asyncio.wait(lanes, timeout=STOP_S_MAX)
        # While there is somebody who listens: what the venue has told already ends in its rows.
        await self.floor.adapter.flush()
        for task in [*lanes, *others]:
            task.cancel()
        for task in [*lanes, *others]:
            try:
                await task
            except asyncio.CancelledError:
                continue
            except StoreError as error:
                self._log.error("task_ended", task=task.get_name(), why=str(error))
            except Exception as error:  # noqa: BLE001  # every task must be ended, whatever it died of
                self._log.error("task_failed", task=task.get_name(), why=repr(error))
        # A worker that ends by itself has all the time that its lines need.
        await self.projector.drain(None if drained else DRAIN_S_MAX)
        if self.projector.trouble is not None:
            self._log.warning("outputs_left_behind", why=self.projector.trouble)

    async def _serve(self, serve: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
        """Pay for the HTTP server once the past is settled, or soon: a long recovery has to be seen."""
        recovery = asyncio.create_task(self._note_recovery(), name="recovery")
        try:
            await asyncio.wait({recovery}, timeout=SERVE_DELAY_S_MAX)
            if serve is not None:
                await serve()
            await recovery
        finally:
            recovery.cancel()

    async def _note_recovery(self) -> None:
        for lane in self.lanes:
            await lane.recovered.wait()
        self.recovery_s = self.clock.monotonic_s() - self.started_s
        self.metrics.recovery_took_s(self.recovery_s)

    async def _follow_updates(self) -> None:
        """Later news of accepted orders."""
        async for update in self.floor.adapter.updates():
            await self.floor.news.apply(update)

    async def _keep_house(self) -> None:
        """Once a second: gauges from the store and the source."""
        pulse = self.pulses.of("housekeeping")
        while True:
            pulse.waits(HOUSEKEEPING_S)
            await self.clock.sleep(HOUSEKEEPING_S)
            pulse.turn()
            self.unsettled = await self.floor.writer.call(self._ledger.unsettled_summary)
            self._look()
            self._tell_of_the_venue()
            for what, sentence in self.progress.look(self._sample()).items():
                self._tell(what, sentence)
            self._tell("store_trouble", self.floor.writer.trouble)
            self._tell("output_trouble", self.projector.trouble)
            self._tell("strategy_not_followed", None if self.tempo is None else self.tempo.trouble)
            for lane in self.lanes:
                self._tell(f"waiting {lane.symbol}", lane.feed.state().waiting_for)
            for doubt, sentence in ({} if self._shadow is None else self._shadow.look()).items():
                self._tell(doubt, sentence)

    def why_not_ready(self) -> str | None:
        """None while recovery is done, the store commits and input is read, or is not there yet."""
        if self.recovery_s is None:
            waiting = [lane.symbol for lane in self.lanes if not lane.recovered.is_set()]
            return f"recovery is not done for {', '.join(waiting)}"
        if self.stopping:
            return "the worker is stopping"
        faults = (lane.feed.state().fault for lane in self.lanes)
        return self.floor.writer.trouble or next(filter(None, faults), None)

    def _look(self) -> None:
        """Bring the gauges up to date; asked for by every scrape too, so that one who hangs is seen."""
        troubles = {
            "store": self.floor.writer.trouble,
            "outputs": self.projector.trouble,
            "user_stream": self.floor.adapter.stream_missing,
            "account": self.floor.adapter.denied,
            "strategy": None if self.tempo is None else self.tempo.trouble,
            "tasks": ", ".join(self.pulses.late(SILENCE_S_MAX)) or None,
        }
        self._gauges.look(self.unsettled, ready=self.why_not_ready() is None, troubles=troubles)

    async def _keep_house_seldom(self) -> None:
        """Now and then: sources that nobody reads, and what nobody needs any more."""
        prune_at_s = -math.inf
        while True:
            await self.clock.sleep(SELDOM_S)
            self.ignored_sources = await asyncio.to_thread(
                ignored_newer_sources, self.source.kind, self.execution.signals_dir
            )
            self.metrics.set_sources_ignored(len(self.ignored_sources))
            self._tell("source_ignored", ", ".join(self.ignored_sources) or None)
            await self._gauges.look_at_disk(self._ledger)
            # A closed connection of the status server is a cycle of some 2 KB, and batches make so few others
            # that the threshold alone would let hours of them stand.
            gc.collect(1)
            if self.clock.monotonic_s() >= prune_at_s:
                prune_at_s = self.clock.monotonic_s() + PRUNE_S
                await self._prune()

    async def _prune(self) -> None:
        """Let go of what is no longer needed."""
        if self.execution.keep_days is not None:
            await self.projector.prune(self.execution.keep_days)
            self._log.prune(self.execution.keep_days)
        if self._gone_files is not None:
            forgotten = await self._gone_files.forget()
            if forgotten:
                self._log.event("positions_forgotten", count=forgotten)
            self._tell("positions_kept", self._gone_files.trouble)

    def _sample(self) -> Sample:
        """What tells whether the worker gets on."""
        totals, adapter, wall_ms = self.metrics.totals(), self.floor.adapter, self.clock.wall_ms()
        return Sample(
            now_s=self.clock.monotonic_s(),
            wall_ms=wall_ms,
            finals=sum(totals[f"{name}_count"] for name in ("success", "fail", "skip", "malformed")),
            waiting=self._queue_len() + sum(lane.feed.state().backlog_bytes for lane in self.lanes),
            denied=adapter.denied,
            deaf_until_ms=adapter.deadline_ms - adapter.clock_offset_ms,
        )

    def _tell_of_the_venue(self) -> None:
        self._tell("user_stream_missing", self.floor.adapter.stream_missing)
        told = "; ".join(f"{halt.scope or 'everything'}: {halt.why}" for halt in self.floor.halts.in_force())
        self._tell("halted", told or None)

    def _tell(self, what: str, sentence: str | None) -> None:
        """Log a condition when it begins, changes or ends, not every second."""
        before = self._told.get(what)
        if sentence == before:
            return
        self._told[what] = sentence
        if sentence is None:
            self._log.event("condition_ended", what=what)
        else:
            self._log.warning("condition_began", what=what, why=sentence)

    async def _beat(self) -> None:
        """The heartbeat: one line every ten seconds."""
        while True:
            await self.clock.sleep(HEARTBEAT_S)
            self._log.event("heartbeat", **self.heartbeat())
            self._notifier.status(self.sentence())

    def heartbeat(self) -> dict[str, int]:
        """The numbers of the contract's heartbeat line."""
        doubtful = (State.UNKNOWN, State.QUARANTINED)
        return {
            "lag_ms": self.floor.report.last_lag_ms,
            "queue_len": self._queue_len(),
            **self.metrics.totals(),
            "unknown_count": sum(row[2] for row in self.unsettled if row[1] in doubtful),
        }

    def _queue_len(self) -> int:
        return sum(lane.queue_len for lane in self.lanes)

    def sentence(self) -> str:
        """One line for `systemctl status`."""
        totals = self.metrics.totals()
        words = ", ".join(f"{name.removesuffix('_count')} {count}" for name, count in totals.items())
        trouble = self.floor.writer.trouble or self.projector.trouble
        return f"{self.execution.mode.value}: {words}" + (f"; {trouble}" if trouble else "")

    async def _feed_watchdog(self) -> None:
        """Feed systemd's watchdog while every task shows life."""
        limit_s = self._notifier.watchdog_s or SILENCE_S_MAX
        while True:
            late = self.pulses.late(limit_s)
            if not late:
                self._notifier.watchdog()
            if late and self._told.get("tasks_late") is None:
                self._log.error("whereabouts", threads=whereabouts.of_threads(), tasks=whereabouts.of_tasks())
            self._tell("tasks_late", ", ".join(late) or None)
            await self.clock.sleep(limit_s / 4)
