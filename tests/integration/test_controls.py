"""What people ask of a running worker: halts, resumes and resolves, through its folder and its file."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from rig.floor import signal
from rig.process import Process
from rig.rows import rows
from rig.scripted_adapter import ScriptedAdapter, loses_the_answer, opens
from rig.virtual_clock import VirtualClock, in_virtual_time, until, virtual_clock

from adapters.contract import NotYet
from store import control
from store.control import ControlAnswer, ControlRequest
from store.halt_file import HALT_FILE, write_halt
from store.records import Halt

A, B = "BTCUSDT-0", "BTCUSDT-1"


async def asked(folder: Path, clock: VirtualClock, do: str, number: int = 1, /, **args: str) -> ControlAnswer:
    """Leave a request as a command does, and wait for the worker's answer."""
    request = ControlRequest(do=do, args=args, who="ana", at_ms=clock.wall_ms())
    key = control.post(folder, request, f"{clock.wall_ms()}-{number}")
    await until(lambda: control.read_answer(folder, key) is not None, clock, within_s=5)
    answer = control.read_answer(folder, key)
    assert isinstance(answer, ControlAnswer)
    return answer


def never_proven(venue: ScriptedAdapter, order: object) -> NotYet:
    """No proof either way, for ever."""
    return NotYet(venue._clock.wall_ms() + 1_000, "nobody can tell")


@in_virtual_time
async def test_a_halt_and_a_resume_by_request_are_obeyed_answered_and_kept(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    inputs: dict[str, list] = {"BTCUSDT": []}
    async with Process(tmp_path, clock, venue, inputs) as process:
        halted = await asked(tmp_path, clock, "halt", scope="", why="odd fills", new_only="yes")
        process.worker.feeds["BTCUSDT"].add(signal(0, ts_ms=clock.wall_ms()))
        await until(lambda: A in process.worker.states(), clock)
        resumed = await asked(tmp_path, clock, "resume", scope="", why="explained")
        process.worker.feeds["BTCUSDT"].add(signal(1, ts_ms=clock.wall_ms() + 1))
        await until(lambda: B in process.worker.states(), clock)
        await clock.sleep(1)
        codes = process.worker.codes()

    assert halted.done
    assert resumed.done
    assert codes == {A: "halted", B: None}
    assert venue.placed == [B]
    trail = rows(tmp_path, "action, who, why", "audit", order="id")
    assert trail == [("halt", "ana", "odd fills"), ("resume", "ana", "explained")]


@in_virtual_time
async def test_a_halt_of_a_symbol_that_nobody_trades_says_so(tmp_path: Path) -> None:
    clock = virtual_clock()
    async with Process(tmp_path, clock, ScriptedAdapter(clock), {"BTCUSDT": []}):
        slip = await asked(tmp_path, clock, "halt", scope="BTCUSD", why="odd fills")
        meant = await asked(tmp_path, clock, "halt", 2, scope="BTCUSDT", why="odd fills")

    assert slip.text == "new orders of BTCUSD are halted; this worker trades BTCUSDT alone"
    assert meant.text == "new orders of BTCUSDT are halted"


@in_virtual_time
async def test_a_file_made_by_touch_halts_and_outlives_its_removal(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    inputs: dict[str, list] = {"BTCUSDT": []}
    async with Process(tmp_path, clock, venue, inputs) as process:
        (tmp_path / HALT_FILE).touch()
        await clock.sleep(1)
        (tmp_path / HALT_FILE).unlink()
        process.worker.feeds["BTCUSDT"].add(signal(0, ts_ms=clock.wall_ms()))
        await until(lambda: A in process.worker.states(), clock)
        codes = process.worker.codes()

    assert codes == {A: "halted"}
    assert venue.placed == []


@in_virtual_time
async def test_a_halt_for_a_time_ends_by_itself_and_takes_its_file_along(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    inputs: dict[str, list] = {"BTCUSDT": []}
    async with Process(tmp_path, clock, venue, inputs) as process:
        write_halt(tmp_path, Halt("", "a break", "ana", clock.wall_ms(), until_ms=clock.wall_ms() + 60_000))
        await clock.sleep(30)
        during = process.worker.floor.gate.halted("BTCUSDT")
        await clock.sleep(31)
        after = process.worker.floor.gate.halted("BTCUSDT")
        process.worker.feeds["BTCUSDT"].add(signal(0, ts_ms=clock.wall_ms() + 1))
        await until(lambda: A in process.worker.states(), clock)

    assert during == "a break"
    assert after is None
    assert venue.placed == [A]
    assert not (tmp_path / HALT_FILE).exists()


@pytest.mark.parametrize(("new_only", "canceled"), [("yes", False), ("no", True)])
@in_virtual_time
async def test_a_full_halt_cancels_what_works_and_one_for_new_orders_does_not(
    tmp_path: Path, new_only: str, canceled: bool
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [opens]})
    inputs = {"BTCUSDT": [signal(0)]}
    async with Process(tmp_path, clock, venue, inputs) as process:
        await until(lambda: process.worker.states().get(A) == "open", clock)
        await asked(tmp_path, clock, "halt", scope="", why="odd fills", new_only=new_only)
        await clock.sleep(5)

    states = [update.state for update in venue.orders.values()]
    assert states == (["canceled"] if canceled else ["open"])


@in_virtual_time
async def test_an_unknown_order_is_resolved_by_hand_and_its_symbol_goes_on(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [loses_the_answer]}, lookups={A: [never_proven]})
    inputs = {"BTCUSDT": [signal(0), signal(1)]}
    async with Process(tmp_path, clock, venue, inputs) as process:
        await until(lambda: process.worker.states().get(A) == "unknown", clock)
        answer = await asked(
            tmp_path, clock, "resolve", signal_id=A, why="seen", price="43210.5", **{"as": "filled"}
        )
        await until(lambda: process.worker.states().get(B) == "filled", clock)
        states = process.worker.states()

    assert answer.done, answer.text
    assert states == {A: "filled", B: "filled"}
    assert venue.placed == [A, B]
    assert rows(tmp_path, "price", order="id")[0][0] == "43210.5"
    assert rows(tmp_path, "action, subject, detail", "audit", order="id") == [
        ("resolve", A, "BTCUSDT unknown to filled")
    ]


@in_virtual_time
async def test_a_quarantined_order_is_resolved_by_hand_and_its_symbol_goes_on(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [loses_the_answer]}, lookups={A: [never_proven]})
    inputs = {"BTCUSDT": [signal(0), signal(1)]}
    async with Process(tmp_path, clock, venue, inputs) as process:
        await clock.sleep(905)
        assert process.worker.states() == {A: "quarantined"}
        answer = await asked(tmp_path, clock, "resolve", signal_id=A, why="not there", **{"as": "rejected"})
        await until(lambda: process.worker.states().get(B) == "filled", clock)

    assert answer.done, answer.text
    assert process.worker.states() == {A: "rejected", B: "filled"}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"signal_id": "nobody", "as": "filled"}, "no execution that is unsettled has"),
        ({"signal_id": A, "as": "canceled"}, "no execution that is unsettled has"),
        ({"signal_id": B, "as": "skipped", "qty": "-1"}, "must be positive"),
    ],
)
@in_virtual_time
async def test_what_cannot_be_resolved_changes_nothing_and_says_why(
    tmp_path: Path, args: dict[str, str], words: str
) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={B: [loses_the_answer]}, lookups={B: [never_proven]})
    inputs = {"BTCUSDT": [signal(0), signal(1)]}
    async with Process(tmp_path, clock, venue, inputs) as process:
        await until(lambda: process.worker.states().get(B) == "unknown", clock)
        before = process.worker.states()
        answer = await asked(tmp_path, clock, "resolve", why="a try", **args)
        after = process.worker.states()

    assert not answer.done
    assert words in answer.text
    assert before == after


