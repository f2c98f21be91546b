"""The man page and the completion scripts know every command and option, and shells and roff take them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from worker.cli import PROGRAM, app
from worker.cli_tree import Command, tree
from worker.completion import SHELLS, script
from worker.contract_docs import COMMAND
from worker.man_page import PAGE, man_page

# Where these programs are not installed, nothing says that a script or the page can be read.
GROFF, BASH = shutil.which("groff"), shutil.which("bash")


@pytest.fixture(scope="module")
def root_command() -> Command:
    return tree(app)


@pytest.fixture(scope="module")
def page(root_command: Command) -> str:
    return man_page(root_command, PROGRAM)


def test_the_man_page_is_what_the_command_line_makes_of_it(root: Path, page: str) -> None:
    assert (root / "docs" / PAGE).read_text() == page, f"run {COMMAND}"


def test_every_command_and_option_stands_in_the_man_page(root_command: Command, page: str) -> None:
    plain = page.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "")
    commands = list(root_command.walk())

    assert {"executions", "export", "report", "top", "man", "completion"} <= {
        one.path[-1] for one in commands[1:]
    }
    for command in commands:
        assert command.commands or f".SS {' '.join(command.path)}" in plain
        assert all(name in plain for option in command.options for name in option.names)


@pytest.mark.skipif(GROFF is None, reason="groff is not installed: the man page was not formatted")
def test_roff_formats_the_man_page_without_a_warning(page: str) -> None:
    assert GROFF is not None
    done = subprocess.run(
        [GROFF, "-man", "-ww", "-z"], input=page, capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_option_stands_in_a_script(root_command: Command, shell: str) -> None:
    text = script(root_command, PROGRAM, shell)

    for command in root_command.walk():
        assert not command.path or command.path[-1] in text
        for option in command.options:
            assert all(name.lstrip("-") in text for name in option.names)


def completed(text: str, *words: str, cwd: Path) -> list[str]:
    """What bash offers for the last of the words."""
    assert BASH is not None
    typed = " ".join(f"'{word}'" for word in words)
    ask = f"COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _execution_worker"
    told = "printf '%s\\n' \"${COMPREPLY[@]}\""
    done = subprocess.run(
        [BASH, "--norc", "-c", f"{text}\n{ask}; {told}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=cwd,
        timeout=60,
    )
    return sorted(done.stdout.split())


@pytest.mark.skipif(BASH is None, reason="bash is not installed: its completion was not tried")
def test_bash_completes_commands_options_and_values(root_command: Command, tmp_path: Path) -> None:
    text = script(root_command, PROGRAM, "bash")
    (tmp_path / "wide").mkdir()
    (tmp_path / "wide.yaml").touch()

    assert completed(text, PROGRAM, "executi", cwd=tmp_path) == ["executions"]
    assert completed(text, PROGRAM, "executions", "--sid", cwd=tmp_path) == ["--side"]
    assert completed(text, PROGRAM, "--mode", "", cwd=tmp_path) == ["dry_run", "live", "paper", "testnet"]
    assert completed(text, PROGRAM, "config", "s", cwd=tmp_path) == ["show"]
    assert completed(text, PROGRAM, "check", "--config", "wi", cwd=tmp_path) == ["wide", "wide.yaml"]
    assert completed(text, PROGRAM, "check", "--output", "wi", cwd=tmp_path) == ["wide"]
    assert completed(text, PROGRAM, "completion", "f", cwd=tmp_path) == ["fish"]
