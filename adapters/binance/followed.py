"""The orders that are followed, and every order of ours that is heard of: one tracker each.

Pure. Facts go in from wherever they come, updates come out once each. An order that nobody watches is told
too when its client order id is one of ours: a fill that nobody expected matters most.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec

from adapters.binance.facts import OrderFact, TradeFact
from adapters.binance.tracker import OrderTracker
from adapters.contract import Order, OrderUpdate

# Orders that are remembered after their end or without a watcher, so that nothing is told twice.
REMEMBERED_MAX = 4_096
SECOND_ORDER = "a second order under this client order id"

_Key = tuple[str, int]


class Watch(msgspec.Struct):
    """One order that is asked about until it is final. `since_ms`: when it was sent at the earliest.

    `due_s` is when it is asked about next, on the monotonic clock; `overdue`: news may have been missed;
    `heard`: the user stream has told of it; `misses`: how often in a row the exchange had no such order.
    """

    order: Order
    since_ms: int
    due_s: float
    overdue: bool = False
    heard: bool = False
    misses: int = 0


class Followed:
    """All orders of one account that are of interest. `prefix` begins every client order id of ours."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._watches: dict[str, Watch] = {}
        self._trackers: OrderedDict[_Key, OrderTracker] = OrderedDict()
        self._keys_of: dict[str, list[_Key]] = {}
        self._untold: dict[_Key, OrderUpdate] = {}
        self._lacking: dict[_Key, None] = {}

    @property
    def watches(self) -> Sequence[Watch]:
        """The orders that are asked about."""
        return tuple(self._watches.values())

    def watch(self, watch: Watch) -> None:
        """Follow an order until it is final; what is known of it is told (again)."""
        client_order_id = watch.order.client_order_id
        self._watches.setdefault(client_order_id, watch)
        for key in self._keys_of.get(client_order_id, ()):
            self._trackers[key].tell_again()
            self._tell(key)

    def hear(self, fact: OrderFact, trade: TradeFact | None = None) -> bool:
        """What was said of one order, and the trade it tells of; False when that is no news of ours."""
        watch = self._watches.get(fact.client_order_id)
        if watch is None and not fact.client_order_id.startswith(self._prefix):
            return False
        key = (fact.symbol, fact.order_id)
        tracker = self._trackers.get(key) or self._new_tracker(key, fact.client_order_id)
        self._trackers.move_to_end(key)
        news = trade is not None and tracker.learn_trade(trade)
        news = tracker.learn(fact) or news
        self._tell(key)
        return news

    def hear_trades(self, symbol: str, trades: Iterable[TradeFact]) -> bool:
        """Trades as listed; those of orders that were never heard of are nobody's here."""
        touched: set[_Key] = set()
        for trade in trades:
            key = (symbol, trade.order_id)
            tracker = self._trackers.get(key)
            if tracker is not None and tracker.learn_trade(trade):
                touched.add(key)
        for key in sorted(touched):
            self._tell(key)
        return bool(touched)

    def lacking_trades(self) -> Sequence[OrderTracker]:
        """Orders that were executed further than their known trades go, watched or not."""
        return [self._trackers[key] for key in self._lacking]

    def watch_of(self, client_order_id: str) -> Watch | None:
        """The watch of an order that is asked about."""
        return self._watches.get(client_order_id)

    def sighted(self, client_order_id: str) -> Sequence[OrderFact]:
        """Every order that was shown under this id, at its furthest."""
        facts = (self._trackers[key].latest for key in self._keys_of.get(client_order_id, ()))
        return [fact for fact in facts if fact is not None]

    def take_updates(self) -> list[OrderUpdate]:
        """What there is to tell since the last call: one cumulative update per order at most."""
        updates = list(self._untold.values())
        self._untold.clear()
        return updates

    def _new_tracker(self, key: _Key, client_order_id: str) -> OrderTracker:
        keys = self._keys_of.setdefault(client_order_id, [])
        note = SECOND_ORDER if keys else None
        tracker = OrderTracker(client_order_id, key[1], key[0], note=note)
        keys.append(key)
        self._trackers[key] = tracker
        self._forget_old()
        return tracker

    def _tell(self, key: _Key) -> None:
        tracker = self._trackers[key]
        update = tracker.update()
        if update is not None:
            # Taken out first: the order of updates is the order of the latest news.
            self._untold.pop(key, None)
            self._untold[key] = update
        if tracker.needs_trades:
            self._lacking[key] = None
        else:
            self._lacking.pop(key, None)
        if all(self._trackers[one].final for one in self._keys_of[tracker.client_order_id]):
            self._watches.pop(tracker.client_order_id, None)

    def _forget_old(self) -> None:
        """Keep memory flat: what ended or is nobody's leaves first come, first go; what is watched stays."""
        surplus = len(self._trackers) - REMEMBERED_MAX
        old = (key for key, one in self._trackers.items() if one.client_order_id not in self._watches)
        for key in tuple(islice(old, max(surplus, 0))):
            client_order_id = self._trackers.pop(key).client_order_id
            self._lacking.pop(key, None)
            keys = self._keys_of[client_order_id]
            keys.remove(key)
            if not keys:
                del self._keys_of[client_order_id]
