"""Every adapter of the contract suite, by name: one that is new adds its stand, and changes nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from rig.backtest_stand import BacktestStand
from rig.binance_stand import BinanceSpotStand, BinanceStand
from rig.paper_stand import PaperBySignalStand, PaperStand, ShortMemoryStand
from rig.scripted_adapter import (
    ScriptedAdapter,
    fills_half,
    loses_the_answer,
    loses_the_order,
    opens,
    rejects,
)
from rig.shadow_stand import ShadowOfSickStand, ShadowStand
from rig.stand import BTC, Plant, Setup, Stand, Traits
from rig.virtual_clock import virtual_clock

from adapters.contract import ExecutionAdapter, Order
from adapters.dry_run import DryRunAdapter


class DryRunStand(Stand):
    """Dry-run: no venue at all."""

    async def life(self) -> ExecutionAdapter:
        """As the registry opens it."""
        return DryRunAdapter(base_order_qty=Decimal("100.0"))


@dataclass
class ScriptedStand(Stand):
    """The scripted venue, which outlives the worker."""

    traits = Traits(
        wire=True, takes_all=True, survives=True, witnessed=True, loses=("with_the_order", "alone")
    )
    batch_max = 1
    latency_s = 0.0

    async def open(self) -> None:
        """One venue for all lives."""
        answers = {"with_the_order": loses_the_order, "alone": loses_the_answer}
        self.venue = ScriptedAdapter(self.clock, batch_max=self.batch_max, latency_s=self.latency_s)
        if self.setup.loss is not None:
            self.venue.otherwise = answers[self.setup.loss]
        await super().open()

    async def life(self) -> ExecutionAdapter:
        """The same one."""
        return self.venue

    @property
    def fates_of_losses(self) -> set[bool]:
        """As scripted."""
        return {self.setup.loss == "alone"}

    def accepted(self) -> list[str]:
        """By the venue's own journal."""
        ids = {order.signal_id: order.client_order_id for order in self.venue.terms.values()}
        return [ids[signal_id] for signal_id in self.venue.placed]


class BatchStand(ScriptedStand):
    """Without a wire: many orders in one reservation."""

    traits = Traits(takes_all=True, survives=True, witnessed=True)
    batch_max = 50


class SlowStand(ScriptedStand):
    """A venue far away."""

    latency_s = 0.2


class MoodyStand(ScriptedStand):
    """A venue that answers each of the first orders in another way."""

    traits = Traits(wire=True, survives=True, witnessed=True)

    async def open(self) -> None:
        """The moods of BTCUSDT."""
        await super().open()
        moods = {0: opens, 1: loses_the_answer, 2: rejects, 3: fills_half}
        for number, mood in moods.items():
            self.venue._answers[f"{BTC}-{number}"] = [mood]

    def leaves_open(self, order: Order) -> bool:
        """The first and the fourth, for ever."""
        return order.signal_id in (f"{BTC}-0", f"{BTC}-3")


STANDS: dict[str, type[Stand]] = {
    "dry_run": DryRunStand,
    "scripted": ScriptedStand,
    "scripted_in_batches": BatchStand,
    "scripted_slow": SlowStand,
    "scripted_moody": MoodyStand,
    "binance-futures": BinanceStand,
    "binance-spot": BinanceSpotStand,
    "paper": PaperStand,
    "paper_by_signal": PaperBySignalStand,
    "paper_of_short_memory": ShortMemoryStand,
    "backtest": BacktestStand,
    "shadow": ShadowStand,
    "shadow_that_fails": ShadowOfSickStand,
}


@asynccontextmanager
async def stand(
    name: str, folder: Path, setup: Setup | None = None, plant: Plant | None = None
) -> AsyncIterator[Stand]:
    """A stand in use, inside virtual time."""
    made = STANDS[name](virtual_clock(), folder, setup or Setup(), plant)
    await made.open()
    try:
        yield made
    finally:
        await made.close()
