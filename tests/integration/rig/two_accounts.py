"""One exchange with two accounts: a worker trades the one, its shadow the other, in virtual time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rig.exchange_transport import ExchangeHost, InProcessTransport
from rig.venue import KEY, LATENCY_S, URL, Memory, settings_of
from rig.virtual_clock import virtual_clock

from adapters.binance.connect import open_binance
from adapters.binance.credentials import Credentials
from adapters.contract import ExecutionAdapter
from adapters.exchange.engine import Exchange
from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import Key
from adapters.shadow import ShadowAdapter
from adapters.shadow_copies import News
from adapters.shadow_pairs import SHADOW_PREFIX
from config.settings import Settings, Shadow
from worker.shadow_start import shadow_settings

SHADOW_KEY = Credentials("shadow-key", "shadow-secret", "the environment variable SHADOW_API_KEY")
KEYS = {
    KEY.api_key: Key(KEY.secret),
    SHADOW_KEY.api_key: Key(SHADOW_KEY.secret, account="shadow"),
}


class Shelf:
    """Keeps the news in memory, or refuses to."""

    def __init__(self) -> None:
        self.news: list[News] = []
        self.refusal: str | None = None

    def keep(self, news: News) -> str | None:
        """As a file would."""
        if self.refusal is None:
            self.news.append(news)
        return self.refusal


class TwoAccounts:
    """The exchange, and adapters for either account."""

    def __init__(self, shadow: Mapping[str, Any] | None = None, **exchange: Any) -> None:
        self.clock = virtual_clock()
        self.settings: Settings = settings_of(shadow={"enabled": True, "rest_url": URL, **(shadow or {})})
        self.exchange = Exchange(start_ms=self.clock.wall_ms(), keys=KEYS, **exchange)
        self.host = ExchangeHost(self.exchange, self.clock, start_ms=self.clock.wall_ms())
        self.shelf = Shelf()
        self.seconds = 0

    def main(self) -> ExecutionAdapter:
        """The adapter of the main account."""
        wire = InProcessTransport(self.host, self.clock, lambda: LATENCY_S)
        return open_binance(self.settings, KEY, self.clock, transport=wire)

    def second(self) -> ExecutionAdapter:
        """The adapter of the other one."""
        self.seconds += 1
        wire = InProcessTransport(self.host, self.clock, lambda: LATENCY_S)
        settings = shadow_settings(self.settings)
        return open_binance(settings, SHADOW_KEY, self.clock, transport=wire, prefix=SHADOW_PREFIX)

    async def begun(self, main: ExecutionAdapter | None = None) -> ShadowAdapter:
        """The main adapter (or another one) with its shadow, started."""
        adapter = ShadowAdapter(
            main or self.main(),
            self.second,
            settings=self.shadow,
            clock=self.clock,
            keep=self.shelf.keep,
        )
        assert await adapter.start(Memory()) is None
        return adapter

    @property
    def shadow(self) -> Shadow:
        """The shadow's settings."""
        return self.settings.execution.shadow

    def strike(self, *rules: FaultRule) -> None:
        """What goes wrong from now on."""
        self.exchange.faults.replace(rules)

    def accepted(self, account: str) -> list[str]:
        """The client order ids that the exchange has accepted for an account, in order."""
        return [
            str(entry["client_order_id"])
            for entry in self.exchange.journal
            if entry["kind"] == "accepted" and entry["account"] == account
        ]

    async def __aenter__(self) -> TwoAccounts:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.host.close()
