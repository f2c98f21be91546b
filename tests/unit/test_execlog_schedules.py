"""Lives of the execution log by chance: orders, passes, stops, crashes, damaged files and jumping clocks."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest
from execlog_drill.judge import against_table
from rig import rows as rig
from rig.execlog import LogLife, parts, published
from rig.floor import Crash
from rig.outputs import die_at
from rig.virtual_clock import ManualClock

from config.seams import CRASH_POINTS, arm_crash_points

POINTS = [*(name for name in CRASH_POINTS if "projection" in name), "in_reserve"]
SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPUSDT")
DEEDS = ["order"] * 3 + [
    "skip",
    "pass",
    "pass",
    "drain",
    "time",
    "minutes",
    "clock back",
    "damage",
    "cut short",
]
SCHEDULES = 20


class Schedule:
    """One store from its first life to its last."""

    def __init__(self, seed: int, output: Path) -> None:
        self._dice = random.Random(seed)
        self._output = output
        self._clock = ManualClock()
        self._signals = 0
        self._seen: dict[str, bytes] = {}
        self.done: list[str] = []

    async def play(self) -> list[str]:
        """Some lives that end somehow, and one that ends well; what is wrong with what was published."""
        for _ in range(self._dice.randint(2, 6)):
            async with LogLife(self._output, self._clock) as life:
                if self._dice.random() < 0.6:
                    die_at(self._dice.choice(POINTS), self._dice.randint(1, 10))
                try:
                    for deed in self._dice.choices(DEEDS, k=self._dice.randint(1, 10)):
                        self.done.append(deed)
                        await self._do(deed, life)
                except Crash:
                    self.done.append("crash")
                finally:
                    arm_crash_points(None)
            self._look()
        async with LogLife(self._output, self._clock) as life:
            await self._drain(life)
        self._look()
        columns = "x.id, x.symbol, e.at_ms, e.from_state, e.to_state"
        joined = "events AS e JOIN executions AS x ON x.id = e.execution_id"
        events = rig.rows(self._output / "executions", columns, joined, "e.seq")
        return against_table(events, published(self._output)) + parts(self._output)

    async def _do(self, deed: str, life: LogLife) -> None:
        match deed:
            case "order":
                first, self._signals = self._signals, self._signals + self._dice.randint(1, 4)
                await life.orders(*range(first, self._signals), symbol=self._dice.choice(SYMBOLS))
            case "skip":
                self._signals += 1
                await life.commit(rig.share(rig.skip(self._signals)))
            case "pass":
                await life.pass_on()
            case "drain":
                await self._drain(life)
            case "time":
                self._clock.now_ms += self._dice.randint(1, 30_000)
            case "minutes":
                self._clock.now_ms += self._dice.randint(30_000, 200_000)
            case "clock back":
                self._clock.now_ms -= self._dice.randint(1, 200_000)
            case "damage":
                self._damage()
            case "cut short":
                await self._cut_short(life)

    async def _drain(self, life: LogLife) -> None:
        await life.log.drain()
        assert life.log.trouble is None

    async def _cut_short(self, life: LogLife) -> None:
        """A pass whose task is ended anywhere, as a stop does it."""
        running = asyncio.ensure_future(life.pass_on())
        for _ in range(self._dice.randint(0, 60)):
            await asyncio.sleep(0)
        running.cancel()
        [result] = await asyncio.gather(running, return_exceptions=True)
        if isinstance(result, Crash):
            raise result
        await self._drain(life)

    def _damage(self) -> None:
        """Somebody lays hands on a file that is being written."""
        found = sorted((self._output / "spool").rglob("*.part"))
        if not found:
            return
        path, how = self._dice.choice(found), self._dice.random()
        if how < 0.3:
            path.unlink()
        elif how < 0.6:
            os.truncate(path, self._dice.randint(0, path.stat().st_size))
        else:
            with path.open("ab") as file:
                file.write(b'{"x":1}\n{"')

    def _look(self) -> None:
        """What is published is whole, and begins with what was seen before."""
        for name, data in published(self._output).items():
            assert data.endswith(b"\n"), name
            assert data.startswith(self._seen.get(name, b"")), name
            self._seen[name] = data


@pytest.mark.parametrize("seed", range(SCHEDULES))
async def test_whatever_happens_each_line_is_published_once(seed: int, tmp_path: Path) -> None:
    schedule = Schedule(seed, tmp_path)

    assert await schedule.play() == [], schedule.done
