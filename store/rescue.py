"""Rescue: the store was removed or replaced under us, but its content is still open here."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from store.paths import DATABASE


def save_copy(connection: sqlite3.Connection, folder: Path, now_ms: int) -> Path | None:
    """Write what the open connection still holds to `executions_rescued_….db`; None when that fails too.

    The copy lies in the store's folder, or beside it when the folder itself is gone.
    """
    stamp = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%S")
    home = folder if folder.is_dir() else folder.parent
    path = home / f"executions_rescued_{stamp}.db"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous=FULL")
            connection.backup(copy)
    except (sqlite3.Error, OSError):
        return None
    return path


def advice(folder: Path, copy: Path | None) -> str:
    """What a person does next, as a sentence."""
    if copy is None:
        return (
            f"its content could not be saved; restore {folder / DATABASE} from a backup before the next start"
        )
    return (
        f"its content was saved to {copy}: find out who removed it, "
        f"then move the copy to {folder / DATABASE} and start again"
    )
