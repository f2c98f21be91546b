"""Looking back at a store: in the order of the outcomes, each once, in short reads, old stores too."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rig import rows as rig
from rig.virtual_clock import START_MS, ManualClock
from rig.wire_rows import move, reserved, wire

from store import statements_look
from store.connection import APPLICATION_ID, DATABASE, SCHEMA_FOLDER
from store.ledger import Ledger
from store.lifecycle import State
from worker import look_pages
from worker.look_pages import Look, LookError, Wanted
from worker.planning import client_order_id


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    opened = rig.open_ledger(tmp_path, clock)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So short that every walk has many."""
    monkeypatch.setattr(look_pages, "EVENTS_FIRST", 2)
    monkeypatch.setattr(look_pages, "EVENTS_MAX", 3)
    monkeypatch.setattr(look_pages, "KEYS_MAX", 2)


def ids(rows: object) -> list[str]:
    return [row[3] for row in rows]


def everything(opened: Look, wanted: Wanted | None = None) -> list[str]:
    return [one for piece in opened.all_of(wanted or Wanted()) for one in ids(piece)]


def three_fates(ledger: Ledger, clock: ManualClock) -> None:
    """Orders 0 to 3, a second apart: 2 ends before 0, 1 is skipped at once, 3 is open."""
    row_ids = reserved(ledger, wire(0))
    ledger.commit([rig.share(rig.skip(1, symbol="ETHUSDT"), symbol="ETHUSDT")])
    clock.now_ms += 1_000
    row_ids += reserved(ledger, wire(2), wire(3, side="sell"))
    clock.now_ms += 1_000
    move(ledger, row_ids[1], State.RESERVED, State.FILLED, has_fills=True)
    clock.now_ms += 1_000
    move(ledger, row_ids[0], State.RESERVED, State.REJECTED, error_code="no_money")
    move(ledger, row_ids[2], State.RESERVED, State.OPEN)


def test_the_newest_outcomes_come_first_and_what_is_not_final_on_top(
    ledger: Ledger, clock: ManualClock, tmp_path: Path
) -> None:
    three_fates(ledger, clock)

    with Look(tmp_path) as opened:
        assert ids(opened.newest(Wanted(), 50)) == ["id-3", "id-0", "id-2", "id-1"]
        assert ids(opened.newest(Wanted(), 2)) == ["id-3", "id-0"]
        assert everything(opened) == ["id-1", "id-2", "id-0", "id-3"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(symbols=("ETHUSDT",)), ["id-1"]),
        (Wanted(statuses=("success", "failed")), ["id-2", "id-0"]),
        (Wanted(statuses=("pending", "retry")), ["id-3"]),
        (Wanted(reason="no_money"), ["id-0"]),
        (Wanted(side="short"), ["id-3"]),
        (Wanted(since_ms=START_MS + 2_000), ["id-2", "id-0"]),
        (Wanted(since_ms=START_MS + 2_001), ["id-0"]),
        (Wanted(until_ms=START_MS + 1_999), ["id-1", "id-3"]),
        (Wanted(since_ms=START_MS + 2_000, until_ms=START_MS + 2_000), ["id-2"]),
        (Wanted(since_ms=START_MS + 9_000), []),
    ],
)
def test_only_what_is_wanted_is_told(
    wanted: Wanted, found: list[str], ledger: Ledger, clock: ManualClock, tmp_path: Path
) -> None:
    three_fates(ledger, clock)

    with Look(tmp_path) as opened:
        assert everything(opened, wanted) == found
        assert sorted(ids(opened.newest(wanted, 50))) == sorted(found)


def test_a_long_look_holds_back_no_checkpoint_and_tells_each_outcome_once(
    ledger: Ledger, clock: ManualClock, tmp_path: Path
) -> None:
    ledger.commit([rig.share(*(rig.skip(number) for number in range(10)))])
    seen: list[str] = []

    with Look(tmp_path) as opened:
        for piece in opened.all_of(Wanted()):
            seen += ids(piece)
            ledger.commit([rig.share(rig.skip(100 + len(seen)))])
            busy, in_log, moved = rig.store_of(ledger).connection.execute("PRAGMA wal_checkpoint").fetchone()
            assert (busy, in_log) == (0, moved)

    assert seen == [f"id-{number}" for number in range(10)]


