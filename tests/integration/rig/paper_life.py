"""Lives of the paper adapter on one folder, in virtual time, and what it told in each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rig.paper_orders import RULES
from rig.paper_stand import Board
from rig.virtual_clock import virtual_clock

from adapters.contract import Order, OrderUpdate
from adapters.paper.adapter import PaperAdapter
from adapters.paper.quotes import QuoteSource
from config.settings import Execution

BTC = "BTCUSDT"


class Kept:
    """What a store keeps for an adapter; it is asked nothing else here."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def kept(self, key: str) -> str | None:
        """What was kept."""
        return self.values.get(key)

    async def keep(self, key: str, value: str) -> None:
        """Keep it."""
        self.values[key] = value


class Life:
    """One life of an adapter, with all that it told."""

    def __init__(self, adapter: PaperAdapter) -> None:
        self.adapter = adapter
        self.told: list[OrderUpdate] = []

    async def listen(self) -> None:
        """Until it closes."""
        async for update in self.adapter.updates():
            self.told.append(update)

    def prepared(self, ctx: Any) -> Order:
        """An order that it has agreed to."""
        order = self.adapter.prepare(ctx)
        assert isinstance(order, Order), order
        return order

    async def submit(self, order: Order, held: str | None = None) -> Any:
        """Its answer; `held` is what the guard says."""
        return await self.adapter.submit(order, lambda: held)


def made(folder: Path, quotes: QuoteSource, *, remembered: int = 1_000, **paper: Any) -> PaperAdapter:
    """An adapter without costs; `paper` are its settings."""
    execution = Execution.model_validate(
        {
            "paper": paper,
            "cost": {"slippage_bps": 0, "fee_bps": 0},
            "business": {"order_size_usd": 1_000},
        }
    )
    return PaperAdapter(
        execution, virtual_clock(), quotes, lambda: RULES, folder / "paper", kept_orders_max=remembered
    )


@asynccontextmanager
async def life(
    folder: Path, quotes: QuoteSource | None = None, kept: Kept | None = None, **paper: Any
) -> AsyncIterator[Life]:
    """A life that ends in order."""
    one = Life(made(folder, quotes if quotes is not None else Board(), **paper))
    assert await one.adapter.start(kept if kept is not None else Kept()) is None
    listener = asyncio.create_task(one.listen())
    try:
        yield one
    finally:
        await one.adapter.close()
        await one.adapter.close()
        await listener
