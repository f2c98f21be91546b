"""The pages that are made from the code are what the code makes of them, and what they say is so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from config.names import leaves, variable_of
from store.lifecycle import State
from worker.contract_docs import COMMAND, CONFIGURATION, CONTRACTS, SCHEMA, STATES, main, pages


@pytest.fixture(scope="module")
def docs(root: Path) -> Path:
    return root / "docs"


@pytest.fixture(scope="module")
def made(docs: Path) -> dict[str, str]:
    return pages((docs / CONTRACTS).read_text())


@pytest.mark.parametrize("page", [CONTRACTS, SCHEMA, STATES, CONFIGURATION])
def test_a_page_is_what_the_code_makes_of_it(page: str, docs: Path, made: dict[str, str]) -> None:
    assert (docs / page).read_text() == made[page], f"run {COMMAND}"


def test_every_setting_stands_in_the_reference(made: dict[str, str]) -> None:
    missing = [key for key in leaves() if f"{variable_of(key)}`" not in made[CONFIGURATION]]

    assert missing == []


def test_a_page_that_somebody_changed_is_put_right(docs: Path, tmp_path: Path) -> None:
    for page in (CONTRACTS, SCHEMA, STATES):
        (tmp_path / page).write_text((docs / page).read_text().replace("submit", "send"))

    main([str(tmp_path)])

    assert (tmp_path / SCHEMA).read_text() == (docs / SCHEMA).read_text()
    assert (tmp_path / STATES).read_text() == (docs / STATES).read_text()


def fits(value: Any, schema: dict[str, Any], every: dict[str, Any]) -> bool:
    """Whether a value is what a schema says, as far as this one goes."""
    if "$ref" in schema:
        return fits(value, every["$defs"][schema["$ref"].rpartition("/")[2]], every)
    if "anyOf" in schema:
        return any(fits(value, one, every) for one in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    match schema["type"]:
        case "object":
            assert schema["additionalProperties"] is False
            known = schema["properties"]
            return list(value) == schema["required"] == list(known) and all(
                fits(value[name], known[name], every) for name in known
            )
        case "string":
            return isinstance(value, str) and re.search(schema.get("pattern", ""), value) is not None
        case "integer":
            return type(value) is int and value >= schema.get("minimum", value)
        case "number":
            return type(value) in (int, float)
        case "boolean":
            return type(value) is bool
        case kind:
            return kind == "null" and value is None


def test_the_example_lines_fit_the_schema(docs: Path) -> None:
    schema = json.loads((docs / SCHEMA).read_text())
    lines = re.findall(r'^\{"ts_ms".*"event".*\}$', (docs / CONTRACTS).read_text(), re.MULTILINE)

    assert [json.loads(line)["event"] for line in lines] == ["submit", "filled"]
    assert all(fits(json.loads(line), schema, schema) for line in lines)
    assert not fits({**json.loads(lines[0]), "qty": "0.002"}, schema, schema)
    assert not fits({**json.loads(lines[0]), "event": "sent"}, schema, schema)


def test_every_state_is_in_the_diagram(made: dict[str, str]) -> None:
    [diagram] = re.findall(r"```mermaid\n(.*?)```", made[STATES], re.DOTALL)

    named = set(re.findall(r"\w+", re.sub(r":.*", "", diagram))) - {"stateDiagram", "v2"}
    assert named == {state.value for state in State}
