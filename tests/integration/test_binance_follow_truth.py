"""Orders followed under seeded faults of all kinds at once: they end as the journal has it."""

from __future__ import annotations

import pytest
from rig.binance_world import SYMBOL, World
from rig.following import assert_agrees, following
from rig.virtual_clock import in_virtual_time

from adapters.binance import wire
from adapters.binance.market import Market
from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import FillPolicy
from config.seams import seeded_random


def noise(seed: int) -> list[FaultRule]:
    """Faults of all kinds on everything that the follower uses."""
    dice = seeded_random(seed)
    kinds = [
        "reset_before",
        "reset_after",
        "silence_after",
        "truncated",
        "garbage",
        "html_500",
        "unknown_503",
    ]
    rules = [
        FaultRule(kind, endpoint=endpoint, probability=dice.uniform(0.0, 0.3))  # type: ignore[arg-type]  # kinds as text
        for kind in kinds
        for endpoint in ("query_order", "all_orders", "trades", "POST /fapi/v1/listenKey")
    ]
    stream = ("stream_gap", "stream_loss", "stream_duplicate", "stream_reorder", "stream_delay")
    rules += [
        FaultRule(kind, probability=dice.uniform(0.0, 0.4), delay_ms=dice.randrange(1, 5_000))
        for kind in stream
    ]
    rules.append(FaultRule("invisible", endpoint="new_order", probability=0.5, delay_ms=4_000, scope="all"))
    return rules


@pytest.mark.parametrize("seed", range(25))
def test_under_all_faults_at_once_every_order_is_told_to_the_end_that_the_journal_has(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        policy = FillPolicy(parts=3, part_delay_ms=700, fill_delay_ms=300)
        world = World(*noise(seed), policy=policy, seed=seed)
        async with world, following(world, has_stream=seed % 5 != 0, until_it_stands=False) as followed:
            names = [f"n{number}" for number in range(12)]
            for number, name in enumerate(names):
                price = "61000.0" if number % 3 == 0 else None
                await followed.place(world.order(name, qty="0.003", price=price))
                await world.clock.sleep(0.4)
                if number % 3 == 0:
                    await world.client.call(wire.cancel_order(Market.FUTURES, SYMBOL, f"ew1-{name}"))
            await followed.ended(*names, within_s=3_000)
            await world.clock.sleep(60.0)

            for name in names:
                assert len(followed.final(name)) == 1
                assert_agrees(world, followed.final(name)[0], name)

    run()
