"""The merged configuration as an operator reads it: every key, its value, and where that came from.

Pure. Credentials are never settings, only the names of their variables are; what a value might
still carry of them is hidden by the redactor that the caller gives.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

from config.load import Loaded
from config.names import leaves
from config.redact import Redactor
from config.rules import value_of


def as_text(loaded: Loaded, redactor: Redactor) -> str:
    """Aligned columns: key, value, origin. Values stand as they would in a YAML file."""
    rows = [(key, redactor.text(_yaml(value)), origin) for key, value, origin in _rows(loaded)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"{key:<{widths[0]}}  {value:<{widths[1]}}  {origin}" for key, value, origin in rows]
    return "\n".join(lines)


def as_json(loaded: Loaded, redactor: Redactor) -> str:
    """One object: `settings` by dotted key with `value` and `origin`, and the `warnings`."""
    settings = {
        key: {"value": _plain(value, redactor), "origin": origin} for key, value, origin in _rows(loaded)
    }
    return json.dumps({"settings": settings, "warnings": loaded.warnings}, indent=2)


def _rows(loaded: Loaded) -> list[tuple[str, object, str]]:
    return [(key, value_of(loaded.settings, key), loaded.origins[key]) for key in leaves()]


def _yaml(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case tuple():
            return f"[{', '.join(value)}]"
        case str() if not value.isprintable():
            return ascii(value)
        case _:
            return str(value)


def _plain(value: object, redactor: Redactor) -> object:
    """The value in JSON's own types; exact numbers become strings, as in every record."""
    match value:
        case None | bool() | int() | float():
            return value
        case tuple():
            return [redactor.text(item) for item in value]
        case Decimal() | Path() | str():
            return redactor.text(str(value))
        case _:
            raise AssertionError(f"no JSON form for {type(value).__name__}")
