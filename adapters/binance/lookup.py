"""What became of an order that may have been sent: found, proven absent, or not yet known.

One round of questions per call, the cheapest first; the caller comes back when the answer says so. Whatever
the exchange or the wire does is an answer of "not yet": nothing here raises for the world's faults, and
nothing but the whole proof of `absence` ends in "absent".
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

import msgspec

from adapters.binance.absence import (
    AbsenceNumbers,
    AbsenceProof,
    Evidence,
    Pending,
    Proven,
    SendWindow,
)
from adapters.binance.anchors import Anchor, Anchors
from adapters.binance.client import Client
from adapters.binance.facts import OrderFact, TradeFact, difference
from adapters.binance.market import HISTORY_ROWS_MAX, Market
from adapters.binance.questions import Doubt, Questions
from adapters.binance.tracker import OrderTracker
from adapters.contract import Found, LedgerView, LookupResult, NotYet, Order, ProvenAbsent
from config.seams import Clock
from config.settings import Broker

# The client order ids that this program makes begin with this; nobody else's do.
OUR_PREFIX = "ew1-"
# Lanes look up one order each; a proof that is dropped is only begun anew.
PROOFS_MAX = 1_024
# A row was reserved at most this long (the setting's bound) before its window for sending ends.
SEND_WINDOW_MS_MAX = 60_000
# How far the exchange's clocks and our knowledge of them may differ.
CLOCKS_MS = 1_000
# Orders older than the window that traded in it are asked for with so many questions per round, and those
# that were found are remembered: what an order was placed under never changes.
EXPLAINING_QUESTIONS_MAX = 5
EXPLAINED_MAX = 4_096

# What streams and former questions have shown under a client order id.
Sightings = Callable[[str], Sequence[OrderFact]]


def nothing_sighted(client_order_id: str) -> Sequence[OrderFact]:
    """For where nobody looks on."""
    return ()


class _Case(msgspec.Struct):
    """One order that is being looked up; rounds of one order do not overlap."""

    proof: AbsenceProof
    lock: asyncio.Lock


class _Shown(msgspec.Struct, frozen=True):
    """Orders under our id that turned up where others were looked for."""

    facts: tuple[OrderFact, ...]


class _Held(msgspec.Struct, frozen=True):
    """How much there is of an asset, and how much there was at moments before the order."""

    asset: str
    anchors: tuple[Anchor, ...]
    balance: Decimal


class Lookup:
    """Answers for all symbols. `unbroken_since` (exchange clock): since when the user stream has no gap."""

    def __init__(
        self,
        client: Client,
        market: Market,
        broker: Broker,
        view: LedgerView,
        unbroken_since: Callable[[], int | None],
        *,
        clock: Clock,
        sighted: Sightings = nothing_sighted,
        anchors: Anchors | None = None,
        prefix: str = OUR_PREFIX,
    ) -> None:
        self._client = client
        self._questions = Questions(client, market, urgent=True)
        self._view = view
        self._unbroken_since = unbroken_since
        self._sighted = sighted
        self._anchors = anchors
        self._clock = clock
        self._prefix = prefix
        self._send_window_ms = broker.send_window_ms
        self._numbers = AbsenceNumbers(
            margin_ms=broker.absence_margin_ms,
            visibility_ms=broker.visibility_ms,
            spacing_ms=broker.absence_spacing_ms,
        )
        self._cases: OrderedDict[str, _Case] = OrderedDict()
        self._explained: OrderedDict[tuple[str, int], OrderFact] = OrderedDict()

    async def lookup(self, client_order_id: str, order: Order) -> LookupResult:
        """One round: the order itself, and when its absence has lasted, everything else.

        A found order that was executed is handed out with its exact price and fee, or, when its trades cannot
        be had now, as still working with what is known: whoever follows it finishes it.
        """
        if self._client.clock_doubtful or not self._client.exchange_clock.synced:
            await self._client.sync_clock()
        case = self._case(client_order_id, order)
        async with case.lock:
            result = await self._round(case.proof, client_order_id, order)
        if not isinstance(result, NotYet):
            self._cases.pop(client_order_id, None)
        return result

    def _case(self, client_order_id: str, order: Order) -> _Case:
        window = self._window(order)
        case = self._cases.get(client_order_id)
        if case is None or case.proof.window != window:
            case = _Case(AbsenceProof(window, self._numbers), asyncio.Lock())
        self._cases[client_order_id] = case
        self._cases.move_to_end(client_order_id)
        while len(self._cases) > PROOFS_MAX:
            self._cases.popitem(last=False)
        return case

    def _window(self, order: Order) -> SendWindow:
        """When the order can have come to the exchange; one without a window has none that ever closes."""
        if order.send_before_ms is None or order.recv_window_ms is None:
            return SendWindow(0, 2**62)
        return SendWindow(
            opens_ms=order.send_before_ms - self._send_window_ms - CLOCKS_MS,
            closes_ms=order.send_before_ms + order.recv_window_ms,
        )

    async def _round(self, proof: AbsenceProof, client_order_id: str, order: Order) -> LookupResult:
        begun_s = self._clock.boot_s()
        early = proof.too_early(self._client.exchange_clock.now_ms())
        # Asked for before the order, so that the answer about the order is never older than this time.
        server_ms = await self._questions.server_time() if early is None else None
        answer = await self._questions.order(order.symbol, client_order_id)
        if isinstance(answer, OrderFact):
            return await self._found((answer,), client_order_id, order)
        if sightings := self._sighted(client_order_id):
            proof.contradicted("the order was seen before")
            return await self._found(sightings, client_order_id, order)
        if isinstance(answer, Doubt):
            return self._not_yet(proof.unanswered(answer.why), answer)
        if early is not None:
            return self._not_yet(early)
        if not isinstance(server_ms, int):
            assert isinstance(server_ms, Doubt)
            return self._not_yet(proof.unanswered(server_ms.why), server_ms)
        took_ms = math.ceil((self._clock.boot_s() - begun_s) * 1_000)
        word = proof.absent(server_ms, took_ms)
        if isinstance(word, Pending):
            return self._not_yet(word)
        evidence = await self._evidence(client_order_id, order)
        if isinstance(evidence, _Shown):
            proof.contradicted("the order is listed")
            return await self._found(evidence.facts, client_order_id, order)
        match proof.judged(evidence):
            case Proven():
                return ProvenAbsent()
            case Pending() as pending:
                return self._not_yet(pending)

    def _not_yet(self, pending: Pending, doubt: Doubt | None = None) -> NotYet:
        until_ms = self._clock.wall_ms() + pending.wait_ms
        if doubt is not None and doubt.retry_at_ms is not None:
            until_ms = max(until_ms, doubt.retry_at_ms)
        return NotYet(until_ms, pending.why)

    async def _evidence(self, client_order_id: str, order: Order) -> Evidence | _Shown:
        """Everything else that the exchange shows of the symbol since the order can have been sent."""
        start_ms = _history_start_ms(order)
        working = await self._questions.open_orders(order.symbol)
        if isinstance(working, Doubt):
            return Evidence(unanswered=working.why)
        past = await self._questions.history(order.symbol, start_ms)
        if isinstance(past, Doubt):
            return Evidence(unanswered=past.why)
        held = await self._held(order)
        trades = await self._trades(order.symbol, start_ms, held)
        if isinstance(trades, Doubt):
            return Evidence(unanswered=trades.why)
        # Those before can be no trades of this order, and the lists do not go back to their orders.
        recent = [trade for trade in trades if trade.at_ms is None or trade.at_ms >= start_ms]
        others = await self._others(order.symbol, recent, {fact.order_id: fact for fact in (*working, *past)})
        if isinstance(others, Doubt):
            return Evidence(unanswered=others.why)
        if ours := tuple(fact for fact in others.values() if fact.client_order_id == client_order_id):
            return _Shown(ours)
        unexplained = await self._unexplained(recent, others)
        if unexplained:
            return Evidence(unexplained=unexplained)
        if held is not None:
            return self._balance(order, held, trades)
        return await self._position(client_order_id, order)

    async def _held(self, order: Order) -> _Held | None:
        """Spot: the balance and an anchor before the order; None where that cannot be had.

        Asked for before the trades, so that a trade that is in the balance can be in their list.
        """
        if self._anchors is None:
            return None
        anchors = self._anchors.before(order.symbol, self._window(order).opens_ms)
        if not anchors:
            return None
        asset = self._anchors.asset_of(order.symbol)
        balance = await self._questions.balance(asset)
        return None if isinstance(balance, Doubt) else _Held(asset, anchors, balance)

    async def _trades(self, symbol: str, start_ms: int, held: _Held | None) -> Sequence[TradeFact] | Doubt:
        if held is None:
            return await self._questions.trades(symbol, start_ms)
        oldest = min(anchor.last_trade_id for anchor in held.anchors)
        return await self._questions.trades_after(symbol, oldest)

    def _balance(self, order: Order, held: _Held, trades: Sequence[TradeFact]) -> Evidence:
        """Whether the balance moved since the anchor as the listed trades say, which are all explained."""
        told = [anchor.expected(held.asset, trades) for anchor in held.anchors]
        expected = [balance for balance in told if balance is not None]
        if not expected:
            return Evidence(stream_since_ms=self._unbroken_since())
        fits = held.balance in expected
        return self._compared(order, held.balance, held.balance if fits else expected[0])

    async def _others(
        self, symbol: str, trades: Iterable[TradeFact], known: dict[int, OrderFact]
    ) -> dict[int, OrderFact] | Doubt:
        """The orders in the lists, and those of trades that are in none: they may have worked for long.

        A question shows the orders from the oldest unexplained one on; one that it does not show has none.
        """
        strangers = {trade.order_id for trade in trades} - known.keys()
        for order_id in sorted(strangers):
            if (fact := self._explained.get((symbol, order_id))) is not None:
                known[order_id] = fact
                strangers.discard(order_id)
        for _ in range(EXPLAINING_QUESTIONS_MAX):
            if not strangers:
                return known
            limit = HISTORY_ROWS_MAX if len(strangers) > 1 else 1
            oldest = min(strangers)
            facts = await self._questions.orders_from(symbol, oldest, limit)
            if isinstance(facts, Doubt):
                return facts
            found = {fact.order_id: fact for fact in facts if fact.order_id in strangers}
            known |= found
            self._remember(symbol, found.values())
            strangers -= {oldest, *found}
        return known if not strangers else Doubt(f"trades of {len(strangers)} orders are yet to be explained")

    def _remember(self, symbol: str, facts: Iterable[OrderFact]) -> None:
        for fact in facts:
            self._explained[symbol, fact.order_id] = fact
        while len(self._explained) > EXPLAINED_MAX:
            self._explained.popitem(last=False)

    async def _unexplained(
        self, trades: Iterable[TradeFact], orders: dict[int, OrderFact]
    ) -> tuple[str, ...]:
        """Trades without an order, and orders with an id of ours that the ledger does not know."""
        ours = {
            fact.client_order_id for fact in orders.values() if fact.client_order_id.startswith(self._prefix)
        }
        unknown = ours - await self._view.known(ours)
        orphans = sorted({trade.order_id for trade in trades} - orders.keys())
        return (
            *(f"order {client_order_id}" for client_order_id in sorted(unknown)),
            *(f"trades of order {order_id}" for order_id in orphans),
        )

    async def _position(self, client_order_id: str, order: Order) -> Evidence:
        expected = await self._view.expected_position(order.symbol, client_order_id)
        position = await self._questions.position(order.symbol) if expected is not None else None
        if isinstance(position, Doubt):
            return Evidence(unanswered=position.why)
        if expected is None or position is None:
            return Evidence(stream_since_ms=self._unbroken_since())
        return self._compared(order, position, expected)

    def _compared(self, order: Order, position: Decimal, expected: Decimal) -> Evidence:
        moved = position - expected if order.side == "buy" else expected - position
        return Evidence(
            position_fits=position == expected,
            moved_like_order=Decimal(0) < moved <= order.qty,
            stream_since_ms=self._unbroken_since(),
        )

    async def _found(self, facts: Sequence[OrderFact], client_order_id: str, order: Order) -> LookupResult:
        """The order with what became of it; more than one under its id differ from the row together."""
        past = await self._questions.history(order.symbol, _history_start_ms(order, facts))
        if isinstance(past, Doubt):
            return self._not_yet(Pending(self._numbers.spacing_ms, f"found; {past.why}"), past)
        same_id = [fact for fact in past if fact.client_order_id == client_order_id]
        trackers: dict[int, OrderTracker] = {}
        for fact in (*facts, *self._sighted(client_order_id), *same_id):
            tracker = trackers.setdefault(
                fact.order_id, OrderTracker(client_order_id, fact.order_id, fact.symbol)
            )
            tracker.learn(fact)
        tracker = trackers[facts[0].order_id]
        if tracker.needs_trades:
            trades = await self._questions.trades_of(tracker.symbol, tracker.order_id)
            for trade in trades if not isinstance(trades, Doubt) else ():
                tracker.learn_trade(trade)
        update = tracker.current()
        assert update is not None
        differs = difference(facts[0], order)
        if len(trackers) > 1:
            numbers = ", ".join(str(order_id) for order_id in sorted(trackers))
            differs = f"orders {numbers} have one client order id"
        if differs is None:
            return Found(update)
        reason = differs if update.reason is None else f"{differs}; {update.reason}"
        return Found(msgspec.structs.replace(update, reason=reason), same_terms=False)


def _history_start_ms(order: Order, found: Sequence[OrderFact] = ()) -> int:
    """The earliest moment at which an order of this row can have come to the exchange."""
    begin_ms = order.send_before_ms
    if begin_ms is None:
        begin_ms = min((fact.created_ms for fact in found if fact.created_ms is not None), default=0)
    return max(0, begin_ms - SEND_WINDOW_MS_MAX - CLOCKS_MS)
