"""The verifier: a sound store is clean, and each planted damage is found and named."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from rig.care_store import ETH, RULES, build, codes, verdict_of

from store.connection import DATABASE
from store.verify import UnverifiableError, verify

Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with a sound store; every test takes a copy."""
    output = tmp_path_factory.mktemp("sound")
    build(output)
    return output


@pytest.fixture
def output(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "output")
    return tmp_path / "output"


def by_sql(*statements: str, unguarded: bool = False) -> Damage:
    """Damage by a hand in the database; `unguarded` takes the schema's own guards away first."""

    def plant(output: Path) -> None:
        with closing(sqlite3.connect(output / "executions" / DATABASE, isolation_level=None)) as connection:
            if unguarded:
                connection.execute("PRAGMA writable_schema=ON")
            for statement in statements:
                assert connection.execute(statement).rowcount != 0, statement

    return plant


def in_file(pattern: str, change: Callable[[bytes], bytes]) -> Damage:
    """Damage of the first file that matches."""

    def plant(output: Path) -> None:
        path = sorted(output.glob(pattern))[0]
        path.write_bytes(change(path.read_bytes()))

    return plant


def without_line(number: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        return b"".join(lines[:number] + lines[number + 1 :])

    return change


def page_of_zeros(output: Path) -> None:
    """A page that a disk lost."""
    path = output / "executions" / DATABASE
    data = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        [root] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()
    data[(root - 1) * 4096 : root * 4096] = bytes(4096)
    path.write_bytes(data)


def index_entry_lost(output: Path) -> None:
    """An index that lacks rows: written while the schema said that there is none."""
    with closing(sqlite3.connect(output / "executions" / DATABASE, isolation_level=None)) as connection:
        [(root, text)] = connection.execute(
            "SELECT rootpage, sql FROM sqlite_master WHERE name = 'executions_client_order_id'"
        ).fetchall()
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("DELETE FROM sqlite_master WHERE name = 'executions_client_order_id'")
    with closing(sqlite3.connect(output / "executions" / DATABASE, isolation_level=None)) as connection:
        connection.execute("UPDATE executions SET client_order_id = 'ew1-twice' WHERE id IN (5, 6)")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(
            "INSERT INTO sqlite_master VALUES ('index', 'executions_client_order_id', 'executions', ?, ?)",
            (root, text),
        )


HOUR = "executions/BTCUSDT/exec_*.jsonl"
LOG = "ready/execlog/BTCUSDT/exec_*.jsonl"
DAMAGES: dict[str, tuple[Damage, str]] = {
    "a page of zeros": (page_of_zeros, "damaged"),
    "an index without its rows": (index_entry_lost, "index"),
    "another program's id": (by_sql("PRAGMA application_id=7"), "foreign"),
    "a version of the future": (by_sql("PRAGMA user_version=99"), "version"),
    "an index that is gone": (by_sql("DROP INDEX executions_unsettled"), "schema"),
    "a table more": (by_sql("CREATE TABLE own (a INTEGER)"), "schema"),
    "a state that is none": (by_sql("UPDATE executions SET state = 'done' WHERE id = 1"), "state"),
    "a row behind its events": (by_sql("UPDATE executions SET state = 'open' WHERE id = 5"), "differs"),
    "a status of another state": (by_sql("UPDATE executions SET status = 'skip' WHERE id = 1"), "status"),
    "an end without its time": (by_sql("UPDATE executions SET exec_ts_ms = NULL WHERE id = 1"), "exec_time"),
    "an end of another time": (
        by_sql("UPDATE executions SET exec_ts_ms = exec_ts_ms + 1 WHERE id = 1"),
        "exec_time",
    ),
    "an illegal move": (
        by_sql(
            "UPDATE events SET to_state = 'quarantined' WHERE execution_id = 5 AND from_state IS NOT NULL"
        ),
        "move",
    ),
    "a move out of another state": (
        by_sql("UPDATE events SET from_state = 'open' WHERE execution_id = 1 AND to_state = 'filled'"),
        "move",
    ),
    "a life after the end": (
        by_sql(
            "INSERT INTO events (execution_id, at_ms, from_state, to_state, final) "
            "SELECT 1, max(at_ms), 'filled', 'canceled', 1 FROM events"
        ),
        "move",
    ),
    "a birth that is gone": (
        by_sql("DELETE FROM events WHERE execution_id = 12 AND from_state IS NULL"),
        "no_birth",
    ),
    "an event of no row": (by_sql("DELETE FROM executions WHERE id = 13"), "no_row"),
    "time that runs back": (by_sql("UPDATE events SET at_ms = at_ms - 9 WHERE seq = 20"), "time"),
    "an end that is not called one": (
        by_sql("UPDATE events SET final = 0 WHERE execution_id = 1 AND to_state = 'filled'"),
        "final",
    ),
    "another order's id": (
        by_sql("UPDATE executions SET client_order_id = 'ew1-aaaaaaaaaaaaaaaaaaaaaaaa' WHERE id = 6"),
        "wire_id",
    ),
    "an order of another side": (by_sql("UPDATE executions SET side = 'short' WHERE id = 6"), "order"),
    "an order that cannot be read": (by_sql("UPDATE executions SET order_json = '{' WHERE id = 6"), "order"),
    "another quantity than sent": (by_sql("UPDATE executions SET qty = '1' WHERE id = 6"), "quantity"),
    "more filled than ordered": (by_sql("UPDATE executions SET qty = '9' WHERE id = 1"), "quantity"),
    "a holding that is off": (
        by_sql(f"UPDATE holdings SET qty = '-2.99999999' WHERE symbol = '{ETH}'"),
        "holdings",
    ),
    "a late fill without its row": (by_sql("UPDATE late_fills SET execution_id = 4"), "late_fill"),
    "a position of no source": (by_sql("UPDATE source_positions SET source = 'kafka'"), "position"),
    "a position before the beginning": (by_sql("UPDATE source_positions SET offset = -5"), "position"),
    "a stamp that is gone": (by_sql("DELETE FROM stamps WHERE key = 'mode'"), "stamp"),
    "no owner": (by_sql("DELETE FROM owner"), "owner"),
    "a cursor ahead of the events": (by_sql("UPDATE projections SET seq = 9999"), "cursor"),
    "a line that is gone": (in_file(HOUR, without_line(3)), "file_cut"),
    "a line twice": (in_file(HOUR, lambda data: data + data.splitlines(keepends=True)[0]), "file_longer"),
    "a line in the place of another": (
        in_file(HOUR, lambda data: data.replace(b'"id-21"', b'"id-22"')),
        "file_differs",
    ),
    "a file that is cut": (in_file(HOUR, lambda data: data[:-9]), "file_cut"),
    "a log line that is gone": (in_file(LOG, without_line(2)), "log_differs"),
    "a log line twice": (in_file(LOG, lambda data: data + data.splitlines(keepends=True)[-1]), "log_differs"),
}


def test_a_sound_store_is_clean(output: Path) -> None:
    verdict = verdict_of(output / "executions" / DATABASE)

    assert verdict.findings.told == []
    assert (verdict.rows, verdict.events, verdict.files) == (22, 34, 5)


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_is_found_and_named(output: Path, name: str) -> None:
    plant, code = DAMAGES[name]
    plant(output)

    verdict = verdict_of(output / "executions" / DATABASE)

    assert code in verdict.findings.counts, verdict.findings.told
    assert all(found.text and "Traceback" not in found.text for found in verdict.findings.told)


def test_a_file_that_is_gone_and_one_that_nobody_knows_are_told(output: Path) -> None:
    hours = sorted((output / "executions" / "BTCUSDT").iterdir())
    hours[-1].rename(hours[-1].with_name("exec_20310101_00.jsonl"))

    assert codes(output / "executions" / DATABASE) == {"file_gone": 1, "file_unknown": 1}


def test_bytes_that_a_killed_worker_wrote_ahead_are_no_damage(output: Path) -> None:
    path = output / "executions" / DATABASE
    files = sorted((output / "executions" / "BTCUSDT").iterdir())
    line = files[0].read_bytes().splitlines(keepends=True)[-1]
    by_sql(
        f"UPDATE projected_files SET size = size - {len(line)}, last_seq = last_seq - 1 "
        f"WHERE path = 'BTCUSDT/{files[0].name}'",
    )(output)

    verdict = verdict_of(path)

    assert verdict.clean, verdict.findings.told
    assert any("writes again" in note for note in verdict.findings.notes)


def test_what_is_no_database_cannot_be_verified(tmp_path: Path) -> None:
    (tmp_path / "other.db").write_bytes(b"not a database at all, by far" * 200)

    with pytest.raises(UnverifiableError, match="cannot be read"):
        verify(tmp_path / "other.db", RULES)
    with pytest.raises(UnverifiableError, match="does not exist"):
        verify(tmp_path / "missing.db", RULES)
