"""Which orders are copied, when a pair has a verdict, and what becomes of copies that nobody needs."""

from __future__ import annotations

from decimal import Decimal

from rig.scripted_adapter import ScriptedAdapter, is_not_sent, loses_the_answer, loses_the_order, opens
from rig.two_accounts import Shelf, TwoAccounts
from rig.venue import Ear, Memory, free, wanted
from rig.virtual_clock import VirtualClock, in_virtual_time, virtual_clock

from adapters.contract import Accepted, Order, StartRefusal
from adapters.dry_run import DryRunAdapter
from adapters.exchange.faults import FaultRule
from adapters.shadow import ShadowAdapter
from adapters.shadow_copies import STEP_S_MAX
from adapters.shadow_venue import KEEP_S, RETRY_S
from config.settings import Shadow


class Pairing:
    """A main venue and a second one, both as scripted, with a shadow between them."""

    def __init__(self, clock: VirtualClock, **settings: object) -> None:
        self.clock = clock
        self.main = ScriptedAdapter(clock)
        self.second = ScriptedAdapter(clock)
        self.shelf = Shelf()
        self.shadow = ShadowAdapter(
            self.main,
            lambda: self.second,
            settings=Shadow.model_validate(settings),
            clock=clock,
            keep=self.shelf.keep,
        )

    async def place(self, number: int = 0) -> Order:
        """One order, from what is wanted to the main venue's answer."""
        order = self.shadow.prepare(wanted(number))
        assert isinstance(order, Order)
        await self.shadow.submit(order, free)
        return order

    async def begin(self) -> None:
        """Start; the second venue is reached a moment later."""
        assert await self.shadow.start(Memory()) is None
        await self.clock.sleep(0.1)


def answers(adapter: ScriptedAdapter, number: int, *script: object) -> None:
    """What the venue answers to the order of one signal."""
    adapter._answers[f"signal-{number}"] = list(script)


@in_virtual_time
async def test_an_order_that_never_left_is_not_copied() -> None:
    pairing = Pairing(virtual_clock())
    answers(pairing.main, 0, is_not_sent)
    await pairing.begin()

    await pairing.place()
    await pairing.clock.sleep(1)

    assert pairing.second.sent == []
    assert sum(pairing.shadow.counts.values()) == 0
    await pairing.shadow.close()


@in_virtual_time
async def test_an_order_of_unknown_fate_is_copied_at_once_and_compared_when_it_is_found() -> None:
    pairing = Pairing(virtual_clock())
    answers(pairing.main, 0, loses_the_answer)
    await pairing.begin()

    order = await pairing.place()
    await pairing.clock.sleep(1)
    copied, early = len(pairing.second.sent), sum(pairing.shadow.counts.values())
    await pairing.shadow.lookup(order.client_order_id, order)

    assert (copied, early) == (1, 0)
    assert pairing.shadow.counts["alike"] == 1
    await pairing.shadow.close()


@in_virtual_time
async def test_an_order_whose_fate_stays_unknown_is_left_out_of_the_ratio() -> None:
    pairing = Pairing(virtual_clock())
    answers(pairing.main, 0, loses_the_order)
    await pairing.begin()

    await pairing.place()
    await pairing.clock.sleep(2 * STEP_S_MAX + KEEP_S)

    assert pairing.shadow.counts["not_compared"] == 1
    assert pairing.shadow.parity.compared == 0
    assert [dict(news.why_not) for news in pairing.shelf.news] == [{"main_unknown": 1}]
    await pairing.shadow.close()


@in_virtual_time
async def test_an_order_that_was_absent_and_is_sent_again_has_one_copy() -> None:
    pairing = Pairing(virtual_clock())
    answers(pairing.main, 0, loses_the_order, loses_the_order, opens)
    await pairing.begin()

    order = await pairing.place()
    await pairing.shadow.submit(order, free)
    await pairing.clock.sleep(3 * STEP_S_MAX)
    await pairing.shadow.submit(order, free)
    await pairing.clock.sleep(1)

    assert [sent.client_order_id for sent in pairing.second.sent] == ["sh1-" + order.client_order_id[4:]]
    assert sum(pairing.shadow.counts.values()) == 1
    await pairing.shadow.close()


@in_virtual_time
async def test_more_copies_than_may_wait_are_dropped_and_counted() -> None:
    pairing = Pairing(virtual_clock(), orders_waiting_max=3)
    for number in range(10):
        await pairing.place(number)
    await pairing.begin()

    assert pairing.shadow.counts == {"alike": 3, "different": 0, "dropped": 7, "not_compared": 0}
    await pairing.shadow.close()


@in_virtual_time
async def test_what_is_not_compared_at_the_end_is_dropped_counted_and_kept() -> None:
    pairing = Pairing(virtual_clock())
    answers(pairing.main, 1, opens)
    await pairing.begin()

    await pairing.place(0)
    await pairing.place(1)
    await pairing.clock.sleep(1)
    await pairing.shadow.close()
    await pairing.place(2)

    assert pairing.shadow.counts == {"alike": 1, "different": 0, "dropped": 1, "not_compared": 0}
    assert [dict(news.counts) for news in pairing.shelf.news] == [{"alike": 1, "dropped": 1}]


