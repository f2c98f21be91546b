"""A shadow on a second account of one exchange: how alike they do, what is told, and who gets which order."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
from rig.floor import signal
from rig.process import Process
from rig.two_accounts import TwoAccounts
from rig.venue import Ear, free, wanted
from rig.virtual_clock import in_virtual_time

from adapters.contract import Accepted, Order
from adapters.dry_run import DryRunAdapter
from adapters.exchange.faults import FaultRule
from adapters.shadow import ShadowAdapter
from config.settings import Execution, RateLimit
from streams.signal import Record
from worker.metrics import SHADOW_RESULTS

SYMBOLS = ("BTCUSDT", "ETHUSDT")
ORDERS = 1_000
# Orders of which one in twenty is refused; as a drill with real processes there are more of them.
REFUSED_FROM = 500
# Below the exchange's limit of orders per minute.
PACE_S = 1 / 16
PACED = Execution(rate_limit=RateLimit(max_qps=16, max_concurrency=4))
REFUSES = FaultRule(
    kind="answer",
    status=400,
    code=-2019,
    text="Margin is insufficient.",
    client_id_prefix="sh1-",
    probability=0.05,
)


async def trade(two: TwoAccounts, adapter: ShadowAdapter, count: int, price: Decimal | None = None) -> None:
    """Place so many orders as a lane would, and wait for the last verdict."""
    for number in range(count):
        symbol = SYMBOLS[0] if price is not None else SYMBOLS[number % 2]
        assert adapter.wait_for(symbol) is None
        side = "buy" if number % 3 else "sell"
        order = adapter.prepare(wanted(number, symbol, side=side, price=price))
        assert isinstance(order, Order)
        assert isinstance(await adapter.submit(order, free), Accepted)
        await two.clock.sleep(PACE_S)
    await two.clock.sleep(5)


@in_virtual_time
async def test_a_healthy_second_venue_does_alike_and_each_account_gets_its_own_orders() -> None:
    async with TwoAccounts() as two:
        adapter = await two.begun()
        ear = Ear(adapter)

        await trade(two, adapter, ORDERS)

        assert adapter.counts == {"alike": ORDERS, "different": 0, "dropped": 0, "not_compared": 0}
        assert adapter.parity.ratio == 1.0 >= two.shadow.parity_min
        main, shadow = two.accepted("main"), two.accepted("shadow")
        assert {one[:4] for one in main} == {"ew1-"}
        assert {one[:4] for one in shadow} == {"sh1-"}
        assert sorted(one[4:] for one in main) == sorted(one[4:] for one in shadow)
        assert {update.client_order_id[:4] for update in ear.updates} == {"ew1-"}
        await adapter.close()
        await ear.task


@in_virtual_time
async def test_a_second_venue_that_refuses_one_order_in_twenty_is_visibly_below() -> None:
    async with TwoAccounts() as two:
        two.strike(REFUSES)
        adapter = await two.begun(DryRunAdapter(base_order_qty=Decimal("0.01")))
        await two.clock.sleep(2)

        await trade(two, adapter, REFUSED_FROM, price=Decimal("60000"))

        assert 0.93 <= adapter.parity.ratio <= 0.97
        assert adapter.counts["alike"] + adapter.counts["different"] == REFUSED_FROM
        kept = [pair for news in two.shelf.news for pair in news.pairs]
        assert len(kept) == adapter.counts["different"] == adapter.parity.different
        assert {(pair.main.status, pair.shadow.status, pair.shadow.reason) for pair in kept} == {
            ("filled", "rejected", "insufficient_margin")
        }
        assert len(two.accepted("shadow")) == adapter.counts["alike"]
        assert two.accepted("main") == []
        await adapter.close()


def signals(numbers: range) -> dict[str, list[Record]]:
    """Signals of both symbols in turn."""
    return {
        symbol: [signal(number, symbol) for number in numbers if number % 2 == place]
        for place, symbol in enumerate(SYMBOLS)
    }


@in_virtual_time
async def test_the_worker_warns_of_a_low_parity_until_the_last_pairs_are_alike_again(tmp_path: Path) -> None:
    async with TwoAccounts(shadow={"pairs_window": 10}) as two:
        two.strike(msgspec.structs.replace(REFUSES, probability=1.0, times=2))
        adapter = await two.begun()
        async with Process(tmp_path, two.clock, adapter, signals(range(4)), execution=PACED) as process:
            await two.clock.sleep(5)
            warned = process.named("condition_began")
            for symbol, more in signals(range(4, 24)).items():
                process.worker.feeds[symbol].add(*more)
            await two.clock.sleep(5)
            ended = process.named("condition_ended")

    assert [told["what"] for told in warned] == [told["what"] for told in ended] == ["shadow_parity"]
    assert warned[0]["why"].startswith("2 of the last 4 pairs differ, parity 0.5000 is below 0.99: ")
    assert set(process.worker.states().values()) == {"filled"}
    metrics = process.worker.metrics
    assert metrics._shadow_parity.values[()] == 1.0
    counted = {what: metrics._shadow_pairs.values[what,] for what in SHADOW_RESULTS}
    assert counted == adapter.counts == {"alike": 22, "different": 2, "dropped": 0, "not_compared": 0}