@in_virtual_time
async def test_a_venue_that_refuses_the_key_halts_everything_until_a_person_resumes(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    inputs: dict[str, list] = {"BTCUSDT": []}
    async with Process(tmp_path, clock, venue, inputs) as process:
        venue.denied = "the exchange refuses the key"
        await clock.sleep(1)
        venue.denied = None
        process.worker.feeds["BTCUSDT"].add(signal(0, ts_ms=clock.wall_ms()))
        await until(lambda: A in process.worker.states(), clock)
        codes = process.worker.codes()

    assert codes == {A: "halted"}
    assert venue.placed == []


@in_virtual_time
async def test_what_nobody_can_read_is_answered_and_does_nothing(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    async with Process(tmp_path, clock, venue, {"BTCUSDT": []}) as process:
        answer = await asked(tmp_path, clock, "make_tea")
        odd = await asked(tmp_path, clock, "halt", 2, scope="", why="odd", until_ms="\u00b2")
        halts = process.worker.floor.halts.in_force()

    assert not answer.done
    assert odd.text == "the request names no symbol or no time that could be read"
    assert "halt, resume, resolve" in answer.text
    assert halts == []


@in_virtual_time
async def test_a_late_fill_of_a_canceled_order_counts_into_the_position(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock, answers={A: [opens]})
    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as process:
        await until(lambda: process.worker.states().get(A) == "open", clock)
        key = next(iter(venue.orders))
        venue.tell(venue.set(key, "canceled"))
        await until(lambda: process.worker.states().get(A) == "canceled", clock)
        venue.tell(venue.set(key, "filled", Decimal("3")))
        await until(lambda: process.worker.states().get(A) == "filled", clock)
        await clock.sleep(1)
        holding = process.worker.ledger.holding("BTCUSDT")
        halts = process.worker.floor.halts.in_force()

    assert holding == Decimal("3")
    assert [halt.scope for halt in halts] == ["BTCUSDT"]
    lines = (tmp_path / "BTCUSDT").glob("*.jsonl")
    assert sum(len(path.read_text().splitlines()) for path in lines) == 1


@in_virtual_time
async def test_a_second_order_under_one_client_order_id_halts_its_symbol(tmp_path: Path) -> None:
    clock = virtual_clock()
    venue = ScriptedAdapter(clock)
    async with Process(tmp_path, clock, venue, {"BTCUSDT": [signal(0)]}) as process:
        await until(lambda: process.worker.states().get(A) == "filled", clock)
        update = next(iter(venue.orders.values()))
        venue.tell(msgspec.structs.replace(update, exchange_order_id="another"))
        await clock.sleep(2)
        halts = process.worker.floor.halts.in_force()

    assert [halt.scope for halt in halts] == ["BTCUSDT"]
    assert "two orders" in halts[0].why
    assert process.worker.states() == {A: "filled"}
