"""A stand: one venue, one life after the other of an adapter on it, and the venue's own word as the witness.

The promises of the contract are made to whoever stands here; what an adapter does not know (limit orders, an
account, a wire) is told by its traits, and the promises about it are not asked of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from rig.floor import signal
from rig.virtual_clock import START_MS, VirtualClock, until

from adapters.contract import (
    Accepted,
    ExecutionAdapter,
    Found,
    LookupResult,
    NotYet,
    Order,
    OrderCtx,
    OrderUpdate,
    ProvenAbsent,
    SubmitResult,
)
from streams.signal import Signal

BTC, ETH = "BTCUSDT", "ETHUSDT"
WORKING = ("open", "partial")
# Longer than any proof of absence and any pause between two questions of a stand.
PATIENCE_S = 120.0
QUESTIONS_MAX = 60


class Plant(Protocol):
    """Makes a worse adapter of a good one, in every life from a certain one on."""

    from_life: int

    def __call__(self, good: ExecutionAdapter, /) -> ExecutionAdapter:
        """The worse one."""


def free() -> str | None:
    """A guard that lets everything pass."""
    return None


@dataclass(frozen=True)
class Traits:
    """What an adapter knows; a promise about anything else is not asked of it.

    `wire`: each order is sent by itself, under its client order id; `window`: it may be signed for a while.
    `takes_all`: accepts every market order that it has prepared. `sizes`: turns a value into a quantity under
    the rules of the symbol. `priced_by_signal`: at the signal's price. `account`: has positions and trades.
    `limits`: knows orders that rest, IOC and FOK. `depth`: a book that holds less than is wanted. `survives`:
    a new instance finds what the former one left. `witnessed`: the venue keeps a record of what it accepted.
    `loses`: the ways in which the answer to an order gets lost.
    """

    wire: bool = False
    window: bool = False
    takes_all: bool = False
    sizes: bool = False
    priced_by_signal: bool = False
    account: bool = False
    limits: bool = False
    amends: bool = False
    parts: bool = False
    depth: bool = False
    survives: bool = False
    witnessed: bool = False
    loses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setup:
    """How the venue behaves in one trial: fills come in parts, the book is shallow, answers get lost."""

    parts: bool = False
    shallow: bool = False
    loss: str | None = None


class Ear:
    """Listens to the updates of one life of an adapter."""

    def __init__(self, adapter: ExecutionAdapter) -> None:
        self.updates: list[OrderUpdate] = []
        self.adapter = adapter
        self._heard = asyncio.Event()
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for update in self.adapter.updates():
            self.updates.append(update)
            self._heard.set()

    def of(self, order: Order) -> list[OrderUpdate]:
        """What was told of one order, in order."""
        return [one for one in self.updates if one.client_order_id == order.client_order_id]

    async def hears(self, order: Order, state: str) -> OrderUpdate:
        """The first update that tells of this state."""
        await self._until(lambda: state in [one.state for one in self.of(order)])
        return next(one for one in self.of(order) if one.state == state)

    async def end_of(self, order: Order, answer: SubmitResult) -> list[OrderUpdate]:
        """Everything that was said of an accepted order, its answer first, up to the final word."""
        assert isinstance(answer, Accepted), answer
        first = answer.update
        await self._until(lambda: [first, *self.of(order)][-1].state not in WORKING)
        return [first, *self.of(order)]

    async def _until(self, condition: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            raise AssertionError(f"not told within {PATIENCE_S} s, only {self.updates}") from None


@dataclass
class Stand:
    """One venue for one trial; `plant` makes a worse adapter of each that begins here."""

    clock: VirtualClock
    folder: Path
    setup: Setup = field(default_factory=Setup)
    plant: Plant | None = None
    lives: int = 0
    adapter: ExecutionAdapter = field(init=False)
    ears: list[Ear] = field(default_factory=list)
    view: View = field(init=False)

    traits = Traits()
    # A limit price at which a buy of BTCUSDT rests, and one at which it takes.
    far, near = Decimal("58000.0"), Decimal("61000.0")
    # An order that the rules let pass by its quantity and not by its value.
    cheap = (ETH, Decimal("0.002"))
    no_quantity = Decimal("0.0000001")
    # So many orders in a trial of lost answers, and what becomes of them: accepted or not.
    losses = 2

    @property
    def fates_of_losses(self) -> set[bool]:
        """Whether the orders behind lost answers are accepted."""
        raise NotImplementedError

    def leaves_open(self, order: Order) -> bool:
        """Whether a market order never fills here."""
        return False

    def flat(self, symbol: str) -> Decimal:
        """What the account holds before the first order."""
        return Decimal(0)

    async def open(self) -> None:
        """The venue and the first life on it."""
        self.view = View(self)
        await self.begin()

    async def begin(self) -> None:
        """One more life on the venue, begun as the worker does it."""
        adapter = await self.life()
        self.lives += 1
        bad = self.plant is not None and self.lives >= self.plant.from_life
        self.adapter = self.plant(adapter) if self.plant is not None and bad else adapter
        assert await self.adapter.start(self.view) is None
        await self.ready()

    async def life(self) -> ExecutionAdapter:
        """An adapter as a new process would make it."""
        raise NotImplementedError

    async def ready(self) -> None:
        """Until an order may leave."""
        for symbol in (BTC, ETH):
            await until(lambda of=symbol: self.adapter.wait_for(of) is None, self.clock, within_s=PATIENCE_S)

    async def again(self) -> None:
        """The present life ends, another one begins on the same venue."""
        await self.adapter.close()
        await self.begin()

    async def close(self) -> None:
        """Nothing is left running."""
        await self.adapter.close()
        for ear in self.ears:
            ear.task.cancel()
        await asyncio.gather(*(ear.task for ear in self.ears), return_exceptions=True)
        await self.end_venue()

    async def end_venue(self) -> None:
        """The venue stops."""

    def listen(self) -> Ear:
        """The ear at the present life; it has one, as the worker has."""
        if not self.ears or self.ears[-1].adapter is not self.adapter:
            self.ears.append(Ear(self.adapter))
        return self.ears[-1]

    def wanted(self, number: int = 0, symbol: str = BTC, **changes: Any) -> OrderCtx:
        """What a signal wants: a market order worth 1000."""
        named: dict[str, Any] = {
            "client_order_id": f"ew1-{number:024d}",
            "symbol": symbol,
            "side": "buy",
            "qty": None,
            "order_type": "market",
            "price": self.price(symbol),
            "tif": "GTC",
            "ts_ms": START_MS,
            "event_ts_ms": START_MS,
            "signal_id": f"{symbol}-{number}",
            "size_usd": Decimal(1_000),
        }
        return OrderCtx(**{**named, **changes})

    def price(self, symbol: str) -> Decimal | None:
        """What a signal says that `symbol` costs."""
        return Decimal("60000.0") if symbol == BTC else Decimal("3000.0")

    def prepared(self, number: int = 0, symbol: str = BTC, **changes: Any) -> Order:
        """An order that the adapter has agreed to."""
        order = self.adapter.prepare(self.wanted(number, symbol, **changes))
        assert isinstance(order, Order), order
        return order

    def resting(self, number: int = 0, **changes: Any) -> Order:
        """A limit order to buy far below the book."""
        return self.prepared(number, **{"order_type": "limit", "price": self.far, **changes})

    async def submit(self, order: Order) -> SubmitResult:
        """Send it, with nothing against it."""
        return await self.adapter.submit(order, free)

    async def asked(self, question: Callable[..., Awaitable[Any]], *given: object) -> Any:
        """The answer to a question that is put again until there is one."""
        for _ in range(100):
            answer = await question(*given)
            if not isinstance(answer, NotYet):
                return answer
            await self.clock.sleep(0.1)
        raise AssertionError(f"no answer to {question}: {answer.why}")

    async def fate(self, order: Order) -> LookupResult:
        """What asking comes to in the end."""
        for _ in range(QUESTIONS_MAX):
            answer = await self.adapter.lookup(order.client_order_id, order)
            if not isinstance(answer, NotYet):
                return answer
            assert answer.why
            pause_s = (answer.until_ms - self.clock.wall_ms()) / 1000
            await self.clock.sleep(min(max(pause_s, 0.05), 60.0))
        raise AssertionError(f"no proof after {QUESTIONS_MAX} questions: {answer.why}")

    async def assert_fate_is_true(self, order: Order) -> bool:
        """Asking ends in what the witness says, again and again; whether the order was accepted."""
        first = await self.fate(order)
        then = [await self.fate(order) for _ in range(2)]
        count = self.accepted().count(order.client_order_id)
        assert count <= 1, f"accepted {count} times"
        expected = Found if count else ProvenAbsent
        assert [type(one) for one in (first, *then)] == [expected] * 3
        if isinstance(first, Found):
            assert first.same_terms, first
            assert first.update.client_order_id == order.client_order_id
        return count == 1

    def accepted(self) -> list[str]:
        """The client order ids that the venue has on record as accepted, each as often as it was."""
        return []

    async def move(self, symbol: str, price: Decimal) -> None:
        """The market moves."""
        raise NotImplementedError

    def signal(self, number: int = 0, symbol: str = BTC, **changes: Any) -> Signal:
        """A signal that becomes a long order, with the price of the time."""
        return signal(number, symbol, **{"price": self.price(symbol), **changes})

    def filled_of(self, symbol: str, apart_from: str) -> Decimal | None:
        """By the witness, the signed sum of all fills but one order's; None while another one works."""
        return Decimal(0)


class View:
    """The `LedgerView` of a store that has settled whatever the venue did."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self._kept: dict[str, str] = {}

    async def known(self, client_order_ids: Collection[str]) -> frozenset[str]:
        """Every order here is of the trial."""
        return frozenset(client_order_ids)

    async def expected_position(self, symbol: str, apart_from: str) -> Decimal | None:
        """As the witness has it."""
        return self._stand.filled_of(symbol, apart_from)

    async def sends_since(self, since_ms: int) -> Sequence[int]:
        """None."""
        return ()

    async def kept(self, key: str) -> str | None:
        """What was kept in this life or a former one."""
        return self._kept.get(key)

    async def keep(self, key: str, value: str) -> None:
        """At once."""
        self._kept[key] = value
