"""A store with a past: orders over a wire in every state, two hours of lines, an execution log."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from rig import rows as rig
from rig.virtual_clock import ManualClock
from rig.wire_rows import late, wire

from config.seams import Clock
from store.connection import DATABASE, open_store
from store.execlog import ExecLogProjector
from store.findings import Rules
from store.ledger import Ledger
from store.lifecycle import State
from store.projector import Projector
from store.records import Move, Reservation, Share
from store.verify import Verdict, verify
from store.writer import Writer
from streams.choice import SOURCE_KINDS
from worker.planning import client_order_id

RULES = Rules(wire_id=client_order_id, sources=SOURCE_KINDS)
ETH = "ETHUSDT"
_S = State


def order(
    number: int, qty: str = "2", side: str = "buy", symbol: str = rig.SYMBOL, **more: Any
) -> Reservation:
    """The row of an order as the worker writes one."""
    wire_id = client_order_id(symbol, f"id-{number}")
    text = (
        f'{{"client_order_id":"{wire_id}","symbol":"{symbol}","side":"{side}","order_type":"market",'
        f'"tif":"GTC","qty":"{qty}","price":null,"signal_id":"id-{number}"}}'
    )
    named = {"symbol": symbol, "client_order_id": wire_id, "order_id": wire_id, "order_json": text}
    return wire(number, qty, side, **{**named, **more})


class Life:
    """One life of a store with its outputs, driven by hand."""

    def __init__(self, output: Path, clock: Clock) -> None:
        folder = output / "executions"
        folder.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(
            open_store(folder, clock=clock, stamps={"mode": "testnet", "account": "key"}), clock
        )
        self.executor = ThreadPoolExecutor(max_workers=1)
        self.writer = Writer(self.ledger, executor=self.executor, clock=clock)
        self.lines = Projector(folder, self.writer, clock, with_skipped=False)
        self.log = ExecLogProjector(folder, self.writer, clock, output=output)

    async def __aenter__(self) -> Life:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.executor.shutdown(wait=True)
        self.ledger.close()

    async def reserve(self, *new: Reservation) -> list[int]:
        """Rows that must be new."""
        receipt = await self.writer.commit(rig.share(*new, symbol=new[0].symbol))
        found = [row_id for row_id in receipt.row_ids if row_id is not None]
        assert len(found) == len(new)
        return found

    async def move(self, row_id: int, *path: State, **changes: Any) -> None:
        """Legal steps; `changes` belong to the last one."""
        for before, after in pairwise(path):
            own = changes if after is path[-1] else {}
            receipt = await self.writer.commit(rig.share(moves=[Move(row_id, before, after, **own)]))
            assert receipt.refused == []

    async def tell(self) -> None:
        """Write out everything."""
        await self.lines.drain()
        await self.log.drain()
        assert (self.lines.trouble, self.log.trouble) == (None, None)


async def live(output: Path, clock: ManualClock) -> None:
    """The past itself: seven orders that ended, three that did not, skips, a late fill, a dead letter."""
    async with Life(output, clock) as life:
        stamps = {"source_kind": "jsonl", "execlog": "jsonl"}
        await life.writer.commit(Share(symbol="", stamps=stamps))
        rows = await life.reserve(*[order(number) for number in range(8)])
        await life.reserve(*[rig.skip(number) for number in range(20, 30)])
        clock.now_ms += 2_000
        await life.move(rows[0], _S.RESERVED, _S.FILLED, has_fills=True, qty="2", price="10.5")
        await life.move(rows[1], _S.RESERVED, _S.OPEN, _S.CANCELED, error_code="by_exchange")
        await life.move(rows[2], _S.RESERVED, _S.UNKNOWN, _S.REJECTED, error_code="refused")
        await life.move(rows[3], _S.RESERVED, _S.OPEN, _S.PARTIAL, has_fills=True, qty="0.5", price="10")
        await life.move(rows[3], _S.PARTIAL, _S.EXPIRED, has_fills=True, qty="0.5", price="10")
        await life.writer.commit(rig.share(dead_letters=[rig.dead_letter(1)], positions=[rig.position(99)]))
        clock.now_ms += 3_600_000
        await life.move(rows[4], _S.RESERVED, _S.UNKNOWN, reason="timed out")
        await life.move(rows[5], _S.RESERVED, _S.OPEN)
        fill = late(rows[2], _S.REJECTED, qty="2", price="11")
        await life.writer.commit(rig.share(moves=[fill]))
        eth = await life.reserve(*[order(number, "3", "sell", ETH) for number in range(40, 43)])
        await life.move(eth[0], _S.RESERVED, _S.FILLED, has_fills=True, qty="3", price="20")
        await life.reserve(rig.skip(60, symbol=ETH))
        await life.tell()


def build(output: Path) -> Path:
    """The past in `output`, as a store that nobody uses; its database."""
    asyncio.run(live(output, ManualClock()))
    return output / "executions" / DATABASE


def codes(path: Path, *, deep: bool = True) -> dict[str, int]:
    """What a verification finds."""
    return dict(verdict_of(path, deep=deep).findings.counts)


def verdict_of(path: Path, *, deep: bool = True) -> Verdict:
    """A verification by the worker's own rules."""
    return verify(path, RULES, deep=deep)
