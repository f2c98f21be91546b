"""Verify: whether a store, or a backup of one, is whole and keeps its own rules; every doubt as a sentence.

Reads only, in short transactions, so that a worker may go on meanwhile. Memory is bounded by the orders that
were open at one moment, however many rows there are.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from store import statements as sql
from store import statements_care as care
from store.connection import APPLICATION_ID, COPY_STAMP, SCHEMA_FOLDER, newest_version, open_reader
from store.errors import StoreError
from store.findings import Findings, Rules
from store.lock import lock_holder
from store.paths import DATABASE
from store.verify_files import verify_files
from store.verify_history import verify_history
from store.verify_log import verify_log
from store.verify_tables import verify_tables

INTEGRITY_LINES_MAX = 20


class UnverifiableError(StoreError):
    """The file cannot be read, or is no database at all; exit code as for a wrong usage."""

    exit_code = 2


@dataclass(slots=True)
class Verdict:
    """What a verification came to."""

    path: Path
    findings: Findings
    rows: int = 0
    events: int = 0
    files: int = 0
    in_use_by: int | None = None
    is_copy: bool = False

    @property
    def clean(self) -> bool:
        """Nothing was found."""
        return not self.findings.counts


def verify(
    path: Path, rules: Rules, *, deep: bool = False, quick: bool = False, files: bool = True
) -> Verdict:
    """Verify the database at `path`, and what is derived from it below its folder unless it is a backup.

    `deep` reads the execution log too, and looks for doubled keys without their indexes; `quick` leaves out
    whether the indexes agree with the table. Raises UnverifiableError when there is nothing to verify.
    """
    findings = Findings()
    verdict = Verdict(path, findings)
    verdict.in_use_by = lock_holder(path.parent) if path.name == DATABASE else None
    try:
        with closing(_open(path)) as reader:
            if not _is_ours(reader, findings) or not _is_sound(reader, findings, quick=quick):
                return verdict
            stamps = dict(reader.execute(sql.STAMPS))
            verdict.is_copy = COPY_STAMP in stamps
            verdict.rows, verdict.events = verify_history(reader, rules, findings)
            verify_tables(reader, rules, findings, stamps, deep=deep)
            if files and path.name == DATABASE and not verdict.is_copy:
                in_use = verdict.in_use_by is not None
                verdict.files = verify_files(reader, path.parent, findings, in_use=in_use)
                if deep and findings.counts.keys() & {"move", "state"}:
                    findings.note("the execution log is looked at once the events are sound")
                elif deep:
                    verdict.files += verify_log(reader, path.parent.parent, findings, in_use=in_use)
    except sqlite3.DatabaseError as error:
        findings.add("damaged", f"{path} cannot be read to its end ({error}): keep a copy, restore a backup")
    except OSError as error:
        findings.add("unreadable", f"{error.filename or path} cannot be read ({error.strerror})")
    if verdict.in_use_by is not None:
        findings.note(
            f"the store is in use by pid {verdict.in_use_by}: what it writes meanwhile is looked at next time"
        )
    return verdict


def _open(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise UnverifiableError(f"{path} {what}: name a store's folder or a backup with --store")
    try:
        reader = open_reader(path)
        try:
            reader.execute("PRAGMA cache_size=-16384")
            reader.execute(sql.TABLES).fetchone()
        except BaseException:
            reader.close()
            raise
    except sqlite3.OperationalError as error:
        raise UnverifiableError(
            f"{path} cannot be opened ({error}): see that this user may read it"
        ) from None
    except sqlite3.DatabaseError as error:
        raise UnverifiableError(
            f"{path} cannot be read ({error}): it is no database, or its head is damaged"
        ) from None
    return reader


def _is_ours(reader: sqlite3.Connection, findings: Findings) -> bool:
    """Whether the file is a store that this program knows; else nothing more can be said of it."""
    application_id = reader.execute("PRAGMA application_id").fetchone()[0]
    version = reader.execute("PRAGMA user_version").fetchone()[0]
    if application_id != APPLICATION_ID:
        findings.add(
            "foreign",
            f"the file has application_id {application_id}, a store has {APPLICATION_ID}: "
            "it is another program's",
        )
        return False
    if not 1 <= version <= newest_version():
        findings.add(
            "version",
            f"the schema version is {version}, this program knows 1 to {newest_version()}: "
            "verify it with the program that wrote it",
        )
        return False
    expected = _declared(version)
    found = _schema_of(reader)
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            findings.add("schema", f"{name} is missing: the schema is not that of version {version}")
        elif name not in expected:
            findings.add("schema", f"{name} does not belong to the schema of version {version}: who made it?")
        elif found[name] != expected[name]:
            findings.add("schema", f"{name} is declared in other words than in version {version}")
    if version < newest_version():
        findings.note(
            f"the schema version is {version}: the next start makes it {newest_version()}, "
            "then verify looks at the rows"
        )
        return False
    return not any(name.startswith("table ") for name in expected.keys() - found.keys())


def _schema_of(connection: sqlite3.Connection) -> dict[str, str]:
    found = connection.execute(care.SCHEMA)
    return {
        f"{kind} {name}": re.sub(r"\s+", " ", text)
        for kind, name, text in found
        if not name.startswith("sqlite_")
    }


def _declared(version: int) -> dict[str, str]:
    """What a store of that version consists of, by the files that make one."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        for path in sorted(SCHEMA_FOLDER.glob("*.sql")):
            if int(path.stem) <= version:
                fresh.executescript(path.read_text())
        return _schema_of(fresh)


def _is_sound(reader: sqlite3.Connection, findings: Findings, *, quick: bool) -> bool:
    """SQLite's own check of pages, and of indexes unless `quick`."""
    check = "quick_check" if quick else "integrity_check"
    lines = [str(row[0]) for row in reader.execute(f"PRAGMA {check}({INTEGRITY_LINES_MAX})")]
    for line in lines if lines != ["ok"] else []:
        code = "index" if "index" in line else "damaged"
        findings.add(code, f"SQLite finds: {line}")
    return "damaged" not in findings.counts
