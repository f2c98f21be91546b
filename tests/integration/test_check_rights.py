"""`check` as a user who may not: every refusal is a row with its remedy, never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import worker.cli
from worker.exits import Exit

ROOT = Path(worker.cli.__file__).parent.parent

# Root may do everything, so a root becomes nobody; what is imported later it could not read any more.
AS_NOBODY = """
import os, sys
import config.environment, config.load, config.show, config.yaml_file
import encodings.ascii, encodings.idna, platform, pkgutil, importlib, typer
for found in pkgutil.walk_packages(typer.__path__, "typer."):
    if not found.name.endswith(("__main__", "_winconsole")):
        importlib.import_module(found.name)
import worker.check, worker.cli
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
worker.cli.main()
"""

Rows = dict[str, tuple[str, str]]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "V13_EXECUTION__HTTP__PORT": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def check(place: Path, *arguments: str) -> Rows:
    """The rows of `check` by subject, which must contain a failure."""
    result = run(
        "check", "--json", "--symbols", "BTCUSDT", "--output", str(place / "out"),
        "--signals", str(place / "signals"), *arguments,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (Exit.CONFIGURATION, "")
    return {row["subject"]: (row["level"], row["finding"]) for row in json.loads(result.stdout)["rows"]}


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may enter; pytest's own is closed to others."""
    with tempfile.TemporaryDirectory(prefix="check-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "out").mkdir()
        (folder / "out").chmod(0o777)
        yield folder


def test_a_signals_folder_behind_a_closed_door(place: Path) -> None:
    (place / "signals").mkdir()
    (place / "signals").chmod(0o000)

    rows = check(place)

    assert rows["signals"] == ("fail", f"{place}/signals cannot be read")
    assert rows["output folder"][0] == "ok"


def test_a_signals_file_that_cannot_be_read_is_named(place: Path) -> None:
    folder = place / "signals" / "ready" / "signal" / "BTCUSDT"
    folder.mkdir(parents=True)
    for name in ("a.jsonl", "b.jsonl"):
        (folder / name).write_text("{}\n")
    (folder / "b.jsonl").chmod(0o000)

    rows = check(place)

    assert rows["signals BTCUSDT"] == ("fail", f"{folder}: b.jsonl cannot be read")


def test_a_database_that_cannot_be_read(place: Path) -> None:
    (place / "signals").mkdir()
    (place / "signals" / "signals.db").write_bytes(b"SQLite format 3\0")
    (place / "signals" / "signals.db").chmod(0o000)

    rows = check(place, "--sink", "sqlite")

    assert rows["database"] == ("fail", f"{place}/signals/signals.db cannot be read (permission denied)")


@pytest.mark.parametrize("closed", ["out", "out/executions", "out/logs"])
def test_an_output_folder_that_cannot_be_written(place: Path, closed: str) -> None:
    (place / closed).mkdir(exist_ok=True)
    (place / closed).chmod(0o555)

    rows = check(place)

    assert rows["output folder"] == (
        "fail",
        f"{place}/out: {place}/{closed} cannot be written (permission denied)",
    )


def test_a_configuration_that_cannot_be_read_is_a_configuration_error(place: Path) -> None:
    path = place / "my.yaml"
    path.write_text("execution: {}\n")
    path.chmod(0o000)

    result = run("--config", str(path), "--symbols", "")

    assert result.returncode == Exit.CONFIGURATION
    assert result.stderr.splitlines()[1:] == [
        f"  --config {path} cannot be read: permission denied",
        "  execution.symbols is empty, must name at least one symbol "
        "(command line --symbols; see config/defaults.yaml)",
    ]
