"""Following accepted orders to their end: the user stream for speed, REST for the truth.

Every watched order is asked about after each gap, at short intervals where no stream tells, and now and then
where one does: silence proves nothing. `updates` tells what is new, once, however it was learned.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Literal

from adapters.binance.client import Client
from adapters.binance.facts import OrderFact
from adapters.binance.followed import Followed, Watch
from adapters.binance.lookup import OUR_PREFIX
from adapters.binance.market import WEIGHTS, Market
from adapters.binance.questions import Doubt, Missing, Questions, facts_of_event
from adapters.binance.transport import Transport
from adapters.binance.user_stream import UserStream
from adapters.binance.wire_stream import OrderTradeUpdate
from adapters.contract import Order, OrderUpdate
from config.seams import Clock
from config.settings import Broker

# Where a stream tells, an order is asked about this often all the same.
STREAM_POLL_S = 15.0
# Trades may be shown a moment later than the order that they filled.
TRADES_RETRY_S = 0.25
# The exchange's clock and what is known of it differ by less.
CLOCKS_MS = 1_000
# Older orders are asked about one by one: the history since then would be long.
LISTED_AGE_MS_MAX = 600_000
PAUSE_S_MAX = 60.0
# An order may be shown late; one that is not shown after so many questions is asked about less and less.
MISSES_USUAL = 60


class Follower:
    """Follows the orders of one account; `has_stream` False: the host has no user stream."""

    def __init__(
        self,
        client: Client,
        transport: Transport,
        market: Market,
        broker: Broker,
        clock: Clock,
        *,
        has_stream: bool,
        prefix: str = OUR_PREFIX,
    ) -> None:
        self._client = client
        self._market = market
        self._clock = clock
        self._questions = Questions(client, market, urgent=False)
        self._poll_s = broker.settle_poll_ms / 1_000
        self._send_window_ms = broker.send_window_ms
        self._followed = Followed(prefix)
        self._stream = (
            UserStream(client, transport, clock, hear=self._hear, gap=self._ask_all) if has_stream else None
        )
        self._news = asyncio.Event()
        self._due = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False
        self._pause_until_s = 0.0
        self._gaps = 0
        # By symbol and order id: when to ask for its trades again, and how often that was done.
        self._trades_due: dict[tuple[str, int], tuple[float, int]] = {}

    @property
    def stream(self) -> UserStream | None:
        """The user stream, for people and metrics."""
        return self._stream

    @property
    def watched(self) -> int:
        """How many orders are followed."""
        return len(self._followed.watches)

    def unbroken_since_ms(self) -> int | None:
        """Since when (exchange clock) the stream can have missed nothing; for the proof of absence."""
        return None if self._stream is None else self._stream.unbroken_since_ms

    def sighted(self, client_order_id: str) -> Sequence[OrderFact]:
        """Every order that was shown under this id by the stream or a question."""
        return self._followed.sighted(client_order_id)

    def start(self) -> None:
        """Begin to listen and to ask, inside a running event loop; a second call changes nothing."""
        if self._tasks or self._closed:
            return
        self._tasks.append(asyncio.create_task(self._poll()))
        if self._stream is not None:
            self._tasks.append(asyncio.create_task(self._stream.run()))
        for task in self._tasks:
            task.add_done_callback(lambda _: self._news.set())

    def watch(self, order: Order) -> None:
        """Follow an accepted order until it is final; may be repeated, and what is known is told again."""
        sent_ms = order.send_before_ms or self._client.exchange_clock.now_ms()
        since_ms = sent_ms - self._send_window_ms - CLOCKS_MS
        due_s = self._clock.monotonic_s() + self._poll_s
        self._followed.watch(Watch(order, since_ms=since_ms, due_s=due_s))
        self._news.set()
        self._due.set()

    async def updates(self) -> AsyncIterator[OrderUpdate]:
        """What is new, at least once; ends when the follower is closed. Starts it when nobody has."""
        self.start()
        while not self._closed:
            self._news.clear()
            for update in self._followed.take_updates():
                yield update
            self._raise_what_broke()
            if not self._news.is_set():
                await self._news.wait()

    async def close(self) -> None:
        """Stop listening and asking; ends `updates`. The listen key is left: others may share it."""
        self._closed = True
        self._news.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._raise_what_broke()

    def _raise_what_broke(self) -> None:
        """The tasks never end by themselves: one that did has met a bug, which is told and not swallowed."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    def _hear(self, event: OrderTradeUpdate) -> None:
        fact, trade = facts_of_event(event)
        watch = self._followed.watch_of(fact.client_order_id)
        if watch is not None:
            watch.heard = True
        if not self._followed.hear(fact, trade):
            return
        self._news.set()
        # Perhaps an earlier trade was not told: whether one is lacking is looked at in the other task.
        self._due.set()

    def _ask_all(self) -> None:
        """Something may have been missed: every watched order is asked about now."""
        self._gaps += 1
        for watch in self._followed.watches:
            watch.due_s = self._clock.monotonic_s()
            watch.overdue = True
        self._due.set()

    async def _poll(self) -> None:
        """Ask about whatever is due, one question after the other; until cancelled."""
        while True:
            self._due.clear()
            now_s = self._clock.monotonic_s()
            if now_s < self._pause_until_s:
                await self._clock.sleep(self._pause_until_s - now_s)
                continue
            symbol = self._next_symbol(now_s)
            if symbol is not None:
                await self._ask_symbol(symbol, now_s)
                continue
            if await self._ask_for_trades(now_s):
                continue
            await self._until_due(self._next_due_s())

    def _next_symbol(self, now_s: float) -> str | None:
        """The symbol of the order that has waited longest; those after a gap come first."""
        due = [watch for watch in self._followed.watches if watch.due_s <= now_s]
        if not due:
            return None
        return min(due, key=lambda watch: (not watch.overdue, watch.due_s)).order.symbol

    async def _ask_symbol(self, symbol: str, now_s: float) -> None:
        """The due orders of one symbol: one by one, or by the lists where that weighs less.

        The history shows young orders, the list of open ones those that have worked for long; and a list
        shows what is due soon at the same price. What no list shows is asked for by itself.
        """
        soon = [
            watch
            for watch in self._followed.watches
            if watch.order.symbol == symbol and watch.due_s <= now_s + self._poll_s
        ]
        oldest_ms = self._client.exchange_clock.now_ms() - LISTED_AGE_MS_MAX
        young = [watch for watch in soon if watch.since_ms >= oldest_ms]
        old = [watch for watch in soon if watch.since_ms < oldest_ms]
        weights = WEIGHTS[self._market]
        missed = False
        if len(young) * weights.query_order > weights.all_orders:
            since_ms = min(watch.since_ms for watch in young)
            missed = await self._ask_for_list(young, self._questions.history(symbol, since_ms))
        if len(old) * weights.query_order > weights.open_orders:
            missed = await self._ask_for_list(old, self._questions.open_orders(symbol)) or missed
        for watch in soon:
            if watch.due_s <= now_s:
                missed = await self._ask_for(watch) or missed
        if missed and self._stream is not None:
            # The stream should have told that first: nothing before now can be taken for complete.
            self._stream.missed()

    async def _ask_for(self, watch: Watch) -> bool:
        """One order; True when that was news which the stream should have told before."""
        gaps, should_know = self._gaps, self._stream_should_know(watch)
        answer = await self._questions.order(watch.order.symbol, watch.order.client_order_id)
        if not isinstance(answer, Doubt):
            watch.misses = watch.misses + 1 if isinstance(answer, Missing) else 0
        self._put_off(watch, gaps)
        if isinstance(answer, Doubt):
            self._pause(answer)
            return False
        if not isinstance(answer, OrderFact):
            return False
        return self._learn(answer) and should_know and gaps == self._gaps

    async def _ask_for_list(
        self, watches: Sequence[Watch], question: Awaitable[Sequence[OrderFact] | Doubt]
    ) -> bool:
        """Several orders at once; those that the list does not show stay due. True as for `_ask_for`."""
        gaps = self._gaps
        told = {one.order.client_order_id for one in watches if self._stream_should_know(one)}
        facts = await question
        if isinstance(facts, Doubt):
            for watch in watches:
                self._put_off(watch, gaps)
            self._pause(facts)
            return False
        shown = {fact.client_order_id for fact in facts}
        for watch in watches:
            if watch.order.client_order_id in shown:
                watch.misses = 0
                self._put_off(watch, gaps)
        news = [fact.client_order_id for fact in facts if self._learn(fact)]
        return gaps == self._gaps and not told.isdisjoint(news)

    def _stream_should_know(self, watch: Watch) -> bool:
        return self._stream is not None and self._stream.stands and not watch.overdue

    def _learn(self, fact: OrderFact) -> bool:
        news = self._followed.hear(fact)
        if news:
            self._news.set()
        return news

    def _put_off(self, watch: Watch, gaps: int) -> None:
        """Answered: due again later, unless there was a gap while the answer was on its way."""
        if gaps != self._gaps:
            return
        told = self._stream is not None and self._stream.stands and watch.heard
        # One that the exchange does not show may be forgotten there: asking on costs the others' room.
        misses = min(10, max(0, watch.misses - MISSES_USUAL))
        poll_s = max(self._poll_s, min(PAUSE_S_MAX, self._poll_s * float(2**misses)))
        watch.due_s = self._clock.monotonic_s() + max(poll_s, STREAM_POLL_S if told else 0.0)
        watch.overdue = False

    async def _ask_for_trades(self, now_s: float) -> bool:
        """The trades of orders that were executed further than theirs go; False when none is due."""
        lacking = {(one.symbol, one.order_id): one for one in self._followed.lacking_trades()}
        self._trades_due = {key: due for key, due in self._trades_due.items() if key in lacking}
        due = [key for key in lacking if self._trades_due.get(key, (0.0, 0))[0] <= now_s]
        if not due:
            return False
        symbol = due[0][0]
        same = [key for key in due if key[0] == symbol]
        since_ms = self._sent_since_ms([lacking[key].client_order_id for key in same])
        weights = WEIGHTS[self._market]
        if since_ms is not None and len(same) * weights.trades_of_order > weights.trades:
            trades = await self._questions.trades(symbol, since_ms)
        else:
            same = same[:1]
            trades = await self._questions.trades_of(symbol, same[0][1])
        for key in same:
            tries = self._trades_due.get(key, (0.0, 0))[1]
            delay_s = min(STREAM_POLL_S, TRADES_RETRY_S * float(2 ** min(tries, 10)))
            self._trades_due[key] = (self._clock.monotonic_s() + delay_s, tries + 1)
        if isinstance(trades, Doubt):
            self._pause(trades)
        elif self._followed.hear_trades(symbol, trades):
            self._news.set()
        return True

    def _sent_since_ms(self, client_order_ids: Sequence[str]) -> int | None:
        """Since when all these orders can have traded; None when one of them is not watched, or old."""
        oldest_ms = self._client.exchange_clock.now_ms() - LISTED_AGE_MS_MAX
        since_ms = [
            oldest_ms - 1 if watch is None else watch.since_ms
            for watch in map(self._followed.watch_of, client_order_ids)
        ]
        return min(since_ms) if min(since_ms) >= oldest_ms else None

    def _pause(self, doubt: Doubt) -> None:
        """The exchange or its limits say when to ask again: until then nothing is asked."""
        if doubt.retry_at_ms is not None:
            wait_s = min(PAUSE_S_MAX, (doubt.retry_at_ms - self._clock.wall_ms()) / 1_000)
            self._pause_until_s = max(self._pause_until_s, self._clock.monotonic_s() + wait_s)

    def _next_due_s(self) -> float | None:
        dues = [watch.due_s for watch in self._followed.watches]
        dues += [due_s for due_s, _ in self._trades_due.values()]
        return min(dues, default=None)

    async def _until_due(self, due_s: float | None) -> None:
        """Wait until then, or until something makes an order due earlier."""
        waits = [asyncio.create_task(self._due.wait(), name="due")]
        if due_s is not None:
            rest_s = max(0.001, due_s - self._clock.monotonic_s())
            waits.append(asyncio.create_task(self._rest(rest_s)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _rest(self, delay_s: float) -> Literal[True]:
        await self._clock.sleep(delay_s)
        return True
