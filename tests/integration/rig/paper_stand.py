"""Paper: the simulated venue with its journal on disk, on a board of prices or on those of the signals."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from rig.stand import BTC, ETH, Stand, Traits

from adapters.contract import ExecutionAdapter, StartRefusal, Wait
from adapters.paper.adapter import JOURNAL_NAME, PaperAdapter
from adapters.paper.quotes import NoQuote, Quote, QuoteSource
from adapters.paper.signal_quotes import SignalQuotes
from adapters.paper.symbol_rules import built_in_rules
from adapters.paper.trade_sim import KEPT_ORDERS_MAX
from config.settings import Execution

HALF_SPREAD = Decimal("0.1")


class Board:
    """A `QuoteSource` that shows what it was told."""

    def __init__(self) -> None:
        self.middles = {BTC: Decimal("60000.0"), ETH: Decimal("3000.0")}

    async def start(self) -> StartRefusal | None:
        """There is nothing to open."""

    def wait_for(self, symbol: str) -> Wait | None:
        """Never."""

    def quote(self, symbol: str, signal_price: Decimal | None, event_ts_ms: int) -> Quote | NoQuote:
        """The book of now, whatever the signal says."""
        middle = self.middles.get(symbol, Decimal(5))
        return Quote(middle - HALF_SPREAD, middle + HALF_SPREAD, event_ts_ms, is_book=True)

    async def look(self, symbol: str) -> None:
        """It is always up to date."""

    async def close(self) -> None:
        """There is nothing to release."""


@dataclass
class PaperStand(Stand):
    """On a board: prices move as the trial wants."""

    name = "paper"
    traits = Traits(
        wire=True,
        takes_all=True,
        sizes=True,
        account=True,
        limits=True,
        amends=True,
        parts=True,
        survives=True,
        witnessed=True,
        loses=("timeouts",),
    )
    # By seed, some of them before the order reaches the venue and some after.
    losses = 8
    kept_orders_max = KEPT_ORDERS_MAX

    async def open(self) -> None:
        """The folder of the journal, and the prices."""
        setup = self.setup
        paper: dict[str, Any] = {"seed": 3, "latency_ms": 10, "partial_share": 1.0 if setup.parts else 0.0}
        if setup.loss is not None:
            paper["timeouts"] = [f"{BTC}=1.0", f"{ETH}=1.0"]
        self.execution = Execution.model_validate(
            {"mode": "paper", "paper": paper, "business": {"order_size_usd": 1_000}}
        )
        self.board = Board()
        self.venue_folder = self.folder / "paper"
        await super().open()

    async def life(self) -> ExecutionAdapter:
        """On the journal that is there."""
        rules = built_in_rules()
        return PaperAdapter(
            self.execution,
            self.clock,
            self.quotes(),
            lambda: rules,
            self.venue_folder,
            kept_orders_max=self.kept_orders_max,
        )

    def quotes(self) -> QuoteSource:
        """Where prices come from."""
        return self.board

    @property
    def fates_of_losses(self) -> set[bool]:
        """Both."""
        return {True, False}

    def accepted(self) -> list[str]:
        """By the journal on disk."""
        path = self.venue_folder / JOURNAL_NAME
        facts = (
            [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []
        )
        return [fact["order"]["client_order_id"] for fact in facts if fact["fact"] == "placed"]

    async def move(self, symbol: str, price: Decimal) -> None:
        """The board shows another price."""
        self.board.middles[symbol] = price


@dataclass
class ShortMemoryStand(PaperStand):
    """One that holds a single order in memory, and finds the others in its journal."""

    kept_orders_max = 1


@dataclass
class PaperBySignalStand(PaperStand):
    """On the signals' own prices, which say nothing between two signals."""

    traits = Traits(
        wire=True,
        takes_all=True,
        sizes=True,
        priced_by_signal=True,
        account=True,
        parts=True,
        survives=True,
        witnessed=True,
        loses=("timeouts",),
    )

    def quotes(self) -> QuoteSource:
        """As mode paper has them by default."""
        return SignalQuotes(None)
