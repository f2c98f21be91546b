"""The hourly files against the rows that they are made of: every line there, once, whole.

One pass over the final events gives each file's bytes, as a sum that is compared with the file's. Only a file
that differs is looked at line by line.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from store import statements as sql
from store import statements_care as care
from store.findings import Findings
from store.projector import HOUR_MS, hour_name
from store.prune import PRUNED_BEFORE_STAMP
from store.records import ProjectedFile

NAME = "executions"
FACTS_A_SLICE = 4_000
CHUNK_BYTES = 1 << 20
# Lines of one file that are compared one by one; a longer one is told as a whole.
LINES_MAX = 500_000
_FILE = re.compile(r"exec_\d{8}_\d{2}\.jsonl")


@dataclass(slots=True)
class _Sum:
    """What a file must hold, as far as it is known to be on disk."""

    size: int = 0
    digest: Any = field(default_factory=lambda: blake2b(digest_size=16))
    lines: int = 0

    def add(self, line: bytes) -> None:
        self.size += len(line)
        self.lines += 1
        self.digest.update(line)


def verify_files(reader: sqlite3.Connection, folder: Path, findings: Findings, *, in_use: bool) -> int:
    """How many files were compared."""
    # In this order: what the cursor tells is in the files that are read after it.
    known = {
        file.path: file
        for row in reader.execute(sql.PROJECTED_FILES)
        if (file := ProjectedFile(*row)).name == NAME
    }
    cursor = dict(reader.execute(sql.PROJECTIONS)).get(NAME, 0)
    last = reader.execute(care.LAST_EVENT).fetchone()[0]
    if cursor > last:
        findings.add("cursor", f"the files are said to tell {cursor} events, the store has {last}")
    pruned_before_ms = int(dict(reader.execute(sql.STAMPS)).get(PRUNED_BEFORE_STAMP, "0"))
    sums: dict[str, _Sum] = {}
    behind = 0
    for seq, path, line in _lines(reader, 0, 2**62):
        if seq > cursor:
            behind += 1
        elif path in known and seq <= known[path].last_seq:
            sums.setdefault(path, _Sum()).add(line)
    if behind:
        findings.note(
            f"{behind} rows are not written to the hourly files yet: the worker, or its next start, does it"
        )
    for path, file in sorted(known.items()):
        whole = file.hour * HOUR_MS >= pruned_before_ms
        _compare(reader, folder, file, sums.get(path, _Sum()), findings, in_use=in_use, whole=whole)
    _verify_unknown(folder, known, findings, pruned_before_ms, in_use=in_use)
    return len(known)


def _lines(reader: sqlite3.Connection, after: int, upto: int) -> Iterator[tuple[int, str, bytes]]:
    """(event, path, line) of everything that belongs into the files, slice by slice."""
    while True:
        rows = reader.execute(care.FINAL_LINES, (after, upto, FACTS_A_SLICE)).fetchall()
        for seq, symbol, hour, line in rows:
            yield seq, f"{symbol}/exec_{hour_name(hour or 0)}.jsonl", line.encode() + b"\n"
        if len(rows) < FACTS_A_SLICE:
            return
        after = rows[-1][0]


def _compare(
    reader: sqlite3.Connection,
    folder: Path,
    file: ProjectedFile,
    expected: _Sum,
    findings: Findings,
    *,
    in_use: bool,
    whole: bool,
) -> None:
    path = folder / file.path
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        # Deleted by age meanwhile, it is not known any more.
        if whole and any(row[0] == file.path for row in reader.execute(sql.PROJECTED_FILES)):
            findings.add("file_gone", f"{path} is missing: the next start writes it anew from the rows")
        return
    if size < file.size:
        findings.add(
            "file_cut", f"{path} has {size} bytes of the {file.size} it had: the next start writes it anew"
        )
        return
    if expected.size == file.size and expected.digest.digest() == _digest(path, file.size):
        if size > file.size and not in_use:
            _compare_rest(reader, folder, file, findings)
        return
    _tell_difference(reader, path, file, findings, whole=whole)


def _digest(path: Path, size: int) -> bytes:
    digest = blake2b(digest_size=16)
    with path.open("rb") as stream:
        while size and (chunk := stream.read(min(size, CHUNK_BYTES))):
            digest.update(chunk)
            size -= len(chunk)
    return digest.digest()


def _compare_rest(reader: sqlite3.Connection, folder: Path, file: ProjectedFile, findings: Findings) -> None:
    """What stands behind the known end: lines that a killed worker had not told the store of, or damage."""
    with (folder / file.path).open("rb") as stream:
        stream.seek(file.size)
        rest = stream.read(CHUNK_BYTES)
    following = bytearray()
    for _, path, line in _lines(reader, file.last_seq, 2**62):
        if path == file.path:
            following += line
            if len(following) >= len(rest):
                break
    if bytes(following[: len(rest)]) == rest:
        findings.note(f"{folder / file.path} has {len(rest)} bytes that the next start writes again")
        return
    findings.add(
        "file_longer",
        f"{folder / file.path} has {len(rest)} bytes behind its last known line, doubled or not ours: "
        "the next start cuts them off",
    )


def _tell_difference(
    reader: sqlite3.Connection, path: Path, file: ProjectedFile, findings: Findings, *, whole: bool
) -> None:
    """Line by line; where rows were pruned their lines may be there."""
    wanted: Counter[bytes] = Counter()
    for seq, name, line in _lines(reader, file.first_seq - 1, file.last_seq):
        if name == file.path and seq <= file.last_seq:
            wanted[blake2b(line, digest_size=12).digest()] += 1
    found: Counter[bytes] = Counter()
    read = 0
    cut = False
    with path.open("rb") as stream:
        for line in stream:
            if read >= file.size or sum(found.values()) > LINES_MAX:
                break
            read += len(line)
            cut = cut or not line.endswith(b"\n")
            found[blake2b(line, digest_size=12).digest()] += 1
    doubled = sum(count - 1 for count in found.values() if count > 1)
    missing = sum((wanted - found).values())
    foreign = sum((found - wanted).values()) - doubled
    if not whole and not missing and not doubled and not cut:
        return
    parts = [f"{count} lines {what}" for count, what in ((missing, "missing"), (doubled, "doubled")) if count]
    if foreign > 0 and whole:
        parts.append(f"{foreign} lines that no row tells of")
    if cut:
        parts.append("a line that is cut")
    said = ", ".join(parts) or "its lines in another order"
    findings.add("file_differs", f"{path} is not what its rows say: {said}")


def _verify_unknown(
    folder: Path, known: dict[str, ProjectedFile], findings: Findings, pruned_before_ms: int, *, in_use: bool
) -> None:
    """Files that look like ours and that the store knows nothing of."""
    oldest_name = f"exec_{hour_name(pruned_before_ms // HOUR_MS)}.jsonl"
    with os.scandir(folder) as entries:
        symbols = sorted(
            entry.name for entry in entries if entry.is_dir() and re.fullmatch("[A-Z0-9]{2,20}", entry.name)
        )
    for symbol in symbols:
        for name in sorted(os.listdir(folder / symbol)):
            strange = _FILE.fullmatch(name) and f"{symbol}/{name}" not in known
            # Made just now, or of rows that were pruned: both are as they should be.
            if strange and not in_use and name >= oldest_name:
                findings.add(
                    "file_unknown",
                    f"{folder / symbol / name} belongs to no row: of another store, or of one that "
                    "was put back; move it away",
                )
