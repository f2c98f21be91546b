"""Small files, small functions, honest names: what drifts first when it is only prose."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc", "lib"}


def long_file(name: str, text: str) -> list[str]:
    """The file, when it is longer than allowed."""
    lines = text.count("\n")
    return [f"{name}: {lines} lines, at most {FILE_LINES_MAX}"] if lines > FILE_LINES_MAX else []


def long_functions(name: str, text: str) -> list[str]:
    """Functions longer than allowed, decorators and docstring included."""
    return [
        f"{name}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES_MAX}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]


def code_in_init(name: str, text: str) -> list[str]:
    """Statements of an `__init__.py` other than its docstring."""
    if Path(name).name != "__init__.py":
        return []
    body = ast.parse(text).body
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return [f"{name}:{node.lineno}: code in an __init__.py: move it to a module with a name" for node in body]


def vague_name(name: str) -> list[str]:
    """The path, when one of its parts is a name for nothing in particular."""
    words = {word for part in Path(name).parts for word in re.split(r"[_.\-]", part.lower())}
    return [f"{name}: says nothing: {', '.join(sorted(words & VAGUE_NAMES))}"] if words & VAGUE_NAMES else []


def misplaced_test_package(name: str) -> list[str]:
    """An `__init__.py` below tests, which would make packages of the test folders."""
    path = Path(name)
    return (
        [f"{name}: tests are no package"] if path.parts[0] == "tests" and path.name == "__init__.py" else []
    )


def missing_docstring(name: str, text: str) -> list[str]:
    """A module without a docstring, or one that begins with 'This module'."""
    docstring = ast.get_docstring(ast.parse(text))
    if not docstring:
        return [f"{name}: no docstring: say what it is and what it promises"]
    return [f"{name}: 'This module ...' says nothing"] if docstring.lower().startswith("this module") else []


def test_no_file_is_too_long(all_python: dict[str, str]) -> None:
    assert [line for name, text in all_python.items() for line in long_file(name, text)] == []


def test_no_function_is_too_long(all_python: dict[str, str]) -> None:
    assert [line for name, text in all_python.items() for line in long_functions(name, text)] == []


def test_packages_are_folders_and_nothing_else(all_python: dict[str, str]) -> None:
    assert [line for name, text in all_python.items() for line in code_in_init(name, text)] == []


def test_names_say_what_is_inside(every_file: list[Path], root: Path) -> None:
    assert [line for path in every_file for line in vague_name(str(path.relative_to(root)))] == []


def test_tests_are_no_package(every_file: list[Path], root: Path) -> None:
    assert [line for path in every_file for line in misplaced_test_package(str(path.relative_to(root)))] == []


def test_every_module_says_what_it_is(all_python: dict[str, str]) -> None:
    assert [line for name, text in all_python.items() for line in missing_docstring(name, text)] == []


def test_a_long_file_is_caught() -> None:
    assert long_file("worker/x.py", "x = 1\n" * 401) == ["worker/x.py: 401 lines, at most 400"]
    assert long_file("worker/x.py", "x = 1\n" * 400) == []


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_a_long_function_is_caught(keyword: str) -> None:
    assert long_functions("x.py", f"{keyword} f():\n" + "    x = 1\n" * 50) == [
        "x.py:1: f has 51 lines, at most 50"
    ]
    assert long_functions("x.py", f"{keyword} f():\n" + "    x = 1\n" * 49) == []


def test_code_in_an_init_is_caught() -> None:
    assert code_in_init("store/__init__.py", '"""Doc."""\n\nfrom store.ledger import Ledger\n') != []
    assert code_in_init("store/__init__.py", '"""Doc."""\n') == []


@pytest.mark.parametrize("name", ["worker/utils.py", "store/common/x.py", "streams/file_helpers.py"])
def test_a_vague_name_is_caught(name: str) -> None:
    assert vague_name(name) != []
    assert vague_name("streams/position.py") == []


def test_a_test_package_is_caught() -> None:
    assert misplaced_test_package("tests/unit/__init__.py") != []
    assert misplaced_test_package("worker/__init__.py") == []


def test_a_module_without_a_docstring_is_caught() -> None:
    assert missing_docstring("x.py", "x = 1\n") != []
    assert missing_docstring("x.py", '"""This module does x."""\n') != []
    assert missing_docstring("x.py", '"""The x of the worker."""\n') == []
