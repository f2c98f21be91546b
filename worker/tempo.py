"""Tempo: how fast, how many at once and how big, as the strategy mode and the throttle say.

Looked at once a second; what it sets takes effect with the next order, without a restart. Orders that
are reserved already keep their size: a row holds its order exactly as it will be sent.
"""

from __future__ import annotations

import asyncio
import math
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from config.errors import ConfigError
from config.settings import Execution
from config.strategy_mode import StrategySettings, oversized, read_strategy_mode
from store.records import Audit, Share
from worker.floor import Floor
from worker.metrics import Metrics
from worker.parts import Parts
from worker.pulse import Pulse, Pulses
from worker.strategy import Strategy, Switch
from worker.throttle import Throttle

TURN_S = 1.0
# A file is written in pieces: one that changes again within this time is looked at in the next turn.
WRITING_S = 0.25
STRATEGY_ACTION = "strategy_mode"

_FileMark = tuple[int, int, int]


class ModeFile:
    """The file that holds the strategy mode, looked at for changes; whoever edits it need not restart us."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Its words were read when the process began, which may be long ago: the first look is a change.
        self._seen: _FileMark | None = None

    def _mark(self) -> _FileMark | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        if stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode):
            # A pipe gives its words once, and was read when the process began.
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def changed(self) -> bool:
        """Whether it was changed since the last call. A file that is gone for a moment is being replaced."""
        mark = self._mark()
        if mark is None or mark == self._seen:
            return False
        self._seen = mark
        return True

    def look_again(self) -> None:
        """What was seen last could not be followed: the next call finds a change."""
        self._seen = None

    def read(self) -> StrategySettings | None:
        """What it says now; None when it no longer has the node. Raises ConfigError with every problem."""
        return read_strategy_mode(self._path)


class Tempo:
    """One task of the daemon. `trouble` says why an edited file is not followed."""

    def __init__(
        self,
        execution: Execution,
        floor: Floor,
        metrics: Metrics,
        pulse: Pulse,
        *,
        strategy: Strategy | None,
        mode_file: ModeFile | None,
    ) -> None:
        self.trouble: str | None = None
        self.rate: float | None = execution.rate_limit.max_qps
        self._execution = execution
        self._floor = floor
        self._metrics = metrics
        self._pulse = pulse
        self._strategy = strategy
        self._file = mode_file
        self._throttle = Throttle(execution.throttle) if execution.throttle_on else None
        self._flow_seen: tuple[int, ...] = (0, 0, 0, 0)
        if strategy is not None:
            floor.report.flow.count_regimes(strategy.active_regimes)

    @property
    def mode(self) -> str | None:
        """The strategy mode in force; None: there is none."""
        return None if self._strategy is None else self._strategy.mode

    @property
    def why(self) -> str:
        """Why the rate is what it is, for people."""
        return "" if self._throttle is None or self.rate is None else self._throttle.why

    def status(self) -> dict[str, object]:
        """What people ask: how fast, how big and why."""
        strategy, size = self._strategy, self._floor.rows.size_usd
        return {
            "rate_limit_qps": self.rate,
            "rate_limit_why": self.why,
            "max_concurrency": self._floor.slots.limit,
            "order_size_usd": None if size is None else str(size),
            "strategy_mode": self.mode,
            "strategy_why": None if strategy is None else strategy.why,
        }

    async def run(self) -> None:
        """Until canceled."""
        if self._strategy is not None:
            self._floor.report.log.event(
                "strategy_begun",
                mode=self.mode,
                why=self._strategy.why,
                rate_limit_qps=self.rate,
                order_size_usd=self._floor.rows.size_usd,
            )
        while True:
            await self.turn()
            self._pulse.waits(TURN_S)
            await self._floor.clock.sleep(TURN_S)
            self._pulse.turn()

    async def turn(self) -> None:
        """Look once, and set what has changed."""
        now_ms = self._floor.clock.wall_ms()
        self._take_flow(now_ms)
        if self._file is not None and self._file.changed():
            await self._follow_file(self._file, now_ms)
        if self._strategy is not None:
            await self._note(self._strategy.turn(now_ms))
        self.apply()

    def _take_flow(self, now_ms: int) -> None:
        """Hand on what has come through since the last look."""
        flow = self._floor.report.flow
        seen, self._flow_seen = self._flow_seen, (flow.eligible, flow.denied, flow.signals, flow.active)
        eligible, denied, signals, regime = (
            now - before for now, before in zip(self._flow_seen, seen, strict=True)
        )
        if self._throttle is not None:
            self._throttle.note(self._floor.clock.monotonic_s(), eligible - denied, denied)
        if self._strategy is not None:
            self._strategy.saw(now_ms, signals, regime)

    async def _follow_file(self, file: ModeFile, now_ms: int) -> None:
        """The file was edited: its words hold from now on, unless they are wrong."""
        await self._floor.clock.sleep(WRITING_S)
        if file.changed():
            file.look_again()
            return
        try:
            found = await asyncio.to_thread(file.read)
        except ConfigError as error:
            self._not_followed(error.problems)
            # What makes it readable need not change the file itself.
            file.look_again()
            return
        if found is None or self._strategy is None:
            self.trouble = "strategy_mode was added or removed: restart the worker to follow that"
            return
        if problems := list(oversized(found, self._execution)):
            self._not_followed(problems)
            return
        self.trouble = None
        for warning in set(found.warnings) - set(self._strategy.warnings):
            self._floor.report.log.warning("configuration_warned", why=warning)
        switch = self._strategy.replaced(found, now_ms)
        self._floor.report.flow.count_regimes(self._strategy.active_regimes)
        await self._note(switch)

    def _not_followed(self, problems: Sequence[str]) -> None:
        self.trouble = f"the edited strategy_mode is not followed: {'; '.join(problems)}"

    async def _note(self, switch: Switch | None) -> None:
        """A switch is a decision about money: it is kept for ever."""
        if switch is None:
            return
        floor = self._floor
        detail = f"{switch.before} to {switch.after}"
        floor.report.log.event("strategy_switched", before=switch.before, after=switch.after, why=switch.why)
        audit = Audit(
            action=STRATEGY_ACTION, subject="all", who="strategy_mode", why=switch.why, detail=detail
        )
        self._pulse.waits(math.inf)
        await floor.writer.commit(Share(symbol="", audits=[audit]))
        self._pulse.turn()

    def apply(self, *, silent: bool = False) -> None:
        """Set rate, slots and size; what did not change is left alone. `silent`: nothing is told of it."""
        floor, base = self._floor, self._execution.rate_limit.max_qps
        if self._strategy is not None:
            profile = self._strategy.profile
            base = profile.max_qps if profile.max_qps is not None else base
            floor.rows.size_usd = profile.order_size_usd
            if profile.max_concurrency != floor.slots.limit:
                floor.slots.set_limit(profile.max_concurrency)
        rate = base
        if self._throttle is not None and base is not None:
            quiet = self._strategy is not None and self._strategy.quiet_market
            rate = self._throttle.rate(base, floor.clock.monotonic_s(), quiet=quiet)
        if rate != self.rate:
            before, self.rate = self.rate, rate
            if not silent:
                floor.report.log.event("rate_changed", before=before, after=rate, why=self.why or self.mode)
            floor.permits.set_rate(rate)
            self._metrics.set_rate_limit(rate)


def tempo_of(parts: Parts, floor: Floor, metrics: Metrics, pulses: Pulses) -> Tempo | None:
    """Set before the first order is sized; None where nothing ever changes it."""
    loaded, strategy, mode_file = parts.loaded, None, None
    if loaded.strategy is not None and loaded.config_file is not None:
        strategy = Strategy(loaded.strategy, now_ms=parts.clock.wall_ms())
        mode_file = ModeFile(loaded.config_file)
    if strategy is None and not parts.execution.throttle_on:
        return None
    pulse = pulses.of("tempo")
    tempo = Tempo(parts.execution, floor, metrics, pulse, strategy=strategy, mode_file=mode_file)
    # A worker has nothing to tell before it is ready.
    tempo.apply(silent=True)
    return tempo
