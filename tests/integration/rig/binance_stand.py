"""Binance at the exchange in the box, futures or spot, in virtual time; its journal is the witness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from rig.exchange_transport import ExchangeHost, InProcessTransport
from rig.stand import BTC, ETH, Stand, Traits
from rig.venue import KEY, LATENCY_S, settings_of

from adapters.binance.connect import open_binance
from adapters.binance.lookup import OUR_PREFIX
from adapters.contract import ExecutionAdapter
from adapters.exchange.engine import Exchange
from adapters.exchange.faults import FaultKind, FaultRule
from adapters.exchange.terms import SPOT_BALANCES, FillPolicy, Key


def rule(kind: FaultKind, **more: Any) -> FaultRule:
    """One that strikes orders of the main account alone."""
    return FaultRule(kind, endpoint="new_order", client_id_prefix=OUR_PREFIX, **more)


QUICK = {
    "recv_window_ms": 1_000,
    "send_window_ms": 1_000,
    "absence_margin_ms": 200,
    "visibility_ms": 500,
    "absence_spacing_ms": 100,
    "request_timeout_ms": 800,
    "settle_poll_ms": 300,
}
# The order is shown this long after it was accepted: later than the last moment for its acceptance, and
# earlier than its absence can be proven.
HIDDEN_MS = 2_400
# Whether the order is accepted, and what the exchange does to its request.
LOSSES: dict[str, tuple[bool, tuple[FaultRule, ...]]] = {
    "reset_before": (False, (rule("reset_before"),)),
    "reset_after": (True, (rule("reset_after"),)),
    "silence_before": (False, (rule("silence_before"),)),
    "silence_after": (True, (rule("silence_after"),)),
    "http_503_placed": (True, (rule("unknown_503", executed=True),)),
    "http_503_not_placed": (False, (rule("unknown_503", executed=False),)),
    "late": (True, (rule("late", delay_ms=700),)),
    "hidden": (True, (rule("reset_after"), rule("invisible", delay_ms=HIDDEN_MS, scope="all"))),
}


@dataclass
class BinanceStand(Stand):
    """Futures."""

    name = "binance-futures"
    traits = Traits(
        wire=True,
        window=True,
        takes_all=True,
        sizes=True,
        account=True,
        limits=True,
        amends=True,
        parts=True,
        depth=True,
        survives=True,
        witnessed=True,
        loses=tuple(LOSSES),
    )

    keys: ClassVar[Mapping[str, str | Key]] = {KEY.api_key: KEY.secret}

    async def open(self) -> None:
        """The exchange in the box."""
        setup = self.setup
        policy = FillPolicy(
            parts=3 if setup.parts else 1,
            part_delay_ms=50 if setup.parts else 0,
            fill_delay_ms=20 if setup.parts else 0,
            depth_qty=Decimal("0.007") if setup.shallow else None,
        )
        self.settings = settings_of(
            broker={"name": self.name, **QUICK},
            business={"order_size_usd": 1_000},
            staleness={"max_age_ms": 600_000},
        )
        market = "spot" if self.name == "binance-spot" else "futures"
        self.exchange = Exchange(start_ms=self.clock.wall_ms(), market=market, policy=policy, keys=self.keys)
        self.host = ExchangeHost(self.exchange, self.clock, start_ms=self.clock.wall_ms())
        await super().open()
        if setup.loss is not None:
            self.exchange.faults.replace(LOSSES[self.setup.loss][1])

    async def life(self) -> ExecutionAdapter:
        """A client with connections of its own."""
        return open_binance(self.settings, KEY, self.clock, transport=self.wire())

    def wire(self) -> InProcessTransport:
        """A way to the exchange."""
        return InProcessTransport(self.host, self.clock, lambda: LATENCY_S)

    async def end_venue(self) -> None:
        """The host stops."""
        await self.host.close()

    @property
    def fates_of_losses(self) -> set[bool]:
        """As the fault has it."""
        assert self.setup.loss is not None
        return {LOSSES[self.setup.loss][0]}

    def accepted(self) -> list[str]:
        """By the exchange's journal."""
        entries = [entry for entry in self.mine() if entry["kind"] == "accepted"]
        return [str(entry["client_order_id"]) for entry in entries]

    def mine(self) -> list[Mapping[str, Any]]:
        """The journal of the main account."""
        return [entry for entry in self.exchange.journal if entry.get("account") == "main"]

    async def move(self, symbol: str, price: Decimal) -> None:
        """The exchange has a new price, and whoever waits for it hears."""
        self.exchange.advance(self.host.now_ms())
        self.exchange.set_price(symbol, price)
        self.host.stir()

    def filled_of(self, symbol: str, apart_from: str) -> Decimal | None:
        """By the exchange's journal."""
        mine = [entry for entry in self.mine() if entry.get("symbol") == symbol]
        others = [entry for entry in mine if entry.get("client_order_id") != apart_from]
        wanted = {
            one["client_order_id"]: Decimal(str(one["qty"])) for one in others if one["kind"] == "accepted"
        }
        signs = {
            one["client_order_id"]: 1 if one["side"] == "BUY" else -1
            for one in others
            if one["kind"] == "accepted"
        }
        ended = {one["client_order_id"] for one in others if one["kind"] in ("canceled", "expired")}
        filled = dict.fromkeys(wanted, Decimal(0))
        for one in others:
            if one["kind"] == "fill":
                filled[one["client_order_id"]] += Decimal(str(one["qty"]))
        if any(filled[name] < qty and name not in ended for name, qty in wanted.items()):
            return None
        return sum((signs[name] * qty for name, qty in filled.items()), Decimal(0))


@dataclass
class BinanceSpotStand(BinanceStand):
    """Spot: no amendments, and a balance in the place of a position."""

    name = "binance-spot"
    traits = Traits(
        wire=True,
        window=True,
        takes_all=True,
        sizes=True,
        account=True,
        limits=True,
        parts=True,
        depth=True,
        survives=True,
        witnessed=True,
        loses=("reset_before", "reset_after", "http_503_placed", "late"),
    )
    cheap = (ETH, Decimal("0.0002"))

    async def ready(self) -> None:
        """Time for the first anchors, from which a balance can be told."""
        await super().ready()
        await self.clock.sleep(6.0)

    def flat(self, symbol: str) -> Decimal:
        """What the account began with."""
        return SPOT_BALANCES["BTC" if symbol == BTC else "ETH"]
