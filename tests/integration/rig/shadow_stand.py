"""The shadow: around Binance futures with two accounts of one exchange, and with a second venue that fails.

The main venue is on trial: whatever the second one does, no promise of the first is broken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from rig.binance_stand import BinanceStand
from rig.paper_stand import PaperStand
from rig.scripted_adapter import ScriptedAdapter
from rig.venue import KEY

from adapters.binance.connect import open_binance
from adapters.binance.credentials import Credentials
from adapters.contract import ExecutionAdapter, Guard, Order, OrderUpdate, SubmitResult
from adapters.exchange.terms import Key
from adapters.shadow import ShadowAdapter
from adapters.shadow_copies import News
from adapters.shadow_pairs import SHADOW_PREFIX
from config.settings import Shadow

SECOND = Credentials("shadow-key", "shadow-secret", "the environment variable SHADOW_API_KEY")


@dataclass
class ShadowStand(BinanceStand):
    """Both venues are well."""

    traits = replace(BinanceStand.traits, loses=("reset_after",))

    keys: ClassVar[Mapping[str, str | Key]] = {
        KEY.api_key: KEY.secret,
        SECOND.api_key: Key(SECOND.secret, account="shadow"),
    }

    async def life(self) -> ExecutionAdapter:
        """The main adapter with its shadow."""
        main = await super().life()
        shadow = self.settings.execution.shadow
        return ShadowAdapter(main, self.second, settings=shadow, clock=self.clock, keep=self.keep)

    def second(self) -> ExecutionAdapter:
        """The adapter of the other account."""
        return open_binance(self.settings, SECOND, self.clock, transport=self.wire(), prefix=SHADOW_PREFIX)

    def keep(self, news: News) -> str | None:
        """Nobody reads it here."""
        return None


class SickVenue(ScriptedAdapter):
    """Raises, hangs and ends its news in turn."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        """The second order gets no answer, the others raise."""
        self.in_flight_max += 1
        if self.in_flight_max == 2:
            await asyncio.Event().wait()
        raise RuntimeError("the second venue is sick")

    async def updates(self) -> AsyncIterator[OrderUpdate]:
        """Ends after a while."""
        await self._clock.sleep(0.3)
        nothing: tuple[OrderUpdate, ...] = ()
        for update in nothing:
            yield update


@dataclass
class ShadowOfSickStand(PaperStand):
    """Paper, with a shadow that goes from one fault to the next."""

    async def life(self) -> ExecutionAdapter:
        """The main adapter with its shadow."""
        main = await super().life()
        return ShadowAdapter(
            main,
            lambda: SickVenue(self.clock),
            settings=Shadow(orders_waiting_max=3),
            clock=self.clock,
            keep=lambda news: "the disk is full",
        )
