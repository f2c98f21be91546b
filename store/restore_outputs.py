"""Outputs after a restore: lines that the restored store does not know go aside, since they are told again.

Hourly files that it knows are cut by the next start; so is a minute of the execution log that it was writing.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

from store import execlog
from store import statements as sql
from store.connection import open_reader
from store.execlog_files import MINUTE_MS, READY, minute_of
from store.output_file import rewrite, sync_folder
from store.projector import HOUR_MS, hour_name
from store.records import ProjectedFile


def set_outputs_aside(folder: Path, database: Path, aside: Path, last_ms: int) -> None:
    """Move what was written after `last_ms`, the last event of `database`, into `aside`. Raises OSError."""
    with closing(open_reader(database)) as reader:
        known = [ProjectedFile(*row) for row in reader.execute(sql.PROJECTED_FILES)]
    since = hour_name(last_ms // HOUR_MS)
    paths = {file.path for file in known}
    for path in sorted((*folder.glob("*/exec_*.jsonl"), *folder.glob("deadletter/*.jsonl"))):
        place = f"{path.parent.name}/{path.name}"
        if place not in paths and path.stem.removeprefix("exec_") >= since and path.parent != aside:
            _move(path, aside / place)
    _set_log_aside(folder.parent, [file for file in known if file.name == execlog.NAME], aside, last_ms)
    sync_folder(aside)


def _set_log_aside(output: Path, known: list[ProjectedFile], aside: Path, last_ms: int) -> None:
    files = {minute_of(file.path): file for file in known}
    for path in sorted((output / READY).glob("*/exec_????????_????.jsonl")):
        minute = minute_of(str(path))
        if minute.minute < last_ms // MINUTE_MS:
            continue
        place = aside / "execlog" / minute.symbol / path.name
        file = files.get(minute)
        if file is None:
            _move(path, place)
        elif file.path == minute.ready and path.stat().st_size > file.size:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copyfile(path, place)
            rewrite(path, path.read_bytes()[: file.size])


def _move(path: Path, place: Path) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.move(path, place)
    sync_folder(path.parent)
