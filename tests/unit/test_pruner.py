"""The pruner in the worker: requests batch by batch, narrowed by what the worker itself knows."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from rig import rows as rig
from rig.care_store import ETH, build, codes
from rig.virtual_clock import START_MS, ManualClock

from store.connection import DATABASE, open_store
from store.control import ControlAnswer, ControlRequest
from store.ledger import Ledger
from store.prune import Reach
from store.writer import Writer
from worker.pruner import DO, Progress, PruneOrder, Pruner

DAY_MS = 86_400_000
LATER_MS = START_MS + 10 * DAY_MS
BEYOND = {rig.SYMBOL: Reach(LATER_MS), ETH: Reach(LATER_MS)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("made")
    build(output)
    return output


@pytest.fixture
async def pruner(made: Path, tmp_path: Path) -> AsyncIterator[Pruner]:
    shutil.copytree(made, tmp_path / "output")
    clock = ManualClock(LATER_MS)
    store = open_store(tmp_path / "output" / "executions", clock=clock, stamps={})
    ledger = Ledger(store, clock)
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield Pruner(store, Writer(ledger, executor=executor, clock=clock), clock, DAY_MS)
    ledger.close()


def asked(order: PruneOrder, **args: str) -> ControlRequest:
    words = {"order": msgspec.json.encode(order).decode(), **args}
    return ControlRequest(do=DO, args=words, who="alice", at_ms=LATER_MS)


def progress_of(answer: ControlAnswer) -> Progress:
    assert answer.done, answer.text
    return msgspec.json.decode(answer.lines[0], type=Progress)


async def test_a_request_takes_out_what_may_go_and_is_noted_for_good(pruner: Pruner) -> None:
    order = PruneOrder(LATER_MS - DAY_MS, 0, BEYOND)

    progress = progress_of(await pruner.obey(asked(order)))
    noted = await pruner.obey(asked(msgspec.structs.replace(order, total=15), why="quarterly"))

    assert (progress.pruned, progress.done) == (15, True)
    assert noted.done
    folder = pruner.store.folder
    assert rig.rows(folder, "action, subject, who, why", "audit") == [(DO, "all", "alice", "quarterly")]
    assert codes(folder / DATABASE) == {}


@pytest.mark.parametrize("since_ms", [None, START_MS - 1])
async def test_the_running_source_has_the_last_word(pruner: Pruner, since_ms: int | None) -> None:
    def reachable_since_ms(symbol: str) -> int | None:
        return since_ms

    running = Pruner(pruner.store, pruner.writer, pruner.clock, pruner.kept_ms, reachable_since_ms)

    progress = progress_of(await running.obey(asked(PruneOrder(LATER_MS - DAY_MS, 0, BEYOND))))

    assert progress.pruned == 0
    assert progress.kept["reachable"] == 15


async def test_what_the_exchange_may_ask_about_stays_whatever_is_asked(pruner: Pruner) -> None:
    eager = Pruner(pruner.store, pruner.writer, pruner.clock, 30 * DAY_MS)

    progress = progress_of(await eager.obey(asked(PruneOrder(LATER_MS, 0, BEYOND))))

    assert (progress.pruned, progress.done) == (0, True)


async def test_a_request_that_cannot_be_read_changes_nothing(pruner: Pruner) -> None:
    answer = await pruner.obey(ControlRequest(do=DO, args={"order": "{"}, who="alice", at_ms=LATER_MS))

    assert (answer.done, answer.exit_code) == (False, 65)
    assert rig.rows(pruner.store.folder, "count(*)") == [(22,)]
