"""Binance as a venue: each order sent once, with a window after which it cannot be accepted any more.

What an answer proves is decided by the verdicts, what a silence means by the lookup, what becomes of an
accepted order by the follower; here they are put together, and kept supplied with a clock, with rules and
with prices. A key that the venue refuses while orders are sent ends the sending until a person has looked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from decimal import Decimal

from adapters.binance import account, answers, guards, preparing, wire
from adapters.binance.anchors import Anchors
from adapters.binance.asking import Trouble, judged, listens_again_ms
from adapters.binance.client import Client, Replied
from adapters.binance.follow import Follower
from adapters.binance.lookup import Lookup
from adapters.binance.market import PATHS, WEIGHTS, Market
from adapters.binance.preparing import Window
from adapters.binance.prices import Prices, ask_books
from adapters.binance.starting import (
    Account,
    know_it_may_trade,
    know_the_account,
    know_the_clock,
    know_the_rules,
)
from adapters.binance.transport import Transport
from adapters.binance.upkeep import KeptDeadline, Upkeep
from adapters.binance.user_stream import UserStream
from adapters.binance.wire import Request
from adapters.contract import (
    Accepted,
    AmendResult,
    CancelResult,
    Fill,
    Guard,
    LedgerView,
    LookupResult,
    NotSent,
    NotYet,
    Order,
    OrderCtx,
    OrderUpdate,
    PastOrder,
    Reject,
    StartRefusal,
    SubmitResult,
    Wait,
    WindowUsage,
)
from adapters.filters import TRADING
from config.seams import Clock
from config.settings import Settings

# Where the deadline of a ban is kept, so that a restart does not send into it.
DEADLINE_KEY = "venue_deadline_ms"
# A price or a clock that is missing now may be there this much later.
WAIT_MS = 100
# A key that was refused is not tried again by waiting.
DENIED_WAIT_MS = 5_000

# What the key may do, from whoever tells it; None when that is as it must be.
KeyCheck = Callable[[], Awaitable[StartRefusal | None]]


class BinanceAdapter:
    """The `ExecutionAdapter` of one account on one market. `check_key` is asked last before a start."""

    batch_max = 1
    order_id_prefix = None

    def __init__(
        self,
        settings: Settings,
        client: Client,
        transport: Transport,
        clock: Clock,
        about: Account,
        *,
        has_stream: bool,
        deadline: KeptDeadline,
        check_key: KeyCheck | None = None,
    ) -> None:
        self.name = client.market.value
        self.position_is_exact = client.market is Market.FUTURES
        self.denied: str | None = None
        self.on_denied: Callable[[str], None] | None = None
        self._settings = settings
        self._client = client
        self._transport = transport
        self._clock = clock
        self._about = about
        self._check_key = check_key
        self._prices = Prices(
            about.symbols,
            lambda symbols: ask_books(client, symbols),
            clock,
            max_age_ms=settings.execution.order.price_max_age_ms,
        )
        self._follower = Follower(
            client,
            transport,
            client.market,
            settings.broker,
            clock,
            has_stream=has_stream,
            prefix=about.prefix,
        )
        self._upkeep = Upkeep(client, clock, about.symbols, self._prices, deadline)
        self._lookup: Lookup | None = None
        self._any_order = Request(
            "POST",
            PATHS[client.market].order,
            (),
            "signed",
            WEIGHTS[client.market].new_order,
            places_order=True,
        )

    @property
    def client(self) -> Client:
        """The calls to the venue, for commands that people give."""
        return self._client

    @property
    def host(self) -> str:
        """The venue's host as people know it."""
        return self._about.host

    @property
    def clock_offset_ms(self) -> int:
        """The venue's clock minus the host's wall clock, as known now."""
        return self._client.exchange_clock.offset_ms(self._clock.wall_ms())

    @property
    def deadline_ms(self) -> int:
        """The venue wants to hear nothing before this (its own clock); 0: it never asked for a pause."""
        return self._client.budget.deadline_ms

    @property
    def usage(self) -> Sequence[WindowUsage]:
        """The present window of every limit, as far as it may be spent."""
        return self._client.budget.usage(self._client.exchange_clock.now_ms())

    @property
    def weight_used(self) -> int:
        """The request weight of the present window that may be spent."""
        return max((window.used for window in self.usage if window.kind == "weight"), default=0)

    @property
    def orders_used(self) -> int:
        """The orders of the shortest present window that may be counted."""
        windows = [window for window in self.usage if window.kind == "orders"]
        return min(windows, key=lambda window: window.length_ms).used if windows else 0

    @property
    def stream(self) -> UserStream | None:
        """The user stream: whether it stands, why not, how often it broke; None where the host has none."""
        return self._follower.stream

    @property
    def stream_missing(self) -> str | None:
        """The host's word on a user stream that it does not have, or not for this key."""
        return None if self.stream is None else self.stream.unserved_because

    @property
    def upkeep(self) -> Upkeep:
        """The clock, the rules and the prices, and how often one of them could not be had."""
        return self._upkeep

    async def start(self, view: LedgerView) -> StartRefusal | None:
        """Learn the venue's clock and rules and what the account may do; then keep all of that fresh."""
        await self._remember(view)
        refusal = await self.examine()
        if refusal is not None:
            # A supervisor starts anew at once: that start must not ask into a pause that this one was told.
            # One that was told under a wrong clock says nothing once the clock is right.
            if self.deadline_ms and refusal.kind == "unavailable":
                await view.keep(DEADLINE_KEY, str(self.deadline_ms))
            return refusal
        now_ms, margin_ms = self._client.exchange_clock.now_ms(), self._client.margin_ms
        budget = self._client.budget
        sends = await view.sends_since(self._clock.wall_ms() - budget.past_ms)
        budget.seed((at_ms + self.clock_offset_ms for at_ms in sends), now_ms=now_ms, margin_ms=margin_ms)
        await self._prices.ask_once()
        anchors = await self._known_anchors(view)
        self._lookup = Lookup(
            self._client,
            self._client.market,
            self._settings.broker,
            view,
            self._follower.unbroken_since_ms,
            clock=self._clock,
            sighted=self._follower.sighted,
            anchors=anchors,
            prefix=self._about.prefix,
        )
        self._follower.start()
        more = () if anchors is None else (anchors.run(view.keep),)
        self._upkeep.start(lambda until_ms: view.keep(DEADLINE_KEY, str(until_ms)), *more)
        return None

    def wait_for(self, symbol: str) -> Wait | None:
        """Why no order of `symbol` can leave now: the key, the clock, a deadline, the budget, the price."""
        self._upkeep.raise_what_broke()
        now_ms = self._clock.wall_ms()
        if self.denied is not None:
            return Wait("denied", self.denied, now_ms + DENIED_WAIT_MS)
        if self._client.clock_doubtful:
            self._upkeep.clock_is_due()
            return Wait("clock", "the venue refused a time stamp, its clock is being read", now_ms + WAIT_MS)
        obstacle = self._client.obstacle(self._any_order)
        if obstacle is not None:
            if obstacle.code == "clock":
                self._upkeep.clock_is_due()
            at_ms = obstacle.retry_at_ms if obstacle.retry_at_ms is not None else now_ms + WAIT_MS
            return Wait(obstacle.code, obstacle.text, max(at_ms, now_ms + 1))
        if self._prices.price(symbol) is None:
            self._prices.poke()
            return Wait("price", f"no price of {symbol} is fresh", now_ms + WAIT_MS)
        return None

    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        """The order under the symbol's rules, sized with a fresh price; a stale one means no order."""
        rules = self._upkeep.rules.of.get(ctx.symbol)
        if rules is None or rules.status != TRADING:
            # It may trade again long before the day is over after which the rules are read anyway.
            self._upkeep.rules_are_due()
        if rules is None:
            return Reject("symbol_not_trading", f"{self._about.host} has no rules for {ctx.symbol} any more")
        book = self._prices.price(ctx.symbol)
        if book is None:
            return Reject("stale_price", f"no price of {ctx.symbol} is fresh")
        size = self._settings.execution.business.order_size_usd
        return preparing.prepare(ctx, rules, book, self._window(), order_size_usd=size)

    def renew(self, order: Order, life_end_ms: int | None) -> Order:
        """The same order with a new window; one that has passed already when the signal's life is over."""
        return preparing.renew(order, self._window(), life_end_ms)

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        """Send once. A cancelled call leaves the order unknown: the caller's row stays reserved."""
        if self.denied is not None:
            return NotSent("denied", self.denied)
        if self._client.clock_doubtful:
            self._upkeep.clock_is_due()
            return NotSent("clock", "the venue refused a time stamp, its clock is being read")
        answer = await self._client.call(
            wire.new_order(self._client.market, order),
            guard=guard,
            timestamp_max_ms=order.send_before_ms,
            recv_window_ms=order.recv_window_ms,
        )
        said = judged(self._client, answer, placing=True) if isinstance(answer, Replied) else None
        deadline_ms = listens_again_ms(self._client)
        outcome = answers.outcome(order, answer, said, deadline_wall_ms=deadline_ms)
        if outcome.denied is not None:
            self._deny(outcome.denied)
        if outcome.resync:
            self._upkeep.clock_is_due()
        if outcome.stale_rules:
            self._upkeep.rules_are_due()
        if isinstance(outcome.result, Accepted):
            self._follower.watch(order)
        return outcome.result

    async def lookup(self, client_order_id: str, order: Order) -> LookupResult:
        """What became of an order that may have been sent (DESIGN 4)."""
        assert self._lookup is not None, "start comes first"
        return await self._lookup.lookup(client_order_id, order)

    def watch(self, order: Order) -> None:
        """Follow an accepted order until it is final."""
        self._follower.watch(order)

    def updates(self) -> AsyncIterator[OrderUpdate]:
        """News of accepted orders; ends when the adapter closes."""
        return self._follower.updates()

    async def past_orders(self, symbol: str, since_ms: int) -> Sequence[PastOrder] | NotYet:
        """All orders of ours since `since_ms` (host's wall clock), or not yet: never a part of them."""
        found = await account.past(self._client, symbol, since_ms + self.clock_offset_ms, self._about.is_ours)
        return self._not_yet(found) if isinstance(found, Trouble) else found

    async def open_orders(self, symbol: str) -> Sequence[PastOrder] | NotYet:
        """Orders of ours that still work."""
        found = await account.working(self._client, symbol, self._about.is_ours)
        return self._not_yet(found) if isinstance(found, Trouble) else found

    async def fetch_fills(self, symbol: str, since_ms: int) -> Sequence[Fill] | NotYet:
        """The trades of `symbol` since `since_ms` (host's wall clock)."""
        found = await account.fills(self._client, symbol, since_ms + self.clock_offset_ms)
        return self._not_yet(found) if isinstance(found, Trouble) else found

    async def get_position(self, symbol: str) -> Decimal | NotYet:
        """The signed position in base units; on spot, all there is of the base asset."""
        found = await account.position(self._client, symbol, self._upkeep.rules.base_assets.get(symbol))
        return self._not_yet(found) if isinstance(found, Trouble) else found

    async def get_balance(self) -> dict[str, Decimal] | NotYet:
        """Free balance by asset."""
        found = await account.balances(self._client)
        return self._not_yet(found) if isinstance(found, Trouble) else {one.asset: one.free for one in found}

    async def cancel(self, client_order_id: str, symbol: str) -> CancelResult:
        """Ask for the order to stop working; may be repeated."""
        found = await account.cancel(self._client, client_order_id, symbol)
        if not isinstance(found, Trouble):
            return found
        self._note(found)
        return CancelResult(done=False, text=found.text)

    async def amend(self, client_order_id: str, symbol: str, qty: Decimal, price: Decimal) -> AmendResult:
        """Change a working limit order; futures alone."""
        if self._client.market is not Market.FUTURES:
            return AmendResult(done=False, text="a spot order cannot be changed: cancel it and place another")
        found = await account.amend(self._client, client_order_id, symbol, qty, price)
        if not isinstance(found, Trouble):
            return found
        self._note(found)
        return AmendResult(done=False, text=found.text)

    def allow_again(self) -> None:
        """A person has looked at why the key was refused: try it again."""
        self.denied = None

    async def flush(self) -> None:
        """Nothing is buffered."""

    async def close(self) -> None:
        """End what runs in the background and `updates()`, then the connections; may be repeated."""
        try:
            await self._upkeep.close()
        finally:
            try:
                await self._follower.close()
            finally:
                await self._transport.close()

    async def _remember(self, view: LedgerView) -> None:
        """A deadline that a former run was told holds for this one."""
        kept = await view.kept(DEADLINE_KEY)
        if kept is not None and kept.isascii() and kept.isdigit():
            self._client.budget.deadline_until(int(kept), self._client.exchange_clock.now_ms())

    async def examine(self) -> StartRefusal | None:
        """All that a start demands of the venue and the account, asked for; nothing is begun."""
        client, about, clock = self._client, self._about, self._clock
        refusal = await know_the_clock(client, about, clock)
        if refusal is not None:
            return refusal
        rules = await know_the_rules(client, about, clock)
        if isinstance(rules, StartRefusal):
            return rules
        self._upkeep.rules = rules
        refusal = await know_the_account(client, about, clock)
        if refusal is not None:
            return refusal
        if self._check_key is not None:
            return await self._check_key()
        return await know_it_may_trade(client, about, clock, rules)

    async def _known_anchors(self, view: LedgerView) -> Anchors | None:
        """Spot's stand-in for a position to compare; futures have one."""
        if self._client.market is Market.FUTURES:
            return None
        settled_ms = self._settings.broker.visibility_ms
        anchors = Anchors(self._client, self._clock, self._upkeep.rules.base_assets, settled_ms=settled_ms)
        await anchors.remember(view.kept)
        return anchors

    def _window(self) -> Window:
        broker = self._settings.broker
        return Window(
            now_ms=self._client.exchange_clock.now_ms(),
            offset_ms=self.clock_offset_ms,
            send_window_ms=broker.send_window_ms,
            recv_window_ms=broker.recv_window_ms,
        )

    def _not_yet(self, trouble: Trouble) -> NotYet:
        self._note(trouble)
        until_ms = self._clock.wall_ms() + self._settings.broker.settle_poll_ms
        return NotYet(max(until_ms, trouble.retry_at_ms or 0), trouble.text)

    def _note(self, trouble: Trouble) -> None:
        """A key that may not even ask may not send either."""
        if trouble.kind == "denied":
            self._deny(trouble.text)

    def _deny(self, text: str) -> None:
        if self.denied is None:
            self.denied = guards.denied_at_work(self._about.host, text, self._about.key_name)
            if self.on_denied is not None:
                self.on_denied(self.denied)
