"""Pruning: what a source, the exchange or an open order may ask for stays; nothing is executed twice."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rig import rows as rig
from rig.care_store import ETH, RULES, build, codes
from rig.floor import Worker, signal
from rig.scripted_adapter import ScriptedAdapter
from rig.virtual_clock import START_MS, ManualClock, in_virtual_time, virtual_clock
from rig.wire_rows import late

from adapters.contract import Unknown
from store.connection import DATABASE, Store, open_reader, open_store
from store.errors import FencedError
from store.findings import Rules
from store.ledger import Ledger
from store.lifecycle import State
from store.prune import Batch, Horizon, Reach, choose, forget
from store.records import Move, Share
from store.verify import verify
from streams.reach import HOUR_MS, reachable
from streams.signal import Place, Signal

STAMPS = {"mode": "testnet", "account": "key"}
DAY_MS = 86_400_000
LATER_MS = START_MS + 10 * DAY_MS
BTC = "BTCUSDT"
BEYOND = {BTC: Reach(LATER_MS), ETH: Reach(LATER_MS)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("made")
    build(output)
    return output


@pytest.fixture
def output(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "output")
    return tmp_path / "output"


def opened(output: Path) -> tuple[Store, Ledger]:
    clock = ManualClock(LATER_MS)
    store = open_store(output / "executions", clock=clock, stamps=STAMPS)
    return store, Ledger(store, clock)


def pruned(store: Store, horizon: Horizon) -> tuple[int, Counter[str]]:
    """Batch after batch to the end; how many rows went, and why others stayed."""
    gone, after, done, kept = 0, 0, False, Counter[str]()
    while not done:
        with closing(open_reader(store.path)) as reader:
            batch = choose(reader, after, horizon)
        if batch.ids:
            gone += forget(store, batch, horizon.before_ms)
        kept.update(batch.kept)
        after, done = batch.reached, batch.done
    return gone, kept


def test_what_has_ended_goes_with_its_events_and_the_sums_stay(output: Path) -> None:
    store, ledger = opened(output)
    before = {symbol: ledger.holding(symbol) for symbol in BEYOND}
    open_rows = [row.row_id for symbol in BEYOND for row in ledger.unsettled(symbol)]

    gone, kept = pruned(store, Horizon(LATER_MS - DAY_MS, BEYOND))
    after = {symbol: ledger.holding(symbol) for symbol in BEYOND}
    still_open = [row.row_id for symbol in BEYOND for row in ledger.unsettled(symbol)]
    ledger.close()

    assert (gone, dict(kept)) == (15, {"unsettled": 6, "last": 1})
    assert after == before == {BTC: Decimal("4.5"), ETH: Decimal(-3)}
    assert still_open == open_rows
    left = {row[0] for row in rig.rows(output / "executions", "id")}
    assert {row[0] for row in rig.rows(output / "executions", "execution_id", "events")} == left
    assert codes(output / "executions" / DATABASE) == {}


def test_the_audit_trail_and_the_source_positions_stay(output: Path) -> None:
    store, ledger = opened(output)
    names = ("audit", "source_positions", "lanes", "dead_letters", "halts", "projections")
    before = {name: rig.rows(output / "executions", "*", name) for name in names}

    pruned(store, Horizon(LATER_MS - DAY_MS, BEYOND))
    ledger.close()

    assert {name: rig.rows(output / "executions", "*", name) for name in names} == before


@pytest.mark.parametrize(
    ("horizon", "why"),
    [
        (Horizon(LATER_MS, {}), "reachable"),
        (Horizon(LATER_MS, {symbol: Reach(0) for symbol in BEYOND}), "reachable"),
        (Horizon(START_MS + 1, BEYOND), "recent"),
    ],
)
def test_what_may_still_be_asked_for_stays(output: Path, horizon: Horizon, why: str) -> None:
    store, ledger = opened(output)

    gone, kept = pruned(store, horizon)
    ledger.close()

    assert gone == 0
    assert why in kept


def test_a_single_old_signal_in_a_newer_file_stays(output: Path) -> None:
    store, ledger = opened(output)
    reach = {BTC: Reach(LATER_MS, frozenset({rig.T0 + 21})), ETH: Reach(LATER_MS)}

    pruned(store, Horizon(LATER_MS - DAY_MS, reach))
    ledger.close()

    assert ("id-21",) in rig.rows(output / "executions", "signal_id")
    assert ("id-22",) not in rig.rows(output / "executions", "signal_id")


def test_a_row_that_no_output_has_told_of_stays(output: Path) -> None:
    store, ledger = opened(output)
    ledger.commit([Share(symbol="", projected={"executions": 0})])

    gone, kept = pruned(store, Horizon(LATER_MS - DAY_MS, BEYOND))
    ledger.close()

    assert gone == 0
    assert kept["untold"] > 0


def test_a_row_that_was_filled_late_meanwhile_stays_and_nothing_is_half_gone(output: Path) -> None:
    store, ledger = opened(output)
    with closing(open_reader(store.path)) as reader:
        batch = choose(reader, 0, Horizon(LATER_MS - DAY_MS, BEYOND))
    ledger.commit([rig.share(moves=[_late_fill()])])
    before = rig.everything(output / "executions")

    gone = forget(store, batch, LATER_MS - DAY_MS)
    ledger.close()

    assert gone == 0
    assert rig.everything(output / "executions") == before


def _late_fill() -> Move:
    return late(2, State.CANCELED, qty="1", price="10")


def test_a_worker_that_was_fenced_prunes_nothing(output: Path) -> None:
    store, ledger = opened(output)
    with closing(sqlite3.connect(store.path)) as other, other:
        other.execute("UPDATE owner SET epoch = epoch + 1")

    with pytest.raises(FencedError):
        forget(store, Batch(0, True, ids=[1], events=[1]), LATER_MS)
    ledger.close()

    assert rig.rows(output / "executions", "count(*)") == [(22,)]


# The model: a producer's folder that rotates and forgets, a venue that remembers what it was sent.


class Producer:
    """Signals in hourly files; some lines are older than the name of their file says."""

    def __init__(self, base: Path, dice: random.Random) -> None:
        self.base = base
        self.folder = base / "ready" / "signal" / BTC
        self.folder.mkdir(parents=True)
        self._dice = dice
        self.by_id: dict[str, Signal] = {}

    def write(self, count: int) -> None:
        """Signals of the ten days before, in the files of their hours, or of a later one."""
        for number in range(count):
            age_h = self._dice.randrange(4, 240)
            ts_ms = START_MS - age_h * HOUR_MS + number
            file_age_h = self._dice.randrange(age_h)
            file_ms = ts_ms if self._dice.random() < 0.8 else START_MS - file_age_h * HOUR_MS
            moment = datetime.fromtimestamp(file_ms / 1000, UTC)
            rotation = self._dice.choice(["", "", ".1"])
            name = f"signals-{moment:%Y%m%d-%H}.jsonl{rotation}"
            one = signal(number, ts_ms=ts_ms, place=Place(f"ready/signal/{BTC}/{name}", number, 1))
            self.by_id[one.signal_id] = one
            with (self.folder / name).open("a") as stream:
                line = {"symbol": BTC, "ts_ms": ts_ms, "signal_id": one.signal_id}
                stream.write(json.dumps(line) + "\n")

    def delete_old(self) -> None:
        """As a producer does, by the files' names; a few stay by chance."""
        for path in sorted(self.folder.iterdir())[: self._dice.randrange(30, 90)]:
            if self._dice.random() < 0.95:
                path.unlink()

    def whole(self) -> list[Signal]:
        """What is there now, from the beginning."""
        lines = [line for path in sorted(self.folder.iterdir()) for line in path.read_text().splitlines()]
        return [self.by_id[json.loads(line)["signal_id"]] for line in lines]


