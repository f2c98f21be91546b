"""A whole worker and those who are told of it: nothing that a receiver does changes when an order leaves."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rig.floor import UNLIMITED, signal
from rig.process import Process
from rig.scripted_adapter import ScriptedAdapter, Sent
from rig.virtual_clock import VirtualClock, in_virtual_time, until, virtual_clock

from config.notify_settings import Notify, Ping
from config.settings import Execution, RateLimit
from store.records import Halt
from worker.notices.delivery import Receiver
from worker.notices.health import is_well
from worker.notices.herald import Herald
from worker.notices.waiting import Waiting
from worker.notices.ways import Undelivered
from worker.notices.wording import Body, Wording

LIMITED = UNLIMITED.model_copy(update={"rate_limit": RateLimit(max_qps=5, max_concurrency=2)})


class KeepingWay:
    """A receiver in this process: it keeps what it is told, or hangs for ever."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.bodies: list[Body] = []
        self._hangs = hangs

    async def send(self, body: Body, timeout_s: float) -> Undelivered | None:
        """Keep it; a receiver that hangs keeps to no time limit either."""
        self.bodies.append(body)
        if self._hangs:
            await asyncio.Event().wait()
        return None

    @property
    def told(self) -> list[tuple[str, str]]:
        """Each event and whether it began or ended."""
        return [(str(body["event"]), str(body["state"])) for body in self.bodies]


def herald_with(way: KeepingWay, clock: VirtualClock, process: Process) -> Herald:
    """A herald with one receiver, which hears what this worker logs."""
    notify = Notify(repeat_s=0, waiting_max=3)
    herald = Herald(notify, [], None, clock)
    wording = Wording(notify, name="west", mode="dry_run")
    herald.receivers.append(
        Receiver(
            "kept",
            way,
            Waiting(notify.waiting_max),
            notify=notify,
            wording=wording,
            clock=clock,
            log=lambda: herald.log,
        )
    )
    herald.listen_to(process.worker.log)
    return herald


async def sends(folder: Path, way: KeepingWay | None) -> list[Sent]:
    """When each of 9 orders of three symbols leaves, with an event for each of them to be told of."""
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, latency_s=0.03)
    inputs = {symbol: [signal(n, symbol) for n in range(3)] for symbol in ("AUSDT", "BUSDT", "CUSDT")}
    async with Process(folder, clock, venue, inputs, execution=LIMITED) as process:
        report = process.worker.floor.report
        committed = report.committed

        def tell(share: object, receipt: object) -> None:
            committed(share, receipt)  # type: ignore[arg-type]  # handed on as it came
            report.log.warning("order_limited", symbol="X", code="risk_rate", why=str(clock.wall_ms()))

        report.committed = tell  # type: ignore[method-assign]  # an event for each commit
        if way is None:
            await until(lambda: len(venue.sent) == 9, clock)
        else:
            async with herald_with(way, clock, process).at_work():
                await until(lambda: len(venue.sent) == 9, clock)
    return venue.sent


def test_a_receiver_that_never_answers_moves_no_order_by_a_microsecond(tmp_path: Path) -> None:
    found: dict[str, list[Sent]] = {}
    way = KeepingWay(hangs=True)

    @in_virtual_time
    async def alone() -> None:
        found["alone"] = await sends(tmp_path / "a", None)

    @in_virtual_time
    async def beside() -> None:
        found["beside"] = await sends(tmp_path / "b", way)

    alone()
    beside()

    assert len(way.bodies) == 1
    assert found["beside"] == found["alone"]


@in_virtual_time
async def test_a_worker_that_gets_nowhere_is_told_once_and_so_is_that_it_goes_on(tmp_path: Path) -> None:
    clock, way = virtual_clock(), KeepingWay()
    venue = ScriptedAdapter(clock, latency_s=25)
    execution = UNLIMITED.model_copy(update={"notify": Notify(no_progress_s=10)})
    inputs = {"BTCUSDT": [signal(0)]}
    async with (
        Process(tmp_path, clock, venue, inputs, execution=execution) as process,
        herald_with(way, clock, process).at_work(),
    ):
        await clock.sleep(9)
        early = (list(way.told), is_well(process.daemon))
        await clock.sleep(10)
        late = (list(way.told), is_well(process.daemon))
        await clock.sleep(10)

    assert early == ([], True)
    assert late == ([("no_progress", "began")], False)
    assert way.told == [("no_progress", "began"), ("no_progress", "ended")]
    assert way.bodies[0]["why"] == "input is there, and nothing became final for 10 s: see status"


@in_virtual_time
async def test_an_idle_worker_is_well_and_tells_nothing(tmp_path: Path) -> None:
    clock, way = virtual_clock(), KeepingWay()
    async with Process(tmp_path, clock, ScriptedAdapter(clock), {"BTCUSDT": []}) as process:
        before = is_well(process.daemon)
        async with herald_with(way, clock, process).at_work():
            await clock.sleep(100)
        well = is_well(process.daemon)

    assert (before, well, way.told) == (False, True, [])


@in_virtual_time
async def test_an_account_that_is_refused_is_told_and_no_ping_says_that_all_is_well(tmp_path: Path) -> None:
    clock, way = virtual_clock(), KeepingWay()
    venue = ScriptedAdapter(clock)
    async with Process(tmp_path, clock, venue, {"BTCUSDT": []}) as process:
        async with herald_with(way, clock, process).at_work():
            await clock.sleep(5)
            venue.denied = "the key is unknown: look at it, then resume"
            await clock.sleep(5)
        well = is_well(process.daemon)

    assert sorted(way.told) == [("exchange_refused", "began"), ("halted", "once")]
    assert not well


@in_virtual_time
async def test_while_halted_the_switch_is_held_or_not_as_it_is_set(tmp_path: Path) -> None:
    clock, found = virtual_clock(), []
    for number, held in enumerate((True, False)):
        execution: Execution = UNLIMITED.model_copy(update={"notify": Notify(ping=Ping(while_halted=held))})
        inputs: dict[str, list[object]] = {"BTCUSDT": []}
        async with Process(
            tmp_path / str(number), clock, ScriptedAdapter(clock), inputs, execution=execution
        ) as process:  # type: ignore[arg-type]  # nothing is read
            await clock.sleep(2)
            halt = Halt(scope="", why="by hand", who="jo", at_ms=clock.wall_ms())
            await process.worker.floor.halts.halt(halt)
            found.append(is_well(process.daemon))

    assert found == [True, False]
