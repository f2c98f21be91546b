"""Halts in the middle of everything: by row, by file, by a refused key, by a check that breaks.

    PYTHONPATH=tests/faults:tests/integration python -m crash.halting --schedules 1000

A schedule is a scenario, a step of it at which the halt comes, and perhaps a kill after that. From the moment
at which the halt is in force, and after a restart when it is on disk, no first byte of an order may leave.
"""

from __future__ import annotations

import argparse
import gc
import os
import sqlite3
import sys
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from crash.campaign import COLLECT_EVERY, quiet_memory
from crash.planted import Plant, swap
from crash.points import Moment, Outcome, Play, play
from crash.run import say
from crash.scenarios import scenario_of
from crash.stepping import LIFE

from adapters.exchange.messages import Incoming
from config.seams import seeded_random
from store import control
from store.halt_file import HALT_FILE, write_halt
from store.records import Halt
from worker.gate import Gate, Pending
from worker.planning import Skip

WAYS = ("row", "file", "touched file", "unreadable file", "command", "key refused", "check breaks")
# These lose the store, and the halt with it.
LEFT_OUT = ("lost_store", "older_store")
STEP_MAX = 700


class _Breaks:
    """Nothing that a path could be made of."""

    def __fspath__(self) -> str:
        raise RuntimeError("the check is broken")


class HaltedPlay(Play):
    """A scenario that is halted at a step, and perhaps killed and started again."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        dice = seeded_random(self.scenario.seed + 21)
        self.way = WAYS[self.scenario.seed // 5 % len(WAYS)]
        self.sent_before = 0
        self._halt_step = dice.randint(60, STEP_MAX)
        self._in_force = False
        self._moments = [Moment(step=self._halt_step + dice.randint(1, 300))] if dice.random() < 0.4 else []
        self._host.on_departure = self._departs

    async def _one_life(self, number: int, output: Path) -> Path | None:
        self._in_force = _is_on_disk(output / "executions")
        return await super()._one_life(number, output)

    def _arm(self, number: int, moment: Moment | None) -> None:
        super()._arm(number, moment)
        if number == 1:
            self._loop.at_step[self._halt_step] = self._halt

    def _departs(self, incoming: Incoming) -> None:
        """The first byte leaves."""
        if incoming.method != "POST" or not incoming.path.endswith("/order"):
            return
        daemon = self._life.daemon if self._life is not None else None
        if self._in_force or (daemon is not None and daemon.floor.halts.holds("")):
            self.outcome.complaints.append(f"sent: an order left after the halt ({self.way})")
        else:
            self.sent_before += 1

    def _halt(self) -> None:
        life = self._life
        if life is None or life.daemon is None:
            return
        halts, now_ms = life.daemon.floor.halts, self._clock.wall_ms()
        halt = Halt(scope="", why="a schedule", who="tests", at_ms=now_ms)
        self._in_force = True
        match self.way:
            case "row":
                self._loop.create_task(halts.halt(halt), context=self._context_of_life())
                # In force with the first step of that task, which is the next one of this life to be done.
                self._in_force = False
            case "file":
                write_halt(life.folder, halt)
            case "touched file":
                (life.folder / HALT_FILE).touch()
            case "unreadable file":
                (life.folder / HALT_FILE).mkdir()
            case "command":
                request = control.ControlRequest(do="halt", args={"why": "told"}, who="tests", at_ms=now_ms)
                control.post(life.folder, request, f"{now_ms}-1")
                self._in_force = False
            case "key refused":
                life.daemon.floor.adapter._deny("the key was refused")  # type: ignore[attr-defined]  # Binance's
                self._in_force = False
            case "check breaks":
                halts._path = _Breaks()  # type: ignore[assignment]  # on purpose

    def _context_of_life(self) -> Any:
        context = self._host._world.copy()
        context.run(LIFE.set, self._loop.alive)
        return context

    def _sum_up(self, output: Path) -> None:
        """One row for each signal and none in flight; at most one order each."""
        with closing(sqlite3.connect(output / "executions" / "executions.db")) as store:
            rows = store.execute("SELECT signal_id, state, exec_ts_ms, error_code FROM executions").fetchall()
        counts = Counter(row[0] for row in rows)
        self.outcome.complaints += [
            f"rows: {name} has {count}" for name, count in counts.items() if count > 1
        ]
        self.outcome.complaints += [
            f"unsettled: {name} is {state}" for name, state, at, _ in rows if at is None
        ]
        placed = Counter(entry["client_order_id"] for entry in self.journal if entry["kind"] == "accepted")
        self.outcome.complaints += [f"duplicate: {name}" for name, count in placed.items() if count > 1]
        self.outcome.accepted = self.sent_before
        self.outcome.passages["halted"] = sum(code == "halted" for *_, code in rows)


def looks_early(stack: ExitStack) -> None:
    """A mistake: the halt is looked at when an order is planned, and not again."""

    def refusal(self: Gate, pending: Pending, *, halted: str | None, silent_until_ms: int) -> Skip | None:
        skip: Skip | None = original(self, pending, halted=None, silent_until_ms=silent_until_ms)
        return skip

    original = swap(stack, Gate, "refusal", refusal)
    swap(stack, Gate, "guard", lambda self, pending: lambda: None)


def _is_on_disk(folder: Path) -> bool:
    if os.path.lexists(folder / HALT_FILE):
        return True
    if not (folder / "executions.db").exists():
        return False
    with closing(sqlite3.connect(folder / "executions.db")) as store:
        tables = store.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'halts'").fetchone()[0]
        return bool(tables and store.execute("SELECT count(*) FROM halts WHERE scope = ''").fetchone()[0])


def halted(seed: int, plant: Plant | None = None) -> Outcome:
    """One schedule; its sends before the halt, and how many signals were skipped because of it."""
    return play(scenario_of(seed), None, plant, HaltedPlay)


def main() -> int:
    """0 when no order left after a halt."""
    parser = argparse.ArgumentParser(description="halt a worker in virtual time at any await")
    parser.add_argument("--schedules", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--looked-at-early", action="store_true", help="plant: no check just before a send")
    options = parser.parse_args()
    say(f"seed {options.seed}")
    quiet_memory()
    seed, done, sent, skipped, bad = options.seed, 0, 0, 0, []
    while done < options.schedules:
        if scenario_of(seed).kind not in LEFT_OUT:
            outcome = halted(seed, looks_early if options.looked_at_early else None)
            done += 1
            sent += outcome.accepted
            skipped += outcome.passages["halted"]
            bad += [f"--seed {seed}: {words}" for words in outcome.complaints]
            if done % COLLECT_EVERY == 0:
                gc.collect()
        seed += 1
    say(f"{done} schedules, {sent} sends before a halt, {skipped} signals skipped: {len(bad)} objections")
    for words in bad[:10]:
        say(words)
    return 1 if bad or not sent or not skipped else 0


if __name__ == "__main__":
    sys.exit(main())
