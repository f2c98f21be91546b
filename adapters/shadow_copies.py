"""The copies of orders between two venues: those that wait, those on their way, those compared.

Nothing here waits: an order is taken or dropped at once, so that the main venue's way is as long as without.
Each step of a copy has a time limit, and each copy ends in exactly one count.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, OrderedDict, deque
from decimal import Decimal
from typing import Literal

import msgspec

from adapters.contract import NotSent, Order, OrderUpdate, SubmitResult, Unknown
from adapters.shadow_pairs import (
    COUNTS,
    Count,
    Outcome,
    Pair,
    Parity,
    differences,
    outcome_of,
    outcome_of_answer,
    shadow_order_id,
)
from config.seams import Clock
from config.settings import OrderType

# How long a copy may wait to be sent, for an answer, and for both outcomes: each so long. A market order is
# filled within a second; a copy that leaves much later meets another market, and says nothing of the venue.
STEP_S_MAX = 10.0
# Pairs that differ and are not written yet; a disk that is full for longer loses the oldest.
PAIRS_KEPT_MAX = 10_000
# Orders of the main venue that may be sent again under their id: their copies are not.
DOUBTFUL_MAX = 4_096
# Orders of the main venue whose end was told before their answer came.
EARLY_MAX = 1_024
# Copies that are to be canceled; a venue that is gone for long is not told of the oldest.
CANCELS_MAX = 1_000

# Why a pair has no verdict: never sent in time, no answer, nothing heard of its fate, the adapter raised, or
# the main order was canceled before its copy was sent.
WhyNot = Literal["too_late", "no_answer", "unknown", "main_unknown", "fault", "canceled"]


class Copy(msgspec.Struct):
    """One order of the main venue and its copy; `due_s` is when the present step has taken too long.

    `left`: the second venue may have it. `over`: counted, and of no more interest.
    """

    order: Order
    shadow_order_id: str
    main: Outcome | None
    due_s: float
    shadow: Outcome | None = None
    left: bool = False
    over: bool = False


class News(msgspec.Struct):
    """What has not been written yet: the pairs that differ, and what was counted since the last time."""

    pairs: list[Pair]
    counts: Counter[Count]
    why_not: Counter[str]


class Copies:
    """All copies of one run. `waiting_max` bounds those that are not compared yet."""

    def __init__(self, clock: Clock, *, waiting_max: int, tolerance_bps: Decimal, window: int) -> None:
        self.parity = Parity(window)
        self.counts: Counter[Count] = Counter(dict.fromkeys(COUNTS, 0))
        self.stirred = asyncio.Event()
        self.cancels: deque[Copy] = deque(maxlen=CANCELS_MAX)
        self._clock = clock
        self._waiting_max = waiting_max
        self._tolerance_bps = tolerance_bps
        self._open: dict[str, Copy] = {}
        self._by_shadow_id: dict[str, Copy] = {}
        self._waiting: deque[Copy] = deque()
        self._doubtful: OrderedDict[str, None] = OrderedDict()
        self._early: OrderedDict[str, Outcome] = OrderedDict()
        self._closed = False
        self._news = News([], Counter(), Counter())

    @property
    def open(self) -> int:
        """How many copies are neither compared nor given up."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """How many copies are held until somebody sends them."""
        return len(self._waiting)

    def take(self, order: Order, result: SubmitResult) -> None:
        """An order that the main venue has perhaps got, with its answer; one that never left is none.

        An order of unknown fate is copied at once, because later it would meet another market.
        """
        if isinstance(result, NotSent) or self._closed:
            return
        outcome = outcome_of_answer(result)
        known = self._open.get(order.client_order_id)
        if known is not None:
            # Proven absent and sent again: the copy is there already.
            known.main = outcome or known.main
            self._settle(known)
        elif order.client_order_id not in self._doubtful:
            self._begin(order, self._early.pop(order.client_order_id, None) or outcome)
        if isinstance(result, Unknown):
            self._doubtful[order.client_order_id] = None
            while len(self._doubtful) > DOUBTFUL_MAX:
                self._doubtful.popitem(last=False)

    def _begin(self, order: Order, outcome: Outcome | None) -> None:
        copy_id = shadow_order_id(order)
        if len(self._open) >= self._waiting_max or copy_id in self._by_shadow_id:
            self._count("dropped")
            return
        copy = Copy(order, copy_id, outcome, self._clock.monotonic_s() + STEP_S_MAX)
        self._open[order.client_order_id] = copy
        self._by_shadow_id[copy_id] = copy
        self._waiting.append(copy)
        self.stirred.set()

    def learn(self, update: OrderUpdate) -> None:
        """The main venue's later word."""
        copy, outcome = self._open.get(update.client_order_id), outcome_of(update)
        if copy is not None:
            if not (copy.main and copy.main.final):
                copy.main = outcome
                self._settle(copy)
        elif outcome.final:
            self._early[update.client_order_id] = outcome
            while len(self._early) > EARLY_MAX:
                self._early.popitem(last=False)

    def learn_from_shadow(self, update: OrderUpdate) -> None:
        """The second venue's later word."""
        copy = self._by_shadow_id.get(update.client_order_id)
        if copy is not None:
            self.answered(copy, outcome_of(update))

    def cancel(self, client_order_id: str) -> None:
        """The main order shall not work any longer: neither shall its copy."""
        copy = self._open.get(client_order_id)
        if copy is not None and not copy.left:
            self.give_up(copy, "canceled")
        elif copy is not None:
            self._cancel(copy)

    def next(self) -> Copy | None:
        """The next copy to be sent, which is on its way from now on."""
        while self._waiting:
            copy = self._waiting.popleft()
            if not copy.over:
                # The one who sends it has a limit of its own.
                copy.due_s = math.inf
                return copy
        return None

    def answered(self, copy: Copy, outcome: Outcome | None) -> None:
        """What the second venue says of a copy; None: it may have it, and will tell."""
        if copy.over or (copy.shadow and copy.shadow.final):
            return
        if outcome is None or copy.shadow is None:
            copy.due_s = self._clock.monotonic_s() + STEP_S_MAX
            self.stirred.set()
        copy.shadow = outcome or copy.shadow
        self._settle(copy)

    def give_up(self, copy: Copy, why: WhyNot) -> None:
        """There will be no verdict on this one."""
        if copy.over:
            return
        self._news.why_not[why] += 1
        self._count("not_compared")
        self._end(copy)

    def next_due_s(self) -> float | None:
        """When to look for what has taken too long; None: nothing is open."""
        return min((copy.due_s for copy in self._open.values()), default=None)

    def expire(self) -> None:
        """End every copy whose step took too long; one that works on both sides has an outcome, too."""
        now_s = self._clock.monotonic_s()
        for copy in [copy for copy in self._open.values() if copy.due_s <= now_s]:
            if copy.main is not None and copy.shadow is not None:
                self._compare(copy, copy.main, copy.shadow)
            elif not copy.left:
                self.give_up(copy, "too_late")
            else:
                self.give_up(copy, "main_unknown" if copy.main is None else "unknown")
        # Where no venue takes them, nobody else does.
        while self._waiting and self._waiting[0].over:
            self._waiting.popleft()

    def drop(self) -> None:
        """The end: whatever is not compared by now is counted and let go, and nothing more is taken."""
        self._closed = True
        for copy in list(self._open.values()):
            self._count("dropped")
            self._end(copy)
        self._waiting.clear()

    def take_news(self) -> News | None:
        """What there is to be written, None for nothing."""
        news = self._news
        if not (news.pairs or news.counts):
            return None
        self._news = News([], Counter(), Counter())
        return news

    def put_back(self, news: News) -> None:
        """It could not be written: once more with the next, as far as there is room for it."""
        pairs = [*news.pairs, *self._news.pairs]
        self._news.pairs = pairs[-PAIRS_KEPT_MAX:]
        self._news.counts += news.counts
        self._news.why_not += news.why_not

    def _settle(self, copy: Copy) -> None:
        main, shadow = copy.main, copy.shadow
        if main is not None and shadow is not None and main.final and shadow.final:
            self._compare(copy, main, shadow)

    def _compare(self, copy: Copy, main: Outcome, shadow: Outcome) -> None:
        order = copy.order
        found = differences(main, shadow, self._tolerance_bps)
        self.parity.add(not found)
        self._count("different" if found else "alike")
        if found:
            pair = Pair(
                at_ms=self._clock.wall_ms(),
                symbol=order.symbol,
                side=order.side,
                qty=order.qty,
                signal_id=order.signal_id,
                client_order_id=order.client_order_id,
                shadow_order_id=copy.shadow_order_id,
                main=main,
                shadow=shadow,
                differences=found,
            )
            self._news.pairs.append(pair)
            del self._news.pairs[:-PAIRS_KEPT_MAX]
        self._end(copy)

    def _end(self, copy: Copy) -> None:
        copy.over = True
        del self._open[copy.order.client_order_id]
        del self._by_shadow_id[copy.shadow_order_id]
        self._cancel(copy)

    def _cancel(self, copy: Copy) -> None:
        """Nobody needs the copy to go on working, and a venue takes only so many orders that do."""
        works = copy.left and not (copy.shadow and copy.shadow.final)
        if works and copy.order.order_type != OrderType.MARKET and not self._closed:
            self.cancels.append(copy)
            self.stirred.set()

    def _count(self, what: Count) -> None:
        self.counts[what] += 1
        self._news.counts[what] += 1
