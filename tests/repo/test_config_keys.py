"""Every setting is explained where it is set, and read somewhere; nothing is a knob without a wire."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

from config.names import leaves

DEFAULTS = "config/defaults.yaml"
# Reading a setting to merge, show or validate it is not using it.
CONFIG_PACKAGE = "config/"
RULES = "config/settings.py"
# Settings whose users come with a later capability. An entry that is used after all has to go from here.
NOT_YET_USED = {
    "execution.cost.": "the simulated venue assumes costs",
    "broker.testnet": "older files have it: config/rules.py compares it by name",
    "broker.mock_enabled": "older files have it: config/load.py warns of it by name",
}


def undocumented(keys: list[str], yaml_text: str) -> list[str]:
    """Keys that the file lacks, or that have no comment just above them.

    One comment may stand for neighbours of one kind: `api_key_env` and `secret_env`.
    """
    lines = yaml_text.splitlines()
    documented: set[str] = set()
    path: list[tuple[int, str]] = []
    for number, line in enumerate(lines):
        match = re.match(r"^( *)([a-z_]+):", line)
        if match is None:
            continue
        depth = len(match[1])
        path = [*(part for part in path if part[0] < depth), (depth, match[2])]
        before = lines[number - 1].strip() if number else ""
        kind = f"_{match[2].rpartition('_')[2]}:"
        if before.startswith("#") or kind in before.partition(" ")[0]:
            documented.add(".".join(name for _, name in path))
    return [f"{DEFAULTS}: {key} is missing or unexplained" for key in keys if key not in documented]


def attributes_read(sources: dict[str, str]) -> set[str]:
    """Every attribute name that is read outside the configuration itself, properties of settings included."""
    return {
        node.attr
        for name, text in sources.items()
        if not name.startswith(CONFIG_PACKAGE) or name == RULES
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }


def unused(keys: list[str], read: set[str]) -> list[str]:
    """Keys whose name nobody reads."""
    return [key for key in keys if key.rpartition(".")[2] not in read]


def _is_later(key: str) -> bool:
    return any(key == name or (name.endswith(".") and key.startswith(name)) for name in NOT_YET_USED)


@pytest.fixture(scope="session")
def keys() -> list[str]:
    return list(leaves())


def test_every_key_is_explained_in_the_defaults(keys: list[str], root: Path) -> None:
    text = (root / DEFAULTS).read_text()

    assert undocumented(keys, text) == []
    assert set(yaml.safe_load(text)) == {"execution", "broker"}


def test_every_key_is_used(keys: list[str], package_python: dict[str, str]) -> None:
    found = unused(keys, attributes_read(package_python))

    assert [key for key in found if not _is_later(key)] == []


def test_a_key_without_its_comment_is_caught() -> None:
    text = "execution:\n  # Why.\n  enabled: true\n  mode: dry_run\n  http:\n    # Where.\n    port: 1\n"

    assert undocumented(["execution.enabled", "execution.http.port"], text) == []
    assert len(undocumented(["execution.mode", "execution.http.host"], text)) == 2


def test_a_key_that_nobody_reads_is_caught() -> None:
    sources = {"worker/x.py": "x = settings.http.port\n", "config/load.py": "y = settings.http.host\n"}

    assert unused(["execution.http.port", "execution.http.host"], attributes_read(sources)) == [
        "execution.http.host"
    ]
