"""TradeSim: the simulated venue itself. Takes orders, fills them on quotes that it is given, keeps positions.

Pure. What happens is decided first (`decide…`, which changes nothing) and becomes true when its fact is
applied; who keeps a journal writes the fact in between. The same seed and order meet the same fate in any
order of calls.

A limit order that must fill at once (IOC, FOK) and does not cross is taken and has expired, with the reason
`no_fill_after_retries`: that is what an exchange does with one, and unlike a rejection it leaves an order
behind which can be asked about. FOK and IOC are alike, because a quote has no depth: what crosses is filled
whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from adapters.contract import (
    Accepted,
    AmendResult,
    CancelResult,
    Order,
    OrderCtx,
    OrderUpdate,
    Reject,
    Rejected,
    SubmitResult,
    Unknown,
)
from adapters.costs import CostModel
from adapters.filters import SymbolRules, Wanted, align
from adapters.grid import plain
from adapters.paper.dice import Dice
from adapters.paper.facts import Amended, End, Ended, Fact, Filled, Part, Placed
from adapters.paper.filling import Filling, crosses, reaches
from adapters.paper.positions import Position
from adapters.paper.quotes import NoQuote, Quote
from adapters.paper.short_way import ShortWay
from adapters.paper.sizing import sized
from adapters.paper.terms import Terms
from adapters.paper.venue_orders import VenueOrder, remember

# So many orders that are over are kept, a few megabytes; of older ones the ids are, so that none comes twice.
KEPT_ORDERS_MAX = 5_000
AT_ONCE = ("IOC", "FOK")
DUPLICATE = "duplicate_order"
NO_FILL = "no_fill_after_retries"
ANSWER_LOST = "the simulated venue's answer got lost"


class Lost(msgspec.Struct, frozen=True):
    """The order never reached the venue, and nobody was told so."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The answer to one placement, and what else became of the order, in order of time.

    `later` are the parts that fill after the first. Where the answer got lost but the order did not, all of
    it is there.
    """

    answer: SubmitResult
    later: tuple[OrderUpdate, ...] = ()


class TradeSim:
    """One venue. `rules` are those of the exchange that it stands for; they may be replaced."""

    def __init__(
        self,
        terms: Terms,
        costs: CostModel,
        rules: Mapping[str, SymbolRules],
        *,
        kept_orders_max: int = KEPT_ORDERS_MAX,
    ) -> None:
        self.orders: dict[str, VenueOrder] = {}
        self.positions: dict[str, Position] = {}
        self._terms = terms
        self.rules = rules
        self._dice = Dice(terms.seed)
        self._filling = Filling(terms, costs, self._dice)
        self._ways: dict[str, ShortWay] = {}
        self._working: dict[str, dict[str, VenueOrder]] = {}
        self._lost_once: set[str] = set()
        self._number = 0
        self._kept_orders_max = kept_orders_max
        self._over: deque[str] = deque()
        self._forgotten: set[str] = set()
        # No dice and no doubt: what a market order becomes needs no deciding.
        dice = terms.partial_share or terms.error_share or terms.timeouts
        self.is_plain = not dice and self._filling.never_wide

    def prepare(self, ctx: OrderCtx, quote: Quote | NoQuote, size_usd: Decimal) -> Order | Reject:
        """The order as it will be placed, or why there will be none; changes nothing.

        `size_usd` is its value in quote units where `ctx` names neither quantity nor value.
        """
        if isinstance(quote, NoQuote):
            return Reject(quote.code, quote.text)
        rules = self.rules.get(ctx.symbol)
        if rules is None:
            return Reject(
                "no_symbol_rules",
                f"{ctx.symbol} has no trading rules here: name a file that has them in"
                " execution.paper.rules_file",
            )
        way = self._ways.get(ctx.symbol)
        if way is None or way.rules is not rules:
            way = self._ways[ctx.symbol] = ShortWay(rules)
        short = way.order(ctx, quote, size_usd)
        if short is not None and self._filling.never_wide:
            return short
        order = short or sized(ctx, rules, quote, size_usd=size_usd)
        if isinstance(order, Reject):
            return order
        return self._filling.too_wide(order, quote) or order

    def latency_ms(self, client_order_id: str) -> int:
        """How long the venue takes over this order."""
        terms = self._terms
        if not terms.latency_jitter_ms:
            return terms.latency_ms
        return terms.latency_ms + self._dice.pick(terms.latency_jitter_ms + 1, client_order_id, "latency")

    def place(self, order: Order, quote: Quote, now_ms: int) -> Outcome:
        """Take the order, or refuse it. `quote` is the last look at the price that it gets at once."""
        if self.is_plain and order.price is None and not self.knows(order.client_order_id):
            return self._place_plain(order, quote, now_ms)
        decided = self.decide(order, quote, now_ms)
        if isinstance(decided, Placed):
            return self.answer_of(self.apply(decided))
        return self.refusal(order, decided)

    def plain_trade(self, order: Order, quote: Quote, now_ms: int) -> Part | None:
        """The one trade that a market order comes to here, whatever its id; None: `decide` has to say."""
        if not self.is_plain or order.price is not None:
            return None
        return self._filling.taken_at_once(order, quote, now_ms)

    def _place_plain(self, order: Order, quote: Quote, now_ms: int) -> Outcome:
        """A market order that fills whole: as `place`, in half of the time."""
        part = self._filling.taken_at_once(order, quote, now_ms)
        self._number += 1
        order_id, symbol, qty = order.client_order_id, order.symbol, order.qty
        position = self.positions.get(symbol)
        if position is None:
            position = self.positions[symbol] = Position()
        position.fill(order.side, qty, part.price, part.fee)
        if self._kept_orders_max:
            known = self.orders[order_id] = VenueOrder(self._number, now_ms, order)
            known.parts = (part,)
            known.filled_qty = qty
            self._is_over(order_id)
        else:
            self._forgotten.add(order_id)
        number = str(self._number)
        # By position, in the order of the fields: by name the call takes three times as long.
        update = OrderUpdate(order_id, "filled", qty, part.price, number, now_ms, part.fee, None, symbol)
        return Outcome(Accepted(update, now_ms, now_ms))

    def knows(self, client_order_id: str) -> bool:
        """Whether an order of that id was ever taken."""
        return client_order_id in self.orders or client_order_id in self._forgotten

    @property
    def has_forgotten(self) -> bool:
        """Whether `orders` lacks some that are over."""
        return bool(self._forgotten)

    def decide(self, order: Order, quote: Quote, now_ms: int) -> Placed | Rejected | Lost:
        """What becomes of a placement; nothing is true before `apply`."""
        order_id = order.client_order_id
        if self.knows(order_id):
            return Rejected(DUPLICATE, f"the venue has an order {order_id} already")
        terms = self._terms
        if terms.error_share and self._dice.hits(terms.error_share, order_id, "error"):
            return Rejected("venue_error", "the simulated venue refuses a share of all orders, as configured")
        if self._answer_is_lost(order) and not self._reaches(order_id):
            return Lost()
        if refusal := self._filling.too_wide(order, quote):
            return Rejected(refusal.code, refusal.text)
        if crosses(order, quote):
            parts = self._filling.taken(order, quote, self.rules.get(order.symbol), now_ms)
            return Placed(self._number + 1, now_ms, order, parts)
        end = End(now_ms, "expired", NO_FILL) if order.tif in AT_ONCE else None
        return Placed(self._number + 1, now_ms, order, (), end)

    def refusal(self, order: Order, decided: Rejected | Lost) -> Outcome:
        """The answer to what was not taken; an order gets lost once."""
        if isinstance(decided, Rejected):
            return Outcome(decided)
        self._lost_once.add(order.client_order_id)
        return Outcome(Unknown(ANSWER_LOST))

    def answer_of(self, known: VenueOrder) -> Outcome:
        """The answer to what was taken, once its fact is applied."""
        updates = known.updates()
        if self._answer_is_lost(known.order):
            return Outcome(Unknown(ANSWER_LOST), updates)
        return Outcome(Accepted(updates[0], sent_ts_ms=known.at_ms, ack_ts_ms=known.at_ms), updates[1:])

    def _answer_is_lost(self, order: Order) -> bool:
        share = self._terms.timeouts.get(order.symbol, 0.0) if self._terms.timeouts else 0.0
        if not share or order.client_order_id in self._lost_once:
            return False
        return self._dice.hits(share, order.client_order_id, "timeout")

    def _reaches(self, client_order_id: str) -> bool:
        """Of the orders whose answer is lost, whether this one was accepted all the same: every other is."""
        return self._dice.hits(0.5, client_order_id, "reaches")

    def apply(self, fact: Fact) -> VenueOrder:
        """Make a fact true: one that was just decided, or one of a former run, in their order."""
        order = remember(self.orders, fact)
        if isinstance(fact, Placed):
            self._number = max(self._number, fact.number)
        if isinstance(fact, Placed | Filled) and fact.parts:
            position = self.positions.setdefault(order.order.symbol, Position())
            for part in fact.parts:
                position.fill(order.order.side, part.qty, part.price, part.fee)
        self._keep_in_view(order)
        return order

    def _keep_in_view(self, order: VenueOrder) -> None:
        symbol, order_id = order.order.symbol, order.order.client_order_id
        if order.works:
            self._working.setdefault(symbol, {})[order_id] = order
            return
        if symbol in self._working:
            self._working[symbol].pop(order_id, None)
            if not self._working[symbol]:
                del self._working[symbol]
        self._is_over(order_id)

    def _is_over(self, client_order_id: str) -> None:
        self._over.append(client_order_id)
        if len(self._over) > self._kept_orders_max:
            oldest = self._over.popleft()
            del self.orders[oldest]
            self._forgotten.add(oldest)

    def working(self, symbol: str) -> Sequence[VenueOrder]:
        """The orders of a symbol that may still fill, oldest first."""
        return tuple(self._working.get(symbol, {}).values())

    def has_working(self, symbol: str) -> bool:
        """Whether any order of a symbol may still fill."""
        return symbol in self._working

    @property
    def symbols_working(self) -> Sequence[str]:
        """The symbols that have such orders."""
        return tuple(self._working)

    def look(self, symbol: str, quote: Quote, now_ms: int) -> tuple[OrderUpdate, ...]:
        """Fill the resting orders that this quote crosses; what there is to tell, in order of time."""
        told: list[OrderUpdate] = []
        for fact in self.decide_look(symbol, quote, now_ms):
            first = len(self.orders[fact.client_order_id].parts)
            told.extend(self.apply(fact).updates(first))
        return tuple(sorted(told, key=lambda update: update.event_ms or 0))

    def decide_look(self, symbol: str, quote: Quote, now_ms: int) -> Sequence[Filled]:
        """Which resting orders this quote fills, at their own price; nothing is true before `apply`."""
        if symbol not in self._working:
            return ()
        rules = self.rules.get(symbol)
        found = []
        for order in self._working[symbol].values():
            price = order.price
            if price is None or not reaches(order.order.side, price, quote):
                continue
            parts = self._filling.waited(order.order, order.left, price, rules, now_ms)
            found.append(Filled(order.order.client_order_id, parts))
        return found

    def cancel(self, client_order_id: str, now_ms: int) -> CancelResult:
        """Let the order stop working."""
        decided = self.decide_cancel(client_order_id, now_ms)
        if isinstance(decided, Ended):
            self.apply(decided)
            return CancelResult(done=True)
        return decided

    def decide_cancel(self, client_order_id: str, now_ms: int) -> Ended | CancelResult:
        """What a cancellation does; nothing is true before `apply`."""
        order = self.orders.get(client_order_id)
        if order is None:
            return CancelResult(done=False, text=f"the venue has no order {client_order_id}")
        if not order.works:
            return CancelResult(done=True, text=f"the order is {order.update().state} already")
        return Ended(client_order_id, End(now_ms, "canceled", "canceled on request"))

    def amend(self, client_order_id: str, qty: Decimal, price: Decimal, now_ms: int) -> AmendResult:
        """Give a resting limit order a new quantity and price."""
        decided = self.decide_amend(client_order_id, qty, price, now_ms)
        if isinstance(decided, Amended):
            self.apply(decided)
            return AmendResult(done=True)
        return decided

    def decide_amend(
        self, client_order_id: str, qty: Decimal, price: Decimal, now_ms: int
    ) -> Amended | AmendResult:
        """What a change does; nothing is true before `apply`. Numbers that are off the grid are refused."""
        order = self.orders.get(client_order_id)
        if order is None:
            return AmendResult(done=False, text=f"the venue has no order {client_order_id}")
        if not order.works:
            return AmendResult(done=False, text=f"the order is {order.update().state} already")
        terms, rules = order.order, self.rules.get(order.order.symbol)
        if rules is None or order.price is None:
            return AmendResult(done=False, text="only a limit order of a symbol with rules can be changed")
        aligned = align(rules, Wanted(terms.side, terms.order_type, terms.tif, qty, price))
        if isinstance(aligned, Reject):
            return AmendResult(done=False, text=aligned.text)
        if aligned.rounding_diff is not None or aligned.price is None:
            return AmendResult(done=False, text=f"{qty} at {price} is not on the grid of {terms.symbol}")
        if aligned.qty <= order.filled_qty:
            filled = plain(order.filled_qty)
            return AmendResult(done=False, text=f"{filled} of it are filled, the quantity must be above that")
        return Amended(client_order_id, now_ms, aligned.qty, aligned.price)
