"""Anchors: how much of a base asset there was at one moment, and which trades are in it. Spot alone.

Spot has no position: a balance is what was bought, less the fees that were taken from it, and whatever else
the account does with the asset. So an expected balance cannot be made of the ledger's quantities. But from
an anchor on, a balance that moved exactly as the listed trades say leaves no room for an order that none of
them shows. That is the evidence where the user stream had a gap, above all after a crash.

A trade may be in the balance before it is listed, and an anchor with such a trade would count it twice. So
a reading becomes an anchor when the trades since then have explained every change for `settled_ms`.
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
KEY = "anchors:"


class Anchor(msgspec.Struct, frozen=True):
    """At `at_ms` (exchange clock) `balance` held the trades up to `last_trade_id` and no others."""

    at_ms: int
    balance: Decimal
    last_trade_id: int

    def expected(self, asset: str, trades: Iterable[TradeFact]) -> Decimal | None:
        """The balance that `trades` since then make of it; None when one does not tell its side."""
        balance = self.balance
        with localcontext(Context(prec=EXACT_DIGITS)):
            for trade in trades:
                if trade.buys is None:
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
        self._readings: dict[str, Anchor] = {}
        self.mismatches = 0

    def asset_of(self, symbol: str) -> str:
        """The base asset of a symbol that has anchors."""
        return self._assets[symbol]

    def before(self, symbol: str, at_ms: int) -> Anchor | None:
        """The latest anchor that holds nothing of what happened at `at_ms` or later."""
        fitting = [anchor for anchor in self._anchors.get(symbol, ()) if anchor.at_ms <= at_ms]
        return max(fitting, key=lambda anchor: anchor.at_ms, default=None)

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
                anchor = self.before(symbol, 2**62)
                if anchor is None or self._client.exchange_clock.now_ms() - anchor.at_ms >= RENEW_MS:
                    await self._look(symbol, keep)
            await self._clock.sleep(self._settled_ms / 1_000 + LOOK_S_MIN)

    async def _look(self, symbol: str, keep: Callable[[str, str], Awaitable[None]]) -> None:
        """Read anew, or see whether the former reading has stood the test."""
        reading = self._readings.get(symbol)
        if reading is None:
            await self._read(symbol)
            return
        now_ms = self._client.exchange_clock.now_ms()
        if now_ms - reading.at_ms < self._settled_ms:
            return
        asset = self._assets[symbol]
        balance = await self._questions.balance(asset)
        trades = await self._questions.trades_after(symbol, reading.last_trade_id)
        if isinstance(balance, Doubt) or isinstance(trades, Doubt):
            return
        if balance != reading.expected(asset, trades):
            self.mismatches += 1
            await self._read(symbol)
            return
        del self._readings[symbol]
        kept = (*self._anchors.get(symbol, ()), reading)[-ANCHORS_MAX:]
        self._anchors[symbol] = kept
        await keep(KEY + symbol, msgspec.json.encode(kept).decode())

    async def _read(self, symbol: str) -> None:
        last_trade_id = await self._questions.last_trade_id(symbol)
        balance = await self._questions.balance(self._assets[symbol])
        self._readings.pop(symbol, None)
        if not isinstance(last_trade_id, Doubt) and not isinstance(balance, Doubt):
            at_ms = self._client.exchange_clock.now_ms()
            self._readings[symbol] = Anchor(at_ms, balance, last_trade_id)
