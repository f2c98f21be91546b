"""The oldest row that a producer's table has of a symbol, as a person's command asks for it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def oldest_in_table(path: Path, symbol: str) -> int | str | None:
    """Its `ts_ms`; None where there is no file or no row, a sentence where that cannot be told."""
    if not path.exists():
        return None
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5)) as connection:
            # Some producers write small letters, which are the same symbol.
            row = connection.execute(
                "SELECT min(ts_ms) FROM signals WHERE upper(symbol) = ? AND typeof(ts_ms) = 'integer'",
                (symbol,),
            ).fetchone()
    except sqlite3.Error as error:
        return f"{path} cannot be read ({error})"
    return None if row[0] is None else int(row[0])
