"""Comments and escapes: each says why, and the project speaks of the project alone."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

BARE_NOQA = re.compile(r"#\s*noqa(?!:\s*[A-Z]+\d+)", re.IGNORECASE)
TYPE_IGNORE = re.compile(r"#\s*type:\s*ignore(?P<code>\[[\w\-, ]+\])?(?P<rest>.*)$", re.MULTILINE)
# In pieces, so that this file may stand under its own rule.
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
FOREIGN_WORDS = re.compile(
    "|".join(
        (
            r"\bissue\s*#?\d",
            "clau" + "de",
            "anthro" + "pic",
            "chat" + "gpt",
            r"\bLL" + r"M\b",
            "copi" + "lot",
            r"\bsub-?ag" + "ent",
            r"\bA" + r"I[ -](tool|assistant|model|agent)",
            "this sess" + "ion",
            "/wor" + r"k/(main|shared)",
            "/tmp/brie" + "f",
        )
    ),
    re.IGNORECASE,
)
# The daemon ends every task whatever it died of; a check of the halt that throws is a halt.
CATCH_ALL = ("worker/daemon.py", "worker/halts.py")
TEXT_SUFFIXES = {".py", ".md", ".toml", ".yaml", ".yml", ".sql", ".json", ".txt", ".service", ".sh", ""}


def unexplained_escapes(name: str, text: str) -> list[str]:
    """A `noqa` without codes, a `type: ignore` without code or reason (beside it, or just above)."""
    found = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: noqa without a code"
        for match in BARE_NOQA.finditer(text)
    ]
    lines = text.splitlines()
    for match in TYPE_IGNORE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        above = lines[line - 2].strip() if line > 1 else ""
        reasons = (match["rest"].strip(" #"), above if above.startswith("#") else "")
        if not match["code"] or max(map(len, reasons)) < 8:
            found.append(f"{name}:{line}: an ignored type error names its code and its reason")
    return found


def unfinished_work(name: str, text: str) -> list[str]:
    """Notes to oneself: finish it, or say in a sentence what is not promised."""
    return [f"{name}: {match[0]}" for match in UNFINISHED.finditer(text)]


def foreign_words(name: str, text: str) -> list[str]:
    """Words about how the project was made; it speaks of itself alone."""
    return [f"{name}: {match[0]!r}" for match in FOREIGN_WORDS.finditer(text)]


def _raises_on(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def bare_excepts(name: str, text: str) -> list[str]:
    """Handlers that catch everything outside the places that may; tidying up and raising on is fine."""
    if name in CATCH_ALL:
        return []
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ExceptHandler) or _raises_on(node):
            continue
        kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        if any(kind is None or getattr(kind, "id", "") in ("Exception", "BaseException") for kind in kinds):
            found.append(f"{name}:{node.lineno}: catches everything; only {CATCH_ALL[0]} may")
    return found


def test_every_escape_is_explained(all_python: dict[str, str]) -> None:
    texts = {name: text for name, text in all_python.items() if name != "tests/repo/test_words.py"}

    assert [line for name, text in texts.items() for line in unexplained_escapes(name, text)] == []


def test_nothing_is_left_unfinished(all_python: dict[str, str]) -> None:
    assert [line for name, text in all_python.items() for line in unfinished_work(name, text)] == []


def test_the_project_speaks_of_itself_alone(every_file: list[Path], root: Path) -> None:
    texts = [
        (str(path.relative_to(root)), path.read_text())
        for path in every_file
        if path.suffix in TEXT_SUFFIXES and path.name != "LICENSE"
    ]

    assert [line for name, text in texts for line in foreign_words(name, text)] == []


def test_only_the_daemon_and_the_halt_catch_everything(package_python: dict[str, str]) -> None:
    assert [line for name, text in package_python.items() for line in bare_excepts(name, text)] == []


@pytest.mark.parametrize(
    "line",
    [
        "x = 1  # noqa",
        "x = 1  # noqa because",
        "x = 1  # type: ignore",
        "x = 1  # type: ignore[assignment]",
        "x = 1  # type: ignore  # the stubs are wrong",
    ],
)
def test_an_unexplained_escape_is_caught(line: str) -> None:
    assert len(unexplained_escapes("x.py", line)) == 1


def test_an_explained_escape_is_no_offence() -> None:
    explained = "x = 1  # type: ignore[assignment]  # the stubs are one release behind"

    above = "# The stubs are one release behind.\nx = 1  # type: ignore[assignment]"

    assert unexplained_escapes("x.py", f"{explained}\n{above}\ny = 2  # noqa: E501\n") == []


def test_a_note_to_oneself_is_caught() -> None:
    assert unfinished_work("x.py", "# TO" + "DO: later") != []
    assert unfinished_work("x.py", "# a list of what to do later") == []


@pytest.mark.parametrize("text", ["see issue" + " 12", "written by Clau" + "de", "in /wor" + "k/main/store"])
def test_a_foreign_word_is_caught(text: str) -> None:
    assert foreign_words("x.py", text) != []
    assert foreign_words("x.py", "an aiohttp session per host; the issue is the clock") == []


@pytest.mark.parametrize("clause", ["except:", "except Exception:", "except (OSError, BaseException):"])
def test_a_catch_all_is_caught(clause: str) -> None:
    text = f"try:\n    x()\n{clause}\n    pass\n"

    assert len(bare_excepts("worker/lane.py", text)) == 1
    assert bare_excepts(CATCH_ALL[0], text) == []


def test_tidying_up_and_raising_on_is_no_offence() -> None:
    text = "try:\n    x()\nexcept BaseException:\n    close()\n    raise\n"

    assert bare_excepts("store/connection.py", text) == []
