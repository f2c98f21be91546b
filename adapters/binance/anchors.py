"""Anchors: how much of a base asset there was at one moment, and which trades are in it. Spot alone.

Spot has no position: a balance is what was bought, less the fees that were taken from it, and whatever else
the account does with the asset. So an expected balance cannot be made of the ledger's quantities. But from
an anchor on, a balance that moved exactly as the listed trades say leaves no room for an order that none of
them shows. That is the evidence where the user stream had a gap, above all after a crash.

A trade may be in the balance before it is listed, and an anchor with such a trade would count it twice: one
that is listed later, but happened before, makes the anchor worthless. That is known when it is used, so an
anchor is kept at once; and one that does not stand a test soon after is replaced.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from decimal import Context, Decimal, localcontext

import msgspec

from adapters.binance.client import Client
from adapters.binance.facts import TradeFact
from adapters.binance.questions import Doubt, Questions
from adapters.binance.tracker import EXACT_DIGITS
from config.seams import Clock

# A new anchor keeps the list of trades since then short: at most some pages within this time.
RENEW_MS = 3_600_000
# Orders are in doubt for minutes, and a worker may be down for longer: each of these is an hour older.
ANCHORS_MAX = 4
LOOK_S_MIN = 0.05
RETRY_S = 1.0
KEY = "anchors:"


class Anchor(msgspec.Struct, frozen=True):
    """At `at_ms` (exchange clock) `balance` held the trades up to `last_trade_id` and no others."""

    at_ms: int
    balance: Decimal
    last_trade_id: int

    def expected(self, asset: str, trades: Iterable[TradeFact]) -> Decimal | None:
        """The balance that `trades` since then make of it.

        None when one of them does not tell its side, or may be in the balance already.
        """
        balance = self.balance
        with localcontext(Context(prec=EXACT_DIGITS)):
            for trade in trades:
                if trade.trade_id <= self.last_trade_id:
                    continue
                if trade.buys is None or trade.at_ms is None or trade.at_ms <= self.at_ms:
                    return None
                balance += trade.qty if trade.buys else -trade.qty
                if trade.fee_asset == asset:
                    balance -= trade.fee
        return balance


_decode = msgspec.json.Decoder(tuple[Anchor, ...]).decode


class Anchors:
    """The anchors of one account, kept where they outlive a crash. `assets` names each symbol's base asset.

    A symbol whose base asset another one trades too has none: its balance moves for reasons of its own.
    """

    def __init__(self, client: Client, clock: Clock, assets: Mapping[str, str], *, settled_ms: int) -> None:
        self._client = client
        self._questions = Questions(client, client.market, urgent=False)
        self._clock = clock
        self._assets = {
            symbol: asset
            for symbol, asset in assets.items()
            if not any(one != symbol and (one.startswith(asset) or one.endswith(asset)) for one in assets)
        }
        self._settled_ms = settled_ms
        self._anchors: dict[str, tuple[Anchor, ...]] = {}
        self._untested: set[str] = set()
        self.mismatches = 0

    def asset_of(self, symbol: str) -> str:
        """The base asset of a symbol that has anchors."""
        return self._assets[symbol]

    def before(self, symbol: str, at_ms: int) -> tuple[Anchor, ...]:
        """The anchors that hold nothing of what happened at `at_ms` or later, the latest first."""
        return tuple(anchor for anchor in reversed(self._anchors.get(symbol, ())) if anchor.at_ms <= at_ms)

    async def remember(self, kept: Callable[[str], Awaitable[str | None]]) -> None:
        """Take up those of a former run; what cannot be read is none."""
        for symbol in self._assets:
            text = await kept(KEY + symbol)
            if text is None:
                continue
            try:
                self._anchors[symbol] = _decode(text)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                self.mismatches += 1

    async def run(self, keep: Callable[[str, str], Awaitable[None]]) -> None:
        """Take an anchor of each symbol, and a new one every hour, until cancelled."""
        while self._assets:
            for symbol in self._assets:
                await self._look(symbol, keep)
            waits_for_one = not all(map(self._anchors.get, self._assets))
            await self._clock.sleep(RETRY_S if waits_for_one else self._settled_ms / 1_000 + LOOK_S_MIN)

    async def _look(self, symbol: str, keep: Callable[[str, str], Awaitable[None]]) -> None:
        """Take one where there is none or only an old one, and test the latest once."""
        kept = self._anchors.get(symbol, ())
        age_ms = self._client.exchange_clock.now_ms() - kept[-1].at_ms if kept else RENEW_MS
        is_due = symbol in self._untested and age_ms >= self._settled_ms
        if is_due and not await self._stands(symbol, kept[-1]):
            self._anchors[symbol] = kept = kept[:-1]
            age_ms = RENEW_MS
        if age_ms < RENEW_MS:
            return
        anchor = await self._taken(symbol)
        if anchor is not None:
            self._untested.add(symbol)
            self._anchors[symbol] = kept = (*kept, anchor)[-ANCHORS_MAX:]
            await keep(KEY + symbol, msgspec.json.encode(kept).decode())

    async def _stands(self, symbol: str, anchor: Anchor) -> bool:
        """Whether the trades since then explain the balance; True also when that cannot be learned now."""
        asset = self._assets[symbol]
        balance = await self._questions.balance(asset)
        trades = await self._questions.trades_after(symbol, anchor.last_trade_id)
        if isinstance(balance, Doubt) or isinstance(trades, Doubt):
            return True
        self._untested.discard(symbol)
        if balance == anchor.expected(asset, trades):
            return True
        self.mismatches += 1
        return False

    async def _taken(self, symbol: str) -> Anchor | None:
        last_trade_id = await self._questions.last_trade_id(symbol)
        balance = await self._questions.balance(self._assets[symbol])
        if isinstance(last_trade_id, Doubt) or isinstance(balance, Doubt):
            return None
        # What happens after this moment, however far the clocks differ, is not in the balance.
        at_ms = self._client.exchange_clock.now_ms() + self._client.margin_ms
        return Anchor(at_ms, balance, last_trade_id)