@pytest.mark.parametrize("seed", range(4))
@in_virtual_time
async def test_after_pruning_the_whole_source_is_read_again_and_nothing_is_executed_twice(
    tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    clock = virtual_clock()
    producer = Producer(tmp_path / "signals", dice)
    producer.write(80)
    folder = tmp_path / "executions"
    venue = ScriptedAdapter(clock, answers={f"{BTC}-{n}": [_lost] for n in dice.sample(range(80), 3)})
    async with Worker(folder, clock, venue, {BTC: list(producer.by_id.values())}) as worker:
        await worker.drained()
        seq = worker.ledger.last_event_seq()
        await worker.writer.commit(Share(symbol="", projected={"executions": seq}))
        holding = worker.ledger.expected_position(BTC)
    placed = list(venue.placed)
    await clock.sleep(3 * 86_400)
    producer.delete_old()
    found = reachable(tmp_path / "signals", BTC, read_kind="jsonl")
    assert not isinstance(found, str)

    gone = _pruned_by_nobody(folder, clock, Reach(found.since_ms, found.odd))
    with closing(sqlite3.connect(folder / DATABASE)) as hand, hand:
        hand.execute("DELETE FROM source_positions")
    async with Worker(folder, clock, venue, {BTC: producer.whole()}) as again:
        await again.drained()
        after = again.ledger.expected_position(BTC)

    assert gone > 0
    assert venue.placed == placed
    assert max(Counter(venue.placed).values()) == 1
    assert after == holding
    assert verify(folder / DATABASE, Rules(RULES.wire_id, ["memory"]), files=False).findings.told == []


def _lost(adapter: ScriptedAdapter, order: Any) -> Unknown:
    adapter.accept(order, "filled", order.qty)
    return Unknown("the reply was lost")


def _pruned_by_nobody(folder: Path, clock: Any, reach: Reach) -> int:
    store = open_store(folder, clock=clock, stamps={})
    try:
        return pruned(store, Horizon(clock.wall_ms() - DAY_MS, {BTC: reach}))[0]
    finally:
        store.connection.close()
        store.lock.release()
