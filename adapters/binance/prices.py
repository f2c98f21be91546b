"""Book prices, asked for all the time, so that a fresh one is there before a signal comes.

A price is as old as the question for it: what the venue said may have been true a moment before, and
no later. One that is older than allowed is no price, and no order is sized with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

import msgspec

from adapters.binance import wire
from adapters.binance.asking import Trouble, ask
from adapters.binance.client import Client
from adapters.binance.market import Market
from adapters.binance.wire_replies import BookTicker, read_book_ticker, read_book_tickers
from config.seams import Clock

# Asked about this often in the life of a price, so that one lost answer leaves no gap.
ASKS_PER_LIFE = 2
# Not more often than this however short a life is set: the questions cost request weight.
POLL_S_MIN = 0.25
# An answer is fresh for at least so long: a symbol that has no price in it has none on the venue either, and
# whoever waits for that one must not use up the weight of all.
ANSWERED_S = 1.0
# A question that is answered later than this is asked anew; its answer would be too old for most uses.
ANSWER_S_MAX = 5.0
# Whoever waits for one look at a symbol does not wait longer.
LOOK_S_MAX = 1.0
# Up to here each symbol is asked for by itself: for more of them one question for all weighs less, and
# on spot that answer has half a megabyte.
SINGLES_MAX = {Market.FUTURES: 2, Market.SPOT: 10}


class BookPrice(msgspec.Struct, frozen=True):
    """The best bid and ask of a symbol; `asked_s` is when it was asked for, on the boot clock."""

    bid: Decimal
    ask: Decimal
    asked_s: float


# The best bid and ask of each symbol that the answer names; None when there is no answer.
Ask = Callable[[Sequence[str]], Awaitable[Sequence[tuple[str, Decimal, Decimal]] | None]]


class Prices:
    """Keeps the book prices of `symbols` fresh with the questions that `ask` puts."""

    def __init__(self, symbols: Sequence[str], ask: Ask, clock: Clock, *, max_age_ms: int) -> None:
        self._symbols = tuple(symbols)
        self._ask = ask
        self._clock = clock
        self._max_age_s = max_age_ms / 1000
        self._poll_s = max(self._max_age_s / ASKS_PER_LIFE, POLL_S_MIN)
        self._prices: dict[str, BookPrice] = {}
        self._poked = asyncio.Event()
        self.unanswered = 0

    def price(self, symbol: str) -> BookPrice | None:
        """The price of `symbol`, None when there is none that is fresh."""
        price = self._prices.get(symbol)
        if price is None or self._clock.boot_s() - price.asked_s > self._max_age_s:
            return None
        return price

    def poke(self) -> None:
        """Ask now instead of at the next turn: somebody waits for a price."""
        self._poked.set()

    async def ask_once(self) -> bool:
        """One question and its answer; False when there was none. May be repeated at any time."""
        return await self._ask_for(self._symbols, min(max(self._max_age_s, POLL_S_MIN), ANSWER_S_MAX))

    async def look(self, symbol: str) -> bool:
        """The same for one symbol, beside the turns: somebody is about to use its price."""
        return await self._ask_for((symbol,), LOOK_S_MAX)

    async def _ask_for(self, symbols: Sequence[str], within_s: float) -> bool:
        asked_s = self._clock.boot_s()
        answer = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                answer = await self._ask(symbols)
        if answer is None:
            self.unanswered += 1
            return False
        for symbol, best_bid, best_ask in answer:
            self._note(symbol, best_bid, best_ask, asked_s)
        return True

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            self._poked.clear()
            answered = await self.ask_once()
            # Whoever pokes does so at every turn of a loop; the venue is asked at this pace all the same.
            pause_s = min(self._poll_s, ANSWERED_S) if answered else POLL_S_MIN
            await self._clock.sleep(pause_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s - pause_s):
                    await self._poked.wait()

    def _note(self, symbol: str, bid: Decimal, ask: Decimal, asked_s: float) -> None:
        # An empty side is told as zero: nothing can be sized with that.
        if symbol not in self._symbols or not (bid.is_finite() and ask.is_finite() and 0 < bid <= ask):
            return
        known = self._prices.get(symbol)
        if known is None or known.asked_s <= asked_s:
            self._prices[symbol] = BookPrice(bid, ask, asked_s)


async def ask_books(client: Client, symbols: Sequence[str]) -> Sequence[tuple[str, Decimal, Decimal]] | None:
    """The best bid and ask of the symbols; None when none of them could be had."""
    if len(symbols) > SINGLES_MAX[client.market]:
        tickers = await ask(client, wire.book_ticker(client.market), read_book_tickers)
        return None if isinstance(tickers, Trouble) else _books(tickers)
    answers = await asyncio.gather(
        *(ask(client, wire.book_ticker(client.market, symbol), read_book_ticker) for symbol in symbols)
    )
    return _books([answer for answer in answers if not isinstance(answer, Trouble)]) or None


def _books(tickers: Sequence[BookTicker]) -> Sequence[tuple[str, Decimal, Decimal]]:
    return [(one.symbol, one.bid_price, one.ask_price) for one in tickers]
