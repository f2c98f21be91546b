"""The command line: what a newcomer reads, and how each mistake ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from config.names import leaves
from config.settings import LogLevel, Mode, SinkKind
from worker import cli, cli_options
from worker.exits import Exit
from worker.version import VERSION

CANARY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aPE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"


class Answer:
    """What a command printed, and how it ended."""

    def __init__(self, *arguments: str, environ: dict[str, str] | None = None) -> None:
        silenced = {name: None for name in os.environ if name.startswith("V13_")}
        result = CliRunner().invoke(cli.app, list(arguments), env={**silenced, **(environ or {})})
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception


def started(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A real process, in another folder: nothing may depend on where it starts."""
    root = Path(cli.__file__).parent.parent
    environ = {name: value for name, value in os.environ.items() if not name.startswith("V13_")}
    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        cwd=cwd,
        env={**environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_choices_of_the_options_are_those_of_the_settings() -> None:
    assert set(get_args(cli_options.ModeName)) == set(Mode)
    assert set(get_args(cli_options.SinkName)) == set(SinkKind)
    assert set(get_args(cli_options.LevelName)) == set(LogLevel)


def test_help_shows_the_commands_the_exit_codes_and_an_example() -> None:
    answer = Answer("--help")

    assert answer.code == Exit.OK
    for word in (
        "Usage: ",
        "check",
        "status",
        "inspect",
        "sample",
        "config",
        "Example:",
        "--once",
        "--start",
    ):
        assert word in answer.out
    for code in set(Exit) - {Exit.INTERRUPTED}:
        assert f" {code.value}  " in answer.out


@pytest.mark.parametrize(
    "command", [(), ("check",), ("status",), ("inspect",), ("sample",), ("config", "show")]
)
def test_every_option_of_every_command_says_what_it_does(command: tuple[str, ...]) -> None:
    answer = Answer(*command, "-h")

    assert answer.code == Exit.OK
    options = answer.out.split("Options:\n")[1].split("\n\n")[0].splitlines()
    starts = [line for line in options if line.startswith("  -")]
    assert starts
    assert all(len(line.split("  ")) > 2 for line in starts), starts


def test_help_imports_nothing_that_is_slow() -> None:
    probe = (
        "import sys, worker.cli\n"
        "slow = {'pydantic', 'yaml', 'aiohttp', 'sqlite3', 'asyncio', 'rich', 'msgspec'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)

    assert result.stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--mode", "lvie"], "'lvie' is not one of 'dry_run', 'paper', 'testnet', 'live'"),
        (["--sink", "kafka"], "'kafka' is not one of 'jsonl', 'sqlite', 'auto'"),
        (["--sybmols", "A"], "No such option: --sybmols"),
        (["chek"], "Did you mean 'check'?"),
        (["--start", "yesterday"], "--start: 'yesterday' is none of beginning, now, or UTC milliseconds"),
        (["--start", "1700000000"], "'1700000000' is none of beginning, now"),
        (["--once", "check"], "belong to a run, not to check"),
        (["inspect"], "Missing argument"),
        (["sample", "--symbols", "../x"], "--symbols: '../x' is not like BTCUSDT,ETHUSDT"),
        (["sample", "--rate", "0"], "--rate 0 needs --count or --seconds"),
        (["sample", "--rate", "-1"], "Input should be greater than or equal to 0"),
        (["sample", "--shape", "v3"], "'v3' is not one of"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_sentence(arguments: list[str], sentence: str) -> None:
    answer = Answer(*arguments)

    assert answer.code == Exit.USAGE
    assert sentence in answer.err
    assert answer.out == ""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "execution: {mdoe: live}",
            "execution.mdoe is no setting, execution.mode was meant? ({path} line 1;",
        ),
        (
            "execution:\n  mode: paper\n  mode: live",
            "execution.mode is given twice, must be given once ({path} lines",
        ),
        ("execution: {", "{path} line 2 is not YAML: "),
    ],
)
def test_a_wrong_file_ends_with_78_and_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(text)

    answer = Answer("--config", str(path))

    assert answer.code == Exit.CONFIGURATION
    assert answer.err.startswith("execution-worker: " + sentence.format(path=path))
    assert answer.err.count("\n") == 1
    assert answer.out == ""


