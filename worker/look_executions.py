"""`execution-worker executions`: the newest outcomes, for people as a table, for programs as JSON or CSV."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from config.load import Loaded
from store.statements_look import RECORD_KEYS
from worker.exits import Exit
from worker.look_pages import Look, LookError, Wanted
from worker.look_table import Column, csv_line, table
from worker.parts import EXECUTIONS_FOLDER
from worker.when import moment

Shape = Literal["table", "json", "csv"]

COLUMNS = (
    Column("when (UTC)"),
    Column("symbol"),
    Column("side"),
    Column("qty", right=True, weight=2),
    Column("price", right=True, weight=3),
    Column("status"),
    Column("state", weight=6),
    Column("reason", weight=4, width_min=12),
    Column("signal id", weight=1, width_min=12),
    Column("order id", weight=7, width_min=14),
)
_AT = {key: place for place, key in enumerate(RECORD_KEYS)}


def folder_of(loaded: Loaded) -> Path:
    """The folder of the store."""
    return loaded.settings.execution.output_dir / EXECUTIONS_FOLDER


def terminal_width() -> int | None:
    """Columns of the terminal; None where the text goes to a file or a program."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_executions(loaded: Loaded, wanted: Wanted, *, limit: int, shape: Shape) -> int:
    """Print the newest executions that are wanted; exit 65 when there is no store or it cannot be read."""
    try:
        with Look(folder_of(loaded)) as opened:
            _print(opened, wanted, limit, shape)
    except LookError as error:
        sys.stderr.write(f"{error}\n")
        return Exit.DATA
    except sqlite3.Error as error:
        sys.stderr.write(unreadable(folder_of(loaded), error))
        return Exit.DATA
    except BrokenPipeError:
        pipe_is_gone()
    return Exit.OK


def unreadable(folder: Path, error: sqlite3.Error) -> str:
    """The sentence for a store that failed while it was read."""
    return f"store in {folder} cannot be read ({error}): execution-worker check says more\n"


def pipe_is_gone() -> None:
    """Whoever read the output has enough (`| head`): say nothing more, and nothing at the end either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print(opened: Look, wanted: Wanted, limit: int, shape: Shape) -> None:
    match shape:
        case "json":
            for row in opened.newest(wanted, limit, lines=True):
                sys.stdout.write(f"{row[0]}\n")
        case "csv":
            sys.stdout.write(csv_line(RECORD_KEYS))
            for row in opened.newest(wanted, limit):
                sys.stdout.write(csv_line(row[: len(RECORD_KEYS)]))
        case "table":
            lines = list(table_lines(opened.newest(wanted, limit), terminal_width()))
            sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def table_lines(rows: Iterator[tuple[Any, ...]], width: int | None) -> list[str]:
    """The table of rows as `Look.newest` gives them; one sentence where there is none."""
    shown = [_shown(row) for row in rows]
    return table(COLUMNS, shown, width) if shown else ["no execution is like that"]


def _shown(row: tuple[Any, ...]) -> tuple[object, ...]:
    def of(key: str) -> Any:
        return row[_AT[key]]

    when = moment(of("exec_ts_ms")) if of("exec_ts_ms") is not None else "not final yet"
    reason = of("error_code")
    if reason == "gate_blocked" and of("guard_reason"):
        reason = f"{reason}: {of('guard_reason')}"
    state = row[len(RECORD_KEYS)]
    order_id = of("order_id")
    return (
        when,
        of("symbol"),
        of("side"),
        of("qty"),
        of("price"),
        of("status"),
        state,
        reason,
        of("signal_id"),
        order_id,
    )
