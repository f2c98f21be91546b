"""A second venue that misbehaves: the main side's orders, their order and their times stay as they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rig.floor import signal
from rig.process import Process
from rig.rows import rows
from rig.scripted_adapter import ScriptedAdapter, loses_the_answer, opens, rejects
from rig.two_accounts import Shelf
from rig.venue import Memory
from rig.virtual_clock import VirtualClock, in_virtual_time, virtual_clock

from adapters.contract import (
    ExecutionAdapter,
    Guard,
    LedgerView,
    NotSent,
    Order,
    OrderCtx,
    OrderUpdate,
    Reject,
    StartRefusal,
    SubmitResult,
    Unknown,
    Wait,
)
from adapters.shadow import ShadowAdapter
from config.settings import Execution, RateLimit, Shadow
from streams.signal import Record

COUNT = 24
# One second for what the shadow leaves behind, and a little for the worker itself.
STOP_S_MAX = 1.2
PACED = Execution(rate_limit=RateLimit(max_qps=20, max_concurrency=2))
# How the main venue answers its first orders; all others are filled.
MOODS = {"BTCUSDT-2": [rejects], "BTCUSDT-4": [opens], "ETHUSDT-3": [loses_the_answer]}
ROWS = """signal_id, state, status, side, exec_ts_ms, reserved_ms, qty, price, order_id, error_code,
    error_msg, client_order_id, meta_json"""


class Second(ScriptedAdapter):
    """A second venue that fills everything, slower than the main one."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock, latency_s=0.2)


class Hangs(Second):
    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        return await asyncio.Event().wait()


class HangsAndStays(Second):
    """Not even a cancellation ends its calls at once."""

    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        try:
            return await asyncio.Event().wait()
        except asyncio.CancelledError:
            await self._clock.sleep(100)
            raise

    async def close(self) -> None:
        await asyncio.Event().wait()


class Raises(Second):
    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        raise ZeroDivisionError("a bug over there")


class RaisesWhilePreparing(Second):
    def prepare(self, ctx: OrderCtx) -> Order | Reject:
        raise ZeroDivisionError("a bug over there")


class NeverSends(Second):
    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        return NotSent("refused", "connection refused")


class NeverKnows(Second):
    async def submit(self, order: Order, guard: Guard) -> SubmitResult:
        return Unknown("read timed out")


class NeverReady(Second):
    def wait_for(self, symbol: str) -> Wait | None:
        return Wait("price", "no price", self._clock.wall_ms() + 100)


class IsNotThere(Second):
    async def start(self, view: LedgerView) -> StartRefusal | None:
        return StartRefusal("unavailable", "127.0.0.1:9 cannot be asked (refused)")


class DiesAtStart(Second):
    async def start(self, view: LedgerView) -> StartRefusal | None:
        raise ZeroDivisionError("a bug over there")


class NeverStarts(Second):
    async def start(self, view: LedgerView) -> StartRefusal | None:
        return await asyncio.Event().wait()


class LosesItsNews(Second):
    async def updates(self) -> AsyncIterator[OrderUpdate]:
        await self._clock.sleep(1)
        raise ZeroDivisionError("a bug over there")
        yield


def does_not_open() -> ExecutionAdapter:
    """Not even the adapter can be made."""
    raise ZeroDivisionError("a bug over there")


def signals() -> dict[str, list[Record]]:
    """Two lanes of signals."""
    return {
        symbol: [signal(number, symbol) for number in range(place, COUNT, 2)]
        for place, symbol in enumerate(("BTCUSDT", "ETHUSDT"))
    }


async def lived(
    folder: Path, second: Callable[[], ExecutionAdapter] | None, **settings: Any
) -> tuple[Sequence[Any], Sequence[Any], ShadowAdapter | None]:
    """One worker's life over all signals: its rows, what its venue was sent and when, its shadow."""
    folder.mkdir()
    clock = virtual_clock()
    main = ScriptedAdapter(clock, latency_s=0.037, answers=MOODS)
    adapter: ExecutionAdapter = main
    shadow = None
    if second is not None:
        shadow = ShadowAdapter(main, second, settings=Shadow(**settings), clock=clock, keep=Shelf().keep)
        adapter = shadow
    assert await adapter.start(Memory()) is None
    async with Process(folder, clock, adapter, signals(), execution=PACED) as process:
        await clock.sleep(3.0)
        stopped_s = clock.monotonic_s()
    assert clock.monotonic_s() - stopped_s <= STOP_S_MAX
    sent = [sent._replace(at_s=round(sent.at_s, 3)) for sent in main.sent]
    assert process.task.exception() is None
    return rows(folder, ROWS, order="id"), sent, shadow


def in_a_life(folder: Path, kind: Callable[[VirtualClock], ExecutionAdapter] | None) -> Any:
    """One life on a loop of its own, so that each begins at the same moment."""
    lives: list[Any] = []

    @in_virtual_time
    async def run() -> None:
        clock = virtual_clock()
        lives.append(await lived(folder, None if kind is None else lambda: kind(clock)))

    run()
    return lives[0]


KINDS: dict[str, Callable[[VirtualClock], ExecutionAdapter]] = {
    kind.__name__: kind
    for kind in (
        Second,
        Hangs,
        HangsAndStays,
        Raises,
        RaisesWhilePreparing,
        NeverSends,
        NeverKnows,
        NeverReady,
        IsNotThere,
        DiesAtStart,
        NeverStarts,
        LosesItsNews,
    )
}
KINDS["DoesNotOpen"] = lambda clock: does_not_open()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same life without a shadow."""
    return in_a_life(tmp_path_factory.mktemp("alone") / "store", None)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_rows_and_times_are_those_of_a_worker_without_a_shadow(
    kind: Callable[[VirtualClock], ExecutionAdapter], alone: Any, tmp_path: Path
) -> None:
    kept, sent, shadow = in_a_life(tmp_path / "store", kind)

    assert (kept, sent) == alone[:2]
    assert len(kept) == len(sent) == COUNT
    assert sum(shadow.counts.values()) == COUNT
    assert shadow.copies_open == 0
    # In the first second it was still there.
    assert (shadow.counts["alike"] > 0) == (kind in (Second, LosesItsNews))
