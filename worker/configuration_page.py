"""The configuration reference: every key with its default, what it may be, why it is there, its variable.

Made from the settings (names, bounds, defaults) and from the comments of config/defaults.yaml, which a test
keeps complete; nothing is written twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files

from config.names import NAMED_VARIABLES, OPTIONS, leaves, variable_of

PAGE = "configuration.md"
_KEY = re.compile(r"( *)([a-z_]+):(?: (.*))?")
_HEAD = """# Configuration

Made from the settings and from [config/defaults.yaml](../config/defaults.yaml). Layers, later ones win: the
defaults, `--config FILE`, the environment, the command line. `execution-worker config show` prints the merged
values and where each came from; a misspelt key ends the start with the nearest valid name.
"""


def page() -> str:
    """The whole page, a section for each node."""
    text = files("config").joinpath("defaults.yaml").read_text("utf-8")
    lines = [_HEAD]
    node = None
    known = leaves()
    for key, value, why in explained(text):
        if key not in known:
            continue
        name = key.rpartition(".")[0]
        if name != node:
            node = name
            lines.append(f"## {name}\n\n| key | default | may be | why |\n|---|---|---|---|\n")
        lines.append(f"| {_names(key)} | `{value}` | {_cell(known[key].expected())} | {_cell(why)} |\n")
    return _sections("".join(lines))


def explained(text: str) -> Iterator[tuple[str, str, str]]:
    """Every key of a YAML text in block style, its value as written, and the comment above it."""
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
            continue
        found = _KEY.fullmatch(line)
        if found is None:
            comment = []
            continue
        indent = len(found[1])
        while path and path[-1][0] >= indent:
            path.pop()
        path.append((indent, found[2]))
        yield ".".join(name for _, name in path), found[3] or "", " ".join(comment)
        comment = []


def _names(key: str) -> str:
    named = [name for name, target in NAMED_VARIABLES.items() if target == key]
    ways = [f"`{name}`" for name in [*named, *([OPTIONS[key]] if key in OPTIONS else []), variable_of(key)]]
    return f"`{key.rpartition('.')[2]}`<br>{'<br>'.join(dict.fromkeys(ways))}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _sections(text: str) -> str:
    """Exactly one blank line before each head and none at the end."""
    return re.sub(r"\n{2,}", "\n\n", re.sub(r"\n*(## )", r"\n\n\1", text)).strip() + "\n"
