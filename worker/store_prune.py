"""What the command `store prune` does and prints.

What the sources may still deliver is looked up here, in the command's own process. Rows go through the
running worker, which is the only writer, or under the store's lock when none runs; batch after batch.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import typer

from config.load import Loaded
from config.seams import Clock, SystemClock
from store import control
from store import statements as sql
from store import statements_care as care
from store.connection import open_reader, open_store
from store.control import ControlAnswer, ControlRequest
from store.errors import StoreError, StoreHeldError
from store.ledger import Ledger
from store.paths import DATABASE
from store.prune import Horizon as PruneHorizon
from store.prune import Reach, choose
from store.writer import Writer
from streams.reach import reachable
from worker.assembly import unseen_ms_of
from worker.exits import Exit
from worker.pruner import DO, Progress, PruneOrder, Pruner
from worker.requests import ANSWER_S_MAX, POLL_S, who_asks
from worker.store_care import folder_of

# A request is over within a second or so; the disk may be slow.
PATIENCE_S = 6 * ANSWER_S_MAX
# A row that was filled late since it was chosen holds one request up, not several.
IDLE_MAX = 5
Ask = Callable[[ControlRequest], Awaitable[ControlAnswer]]


@dataclass(slots=True)
class Tally:
    """What a run came to."""

    pruned: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    # Symbols of which nothing may go, with the reason.
    unknown: dict[str, str] = field(default_factory=dict)


class PruneRefusedError(StoreError):
    """It was not pruned as asked; the text says why."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def kept_ms_of(loaded: Loaded) -> int:
    """How long a row must stay whatever is asked: the venue may tell of its order, or hide it."""
    return loaded.settings.broker.history_ms + unseen_ms_of(loaded.settings)


