"""The shadow around Binance futures: two accounts of one exchange, of which the first one is on trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from rig.binance_stand import BinanceStand
from rig.venue import KEY

from adapters.binance.connect import open_binance
from adapters.binance.credentials import Credentials
from adapters.contract import ExecutionAdapter
from adapters.exchange.terms import Key
from adapters.shadow import ShadowAdapter
from adapters.shadow_copies import News
from adapters.shadow_pairs import SHADOW_PREFIX

SECOND = Credentials("shadow-key", "shadow-secret", "the environment variable SHADOW_API_KEY")


@dataclass
class ShadowStand(BinanceStand):
    """Whatever the second venue does, the first one's promises are kept."""

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
