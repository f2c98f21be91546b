"""Backtest: the simulated venue in simulated time, where nothing happens between two signals."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rig.paper_stand import Board
from rig.stand import BTC, ETH, Stand, Traits

from adapters.backtest import BacktestAdapter
from adapters.backtest_venue import open_venue
from adapters.contract import ExecutionAdapter
from config.settings import Execution

# Numbers of signals that only let time pass.
FIRST_NUDGE = 9_000


@dataclass
class BacktestStand(Stand):
    """On a board of prices; a crash takes the venue along, so nothing survives one."""

    traits = Traits(
        takes_all=True,
        sizes=True,
        account=True,
        limits=True,
        amends=True,
        parts=True,
        witnessed=True,
        loses=("timeouts",),
    )
    # By seed, some of them before the order reaches the venue and some after.
    losses = 8
    nudges = 0

    async def open(self) -> None:
        """The venue."""
        setup = self.setup
        paper: dict[str, Any] = {"seed": 3, "latency_ms": 10, "partial_share": 1.0 if setup.parts else 0.0}
        if setup.loss is not None:
            paper["timeouts"] = [f"{BTC}=1.0", f"{ETH}=1.0"]
        execution = Execution.model_validate({"paper": paper, "business": {"order_size_usd": 1_000}})
        self.board = Board()
        self.venue = open_venue(execution, self.board)
        await super().open()

    async def life(self) -> ExecutionAdapter:
        """Over the venue of this run."""
        return BacktestAdapter(self.venue)

    @property
    def fates_of_losses(self) -> set[bool]:
        """Both."""
        return {True, False}

    def accepted(self) -> list[str]:
        """By the venue's own orders, but those that let time pass."""
        nudges = {self.nudge_id(number) for number in range(self.nudges)}
        return [one for one in self.venue.sim.orders if one not in nudges]

    def nudge_id(self, number: int) -> str:
        """The client order id of an order that lets time pass."""
        return self.wanted(FIRST_NUDGE + number).client_order_id

    async def move(self, symbol: str, price: Decimal) -> None:
        """The board shows another price, and a signal comes that meets it."""
        self.board.middles[symbol] = price
        limit = price * Decimal("0.98")
        order = self.prepared(FIRST_NUDGE + self.nudges, symbol, order_type="limit", price=limit, tif="IOC")
        self.nudges += 1
        await self.submit(order)
