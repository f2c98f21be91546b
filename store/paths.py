"""The store's file names, and how a database is named for reading. Pure."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

DATABASE = "executions.db"
MARKER = "store.json"


def read_only_uri(path: Path) -> str:
    """The URI of a database to be read; `#`, `?` and `%` in the path would mean something else there."""
    return f"file:{quote(str(path))}?mode=ro"
