"""The producer of a drill, a process of its own: signals as the real one writes them, and a list of them.

`python -m worker.drill.feed PLAN` reads a FeedPlan and writes until SIGTERM. It may be killed at any
moment and started again on the same plan: the next life says in the list what the former one began and
did not write.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from config.seams import Clock, SystemClock, seeded_random
from worker.drill.expected import Fields
from worker.drill.feed_files import Files
from worker.drill.feed_list import Entry, FeedList, FeedPlan
from worker.drill.feed_table import Table
from worker.sample_shapes import Sample, markets_of, v1_line, v1_row, v2_line, v2_row

FUTURE_MS = 3_600_000
OLD_MS = 1_200_000
BURSTS = (1, 1, 1, 2, 5, 8)
# Each life has its own luck, all of them from one seed.
LIVES_MAX = 10_000


class Feed:
    """One life of the producer."""

    def __init__(self, plan: FeedPlan, clock: Clock) -> None:
        self._plan = plan
        self._clock = clock
        self._list = FeedList(Path(plan.list))
        lives = sum(1 for entry in self._list.former if entry["kind"] == "life")
        self._dice = seeded_random(plan.seed * LIVES_MAX + lives)
        self._markets = markets_of(plan.symbols, seeded_random(self._dice.getrandbits(64)))
        self._number = self._list.signals
        self._last_ms = self._list.last_ms
        self._sink: Files | Table
        if plan.shape.endswith("jsonl"):
            self._sink = Files(plan, self._list, self._dice)
        else:
            self._sink = Table(plan, self._list, self._dice)

    async def run(self, stop: asyncio.Event) -> None:
        """Write until `stop` is set."""
        self._sink.resume()
        self._list.note({"kind": "life", "at_ms": self._clock.wall_ms()})
        with closing(self._list), closing(self._sink):
            while not stop.is_set():
                burst = self._dice.choice(BURSTS)
                for _ in range(burst):
                    self._write_one()
                await self._clock.sleep(burst / self._plan.rate / 2)
                self._sink.commit()
                await self._clock.sleep(burst / self._plan.rate / 2)

    def _write_one(self) -> None:
        market = self._dice.choice(self._markets)
        moment, ts_ms = self._moment()
        sample = market.next(self._number, ts_ms, f"d{self._plan.seed}")
        fields, text = self._shaped(sample)
        entry: Entry = {"kind": "signal", "number": self._number, "moment": moment, "fields": fields}
        self._number += 1
        if isinstance(self._sink, Files):
            self._sink.write(sample.number, sample.symbol, ts_ms, text, entry)
        else:
            self._sink.write(v1_row(sample) if self._plan.shape.startswith("v1") else v2_row(sample), entry)

    def _moment(self) -> tuple[str, int]:
        """When the signal is: of its moment, or now and then old or in the future."""
        if self._plan.step_ms:
            return "now", self._plan.base_ms + self._number * self._plan.step_ms
        self._last_ms = max(self._last_ms + 1, self._clock.wall_ms())
        if self._dice.random() < self._plan.odd_times:
            if _coin(self._dice):
                return "future", self._last_ms + FUTURE_MS
            return "old", self._last_ms - OLD_MS
        return "now", self._last_ms

    def _shaped(self, sample: Sample) -> tuple[Fields, str]:
        is_v1 = self._plan.shape.startswith("v1")
        text = v1_line(sample) if is_v1 else v2_line(sample)
        fields: dict[str, Any] = json.loads(text)
        if is_v1 and isinstance(self._sink, Table):
            # The table has no such column.
            del fields["gating_blocked"]
        return fields, text


def _coin(dice: Random) -> bool:
    return dice.random() < 1 / 2


async def _run(plan: FeedPlan) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Feed(plan, SystemClock()).run(stop)


def main() -> int:
    """The process."""
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=FeedPlan)
    asyncio.run(_run(plan))
    return 0


if __name__ == "__main__":
    sys.exit(main())