def print_prune(loaded: Loaded, age_ms: int, *, why: str, dry_run: bool, as_json: bool) -> int:
    """Prune and tell; Exit.OK also where nothing could go. Raises StoreError."""
    clock = SystemClock()
    path = folder_of(loaded) / DATABASE
    if not path.exists():
        typer.echo(f"execution-worker: there is no store {path}: name its folder with --output", err=True)
        return Exit.NOT_RUNNING
    if age_ms < kept_ms_of(loaded):
        hours = -(-kept_ms_of(loaded) // 3_600_000)
        typer.echo(
            f"execution-worker: --older-than must be at least {hours}h: that long the exchange is asked "
            "about orders of the past (broker.history_ms)",
            err=True,
        )
        return Exit.USAGE
    tally = Tally()
    try:
        reach = _reach(loaded, path, tally)
        order = PruneOrder(before_ms=clock.wall_ms() - age_ms, after=0, reach=reach)
        if dry_run:
            _count(path, order, tally)
        else:
            _prune(loaded, path, order, tally, why, clock)
    except sqlite3.Error as error:
        typer.echo(f"execution-worker: {path} cannot be read ({error}): verify it", err=True)
        return Exit.DATA
    typer.echo(_as_json(tally, dry_run) if as_json else _as_text(tally, path, dry_run))
    return Exit.OK


def _reach(loaded: Loaded, path: Path, tally: Tally) -> dict[str, Reach]:
    """For each symbol of the store what its sources may still deliver, where that can be told."""
    execution = loaded.settings.execution
    with closing(open_reader(path)) as reader:
        symbols = [str(row[0]) for row in reader.execute(care.SYMBOLS)]
        kind = dict(reader.execute(sql.STAMPS).fetchall()).get("source_kind", "jsonl")
    found: dict[str, Reach] = {}
    for symbol in symbols:
        one = reachable(execution.signals_dir, symbol, read_kind=kind)
        if isinstance(one, str):
            tally.unknown[symbol] = one
        else:
            found[symbol] = Reach(one.since_ms, one.odd)
    return found


def _count(path: Path, order: PruneOrder, tally: Tally) -> None:
    after, done = 0, False
    with closing(open_reader(path)) as reader:
        while not done:
            batch = choose(reader, after, PruneHorizon(order.before_ms, order.reach))
            tally.pruned += len(batch.ids)
            tally.kept.update(batch.kept)
            after, done = batch.reached, batch.done


def _prune(loaded: Loaded, path: Path, order: PruneOrder, tally: Tally, why: str, clock: Clock) -> None:
    folder = path.parent
    try:
        store = open_store(folder, clock=clock, stamps={})
    except StoreHeldError:
        asyncio.run(_drive(order, tally, why, clock, _asker(folder, clock)))
        return
    try:
        ledger = Ledger(store, clock)
        with ThreadPoolExecutor(max_workers=1) as executor:
            writer = Writer(ledger, executor=executor, clock=clock)
            pruner = Pruner(store, writer, clock, kept_ms_of(loaded))
            asyncio.run(_drive(order, tally, why, clock, pruner.obey))
    finally:
        store.connection.close()
        store.lock.release()


async def _drive(order: PruneOrder, tally: Tally, why: str, clock: Clock, ask: Ask) -> None:
    """Request after request, until the last row that is old enough was looked at."""
    done, idle = False, 0
    while not done:
        answer = await ask(_request(order, why, clock))
        if not answer.done:
            raise PruneRefusedError(f"after {tally.pruned} rows: {answer.text}", answer.exit_code)
        progress = msgspec.json.decode(answer.lines[0], type=Progress)
        tally.pruned += progress.pruned
        tally.kept.update(progress.kept)
        done = progress.done
        idle = 0 if progress.reached > order.after else idle + 1
        if idle >= IDLE_MAX and not done:
            raise PruneRefusedError(
                f"after {tally.pruned} rows the store took no more: see the worker's log, try again later",
                Exit.CANNOT_WRITE,
            )
        order = msgspec.structs.replace(order, after=progress.reached)
    if tally.pruned:
        await ask(_request(msgspec.structs.replace(order, total=tally.pruned, reach={}), why, clock))


def _request(order: PruneOrder, why: str, clock: Clock) -> ControlRequest:
    args = {"order": msgspec.json.encode(order).decode(), "why": why}
    return ControlRequest(do=DO, args=args, who=who_asks(), at_ms=clock.wall_ms())


def _asker(folder: Path, clock: Clock) -> Ask:
    async def ask(request: ControlRequest) -> ControlAnswer:
        key = control.post(folder, request, f"{clock.wall_ms()}-{os.getpid()}")
        end_s = clock.monotonic_s() + PATIENCE_S
        while clock.monotonic_s() < end_s:
            answer = control.read_answer(folder, key)
            if answer is not None:
                control.discard(folder, key)
                if isinstance(answer, control.Unreadable):
                    raise PruneRefusedError(answer.why, Exit.DATA)
                return answer
            await clock.sleep(POLL_S)
        control.discard(folder, key)
        raise PruneRefusedError(
            f"the worker did not answer within {PATIENCE_S:.0f} s: see its log", Exit.HELD_BY_ANOTHER
        )

    return ask


def _as_json(tally: Tally, dry_run: bool) -> str:
    values = {"dry_run": dry_run, "pruned": tally.pruned, "kept": dict(tally.kept), "unknown": tally.unknown}
    return json.dumps(values)


_WHY_KEPT = {
    "unsettled": "their outcome is open",
    "recent": "their outcome or signal is younger",
    "reachable": "a source may still deliver their signal",
    "untold": "an output has not told of them yet",
    "last": "the last row stays",
}


def _as_text(tally: Tally, path: Path, dry_run: bool) -> str:
    lines = [f"kept  {count} rows: {_WHY_KEPT[why]}" for why, count in sorted(tally.kept.items())]
    lines += [f"kept  all of {symbol}: {why}" for symbol, why in sorted(tally.unknown.items())]
    lines.append(f"{path}: {tally.pruned} rows {'would go' if dry_run else 'went'}")
    return "\n".join(lines)
