"""An adapter at the exchange in the box, in virtual time: the whole of Binance's side without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from rig.exchange_transport import ExchangeHost, InProcessTransport
from rig.virtual_clock import START_MS, VirtualClock, virtual_clock

from adapters.binance.adapter import BinanceAdapter
from adapters.binance.client import Replied
from adapters.binance.connect import open_binance
from adapters.binance.credentials import Credentials
from adapters.binance.transport import Transport
from adapters.binance.wire import Request
from adapters.contract import ExecutionAdapter, Order, OrderCtx, OrderUpdate, StartRefusal
from adapters.exchange.engine import Exchange
from adapters.exchange.faults import FaultRule
from config.settings import Settings

KEY = Credentials("loopback-key", "loopback-secret", "the environment variable BINANCE_API_KEY")
URL = "http://127.0.0.1:8080"
# A mean round trip in the same city.
LATENCY_S = 0.005


def free() -> str | None:
    """A guard that lets everything pass."""
    return None


class Memory:
    """The `LedgerView` of a store in memory."""

    def __init__(self) -> None:
        self.kept_values: dict[str, str] = {}
        self.ids: set[str] = set()
        self.sends: list[int] = []
        self.position: Decimal | None = Decimal(0)

    async def known(self, client_order_ids: Collection[str]) -> frozenset[str]:
        """Those that were named."""
        return frozenset(self.ids.intersection(client_order_ids))

    async def expected_position(self, symbol: str, apart_from: str) -> Decimal | None:
        """As told."""
        return self.position

    async def sends_since(self, since_ms: int) -> Sequence[int]:
        """As told."""
        return [at_ms for at_ms in self.sends if at_ms >= since_ms]

    async def kept(self, key: str) -> str | None:
        """What was kept."""
        return self.kept_values.get(key)

    async def keep(self, key: str, value: str) -> None:
        """At once."""
        self.kept_values[key] = value


def settings_of(mode: str = "testnet", broker: Mapping[str, Any] | None = None, **execution: Any) -> Settings:
    """The settings of one venue on loopback."""
    return Settings.model_validate(
        {
            "execution": {"mode": mode, "symbols": ["BTCUSDT", "ETHUSDT"], **execution},
            "broker": {"rest_url": URL, **(broker or {})},
        }
    )


def wanted(number: int = 0, symbol: str = "BTCUSDT", **changes: Any) -> OrderCtx:
    """What a signal wants: market, to be sized by the venue."""
    named: dict[str, Any] = {
        "client_order_id": f"ew1-{number:024d}",
        "symbol": symbol,
        "side": "buy",
        "qty": None,
        "order_type": "market",
        "price": None,
        "tif": "GTC",
        "ts_ms": START_MS,
        "event_ts_ms": START_MS,
        "signal_id": f"signal-{number}",
    }
    return OrderCtx(**{**named, **changes})


class Venue:
    """One adapter, the exchange that it trades on, and what the exchange has on record."""

    def __init__(
        self,
        settings: Settings,
        *,
        credentials: Credentials = KEY,
        view: Memory | None = None,
        neighbour: Transport | None = None,
        **exchange: Any,
    ) -> None:
        self.clock: VirtualClock = virtual_clock()
        self.view = view or Memory()
        self.settings = settings
        self.credentials = credentials
        market = "spot" if settings.broker.name == "binance-spot" else "futures"
        self.exchange = Exchange(start_ms=self.clock.wall_ms(), market=market, **exchange)
        self.host = ExchangeHost(self.exchange, self.clock, start_ms=self.clock.wall_ms())
        self.transport = self.wire()
        self.neighbour = neighbour
        self.adapter = self.life()

    def wire(self) -> InProcessTransport:
        """Another way to the same exchange."""
        return InProcessTransport(self.host, self.clock, lambda: LATENCY_S)

    def life(self) -> BinanceAdapter:
        """An adapter as a new process would make it."""
        return open_binance(
            self.settings,
            self.credentials,
            self.clock,
            transport=self.transport,
            neighbour=self.neighbour,
        )

    async def start(self) -> StartRefusal | None:
        """Start the adapter."""
        return await self.adapter.start(self.view)

    def plan(self, *rules: FaultRule) -> None:
        """What goes wrong from now on."""
        self.exchange.faults.replace(rules)

    async def hedge(self) -> None:
        """Put the account into hedge mode, as its owner would."""
        client = self.adapter.client
        assert await client.sync_clock() is None
        request = Request("POST", "/fapi/v1/positionSide/dual", (("dualSidePosition", "true"),), "signed")
        answer = await client.call(request)
        assert isinstance(answer, Replied)
        assert answer.status == 200

    def prepared(self, number: int = 0, **changes: Any) -> Order:
        """An order that the adapter has agreed to."""
        order = self.adapter.prepare(wanted(number, **changes))
        assert isinstance(order, Order), order
        return order

    def accepted(self, client_order_id: str | None = None) -> list[str]:
        """The client order ids that the exchange has accepted, in order."""
        entries = [entry for entry in self.exchange.journal if entry["kind"] == "accepted"]
        ids = [str(entry["client_order_id"]) for entry in entries]
        return [one for one in ids if client_order_id in (None, one)]

    def sent(self, method: str = "POST", path: str = "order") -> int:
        """How many requests of a kind have left."""
        return sum(
            request.method == method and request.path.endswith(path) for request in self.transport.requests
        )


class Ear:
    """Listens to the updates of an adapter."""

    def __init__(self, adapter: ExecutionAdapter) -> None:
        self.updates: list[OrderUpdate] = []
        self._last: dict[str, OrderUpdate] = {}
        self.task = asyncio.create_task(self._listen(adapter))

    async def _listen(self, adapter: ExecutionAdapter) -> None:
        async for update in adapter.updates():
            self.updates.append(update)
            self._last[update.client_order_id] = update

    def last(self, client_order_id: str) -> OrderUpdate | None:
        """The present word on one order."""
        return self._last.get(client_order_id)

    def has(self, client_order_id: str, state: str) -> Callable[[], bool]:
        """Whether that word is `state`."""

        def heard() -> bool:
            update = self.last(client_order_id)
            return update is not None and update.state == state

        return heard


@asynccontextmanager
async def venue(
    settings: Settings | None = None, *, started: bool = True, **given: Any
) -> AsyncIterator[Venue]:
    """A venue for one test; with `started` the adapter has begun."""
    made = Venue(settings or settings_of(), **given)
    try:
        if started:
            assert await made.start() is None
        yield made
    finally:
        await made.adapter.close()
        await made.host.close()
