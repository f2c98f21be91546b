"""The shadow's small print: news before the answer, files that cannot go, answers that are lost for hours."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal
from pathlib import Path

from msgspec import structs
from rig.scripted_adapter import ScriptedAdapter, opens
from rig.two_accounts import Shelf
from rig.venue import Memory
from rig.virtual_clock import VirtualClock, in_virtual_time, virtual_clock

from adapters.contract import (
    Accepted,
    Guard,
    LedgerView,
    Order,
    OrderUpdate,
    StartRefusal,
    SubmitResult,
    Unknown,
    Wait,
)
from adapters.shadow import ShadowAdapter
from adapters.shadow_copies import Copies, News
from adapters.shadow_pairs import Outcome, Pair
from config.settings import Shadow
from worker.shadow_files import DAY_MS, PairFiles, read_pairs


def order(number: int) -> Order:
    return Order(
        client_order_id=f"ew1-{number:024}",
        symbol="BTCUSDT",
        side="buy",
        order_type="market",
        tif="GTC",
        qty=Decimal(1),
        price=None,
        signal_id=f"signal-{number}",
    )


@in_virtual_time
async def test_news_of_the_main_order_that_come_before_its_answer_are_not_lost() -> None:
    copies = Copies(virtual_clock(), waiting_max=10, tolerance_bps=Decimal(5), window=10)
    one = order(1)

    # It rests, is filled and told while the answer is still on its way.
    copies.learn(OrderUpdate(one.client_order_id, "filled", Decimal(1), Decimal(100)))
    copies.take(one, Accepted(OrderUpdate(one.client_order_id, "open", Decimal(0))))
    copy = copies.next()
    assert copy is not None
    copies.answered(copy, Outcome("filled", None, Decimal(100)))

    assert copies.counts["alike"] == 1


@in_virtual_time
async def test_a_copy_that_waits_is_not_sent_when_the_main_order_was_canceled() -> None:
    clock, sent = virtual_clock(), []
    second = ScriptedAdapter(clock)
    second.waits["BTCUSDT"] = Wait("price", "no price yet", clock.wall_ms() + 3_000)
    main = ScriptedAdapter(clock)
    main.otherwise = opens
    adapter = ShadowAdapter(main, lambda: second, settings=Shadow(), clock=clock, keep=Shelf().keep)
    assert await adapter.start(Memory()) is None
    await clock.sleep(1)
    for number in range(8):
        await adapter.submit(structs.replace(order(number), order_type="limit"), lambda: None)
        sent.append(order(number).client_order_id)
    await clock.sleep(1)

    for client_order_id in sent:
        await adapter.cancel(client_order_id, "BTCUSDT")
    second.waits.clear()
    await clock.sleep(5)

    assert second.sent == []
    assert adapter.counts["not_compared"] == len(sent)
    await adapter.close()


class Silent(ScriptedAdapter):
    """Answers nothing until it is let go."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        """As a host that is stopped."""
        await self.holds["all"].wait()
        return await super().submit(order, guard)


class IsBroken(ScriptedAdapter):
    """A part of it has died, and says so whenever it is asked."""

    def wait_for(self, symbol: str) -> Wait | None:
        """As an adapter does whose task has ended."""
        raise AssertionError("a part of it has died")


@in_virtual_time
async def test_an_adapter_that_is_broken_for_good_is_replaced() -> None:
    clock = virtual_clock()
    seconds: list[ScriptedAdapter] = []

    def second() -> ScriptedAdapter:
        seconds.append(ScriptedAdapter(clock) if seconds else IsBroken(clock))
        return seconds[-1]

    adapter = ShadowAdapter(ScriptedAdapter(clock), second, settings=Shadow(), clock=clock, keep=Shelf().keep)
    assert await adapter.start(Memory()) is None
    for number in range(200):
        await adapter.submit(order(number), lambda: None)
        await clock.sleep(0.5)

    assert len(seconds) == 2
    assert adapter.counts["alike"] >= 50
    await adapter.close()


@in_virtual_time
async def test_a_venue_that_answers_nothing_is_told_of_until_it_answers_again() -> None:
    clock = virtual_clock()
    second = Silent(clock)
    second.holds["all"] = asyncio.Event()
    adapter = ShadowAdapter(
        ScriptedAdapter(clock), lambda: second, settings=Shadow(), clock=clock, keep=Shelf().keep
    )
    assert await adapter.start(Memory()) is None

    await adapter.submit(order(1), lambda: None)
    await clock.sleep(12)
    told = adapter.shadow_trouble
    second.holds["all"].set()
    await adapter.submit(order(2), lambda: None)
    await clock.sleep(1)

    assert told == "the shadow venue takes no copies: no answer within 10 s"
    assert adapter.shadow_trouble is None
    assert (adapter.counts["not_compared"], adapter.counts["alike"]) == (1, 1)
    await adapter.close()


class AsksForAPause(ScriptedAdapter):
    """Is told at its start to be silent for a while, and notes it for the next one."""

    async def start(self, view: LedgerView) -> StartRefusal | None:
        """A start that was told before says so."""
        before = await view.kept("deadline")
        await view.keep("deadline", "1700000000000")
        return StartRefusal("unavailable", f"told before: {before}")


@in_virtual_time
async def test_a_pause_that_a_venue_asked_for_is_known_to_the_next_attempt() -> None:
    # Both sides may share an address: who asks on while it is banned has it banned for longer.
    clock = virtual_clock()
    adapter = ShadowAdapter(
        ScriptedAdapter(clock),
        lambda: AsksForAPause(clock),
        settings=Shadow(),
        clock=clock,
        keep=Shelf().keep,
    )
    assert await adapter.start(Memory()) is None
    await clock.sleep(40)

    assert (adapter.shadow_trouble or "").endswith("told before: 1700000000000")
    await adapter.close()


@in_virtual_time
async def test_pairs_are_written_once_although_an_old_file_cannot_go(tmp_path: Path) -> None:
    clock = virtual_clock()
    folder = tmp_path / "shadow"
    (folder / "pairs_20010101.jsonl").mkdir(parents=True)
    files = PairFiles(folder, clock, keep_days=1)
    pair = Pair(
        clock.wall_ms(),
        "BTCUSDT",
        "buy",
        Decimal(1),
        "signal-1",
        "ew1-1",
        "sh1-1",
        Outcome("filled"),
        Outcome("rejected", "insufficient_margin"),
        ("status",),
    )
    news = News([pair], Counter({"different": 1}), Counter())

    refusals = [files.keep(news)]
    while refusals[-1] is not None and len(refusals) < 5:
        # Put back, as whoever kept it does.
        refusals.append(files.keep(news))

    kept = read_pairs(folder, since_ms=clock.wall_ms() - DAY_MS, pairs_max=10)
    assert kept.counts == {"different": 1}
    assert refusals[-1] is None


class LosesAllAnswers(ScriptedAdapter):
    """Never says what became of an order, and so has all of them to follow."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.followed: list[str] = []

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        """As a venue whose answers time out."""
        return Unknown("read timed out")

    def watch(self, order: Order) -> None:
        """Nothing is ever heard of it."""
        self.followed.append(order.client_order_id)


@in_virtual_time
async def test_a_venue_that_loses_every_answer_is_not_asked_about_thousands_of_orders() -> None:
    clock = virtual_clock()
    seconds: list[LosesAllAnswers] = []

    def second() -> LosesAllAnswers:
        seconds.append(LosesAllAnswers(clock))
        return seconds[-1]

    adapter = ShadowAdapter(ScriptedAdapter(clock), second, settings=Shadow(), clock=clock, keep=Shelf().keep)
    assert await adapter.start(Memory()) is None
    troubles = set()
    for number in range(2_000):
        await adapter.submit(order(number), lambda: None)
        await clock.sleep(0.5)
        troubles.add(adapter.shadow_trouble)
    await clock.sleep(60)

    assert max(len(one.followed) for one in seconds) <= 300
    assert sum(adapter.counts.values()) == adapter.counts["not_compared"] == 2_000
    assert troubles == {None, "the shadow venue takes no copies: 100 answers were lost"}
    await adapter.close()
    await asyncio.sleep(0)
