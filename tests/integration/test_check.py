"""`check`: every doubt in a row, found on real folders, databases and sockets."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.load import Loaded, load_settings
from config.seams import SystemClock
from store.connection import APPLICATION_ID, newest_version, open_store
from worker.check import check, check_without_settings, mode_row
from worker.doubt import fail
from worker.exits import Exit

CANARY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aPE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"

Told = dict[str, list[tuple[str, str, str]]]


def loaded_for(tmp_path: Path, **changes: object) -> Loaded:
    """Settings over `tmp_path`, with a free port, changed by dotted keys whose dots are `__`."""
    overrides: dict[str, object] = {
        "execution.sink.base_dir": str(tmp_path / "out"),
        "execution.source.base_dir": str(tmp_path / "signals"),
        "execution.http.port": 0,
        "execution.symbols": "BTCUSDT",
    }
    overrides |= {key.replace("__", "."): value for key, value in changes.items()}
    return load_settings(config_file=None, environ={}, overrides=overrides)


def feed(tmp_path: Path, symbol: str = "BTCUSDT") -> Path:
    """A producer's folder with one file."""
    folder = tmp_path / "signals" / "ready" / "signal" / symbol
    folder.mkdir(parents=True)
    (folder / "signals-20250101-00.jsonl").write_text("{}\n")
    return folder


def told(
    capsys: pytest.CaptureFixture[str], loaded: Loaded, environ: dict[str, str] | None = None
) -> tuple[int, Told]:
    """The exit code, and the rows by subject as (level, finding, remedy)."""
    code = check(loaded, environ or {}, SystemClock(), as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert answer["may_start"] is (code == Exit.OK)
    rows: Told = {}
    for row in answer["rows"]:
        rows.setdefault(row["subject"], []).append((row["level"], row["finding"], row["remedy"]))
    return code, rows


@contextmanager
def listening() -> Iterator[int]:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_ready_place_may_start_and_nothing_is_left_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(tmp_path)

    code, rows = told(capsys, loaded_for(tmp_path))

    assert code == Exit.OK
    assert {row[0] for group in rows.values() for row in group} == {"ok"}
    assert rows["source"] == [("ok", "auto resolves to jsonl: lines in ready/signal/SYMBOL/*.jsonl", "")]
    assert rows["signals BTCUSDT"] == [("ok", "1 file", "")]
    assert not (tmp_path / "out").exists()


def test_the_table_is_aligned_and_ends_with_the_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = check(loaded_for(tmp_path), {}, SystemClock())

    lines = capsys.readouterr().out.splitlines()
    assert code == Exit.OK
    assert lines[0].startswith("ok    python")
    assert lines[-1] == "May the worker start? yes, with 1 to look at"
    remedy = next(index for index, line in enumerate(lines) if "→" in line)
    assert lines[remedy].index("→") == len("warn  ") + lines[remedy - 1][6:].index(str(tmp_path))


def test_a_missing_signals_folder_is_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, rows = told(capsys, loaded_for(tmp_path))

    assert code == Exit.OK
    assert rows["signals"] == [
        (
            "warn",
            f"{tmp_path}/signals does not exist yet: the worker will wait for it",
            "start the producer, or name its folder with --signals",
        )
    ]


def test_a_symbol_without_a_folder_may_be_mistyped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(tmp_path, "ETHUSDT")

    code, rows = told(capsys, loaded_for(tmp_path, execution__sink__kind="jsonl"))

    assert code == Exit.OK
    assert rows["signals BTCUSDT"][0][0] == "warn"
    assert "check the spelling of the symbol" in rows["signals BTCUSDT"][0][2]


def test_a_second_source_that_is_not_read_is_pointed_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(tmp_path)
    with closing(sqlite3.connect(tmp_path / "signals" / "signals.db")) as connection:
        connection.execute("CREATE TABLE signals (ts_ms INTEGER)")

    _, rows = told(capsys, loaded_for(tmp_path, execution__sink__kind="jsonl"))

    assert rows["source"][1] == (
        "warn",
        "sqlite_v1 is there as well and is not read",
        "say which one with --sink, and remove what the producer no longer writes",
    )


def test_the_producers_database_is_looked_at_without_being_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "signals"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "signals.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE signals (ts_ms INTEGER)")
    before = sorted(path.name for path in folder.iterdir())

    code, rows = told(capsys, loaded_for(tmp_path, execution__sink__kind="sqlite"))

    assert code == Exit.OK
    assert rows["source"] == [("ok", "sqlite_v1: table in signals.db", "")]
    assert rows["sharing"][0][0] == "ok"
    assert sorted(path.name for path in folder.iterdir()) == before == ["signals.db"]


def test_a_file_that_is_no_database_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "signals").mkdir()
    (tmp_path / "signals" / "signals.db").write_text("x" * 100)

    code, rows = told(capsys, loaded_for(tmp_path, execution__sink__kind="sqlite"))

    assert code == Exit.CONFIGURATION
    assert rows["database"][0][:2] == ("fail", f"{tmp_path}/signals/signals.db is no SQLite database")


def test_a_mode_without_an_adapter_is_refused() -> None:
    row = mode_row("paper", "command line --mode", frozenset({"dry_run", "live", "testnet"}))

    assert row == fail(
        "mode",
        "execution.mode is paper, this version has the adapters dry_run, live, testnet only "
        "(command line --mode)",
        "set execution.mode or --mode to one of them",
    )