@in_virtual_time
async def test_a_venue_that_comes_back_is_found_within_half_a_minute() -> None:
    pairing = Pairing(virtual_clock())
    refusals = [
        StartRefusal("unavailable", "the network is down"),
        StartRefusal("permission", "no key"),
        None,
    ]
    started: list[float] = []

    async def start(_: object) -> StartRefusal | None:
        started.append(pairing.clock.monotonic_s())
        return refusals[len(started) - 1]

    pairing.second.start = start  # type: ignore[method-assign]  # the script of its starts
    await pairing.begin()
    early = pairing.shadow.shadow_trouble
    await pairing.clock.sleep(RETRY_S)
    later = pairing.shadow.shadow_trouble
    await pairing.clock.sleep(RETRY_S)
    await pairing.place()
    await pairing.clock.sleep(1)

    assert early == "the shadow venue takes no copies: the network is down"
    assert later == "the shadow venue takes no copies: no key"
    assert pairing.shadow.shadow_trouble is None
    assert pairing.shadow.counts["alike"] == 1
    assert [round(at_s - started[0]) for at_s in started] == [0, 30, 60]
    await pairing.shadow.close()


@in_virtual_time
async def test_news_that_cannot_be_written_are_written_later_with_the_next() -> None:
    pairing = Pairing(virtual_clock())
    pairing.shelf.refusal = "the disk is full"
    await pairing.begin()

    await pairing.place(0)
    await pairing.clock.sleep(2 * KEEP_S)
    trouble = pairing.shadow.keep_trouble
    pairing.shelf.refusal = None
    await pairing.place(1)
    await pairing.clock.sleep(2 * KEEP_S)

    assert trouble == "the disk is full"
    assert pairing.shadow.keep_trouble is None
    assert [dict(news.counts) for news in pairing.shelf.news] == [{"alike": 2}]
    await pairing.shadow.close()


@in_virtual_time
async def test_a_limit_order_that_works_on_both_sides_is_alike_and_its_copy_is_canceled() -> None:
    async with TwoAccounts() as two:
        adapter = await two.begun()
        await two.clock.sleep(1)
        order = adapter.prepare(wanted(order_type="limit", price=Decimal("50000")))
        assert isinstance(order, Order)

        assert isinstance(await adapter.submit(order, free), Accepted)
        await two.clock.sleep(2 * STEP_S_MAX)

        assert adapter.counts["alike"] == 1
        ended = [entry["account"] for entry in two.exchange.journal if entry["kind"] == "canceled"]
        assert ended == ["shadow"]
        await adapter.close()


@in_virtual_time
async def test_a_copy_whose_answer_is_lost_is_found_and_compared() -> None:
    async with TwoAccounts() as two:
        adapter = await two.begun(DryRunAdapter(base_order_qty=Decimal("0.01")))
        await two.clock.sleep(1)
        # Neither the answer nor the stream tells of it.
        lost = FaultRule(kind="reset_after", endpoint="new_order", executed=True)
        two.strike(lost, FaultRule(kind="stream_loss"))
        order = adapter.prepare(wanted())
        assert isinstance(order, Order)

        await adapter.submit(order, free)
        await two.clock.sleep(5)

        assert len(two.accepted("shadow")) == 1
        assert adapter.counts["alike"] == 1
        await adapter.close()


@in_virtual_time
async def test_a_canceled_order_has_its_copy_canceled_and_both_are_alike() -> None:
    async with TwoAccounts() as two:
        adapter = await two.begun()
        ear = Ear(adapter)
        await two.clock.sleep(1)
        order = adapter.prepare(wanted(order_type="limit", price=Decimal("50000")))
        assert isinstance(order, Order)
        await adapter.submit(order, free)
        await two.clock.sleep(1)

        assert (await adapter.cancel(order.client_order_id, order.symbol)).done
        await two.clock.sleep(1)

        assert adapter.counts["alike"] == 1
        ended = {entry["account"] for entry in two.exchange.journal if entry["kind"] == "canceled"}
        assert ended == {"main", "shadow"}
        await adapter.close()
        await ear.task


@in_virtual_time
async def test_an_order_that_the_second_venue_cannot_take_differs_with_its_reason() -> None:
    async with TwoAccounts() as two:
        adapter = await two.begun(DryRunAdapter(base_order_qty=Decimal("0.0001")))
        await two.clock.sleep(2)
        order = adapter.prepare(wanted(client_order_id="dryrun:signal-0"))
        assert isinstance(order, Order)

        await adapter.submit(order, free)
        await two.clock.sleep(KEEP_S)

        [pair] = [pair for news in two.shelf.news for pair in news.pairs]
        assert (pair.main.status, pair.shadow.status, pair.shadow.reason) == (
            "filled",
            "rejected",
            "invalid_quantity",
        )
        assert pair.client_order_id == "dryrun:signal-0"
        assert pair.shadow_order_id.startswith("sh1-")
        assert len(pair.shadow_order_id) == 28
        await adapter.close()
