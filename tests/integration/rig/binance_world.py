"""An exchange in the box, a client that speaks to it in virtual time, and a ledger that answers as told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from rig.exchange_transport import ExchangeHost, InProcessTransport, Latency
from rig.virtual_clock import START_MS, VirtualClock, virtual_clock

from adapters.binance import wire
from adapters.binance.budget import FUTURES_LIMITS, SPOT_LIMITS, Budget
from adapters.binance.client import Answer, Client
from adapters.binance.exchange_clock import ExchangeClock
from adapters.binance.lookup import Lookup, Sightings, nothing_sighted
from adapters.binance.market import WEIGHTS, Market
from adapters.binance.signing import HmacSigner, Signer
from adapters.contract import LookupResult, NotYet, Order, OrderSide
from adapters.exchange.engine import Exchange
from adapters.exchange.faults import FaultPlan, FaultRule
from adapters.exchange.terms import FillPolicy
from config.seams import seeded_random
from config.settings import Broker

SYMBOL = "BTCUSDT"
_LIMITS = {Market.FUTURES: FUTURES_LIMITS, Market.SPOT: SPOT_LIMITS}


class KnownLedger:
    """A `LedgerView` that answers as it was told to."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.position: Decimal | None = Decimal(0)

    async def known(self, client_order_ids: Collection[str]) -> frozenset[str]:
        return frozenset(self.ids & set(client_order_ids))

    async def expected_position(self, symbol: str, apart_from: str) -> Decimal | None:
        return self.position

    async def sends_since(self, since_ms: int) -> Sequence[int]:
        return ()

    async def kept(self, key: str) -> str | None:
        return None

    async def keep(self, key: str, value: str) -> None:
        """Nothing here outlives a test."""


class World:
    """One exchange (futures, or the given market) and one life of a client on it; use `opened`."""

    def __init__(
        self,
        *rules: FaultRule,
        broker: Broker | None = None,
        policy: FillPolicy | None = None,
        latency: Latency = lambda: 0.005,
        seed: int = 0,
        market: Market = Market.FUTURES,
        signer: Signer | None = None,
        **exchange: Any,
    ) -> None:
        self.clock: VirtualClock = virtual_clock()
        self.market = market
        self._signer = signer or HmacSigner("loopback-key", "loopback-secret")
        self.broker = broker or Broker()
        self.faults = FaultPlan(rules, seeded_random(seed))
        self.journal: list[Mapping[str, object]] = []
        self.exchange = Exchange(
            start_ms=START_MS,
            faults=self.faults,
            journal=lambda entry: self.journal.append(dict(entry)),
            policy=policy,
            seed=seed,
            market="futures" if market is Market.FUTURES else "spot",
            **exchange,
        )
        self.host = ExchangeHost(self.exchange, self.clock, start_ms=START_MS)
        self.latency = latency
        self.ledger = KnownLedger()
        self.transport, self.client = self.new_client()

    def new_client(self) -> tuple[InProcessTransport, Client]:
        """Another life on the same exchange."""
        transport = InProcessTransport(self.host, self.clock, self.latency)
        client = Client(
            self.market,
            transport,
            self._signer,
            self.clock,
            ExchangeClock(self.clock),
            Budget(_LIMITS[self.market], order_weight=WEIGHTS[self.market].new_order),
            recv_window_ms=self.broker.recv_window_ms,
            request_timeout_s=self.broker.request_timeout_ms / 1_000,
        )
        return transport, client

    async def __aenter__(self) -> World:
        assert await self.client.sync_clock() is None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.transport.close()
        await self.host.close()

    def strike(self, *rules: FaultRule) -> None:
        """From now on these faults, instead of those before."""
        self.faults.replace(rules)

    def order(
        self,
        name: str = "a",
        *,
        side: OrderSide = "buy",
        qty: str = "0.010",
        price: str | None = None,
        symbol: str = SYMBOL,
    ) -> Order:
        """An order that is reserved now; with a price it is a limit order."""
        return Order(
            client_order_id=f"ew1-{name}",
            symbol=symbol,
            side=side,
            order_type="market" if price is None else "limit",
            tif="GTC",
            qty=Decimal(qty),
            price=None if price is None else Decimal(price),
            signal_id=name,
            send_before_ms=self.client.exchange_clock.now_ms() + self.broker.send_window_ms,
            recv_window_ms=self.broker.recv_window_ms,
        )

    async def send(self, order: Order) -> Answer:
        """Place it, whatever comes back."""
        return await self.client.call(
            wire.new_order(self.market, order),
            timestamp_max_ms=order.send_before_ms,
            recv_window_ms=order.recv_window_ms,
        )

    async def send_unlike(self, order: Order, **changes: Any) -> Answer:
        """Place something else under the order's client order id."""
        return await self.send(msgspec.structs.replace(order, **changes))

    def lookup(self, unbroken_since_ms: int | None = None, sighted: Sightings = nothing_sighted) -> Lookup:
        """A lookup as the adapter has one, with a stream that runs since then."""
        return Lookup(
            self.client,
            self.market,
            self.broker,
            self.ledger,
            lambda: unbroken_since_ms,
            clock=self.clock,
            sighted=sighted,
        )

    async def settled(
        self, lookup: Lookup, order: Order, *, within_s: float = 300.0
    ) -> tuple[LookupResult, list[str]]:
        """Ask as the resolver does until there is an answer or the time is over; with every "not yet"."""
        end_s = self.clock.monotonic_s() + within_s
        whys: list[str] = []
        while True:
            answer = await lookup.lookup(order.client_order_id, order)
            if not isinstance(answer, NotYet) or self.clock.monotonic_s() >= end_s:
                return answer, whys
            whys.append(answer.why)
            delay_s = (answer.until_ms - self.clock.wall_ms()) / 1_000
            await self.clock.sleep(min(60.0, max(0.05, delay_s)))

    def accepted(self, name: str = "a") -> list[Mapping[str, object]]:
        """The exchange's own record of what it accepted under this id."""
        return [
            entry
            for entry in self.journal
            if entry["kind"] == "accepted" and entry["client_order_id"] == f"ew1-{name}"
        ]
