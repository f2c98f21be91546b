"""Whatever order things come in, each copy ends in one count, and nothing is held for ever."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from adapters.contract import Accepted, NotSent, Order, OrderUpdate, Rejected, SubmitResult, Unknown
from adapters.shadow_copies import STEP_S_MAX, Copies, Copy
from adapters.shadow_pairs import Outcome, shadow_order_id

STATES = ("open", "partial", "filled", "canceled", "expired")
PRICES = (None, Decimal("60000"), Decimal("61000"), Decimal("NaN"), Decimal("Infinity"), Decimal("1E+999"))
WAITING_MAX = 4


class Hand:
    """A clock whose hand is moved."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def wall_ms(self) -> int:
        return round(self.now_s * 1_000)

    def monotonic_s(self) -> float:
        return self.now_s

    def boot_s(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        raise AssertionError("nothing waits here")


def copies(clock: Hand) -> Copies:
    return Copies(clock, waiting_max=WAITING_MAX, tolerance_bps=Decimal(5), window=10)


def order(number: int, order_type: str = "market") -> Order:
    return Order(
        f"ew1-{number:024d}", "BTCUSDT", "buy", order_type, "GTC", Decimal("0.01"), None, f"signal-{number}"
    )


@st.composite
def updates(draw: st.DrawFn, client_order_id: str) -> OrderUpdate:
    state = draw(st.sampled_from(STATES))
    filled = draw(st.sampled_from([Decimal(0), Decimal("0.01")]))
    return OrderUpdate(client_order_id, state, filled, average_price=draw(st.sampled_from(PRICES)))


@st.composite
def results(draw: st.DrawFn, client_order_id: str) -> SubmitResult:
    kind = draw(st.sampled_from(["accepted", "rejected", "not_sent", "unknown"]))
    match kind:
        case "accepted":
            return Accepted(draw(updates(client_order_id)))
        case "rejected":
            return Rejected(draw(st.sampled_from(["a", "b"])), "no")
        case "not_sent":
            return NotSent("refused", "no")
    return Unknown("nobody knows")


numbers = st.integers(0, 7)


class EachCopyEndsInOneCount(RuleBasedStateMachine):
    """Open and counted copies together are one more with each order taken, and no step changes that."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Hand()
        self.held = copies(self.clock)
        self.on_the_way: list[Copy] = []
        self.begun = 0

    @rule(data=st.data(), number=numbers, order_type=st.sampled_from(["market", "limit"]))
    def take(self, data: st.DataObject, number: int, order_type: str) -> None:
        one = order(number, order_type)
        before = self._all()
        self.held.take(one, data.draw(results(one.client_order_id)))
        assert self._all() - before in (0, 1)
        self.begun += self._all() - before

    @rule(data=st.data(), number=numbers)
    def learn(self, data: st.DataObject, number: int) -> None:
        self.held.learn(data.draw(updates(order(number).client_order_id)))

    @rule(data=st.data(), number=numbers)
    def hear(self, data: st.DataObject, number: int) -> None:
        self.held.learn_from_shadow(data.draw(updates(shadow_order_id(order(number)))))

    @rule(number=numbers)
    def cancel(self, number: int) -> None:
        self.held.cancel(order(number).client_order_id)

    @rule(left=st.booleans())
    def send(self, left: bool) -> None:
        copy = self.held.next()
        if copy is not None:
            copy.left = left
            self.on_the_way.append(copy)

    @precondition(lambda self: self.on_the_way)
    @rule(outcome=st.sampled_from([None, Outcome("rejected", "a"), Outcome("open")]))
    def answer(self, outcome: Outcome | None) -> None:
        self.held.answered(self.on_the_way.pop(), outcome)

    @precondition(lambda self: self.on_the_way)
    @rule()
    def give_up(self) -> None:
        self.held.give_up(self.on_the_way.pop(), "no_answer")

    @rule(delay_s=st.sampled_from([1.0, STEP_S_MAX]))
    def wait(self, delay_s: float) -> None:
        self.clock.now_s += delay_s
        self.held.expire()

    @invariant()
    def nothing_is_lost_or_counted_twice(self) -> None:
        assert self._all() == self.begun
        assert self.held.open <= WAITING_MAX

    def teardown(self) -> None:
        self.held.drop()
        assert (self.held.open, self.held.waiting, self.held.next()) == (0, 0, None)
        assert self._all() == self.begun
        news = self.held.take_news()
        assert self.begun == (0 if news is None else news.counts.total())

    def _all(self) -> int:
        return self.held.open + sum(self.held.counts.values())


TestCopies = EachCopyEndsInOneCount.TestCase
TestCopies.settings = settings(max_examples=25, stateful_step_count=40)


def test_copies_that_nobody_takes_are_not_held_for_ever() -> None:
    clock = Hand()
    held = copies(clock)
    for number in range(100):
        held.take(order(number), Accepted(OrderUpdate(order(number).client_order_id, "filled", Decimal(1))))
        clock.now_s += STEP_S_MAX
        held.expire()

    assert (held.open, held.waiting) == (0, 0)
    assert held.counts["not_compared"] == 100


@pytest.mark.parametrize("price", [Decimal("NaN"), Decimal("Infinity"), Decimal("sNaN"), Decimal("1E+9999")])
def test_a_price_that_is_none_is_compared_with_nothing(price: Decimal) -> None:
    clock = Hand()
    held = copies(clock)
    one = order(1)
    update = OrderUpdate(one.client_order_id, "filled", Decimal("0.01"), average_price=price)
    held.take(one, Accepted(update))

    held.learn_from_shadow(msgspec.structs.replace(update, client_order_id=shadow_order_id(one)))

    assert held.counts["alike"] == 1


def test_two_orders_of_one_signal_have_one_copy() -> None:
    clock = Hand()
    held = copies(clock)
    first = order(1)
    again = msgspec.structs.replace(first, client_order_id="dryrun:signal-1")
    twin = msgspec.structs.replace(first, client_order_id="paper:signal-1")
    for one in (again, twin):
        held.take(one, Accepted(OrderUpdate(one.client_order_id, "filled", Decimal("0.01"))))

    assert (held.open, held.counts["dropped"]) == (1, 1)
