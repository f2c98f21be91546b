"""The exchange against a model of a few lines: whatever is asked of it, quantities and journal agree.

The model knows nothing of requests: an order fills in whole when the price reaches it, a client order id
may be open once, and a late order meets the world of its arrival.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rig.box import Box

from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import FillPolicy

TICK = Decimal("0.1")
WINDOW_MS = 5_000
NAMES = st.sampled_from(["a", "b", "c", "d"])
SIDES = st.sampled_from(["BUY", "SELL"])
QUANTITIES = st.integers(10, 2_000).map(lambda steps: Decimal(steps) / 1_000)
# So few that orders and market often meet at the very same tick.
PRICES = st.integers(-6, 6).map(lambda ticks: 60_000 + ticks * TICK)
DELAYS = st.integers(1, 2 * WINDOW_MS)


@dataclass
class Wanted:
    """One order of the model; `price` None is a market order."""

    name: str
    side: str
    qty: Decimal
    price: Decimal | None
    filled: bool = False
    canceled: bool = False

    @property
    def is_open(self) -> bool:
        return not self.filled and not self.canceled


@dataclass
class Model:
    """What should be true."""

    price: Decimal = Decimal(60_000)
    orders: list[Wanted] = field(default_factory=list)
    position: Decimal = Decimal(0)

    def accept(self, order: Wanted) -> bool:
        if any(one.is_open and one.name == order.name for one in self.orders):
            return False
        self.orders.append(order)
        self.match()
        return True

    def match(self) -> None:
        for order in self.orders:
            if order.is_open and self._reached(order):
                order.filled = True
                self.position += order.qty if order.side == "BUY" else -order.qty

    def _reached(self, order: Wanted) -> bool:
        if order.price is None:
            return True
        if order.side == "BUY":
            return self.price + TICK <= order.price
        return self.price - TICK >= order.price


class ExchangeMachine(RuleBasedStateMachine):
    """Orders, cancellations, prices, lost replies and late arrivals, in any order."""

    @initialize(parts=st.integers(1, 3))
    def begin(self, parts: int) -> None:
        self.policy = FillPolicy(parts=parts)
        self.box = Box(policy=self.policy, balances={"USDT": Decimal(10**9)})
        self.model = Model()
        self.on_the_way: list[tuple[int, Wanted]] = []

    def send(self, order: Wanted) -> int:
        price = None if order.price is None else str(order.price)
        heard = self.box.place(order.name, order.side, str(order.qty), price, recvWindow=WINDOW_MS)
        return heard.code or heard.status

    @rule(name=NAMES, side=SIDES, qty=QUANTITIES)
    def market(self, name: str, side: str, qty: Decimal) -> None:
        accepted = self.model.accept(order := Wanted(name, side, qty, None))

        assert self.send(order) == (200 if accepted else -4116)

    @rule(name=NAMES, side=SIDES, qty=QUANTITIES, price=PRICES)
    def limit(self, name: str, side: str, qty: Decimal, price: Decimal) -> None:
        accepted = self.model.accept(order := Wanted(name, side, qty, price))

        assert self.send(order) == (200 if accepted else -4116)

    @rule(name=NAMES, side=SIDES, qty=QUANTITIES, executed=st.booleans())
    def lost_reply(self, name: str, side: str, qty: Decimal, executed: bool) -> None:
        order = Wanted(name, side, qty, None)
        if executed:
            self.model.accept(order)
        self.box.exchange.faults.replace([FaultRule("unknown_503", executed=executed)])

        assert self.send(order) == 503
        self.box.exchange.faults.replace([])

    @rule(name=NAMES, side=SIDES, qty=QUANTITIES, delay_ms=DELAYS)
    def late(self, name: str, side: str, qty: Decimal, delay_ms: int) -> None:
        order = Wanted(name, side, qty, None)
        self.box.exchange.faults.replace([FaultRule("late", delay_ms=delay_ms)])

        self.send(order)
        self.box.exchange.faults.replace([])

        # The engine takes nothing whose window is over.
        if delay_ms <= WINDOW_MS:
            self.on_the_way.append((self.box.now_ms + delay_ms, order))

    @rule(delay_ms=DELAYS)
    def wait(self, delay_ms: int) -> None:
        self.box.wait(delay_ms)
        # Arrivals of one moment keep the order in which they left.
        for due in sorted(self.on_the_way, key=lambda one: one[0]):
            if due[0] <= self.box.now_ms:
                self.model.accept(due[1])
                self.on_the_way.remove(due)

    @rule(name=NAMES)
    def cancel(self, name: str) -> None:
        open_one = next((one for one in self.model.orders if one.is_open and one.name == name), None)

        heard = self.box.cancel(name)

        assert heard.code == (-2011 if open_one is None else None)
        if open_one is not None:
            open_one.canceled = True

    @rule(price=PRICES)
    def move(self, price: Decimal) -> None:
        self.box.price(str(price))
        self.model.price = price
        self.model.match()

    @precondition(lambda self: not self.on_the_way)
    @rule()
    def restart(self) -> None:
        kept = msgspec.json.decode(msgspec.json.encode(self.box.exchange.journal))
        again = Box(policy=self.policy, balances={"USDT": Decimal(10**9)})
        again.now_ms = self.box.now_ms
        again.exchange.restore(kept)
        again.price(str(self.model.price))
        self.box = again

    @invariant()
    def positions_agree(self) -> None:
        assert self.box.position() == self.model.position
        signs = {"BUY": 1, "SELL": -1}
        fills = [entry for entry in self.box.exchange.journal if entry["kind"] == "fill"]
        journal = sum((signs[str(one["side"])] * Decimal(str(one["qty"])) for one in fills), Decimal(0))
        assert journal == self.model.position

    @invariant()
    def open_orders_agree(self) -> None:
        told = Counter(one["clientOrderId"] for one in self.box.listed("openOrders"))
        assert told == Counter(one.name for one in self.model.orders if one.is_open)
        assert max(told.values(), default=0) <= 1

    @invariant()
    def the_journal_has_each_order_once_and_its_fills(self) -> None:
        accepted: dict[object, Decimal] = {}
        executed: Counter[object] = Counter()
        open_names: set[object] = set()
        for entry in self.box.exchange.journal:
            number, name = entry.get("order_id"), entry.get("client_order_id")
            if entry["kind"] == "accepted":
                assert number not in accepted
                assert name not in open_names
                accepted[number] = Decimal(str(entry["qty"]))
                open_names.add(name)
            elif entry["kind"] == "fill":
                executed[number] += Decimal(str(entry["qty"]))
                assert executed[number] <= accepted[number]
                if executed[number] == accepted[number]:
                    open_names.discard(name)
            elif entry["kind"] in ("canceled", "expired"):
                open_names.discard(name)
        assert len(accepted) == len(self.model.orders)

    @invariant()
    def the_newest_order_of_each_name_is_found(self) -> None:
        newest = {one.name: one for one in self.model.orders}
        for name, order in newest.items():
            told = self.box.query(name).body
            wanted = "FILLED" if order.filled else "CANCELED" if order.canceled else "NEW"
            assert told["status"] == wanted
            assert Decimal(told["executedQty"]) == (order.qty if order.filled else 0)


TestExchange = ExchangeMachine.TestCase
TestExchange.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
