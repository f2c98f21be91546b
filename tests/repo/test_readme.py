"""What the pages tell a person to type works, and every dependency has its reason."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

FENCE = re.compile(r"^```.*?$(.*?)^```", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
PROGRAM = "execution-worker"
STOPS = {"|", "&", "&&", ";", ">", ">>", "2>", "<"}
HelpOf = Callable[[tuple[str, ...]], str | None]


def typed_lines(text: str) -> list[str]:
    """What stands in code blocks and code spans: the things a person would type."""
    blocks = [line.strip().removeprefix("$ ") for block in FENCE.findall(text) for line in block.splitlines()]
    return [line for line in blocks if line] + SPAN.findall(FENCE.sub("", text))


def command_words(line: str, program: str) -> list[str] | None:
    """The arguments of `program` in a line, None when the line does not call it."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return None
    while words and re.fullmatch(r"[A-Z][A-Z0-9_]*=.*", words[0]):
        words = words[1:]
    if not words or Path(words[0]).name != program:
        return None
    end = next((number for number, word in enumerate(words) if word in STOPS), len(words))
    return words[1:end]


def program_offences(text: str, help_of: HelpOf) -> list[str]:
    """Calls of the program with a subcommand or option that its own help does not know."""
    found = []
    for line in typed_lines(text):
        words = command_words(line, PROGRAM)
        if words is None:
            continue
        path: tuple[str, ...] = ()
        known = help_of(())
        for word in words:
            if word.startswith("-") or not re.fullmatch(r"[a-z][a-z\-]*", word):
                break
            deeper = help_of((*path, word))
            if deeper is None:
                # An argument of the subcommand that was found, or a subcommand that is not there.
                if not path:
                    found.append(f"{line}: there is no {word}")
                    words = []
                break
            path, known = (*path, word), deeper
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        found += [
            f"{line}: there is no {option}"
            for option in options
            if not re.search(rf"{re.escape(option)}(?![\w\-])", known or "")
        ]
    return found


def make_offences(text: str, targets: set[str]) -> list[str]:
    """`make x` where there is no target x."""
    found = []
    for line in typed_lines(text):
        words = command_words(line, "make") or []
        found += [f"{line}: no such target" for word in words if "=" not in word and word not in targets]
    return found


def unexplained_dependencies(text: str, dependencies: list[str]) -> list[str]:
    """Runtime dependencies without a line of their own that says why they are there."""
    lines = [line for line in text.splitlines() if line.startswith(("| ", "* ", "- "))]
    names = [re.split(r"[\[<>=!~ ]", dependency)[0] for dependency in dependencies]
    return [name for name in names if not any(f"`{name}" in line and len(line) > 30 for line in lines)]


# The standard library looks into it.
IMPORTED_AS = {"tzdata": "zoneinfo"}


def unused_dependencies(sources: dict[str, str], dependencies: list[str]) -> list[str]:
    """Runtime dependencies that no module imports."""
    imported = "\n".join(sources.values())
    names = [re.split(r"[\[<>=!~ ]", dependency)[0] for dependency in dependencies]
    modules = {name: IMPORTED_AS.get(name, name.replace("-", "_")) for name in names}
    return [
        name
        for name, module in modules.items()
        if not re.search(rf"^\s*(import|from) {module}\b", imported, re.MULTILINE)
    ]


@cache
def _help_of(path: tuple[str, ...]) -> str | None:
    command = [str(Path(sys.executable).parent / PROGRAM), *path, "--help"]
    environment = {**os.environ, "COLUMNS": "250", "TERM": "dumb", "NO_COLOR": "1"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    return result.stdout if result.returncode == 0 else None


@pytest.fixture(scope="session")
def pages(root: Path) -> dict[str, str]:
    files = [root / "README.md", root / "deploy" / "README.md", *sorted((root / "docs").glob("*.md"))]
    return {str(path.relative_to(root)): path.read_text() for path in files if path.exists()}


@pytest.fixture(scope="session")
def project(root: Path) -> dict[str, object]:
    data: dict[str, object] = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return data


def test_every_call_of_the_program_is_real(pages: dict[str, str]) -> None:
    assert any(command_words(line, PROGRAM) for line in typed_lines(pages["README.md"]))
    assert [line for text in pages.values() for line in program_offences(text, _help_of)] == []


def test_every_make_target_is_real(pages: dict[str, str], root: Path) -> None:
    targets = set(re.findall(r"^([a-z\-]+):", (root / "Makefile").read_text(), re.MULTILINE))

    assert {"run", "test", "drill", "bench"} <= targets
    assert [line for text in pages.values() for line in make_offences(text, targets)] == []


def test_every_runtime_dependency_has_its_reason(pages: dict[str, str], project: dict[str, object]) -> None:
    dependencies = project["dependencies"]

    assert isinstance(dependencies, list)
    assert unexplained_dependencies(pages["README.md"], dependencies) == []


def test_every_runtime_dependency_is_used(project: dict[str, object], package_python: dict[str, str]) -> None:
    dependencies = project["dependencies"]

    assert isinstance(dependencies, list)
    assert unused_dependencies(package_python, dependencies) == []


def test_every_linked_page_exists(pages: dict[str, str], root: Path) -> None:
    links = [
        (name, link)
        for name, text in pages.items()
        for link in re.findall(r"\]\(([^)#]+)\)", text)
        if "://" not in link
    ]

    assert [pair for pair in links if not (root / Path(pair[0]).parent / pair[1]).exists()] == []


FAKE_HELP = {
    (): "--once --output",
    ("sample",): "--shape --into",
    ("config",): "",
    ("config", "show"): "--json",
}


@pytest.mark.parametrize(
    "line",
    [
        "execution-worker --twice",
        "execution-worker simple --shape v1-jsonl",
        "execution-worker sample --shapes v1-jsonl",
        "V13_SINK=auto .venv/bin/execution-worker --out x",
        "execution-worker config show --yaml",
    ],
)
def test_a_call_that_does_not_exist_is_caught(line: str) -> None:
    assert len(program_offences(f"```\n$ {line}\n```\n", FAKE_HELP.get)) == 1
    assert len(program_offences(f"Type `{line}` now.\n", FAKE_HELP.get)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "execution-worker --once --output=x   # drain",
        "execution-worker sample --shape v1-jsonl --into ./runtime | head -1",
        "execution-worker config show --json",
        "execution-worker",
    ],
)
def test_a_call_that_exists_is_no_offence(line: str) -> None:
    assert program_offences(f"```\n{line}\n```\n", FAKE_HELP.get) == []


def test_a_target_that_does_not_exist_is_caught() -> None:
    assert make_offences("`make tests`", {"test"}) != []
    assert make_offences("`make test PYTHON=python3.11`, we make tests", {"test"}) == []


def test_a_dependency_without_its_reason_is_caught() -> None:
    text = "| `aiohttp` | serves metrics and later speaks to the exchange |\n"

    assert unexplained_dependencies(text, ["aiohttp>=3", "typer"]) == ["typer"]


def test_a_dependency_that_nobody_imports_is_caught() -> None:
    sources = {"worker/x.py": "from aiohttp import web\n"}

    assert unused_dependencies(sources, ["aiohttp>=3", "pydantic-settings[yaml]"]) == ["pydantic-settings"]