def test_a_missing_file_ends_with_78(tmp_path: Path) -> None:
    answer = Answer("--config", str(tmp_path / "nowhere.yaml"))

    assert answer.code == Exit.CONFIGURATION
    assert answer.err == (
        f"execution-worker: --config {tmp_path}/nowhere.yaml cannot be read: no such file or directory\n"
    )


def test_several_problems_are_counted_and_listed(tmp_path: Path) -> None:
    environ = {"V13_EXECUTION_MODE": "lvie", "V13_EXECUTION_FOO": "1", "V13_SINK": ""}

    answer = Answer("--config", str(tmp_path / "nowhere.yaml"), "--symbols", "A", environ=environ)

    assert answer.code == Exit.CONFIGURATION
    lines = answer.err.splitlines()
    assert lines[0] == "execution-worker: the configuration has 5 problems"
    assert len(lines) == 6
    assert all(line.startswith("  ") for line in lines[1:])


def test_a_switched_off_worker_says_so_and_ends_with_0(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("execution:\n  enabled: false\n")

    answer = Answer("--config", str(path))

    assert answer.code == Exit.OK
    assert answer.out == f"execution-worker: execution.enabled is false ({path}:2): nothing is executed\n"
    assert answer.err == ""


def test_config_show_takes_the_options_before_and_after_the_command(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("execution: {mode: paper, symbols: [AAVEUSDT]}\nexecutor: {}\n")

    answer = Answer(
        "--config", str(path), "--symbols", "BTCUSDT", "config", "show", "--json", "--symbols", "A1"
    )

    assert answer.code == Exit.OK
    settings = json.loads(answer.out)["settings"]
    assert list(settings) == list(leaves())
    assert settings["execution.mode"] == {"value": "paper", "origin": f"{path}:1"}
    assert settings["execution.symbols"] == {"value": ["A1"], "origin": "command line --symbols"}
    assert answer.err.startswith("execution-worker: warning: executor is the node of an older layout")


def test_no_credential_appears_in_anything_that_is_printed(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(f"broker: {{api_key: {CANARY}}}\n")
    environ = {"BINANCE_API_KEY": CANARY, "BINANCE_API_SECRET": CANARY, "V13_OUTPUT_DIR": f"/x/{CANARY}"}

    for arguments in (
        ["--config", str(path)],
        ["config", "show"],
        ["config", "show", "--json"],
        ["--mode", "live", "config", "show"],
    ):
        answer = Answer(*arguments, environ=environ)
        assert CANARY not in answer.out + answer.err
        assert "[redacted]" in answer.out or answer.code == Exit.CONFIGURATION


def test_python_m_worker_is_the_same_program(tmp_path: Path) -> None:
    result = started("--config", "nowhere.yaml", cwd=tmp_path)

    assert result.returncode == Exit.CONFIGURATION
    assert (
        result.stderr == "execution-worker: --config nowhere.yaml cannot be read: no such file or directory\n"
    )
    assert result.stdout == ""


def test_the_version_is_printed(tmp_path: Path) -> None:
    result = started("--version", cwd=tmp_path)

    assert result.returncode == Exit.OK
    assert result.stdout == f"execution-worker {VERSION}\n"


def test_an_interrupt_is_quiet(tmp_path: Path) -> None:
    pipe = tmp_path / "my.yaml"
    os.mkfifo(pipe)
    root = Path(cli.__file__).parent.parent
    process = subprocess.Popen(
        [sys.executable, "-m", "worker", "--config", str(pipe), "config", "show"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )

    # Returns when the command has opened the other end and waits for its configuration.
    with pipe.open("wb"):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out, err) == (Exit.INTERRUPTED, b"", b"")