def test_an_output_folder_that_is_a_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("")

    code, rows = told(
        capsys, loaded_for(tmp_path, execution__sink__base_dir=str(tmp_path / "out" / "deeper"))
    )

    assert code == Exit.CONFIGURATION
    assert rows["output folder"][0][:2] == ("fail", f"{tmp_path}/out/deeper: {tmp_path}/out is a file")


def test_an_output_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Nobody, not even root, makes files in /proc.
    code, rows = told(capsys, loaded_for(tmp_path, execution__sink__base_dir="/proc"))

    assert code == Exit.CONFIGURATION
    assert rows["output folder"][0][1].startswith("/proc: /proc cannot be written (")


def test_a_busy_port_names_its_holder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with listening() as port:
        code, rows = told(capsys, loaded_for(tmp_path, execution__http__port=port))

    assert code == Exit.CONFIGURATION
    level, finding, remedy = rows["status port"][0]
    assert (level, finding.split(" (")[0]) == (
        "fail",
        f"http port 127.0.0.1:{port} is in use by pid {os.getpid()}",
    )
    assert "set execution.http.port to another one" in remedy


def test_a_store_of_another_mode_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(tmp_path / "out" / "executions", clock=SystemClock(), stamps={"mode": "paper"})
    store.connection.close()
    store.lock.release()

    code, rows = told(capsys, loaded_for(tmp_path))

    assert code == Exit.CONFIGURATION
    assert rows["store"][0][0] == "fail"
    assert "belongs to mode paper, this worker runs with mode dry_run" in rows["store"][0][1]


@pytest.mark.parametrize(
    ("application_id", "version", "finding"),
    [
        (7, 1, "is a database of another program"),
        (
            APPLICATION_ID,
            newest_version() + 1,
            f"has schema version {newest_version() + 1}, this program knows",
        ),
    ],
)
def test_a_foreign_and_a_newer_store_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], application_id: int, version: int, finding: str
) -> None:
    folder = tmp_path / "out" / "executions"
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "executions.db")) as connection:
        connection.execute("CREATE TABLE x (y)")
        connection.execute(f"PRAGMA application_id={application_id}")
        connection.execute(f"PRAGMA user_version={version}")

    code, rows = told(capsys, loaded_for(tmp_path))

    assert code == Exit.CONFIGURATION
    assert finding in rows["store"][0][1]
    assert rows["store"][0][2]


def test_a_damaged_and_a_lost_store_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out" / "executions"
    folder.mkdir(parents=True)
    (folder / "executions.db").write_text("x" * 8192)
    _, damaged = told(capsys, loaded_for(tmp_path))

    (folder / "executions.db").rename(folder / "elsewhere")
    (folder / "store.json").write_text("{}")
    code, lost = told(capsys, loaded_for(tmp_path))

    assert code == Exit.CONFIGURATION
    assert damaged["store"][0][1].endswith("cannot be read (file is not a database)")
    assert "is missing although store.json beside it says it existed" in lost["store"][0][1]


def test_a_store_that_has_read_another_source_needs_the_consent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(tmp_path)
    stamps = {"mode": "dry_run", "source_kind": "sqlite_v1"}
    store = open_store(tmp_path / "out" / "executions", clock=SystemClock(), stamps=stamps)
    store.connection.close()
    store.lock.release()

    code, asked = told(capsys, loaded_for(tmp_path, execution__sink__kind="jsonl"))
    _, automatic = told(capsys, loaded_for(tmp_path))

    assert code == Exit.CONFIGURATION
    assert asked["source"][0] == (
        "fail",
        "the store has read sqlite_v1 so far, execution.sink.kind asks for jsonl",
        "go on from now with --accept-source-change, or give this worker another --output",
    )
    assert automatic["source"][0][:2] == (
        "ok",
        "sqlite_v1, as the store has read so far: table in signals.db",
    )


def test_a_held_store_names_its_holder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out" / "executions"
    folder.mkdir(parents=True)
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        code, rows = told(capsys, loaded_for(tmp_path))
    finally:
        os.close(descriptor)

    assert code == Exit.CONFIGURATION
    assert rows["lock"] == [
        (
            "fail",
            f"{folder} is held by pid {os.getpid()}",
            "stop that worker, or give this one its own --output",
        )
    ]


def test_a_worker_that_runs_is_not_in_the_way_of_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out" / "executions"
    folder.mkdir(parents=True)
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        check(loaded_for(tmp_path), {}, SystemClock())
    finally:
        os.close(descriptor)

    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(
        f"May the worker start? it runs already, as pid {os.getpid()}: leave it; only lock failed by that"
    )


def test_credentials_are_told_by_name_and_never_by_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = loaded_for(tmp_path, execution__mode="testnet", execution__sink__base_dir=str(tmp_path / CANARY))
    environ = {"BINANCE_API_KEY": CANARY, "BINANCE_API_SECRET": " "}

    check(loaded, environ, SystemClock())
    table = capsys.readouterr().out
    code, rows = told(capsys, loaded, environ)

    assert code == Exit.CONFIGURATION
    assert rows["credentials"] == [
        (
            "fail",
            "the environment variable BINANCE_API_SECRET is empty",
            "put the credential into it",
        )
    ]
    assert CANARY not in table + str(rows)
    assert "[redacted]" in table


def test_an_unusable_configuration_is_told_row_by_row_beside_the_host(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = check_without_settings(ConfigError(["a is 1", "b is 2"]), SystemClock())

    lines = capsys.readouterr().out.splitlines()
    assert code == Exit.CONFIGURATION
    assert lines[-4:] == [
        "fail  configuration  a is 1",
        "fail  configuration  b is 2",
        "",
        "May the worker start? no: 2 to mend",
    ]
