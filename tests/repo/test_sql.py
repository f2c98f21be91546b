"""SQL has its places, no statement swallows a constraint, and every column says what it holds."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

# Where statements may stand, besides .sql files. The producer's tables have columns that differ between
# deployments, so what reads them is put together from the columns that are there.
STATEMENT_MODULES = {"store/statements.py", "worker/sample_tables.py"}
PREFIXES = ("store/statements", "streams/sqlite", "streams/original")
STATEMENT = re.compile(
    r"^\s*(SELECT\s.+\sFROM|INSERT\s+(OR\s+\w+\s+)?INTO|REPLACE\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|"
    r"CREATE\s+(UNIQUE\s+)?(TABLE|INDEX)|DROP\s+(TABLE|INDEX)|ALTER\s+TABLE)\b",
    re.DOTALL,
)
SWALLOWS = re.compile(r"\bOR\s+(IGNORE|REPLACE)\b|^\s*REPLACE\s+INTO\b", re.IGNORECASE)
TABLE = re.compile(r"CREATE TABLE (\w+) \((.*?)^\)", re.DOTALL | re.MULTILINE)
NO_COLUMN = ("PRIMARY KEY", "UNIQUE", "CHECK", "FOREIGN", "CONSTRAINT", "--")


def strings_of(text: str) -> list[tuple[int, str]]:
    """Every string literal with its line; f-strings with a mark where values go in."""
    tree = ast.parse(text)
    found = []
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            found.append((node.lineno, node.value))
        elif isinstance(node, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values]
            found.append((node.lineno, "".join(parts)))
    return found


def stray_sql(name: str, text: str) -> list[str]:
    """Statements outside the modules that may hold them."""
    if name in STATEMENT_MODULES or name.startswith(PREFIXES):
        return []
    return [
        f"{name}:{line}: SQL belongs in a .sql file or in {', '.join(sorted(STATEMENT_MODULES))}"
        for line, value in strings_of(text)
        if STATEMENT.match(value)
    ]


def swallowing_sql(name: str, text: str, *, python: bool) -> list[str]:
    """Statements that hide every other constraint behind one expected conflict."""
    pieces = (
        strings_of(text) if python else [(1, line) for line in text.splitlines() if line.strip()[:2] != "--"]
    )
    return [
        f"{name}:{line}: names the conflict it expects, ON CONFLICT (...) DO ..."
        for line, value in pieces
        if SWALLOWS.search(value)
    ]


def undescribed_columns(name: str, text: str) -> list[str]:
    """Columns of CREATE TABLE without a comment on their line."""
    found = []
    for table, body in TABLE.findall(text):
        for line in body.splitlines():
            words = line.strip()
            if (
                words
                and not words.upper().startswith(NO_COLUMN)
                and len(words.partition("--")[2].strip()) < 3
            ):
                found.append(f"{name}: {table}.{words.split()[0]} has no comment")
    return found


@pytest.fixture
def schema(every_file: list[Path], root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in every_file if path.suffix == ".sql"}


def test_sql_stands_where_it_belongs(package_python: dict[str, str]) -> None:
    assert [line for name, text in package_python.items() for line in stray_sql(name, text)] == []


def test_no_statement_swallows_a_constraint(package_python: dict[str, str], schema: dict[str, str]) -> None:
    found = [
        line for name, text in package_python.items() for line in swallowing_sql(name, text, python=True)
    ]
    found += [line for name, text in schema.items() for line in swallowing_sql(name, text, python=False)]

    assert found == []


def test_every_column_says_what_it_holds(schema: dict[str, str]) -> None:
    assert any("CREATE TABLE executions" in text for text in schema.values())
    assert [line for name, text in schema.items() for line in undescribed_columns(name, text)] == []


@pytest.mark.parametrize(
    "text",
    [
        'x.execute("SELECT id FROM executions")\n',
        'x.execute(f"DELETE FROM {table} WHERE id = ?")\n',
        'x = """\n  UPDATE executions SET status = ?\n"""\n',
        'x = "INSERT INTO events (id) VALUES (?)"\n',
    ],
)
def test_stray_sql_is_caught(text: str) -> None:
    assert len(stray_sql("worker/x.py", text)) == 1
    assert stray_sql("store/statements.py", text) == []


def test_words_that_look_like_sql_are_no_offence() -> None:
    text = '"""Select the newest from these."""\nx = "update the plan"\ny = "PRAGMA user_version"\n'

    assert stray_sql("worker/x.py", text) == []


@pytest.mark.parametrize(
    "statement", ["INSERT OR IGNORE INTO t VALUES (1)", "INSERT OR REPLACE INTO t VALUES (1)"]
)
def test_a_swallowing_statement_is_caught(statement: str) -> None:
    assert len(swallowing_sql("x.py", f'x = "{statement}"\n', python=True)) == 1
    assert len(swallowing_sql("x.sql", f"{statement};\n", python=False)) == 1
    assert (
        swallowing_sql("x.py", 'x = "INSERT INTO t VALUES (1) ON CONFLICT (a) DO NOTHING"\n', python=True)
        == []
    )


def test_a_column_without_a_comment_is_caught() -> None:
    text = "CREATE TABLE t (\n    a INTEGER,  -- the a\n    b TEXT,\n    PRIMARY KEY (a)\n) STRICT;\n"

    assert undescribed_columns("0001.sql", text) == ["0001.sql: t.b has no comment"]
