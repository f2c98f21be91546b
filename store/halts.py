"""Halts, resumes and the audit trail, as they are written. They never weaken what is in force.

A halt on top of another one keeps whatever either of them asks for: working orders canceled, the later
end. Only a resume, or its own end, makes it less.
"""

from __future__ import annotations

import sqlite3

import msgspec

from store import statements as sql
from store.records import Halt, Share


def stronger(before: Halt | None, new: Halt) -> Halt:
    """Both halts in one; the newer one's words, unless it asks for nothing that was not in force already."""
    if before is None or is_over(before, new.at_ms):
        return new
    new_only = before.new_only and new.new_only
    until_ms = None
    if before.until_ms is not None and new.until_ms is not None:
        until_ms = max(before.until_ms, new.until_ms)
    if (new_only, until_ms) == (before.new_only, before.until_ms):
        return before
    return msgspec.structs.replace(new, new_only=new_only, until_ms=until_ms)


def is_over(halt: Halt, now_ms: int) -> bool:
    """Whether the halt has ended by itself."""
    return halt.until_ms is not None and now_ms >= halt.until_ms


def write_controls(connection: sqlite3.Connection, share: Share, now_ms: int) -> None:
    """Write a share's resumes, halts and audits, in this order: a halt is never lost to a resume beside it.

    Raises sqlite3.Error.
    """
    if share.resumes:
        connection.executemany(sql.RESUME, [(scope,) for scope in share.resumes])
    for halt in share.halts:
        row = connection.execute(sql.HALT_OF, (halt.scope,)).fetchone()
        written = stronger(_halt(row) if row else None, halt)
        connection.execute(sql.HALT, msgspec.structs.astuple(written))
    if share.audits:
        rows = [(now_ms, *msgspec.structs.astuple(audit)) for audit in share.audits]
        connection.executemany(sql.AUDIT, rows)


def _halt(row: tuple[str, str, str, int, int, int | None]) -> Halt:
    return Halt(*row[:4], bool(row[4]), row[5])


def halts_of(connection: sqlite3.Connection) -> list[Halt]:
    """Every halt on record; the one for all symbols first."""
    return [_halt(row) for row in connection.execute(sql.HALTS)]
