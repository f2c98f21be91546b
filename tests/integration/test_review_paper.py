"""The simulated venue when the worker's own store is lost: its orders are found again, and say so alike."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from rig.floor import Worker, drain, signal
from rig.rows import rows
from rig.venue import Memory, settings_of
from rig.virtual_clock import in_virtual_time, virtual_clock

from adapters.contract import StartRefusal
from adapters.paper.connect import open_paper
from streams.signal import Signal

D = Decimal
SIGNALS = [signal(number, price=D(60_000)) for number in range(3)]


async def life(tmp_path: Path, store: str, *signals: Signal, **execution: Any) -> Worker:
    """One life of a worker on the one journal and a store of that name."""
    clock = virtual_clock()
    adapter = open_paper(settings_of("paper", sink={"base_dir": str(tmp_path)}, **execution), clock)
    assert not isinstance(adapter, StartRefusal), adapter
    assert await adapter.start(Memory()) is None
    try:
        return await drain(tmp_path / store, clock, adapter, *signals)
    finally:
        await adapter.close()


@in_virtual_time
async def test_orders_that_a_lost_store_had_placed_are_adopted_with_the_order_ids_of_the_mode(
    tmp_path: Path,
) -> None:
    before = await life(tmp_path, "first", *SIGNALS[:2])
    after = await life(tmp_path, "second", *SIGNALS)

    told = rows(after.folder, "order_id, state, qty, price")
    assert [order_id for order_id, *_ in told] == [f"paper:BTCUSDT-{number}" for number in range(3)]
    assert told[:2] == rows(before.folder, "order_id, state, qty, price")
    assert (tmp_path / "paper" / "orders.jsonl").read_bytes().count(b'"placed"') == 3
