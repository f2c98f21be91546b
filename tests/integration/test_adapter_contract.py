"""One suite over every adapter: what the lane may rely on, whoever stands at the other end.

A new adapter adds itself to ADAPTERS and changes nothing else: the lane under test is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from rig.floor import Worker, drain, signal
from rig.rows import rows
from rig.scripted_adapter import ScriptedAdapter, fills_half, loses_the_answer, opens, rejects
from rig.virtual_clock import VirtualClock, in_virtual_time, virtual_clock

from adapters import contract, registry
from adapters.binance.credentials import Credentials
from adapters.contract import (
    Accepted,
    AmendResult,
    CancelResult,
    ExecutionAdapter,
    LookupResult,
    Order,
    OrderCtx,
    OrderState,
    OrderUpdate,
    ProvenAbsent,
    SubmitResult,
)
from adapters.dry_run import DryRunAdapter
from config.settings import Mode, Settings
from store.lifecycle import State, may_move
from worker import lane

A, B = "BTCUSDT-0", "BTCUSDT-1"

ADAPTERS: dict[str, Callable[[VirtualClock], ExecutionAdapter]] = {
    "dry_run": lambda clock: DryRunAdapter(base_order_qty=Decimal("100.0")),
    "scripted": ScriptedAdapter,
    "scripted_in_batches": lambda clock: ScriptedAdapter(clock, batch_max=50),
    "scripted_slow": lambda clock: ScriptedAdapter(clock, latency_s=0.2),
    "scripted_moody": lambda clock: ScriptedAdapter(
        clock, answers={A: [opens], B: [loses_the_answer], "BTCUSDT-2": [rejects], "BTCUSDT-3": [fills_half]}
    ),
}
over_all_adapters = pytest.mark.parametrize("make", ADAPTERS.values(), ids=ADAPTERS)
Make = Callable[[VirtualClock], ExecutionAdapter]


def context(number: int = 0) -> OrderCtx:
    """What is wanted of an adapter."""
    return OrderCtx(
        client_order_id=f"ew1-{number:024d}",
        symbol="BTCUSDT",
        side="buy",
        qty=None,
        order_type="market",
        price=Decimal("43210.10"),
        tif="GTC",
        ts_ms=1,
        event_ts_ms=1,
        signal_id=f"BTCUSDT-{number}",
    )


def prepared(adapter: ExecutionAdapter, number: int = 0) -> Order:
    """An order that the adapter has agreed to."""
    order = adapter.prepare(context(number))
    assert isinstance(order, Order)
    return order


@over_all_adapters
@in_virtual_time
async def test_an_adapter_has_everything_that_the_contract_names(make: Make) -> None:
    adapter = make(virtual_clock())
    wanted = {name for name in vars(ExecutionAdapter) if not name.startswith("_")}

    assert {name for name in wanted if not hasattr(adapter, name)} == set()
    assert adapter.batch_max >= 1
    assert adapter.name
    # What touches a wire is known by its client order id; what does not has order ids of its own.
    assert (adapter.order_id_prefix is None) == (adapter.batch_max == 1)


@over_all_adapters
@in_virtual_time
async def test_preparing_is_pure_and_keeps_the_identity_of_the_signal(make: Make) -> None:
    adapter = make(virtual_clock())
    first, second = prepared(adapter), prepared(adapter)

    assert first == second
    assert (first.client_order_id, first.symbol, first.side, first.signal_id) == (
        context().client_order_id,
        "BTCUSDT",
        "buy",
        A,
    )
    assert first.qty.is_finite()
    assert first.qty > 0


@over_all_adapters
@in_virtual_time
async def test_a_prepared_order_survives_the_row_to_the_last_digit(make: Make) -> None:
    order = prepared(make(virtual_clock()))

    again = msgspec.json.decode(msgspec.json.encode(order), type=Order)

    assert again == order
    assert (str(again.qty), str(again.price)) == (str(order.qty), str(order.price))


@over_all_adapters
@in_virtual_time
async def test_every_answer_is_one_of_the_four_and_legal_for_a_reserved_row(make: Make) -> None:
    adapter = make(virtual_clock())

    for number in range(5):
        order = prepared(adapter, number)
        answer = await adapter.submit(order, lambda: None)
        assert isinstance(answer, get_args(SubmitResult))
        if isinstance(answer, Accepted):
            assert answer.update.client_order_id == order.client_order_id
            assert may_move(State.RESERVED, State(answer.update.state))
            assert answer.update.filled_qty <= order.qty
            assert (answer.update.state == "filled") <= (answer.update.filled_qty == order.qty)


@over_all_adapters
@in_virtual_time
async def test_asking_about_an_order_that_was_never_sent_proves_its_absence_and_places_nothing(
    make: Make,
) -> None:
    adapter = make(virtual_clock())
    order = prepared(adapter, 9)

    answers = [await adapter.lookup(order.client_order_id, order) for _ in range(3)]

    assert all(isinstance(answer, get_args(LookupResult)) for answer in answers)
    assert answers == [ProvenAbsent()] * 3
    assert await adapter.open_orders("BTCUSDT") in ((), [])
    assert await adapter.get_position("BTCUSDT") == 0


@over_all_adapters
@in_virtual_time
async def test_the_other_questions_may_be_repeated_and_never_raise(make: Make) -> None:
    adapter = make(virtual_clock())

    for _ in range(2):
        assert isinstance(await adapter.cancel("ew1-x", "BTCUSDT"), CancelResult)
        amended = await adapter.amend("ew1-x", "BTCUSDT", Decimal(1), Decimal(1))
        assert isinstance(amended, AmendResult)
        assert list(await adapter.fetch_fills("BTCUSDT", 0)) == []
        assert isinstance(await adapter.get_balance(), dict)
        await adapter.flush()


@over_all_adapters
@in_virtual_time
async def test_closing_ends_the_stream_of_updates(make: Make) -> None:
    adapter = make(virtual_clock())

    async def listen() -> list[OrderUpdate]:
        return [update async for update in adapter.updates()]

    task = asyncio.create_task(listen())
    await asyncio.sleep(0)
    await adapter.close()

    async with asyncio.timeout(5):
        assert await task == []


@over_all_adapters
@in_virtual_time
async def test_the_same_lane_runs_every_adapter_to_one_row_for_each_signal(
    tmp_path: Path, make: Make
) -> None:
    clock = virtual_clock()
    adapter = make(clock)
    signals = [signal(number, symbol) for number in range(12) for symbol in ("BTCUSDT", "ETHUSDT")]
    signals.append(signal(12, confirm=False))

    worker = await drain(tmp_path, clock, adapter, *signals, *signals)
    again = await drain(tmp_path, clock, adapter, *signals, *signals)

    states = worker.states()
    assert len(states) == 25
    assert set(states.values()) <= {"filled", "open", "partial", "rejected", "skipped"}
    assert again.states() == states
    assert rows(tmp_path, "count(*), count(distinct signal_id)", order="1") == [(25, 25)]
    prefix = adapter.order_id_prefix
    for signal_id, order_id, client_order_id in rows(
        tmp_path, "signal_id, order_id, client_order_id", "executions WHERE state = 'filled'"
    ):
        assert order_id == (f"{prefix}{signal_id}" if prefix else client_order_id)
        assert (client_order_id is None) == (prefix is not None)


@over_all_adapters
@in_virtual_time
async def test_the_same_lane_recovers_every_adapter(tmp_path: Path, make: Make) -> None:
    clock = virtual_clock()
    adapter = make(clock)
    signals = [signal(number) for number in range(6)]
    async with Worker(tmp_path, clock, adapter, {"BTCUSDT": signals}):
        await asyncio.sleep(0)  # and is ended wherever it stands

    worker = await drain(tmp_path, clock, adapter, *signals)

    assert list(worker.states()) == [f"BTCUSDT-{number}" for number in range(6)]
    assert set(worker.states().values()) <= {"filled", "open", "partial", "rejected"}


def test_the_lane_names_no_adapter() -> None:
    source = Path(lane.__file__).read_text()
    names = {path.stem for path in Path(contract.__file__).parent.glob("*.py")} - {"contract", "__init__"}

    imported = {name for name in names if f"adapters.{name}" in source or f"adapters import {name}" in source}

    assert imported == set()


def test_the_words_of_the_contract_are_states_of_the_ledger() -> None:
    assert {State(word) for word in get_args(OrderState)} <= set(State)


def test_every_mode_that_is_offered_opens_an_adapter_of_the_suite() -> None:
    for mode in registry.available_modes():
        settings = Settings.model_validate({"execution": {"mode": Mode(mode)}})
        key = Credentials("a-key", "a-secret", "a test") if settings.execution.mode.touches_exchange else None
        assert registry.open_adapter(settings, credentials=key).name in {*ADAPTERS, "binance-futures"}


def test_a_mode_without_an_adapter_is_refused_with_what_to_set() -> None:
    missing = [mode for mode in Mode if mode.value not in registry.available_modes()]
    for mode in missing:
        settings = Settings.model_validate({"execution": {"mode": mode}})
        with pytest.raises(registry.ModeUnavailableError, match=r"set execution\.mode or --mode"):
            registry.open_adapter(settings)