def test_no_look_scans_the_table_or_sorts(ledger: Ledger, tmp_path: Path) -> None:
    parameters = {**Wanted().parameters(), "first": 1, "last": 2, "rows": 3}
    walks = ("ENDED_BACKWARDS", "ENDED_FORWARDS", "LINES_BACKWARDS", "LINES_FORWARDS", "REPORT_ORDERS")
    settled = ("UNSETTLED_ROWS", "UNSETTLED_LINES", "REPORT_PARTIAL")

    with Look(tmp_path) as opened:
        for name in walks + settled:
            text = f"EXPLAIN QUERY PLAN {getattr(statements_look, name)}"
            plan = [
                step
                for *_, step in opened.connection.execute(text, parameters)
                if "SUBQUERY" not in step and "json_each" not in step
            ]
            if name in walks:
                assert plan[:2] == [
                    "SEARCH e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
                    "SEARCH x USING INTEGER PRIMARY KEY (rowid=?)",
                ]
                assert not any("TEMP B-TREE" in step for step in plan)
            else:
                assert "executions_unsettled" in plan[0]
        for name, key in (("IDS_IN_PIECE", (0, 9, "x")), ("KEY_PIECE", (9, 2)), ("NEWEST_KEY", ())):
            text = f"EXPLAIN QUERY PLAN {getattr(statements_look, name)}"
            assert "COVERING INDEX executions_key" in opened.connection.execute(text, key).fetchone()[3]


def test_a_signal_is_found_by_each_of_its_ids(ledger: Ledger, tmp_path: Path) -> None:
    wire_id = client_order_id(rig.SYMBOL, "id-1")
    reserved(ledger, wire(0), wire(1, client_order_id=wire_id))
    ledger.commit([rig.share(*(rig.skip(number) for number in range(10, 17)))])
    ledger.commit([rig.share(rig.skip(20, id_given=True), rig.skip(21, symbol="ETHUSDT", signal_id="id-12"))])

    with Look(tmp_path) as opened:
        assert opened.ids_of("c0") == [1]
        assert opened.ids_of("id-0") == [1]
        assert opened.ids_of(wire_id) == opened.ids_of("id-1") == [2]
        assert opened.ids_of("id-10") == [3]
        assert opened.ids_of("id-12") == [5, 11]
        assert opened.ids_of("id-20") == [10]
        assert opened.ids_of("nobody") == []


def test_the_steps_of_a_final_row_end_with_its_outcome_unless_it_was_filled_late(
    ledger: Ledger, clock: ManualClock, tmp_path: Path
) -> None:
    [row_id] = reserved(ledger, wire(0))
    clock.now_ms += 1_000
    move(ledger, row_id, State.RESERVED, State.REJECTED)
    rejected_ms = clock.now_ms
    clock.now_ms += 60_000
    move(ledger, row_id, State.REJECTED, State.FILLED, has_fills=True, late=True, qty="1.0", price="9")

    with Look(tmp_path) as opened:
        steps = opened.steps_of(row_id, START_MS, rejected_ms)

    assert [(step[3], step[5]) for step in steps] == [
        ("reserved", None),
        ("rejected", None),
        ("filled", "1.0"),
    ]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_stores_of_older_versions_are_read(version: int, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE)) as made:
        for number in range(1, version + 1):
            made.executescript((SCHEMA_FOLDER / f"{number:04}.sql").read_text())
        made.executescript(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={version}")
        made.execute(
            "INSERT INTO executions (signal_ts_ms, symbol, signal_id, id_given, state, status, exec_ts_ms, "
            "side, gating, run_source, meta_json, place_file, place_offset, place_length, reserved_ms) "
            "VALUES (1, 'BTCUSDT', 'old', 0, 'skipped', 'skip', 5, 'skip', 1, 'prod', '{}', 'f', 0, 1, 5)"
        )
        made.execute(
            "INSERT INTO events (execution_id, at_ms, to_state, final) VALUES (1, 5, 'skipped', 1)",
        )
        made.commit()

    with Look(tmp_path) as opened:
        assert everything(opened) == ids(opened.newest(Wanted(), 9)) == ["old"]
        assert opened.steps_of(1, 5, 5) == [(1, 5, None, "skipped", None, None, None)]


def test_what_is_no_store_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LookError, match="does not exist yet: start the worker once"):
        Look(tmp_path)
    (tmp_path / DATABASE).write_bytes(b"no database, but long enough to look like a file of some kind" * 9)
    with pytest.raises(LookError, match="cannot be read"):
        Look(tmp_path)
    (tmp_path / DATABASE).unlink()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as made:
        made.execute("CREATE TABLE other (id INTEGER)")
    with pytest.raises(LookError, match="is no store of this program"):
        Look(tmp_path)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as made:
        made.executescript(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version=99")
    with pytest.raises(LookError, match="schema version 99"):
        Look(tmp_path)


def test_an_empty_store_has_nothing_to_tell(ledger: Ledger, tmp_path: Path) -> None:
    with Look(tmp_path) as opened:
        assert everything(opened) == []
        assert list(opened.newest(Wanted(), 5)) == []
        assert opened.ids_of("x") == []
