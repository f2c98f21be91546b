"""Lookups under seeded faults of all kinds at once: what they say in the end is what the journal says."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from rig.binance_world import World
from rig.virtual_clock import in_virtual_time

from adapters.contract import Found, Order, OrderUpdate, ProvenAbsent
from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import FillPolicy
from config.seams import seeded_random
from config.settings import Broker

SEEDS = 40
# Low numbers, in the proportions of the real ones; the exchange may hide an order for all of the visibility.
BROKER = Broker(
    recv_window_ms=2_000,
    send_window_ms=2_000,
    absence_margin_ms=1_000,
    visibility_ms=6_000,
    absence_spacing_ms=500,
    request_timeout_ms=2_000,
)
ANSWERS = (
    "reset_before", "reset_after", "silence_before", "silence_after", "timeout_1007", "unknown_1006",
    "unknown_503", "unavailable_503", "internal_503", "html_500", "disconnected_1001", "overload_1008",
    "garbage", "truncated",
)  # fmt: skip


def faults(dice: random.Random) -> list[FaultRule]:
    """The order's own fate, and trouble for everybody who asks."""
    rules = [FaultRule(dice.choice(ANSWERS), endpoint="new_order", executed=dice.random() < 0.5)]
    if dice.random() < 0.3:
        rules.append(FaultRule("late", endpoint="new_order", delay_ms=dice.randrange(1, 1_900)))
    if dice.random() < 0.6:
        scope = dice.choice(["query", "all"])
        hidden_ms = dice.randrange(1, BROKER.visibility_ms)
        rules.append(FaultRule("invisible", endpoint="new_order", delay_ms=hidden_ms, scope=scope))
    for endpoint in ("query_order", "open_orders", "all_orders", "trades", "time", "position_risk"):
        rules += [
            FaultRule(dice.choice(ANSWERS), endpoint=endpoint, probability=dice.uniform(0.0, 0.3))
            for _ in range(2)
        ]
        rules.append(FaultRule("slow", endpoint=endpoint, probability=0.2, delay_ms=dice.randrange(1, 1_500)))
    rules.append(FaultRule("http_429", endpoint="any", probability=0.01, delay_ms=3_000))
    return rules


def assert_true(world: World, order: Order, update: OrderUpdate) -> None:
    fills = [entry for entry in world.journal if entry["kind"] == "fill"]
    qty = sum((Decimal(str(fill["qty"])) for fill in fills), Decimal(0))
    assert update.filled_qty <= qty
    if update.state == "filled":
        assert update.filled_qty == qty == order.qty
        assert update.fee == sum(Decimal(str(fill["fee"])) for fill in fills)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_a_lookup_ends_in_is_what_the_journal_has(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        dice = seeded_random(seed)
        policy = FillPolicy(parts=dice.randrange(1, 4), part_delay_ms=dice.randrange(0, 3_000))
        world = World(broker=BROKER, policy=policy, seed=seed, latency=lambda: dice.uniform(0.0, 0.3))
        async with world:
            world.strike(*faults(dice))
            order = world.order("a", price=dice.choice([None, "58000.0", "61000.0"]))
            await world.send(order)
            lookup = world.lookup(unbroken_since_ms=0)

            for jumped in range(4):
                answer, _ = await world.settled(lookup, order, within_s=60)
                world.clock.skew_ms = dice.randrange(-90_000, 90_000)
                if isinstance(answer, Found | ProvenAbsent):
                    break
                if jumped == 2:
                    world.strike()

            accepted = len(world.accepted())
            assert accepted in (0, 1)
            await world.clock.sleep(600.0)
            assert len(world.accepted()) == accepted
            match answer:
                case Found(update=update, same_terms=same_terms):
                    assert accepted == 1
                    assert same_terms
                    assert_true(world, order, update)
                case ProvenAbsent():
                    assert accepted == 0
                case _:
                    raise AssertionError(f"no answer in the end: {answer}")

    run()
