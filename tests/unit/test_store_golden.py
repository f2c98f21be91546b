"""Stores as older versions wrote them: opened by today's program they keep everything, and work goes on."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rig import rows as rig
from rig.care_store import RULES, codes, order, verdict_of
from rig.floor import drain, signal
from rig.virtual_clock import ManualClock, in_virtual_time, virtual_clock

from adapters.dry_run import DryRunAdapter
from store.connection import DATABASE, migrate, newest_version, open_store
from store.errors import StoreRefusedError
from store.findings import Rules
from store.ledger import Ledger
from store.lifecycle import State
from store.records import Move
from store.verify import verify

GOLDEN = sorted((Path(__file__).parent / "golden").glob("store_*.sql"))
BTC, ETH = "BTCUSDT", "ETHUSDT"
LATER_MS = 1_763_226_000_000
MODES = {1: {"mode": "dry_run", "account": "none"}, 2: {"mode": "testnet", "account": "k3y"}}


def put(golden: Path, folder: Path) -> Path:
    """The store of a golden file in `folder`."""
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as connection:
        connection.executescript(golden.read_text())
    return folder / DATABASE


def content(path: Path, tables: dict[str, str] | None = None) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """The columns and the rows of every table; `tables` names the columns to be read."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
        names = [row[0] for row in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = tables or {
            name: ", ".join(row[1] for row in reader.execute(f"PRAGMA table_info({name})")) for name in names
        }
        rows = {
            name: reader.execute(f"SELECT {columns[name]} FROM {name} ORDER BY 1").fetchall()
            for name in columns
        }
    return columns, rows


def schema_of(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    found = connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master").fetchall()
    return sorted((kind, name, re.sub(r"\s+", " ", text)) for kind, name, text in found)


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_an_old_store_becomes_what_a_fresh_one_is_and_keeps_every_row(golden: Path, tmp_path: Path) -> None:
    path = put(golden, tmp_path / "executions")
    version = int(golden.stem.removeprefix("store_"))
    columns, before = content(path)

    store = open_store(path.parent, clock=ManualClock(LATER_MS), stamps=MODES[version])
    _, after = content(path, columns)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        migrate(fresh)
        expected = schema_of(fresh)
    found = schema_of(store.connection)
    Ledger(store, ManualClock(LATER_MS)).close()

    assert found == expected
    assert len(before["executions"]) == {1: 8, 2: 16}[version]
    # A start counts itself, and a store that was made before there were fresh ones says since when it knows.
    for name in columns.keys() - {"owner", "stamps"}:
        assert after[name] == before[name], name
    assert set(before["stamps"]) <= set(after["stamps"])
    assert verdict_of(path).findings.told == []


@in_virtual_time
async def test_a_worker_goes_on_with_a_store_of_version_1(tmp_path: Path) -> None:
    path = put(GOLDEN[0], tmp_path / "executions")
    adapter = DryRunAdapter(base_order_qty=Decimal("0.010"))

    await drain(path.parent, virtual_clock(), adapter, signal(1), signal(2), signal(1))

    states = rig.rows(path.parent, "state, count(*)", "executions GROUP BY state")
    rules = Rules(RULES.wire_id, [*RULES.sources, "memory"])
    assert dict(states) == {"filled": 6, "rejected": 1, "skipped": 3}
    assert verify(path, rules).clean


def test_unsettled_orders_of_version_2_are_found_and_end_as_they_would_have(tmp_path: Path) -> None:
    path = put(GOLDEN[1], tmp_path / "executions")
    clock = ManualClock(LATER_MS)
    ledger = Ledger(open_store(path.parent, clock=clock, stamps=MODES[2]), clock)

    found = {row.row_id: row.state for symbol in (BTC, ETH) for row in ledger.unsettled(symbol)}
    moves = [
        Move(row_id, state, State.CANCELED, has_fills=state is State.PARTIAL)
        for row_id, state in found.items()
    ]
    refused = ledger.commit([rig.share(moves=moves)])[0].refused
    ledger.commit([rig.share(order(1))])
    holdings = {symbol: ledger.holding(symbol) for symbol in (BTC, ETH)}
    halted = [halt.scope for halt in ledger.halts()]
    ledger.close()

    assert sorted(found) == [10, 11, 12, 14, 15]
    assert refused == []
    assert holdings == {BTC: Decimal("0.032"), ETH: Decimal("-0.014")}
    assert halted == [ETH]
    assert codes(path) == {}


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_verify_says_of_an_old_store_what_the_next_start_does(golden: Path, tmp_path: Path) -> None:
    path = put(golden, tmp_path / "executions")

    verdict = verdict_of(path)

    assert verdict.clean
    assert [note for note in verdict.findings.notes if f"the next start makes it {newest_version()}" in note]


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = put(GOLDEN[1], tmp_path / "executions")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version={newest_version() + 1}")
    before = path.read_bytes()

    with pytest.raises(StoreRefusedError, match="start the newer program again"):
        open_store(path.parent, clock=ManualClock(LATER_MS), stamps=MODES[2])

    assert path.read_bytes() == before
    assert codes(path) == {"version": 1}


def test_every_version_before_todays_that_had_rows_to_lose_has_a_golden_file() -> None:
    assert [path.stem for path in GOLDEN] == [f"store_{n:04}" for n in range(1, newest_version())]
