"""The pruner: takes old rows out of the store in small transactions, for a person's command.

The same whether the worker runs (the request came through the control folder) or not. What the command
found in the sources is only ever made narrower here: a running worker knows its own source.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import msgspec

from config.seams import Clock
from store.connection import Store, open_reader
from store.control import ControlAnswer, ControlRequest
from store.prune import Batch, Horizon, Reach, choose, forget
from store.records import Audit, Share
from store.writer import Writer

DO = "prune"
REFUSED = 65
# Between two of them the worker's other commits have their turn; a request is over within a second or so.
BATCHES_A_REQUEST = 10


# What SQLite can hold.
Stored = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class PruneOrder(msgspec.Struct, frozen=True):
    """What the command asks for: rows after `after` whose outcome is older than `before_ms`."""

    before_ms: Stored
    after: Stored
    # Symbol: what its sources may still deliver. A symbol that is not among them keeps all its rows.
    reach: dict[str, Reach]
    # The last request of a run tells how many rows went in all of it.
    total: Stored | None = None


class Progress(msgspec.Struct):
    """How far a request has come."""

    reached: int = 0
    pruned: int = 0
    done: bool = False
    kept: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Pruner:
    """Obeys one request after the other; `reachable_since_ms` is the running source's own word."""

    store: Store
    writer: Writer
    clock: Clock
    # No younger row is ever asked about by the venue or by us.
    kept_ms: int
    reachable_since_ms: Callable[[str], int | None] | None = None

    async def obey(self, request: ControlRequest) -> ControlAnswer:
        """One answer; its only line is a Progress. Raises StoreError."""
        try:
            order = msgspec.json.decode(request.args.get("order", ""), type=PruneOrder)
        except (msgspec.MsgspecError, RecursionError) as error:
            return self._answer(f"the request cannot be read ({error})", exit_code=REFUSED)
        if order.total is not None:
            return await self._note(request, order)
        try:
            progress = await self.prune(order)
        except sqlite3.Error as error:
            return self._answer(
                f"the store cannot be pruned now ({error}): try again later", exit_code=REFUSED
            )
        return self._answer("pruned", lines=(msgspec.json.encode(progress).decode(),))

    async def prune(self, order: PruneOrder) -> Progress:
        """Up to BATCHES_A_REQUEST batches, and how far that came. Raises FencedError, sqlite3.Error."""
        horizon = self._horizon(order)
        progress, kept = Progress(reached=order.after), Counter[str]()
        for _ in range(BATCHES_A_REQUEST):
            if not self.writer.intact():
                break
            batch = await asyncio.to_thread(self._choose, progress.reached, horizon)
            if batch.ids:
                gone = await self.writer.call(partial(forget, self.store, batch, horizon.before_ms))
                if not gone:
                    # A row was filled late since it was chosen: the next look finds it so.
                    break
                progress.pruned += gone
            kept.update(batch.kept)
            progress.reached, progress.done = batch.reached, batch.done
            if batch.done:
                break
        progress.kept = dict(kept)
        return progress

    def _choose(self, after: int, horizon: Horizon) -> Batch:
        with closing(open_reader(self.store.path)) as reader:
            return choose(reader, after, horizon)

    def _horizon(self, order: PruneOrder) -> Horizon:
        before_ms = min(order.before_ms, self.clock.wall_ms() - self.kept_ms)
        if self.reachable_since_ms is None:
            return Horizon(before_ms, order.reach)
        reach = {}
        for symbol, found in order.reach.items():
            since_ms = self.reachable_since_ms(symbol)
            if since_ms is not None:
                reach[symbol] = msgspec.structs.replace(found, since_ms=min(found.since_ms, since_ms))
        return Horizon(before_ms, reach)

    async def _note(self, request: ControlRequest, order: PruneOrder) -> ControlAnswer:
        """Who pruned, when and how much, for good."""
        why = request.args.get("why", "retention")
        audit = Audit(
            action=DO,
            subject="all",
            who=request.who,
            why=why,
            detail=f"{order.total} rows of outcomes before {order.before_ms}",
        )
        await self.writer.commit(Share(symbol="", audits=[audit]))
        return self._answer("noted")

    def _answer(self, text: str, *, exit_code: int = 0, lines: tuple[str, ...] = ()) -> ControlAnswer:
        return ControlAnswer(
            done=not exit_code, text=text, at_ms=self.clock.wall_ms(), exit_code=exit_code, lines=lines
        )
