"""What the adapter does at its edges: a start that is refused, a task that died, rules that change."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest
from rig.venue import Memory, free, venue, wanted
from rig.virtual_clock import in_virtual_time, until, virtual_clock

from adapters.binance import people
from adapters.binance.adapter import DEADLINE_KEY
from adapters.binance.asking import Trouble
from adapters.binance.prices import Prices
from adapters.contract import NotSent, Order, Reject, StartRefusal
from adapters.exchange.faults import FaultRule
from adapters.exchange.terms import FUTURES_RULES


@in_virtual_time
async def test_a_ban_that_refuses_the_start_is_kept_and_the_next_start_sends_nothing_into_it() -> None:
    async with venue(started=False) as v:
        v.plan(FaultRule(kind="http_418", endpoint="any", delay_ms=7_200_000, executed=False))
        first = await v.start()
        asked = len(v.transport.requests)
        await v.adapter.close()
        v.transport = v.wire()
        v.adapter = v.life()

        second = await v.start()

        assert isinstance(first, StartRefusal)
        assert isinstance(second, StartRefusal)
        assert asked >= 1
        assert DEADLINE_KEY in v.view.kept_values
        assert v.transport.requests == []


@in_virtual_time
async def test_a_symbol_that_was_halted_when_the_rules_were_read_trades_again_soon() -> None:
    async with venue() as v:
        listed = v.adapter.upkeep.rules
        halted = {**listed.of, "BTCUSDT": msgspec.structs.replace(listed.of["BTCUSDT"], status="BREAK")}
        # As a daily reading in the middle of a halt would have left it.
        v.adapter.upkeep.rules = msgspec.structs.replace(listed, of=halted)

        refused = v.adapter.prepare(wanted(1))
        await until(lambda: isinstance(v.adapter.prepare(wanted(2)), Order), v.clock, within_s=130)

        assert isinstance(refused, Reject)
        assert refused.code == "symbol_not_trading"


@in_virtual_time
async def test_a_symbol_that_trades_no_more_has_its_rules_read_once_a_minute_at_most() -> None:
    async with venue() as v:
        ruled = next(one for one in FUTURES_RULES if one.symbol == "BTCUSDT")
        v.exchange.add_symbol(msgspec.structs.replace(ruled, status="SETTLING"))
        listed = v.adapter.upkeep.rules
        v.adapter.upkeep.rules = msgspec.structs.replace(listed, of={"ETHUSDT": listed.of["ETHUSDT"]})
        before = v.sent("GET", "exchangeInfo")

        refused = []
        for number in range(180):
            refused.append(v.adapter.prepare(wanted(number)))
            await v.clock.sleep(1.0)

        assert all(isinstance(one, Reject) and one.code == "symbol_not_trading" for one in refused)
        assert 1 <= v.sent("GET", "exchangeInfo") - before <= 4


class Unwritable(Memory):
    """A store that cannot keep anything."""

    async def keep(self, key: str, value: str) -> None:
        raise OSError("no space left")


@in_virtual_time
async def test_a_task_that_died_keeps_nothing_from_being_closed() -> None:
    async with venue(view=Unwritable()) as v:
        v.plan(FaultRule(kind="http_429", endpoint="any", delay_ms=2_000, executed=False, times=1))
        await v.adapter.submit(v.prepared(1), free)
        await v.clock.sleep(0.5)

        with pytest.raises(OSError, match="no space"):
            await v.adapter.close()

        left = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()}
        assert not {name for name in left if name.startswith(("Upkeep", "Follower", "UserStream", "Prices"))}


@in_virtual_time
async def test_a_command_of_a_person_sends_nothing_into_a_ban_that_the_worker_was_told_of() -> None:
    async with venue(started=False) as v:
        trouble = await people.ready(v.adapter, v.clock.wall_ms() + 120_000)
        asked = len(v.transport.requests)
        await v.clock.sleep(200.0)
        later = await people.ready(v.adapter, v.clock.wall_ms() - 1_000)

        assert isinstance(trouble, Trouble)
        assert "wants to hear nothing" in trouble.text
        assert asked == 0
        assert later is None


@pytest.mark.parametrize("answers", [True, False])
@in_virtual_time
async def test_whoever_waits_for_a_price_that_does_not_exist_does_not_use_up_the_weight(
    answers: bool,
) -> None:
    clock = virtual_clock()
    asked = 0

    async def ask(symbols: Sequence[str]) -> Sequence[tuple[str, Decimal, Decimal]] | None:
        nonlocal asked
        asked += 1
        await clock.sleep(0.005)
        return [("BTCUSDT", Decimal(1), Decimal(2)), ("ETHUSDT", Decimal(0), Decimal(0))] if answers else None

    prices = Prices(("BTCUSDT", "ETHUSDT"), ask, clock, max_age_ms=2_000)
    running = asyncio.create_task(prices.run())
    for _ in range(600):
        prices.poke()
        await clock.sleep(0.1)
        assert not answers or prices.price("BTCUSDT") is not None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert prices.price("ETHUSDT") is None
    assert 55 <= asked <= (61 if answers else 241)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, None, "refuses requests from this address before it looks at the API key"),
        (451, None, "refuses requests from this address before it looks at the API key"),
        (403, -2015, "refuses the API key in"),
        (401, None, "refuses the API key in"),
    ],
)
@in_virtual_time
async def test_a_firewall_that_refuses_is_not_called_a_bad_key(
    status: int, code: int | None, words: str
) -> None:
    async with venue() as v:
        v.plan(FaultRule(kind="answer", status=status, code=code, text="no", executed=False))

        result = await v.adapter.submit(v.prepared(1), free)

        assert isinstance(result, NotSent)
        assert result.code == "denied"
        assert v.adapter.denied is not None
        assert words in v.adapter.denied


@in_virtual_time
async def test_rules_without_any_symbol_do_not_replace_those_that_are_known() -> None:
    async with venue() as v:
        v.transport.instead["/fapi/v1/exchangeInfo"] = b'{"rateLimits":[],"symbols":[]}'
        v.adapter.upkeep.rules_are_due()
        await v.clock.sleep(1.0)

        assert isinstance(v.adapter.prepare(wanted(1)), Order)
        assert v.adapter.upkeep.rules_failures == 1
