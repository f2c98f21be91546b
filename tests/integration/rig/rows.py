"""Small makers of what the store is handed, and readers of what stands in it afterwards."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from config.seams import Clock
from store.connection import DATABASE, Store, open_store
from store.ledger import Ledger
from store.lifecycle import State
from store.records import DeadLetter, Move, Position, Reservation, Share

STAMPS = {"mode": "dry_run", "account": "none"}
SYMBOL = "BTCUSDT"
T0 = 1_700_000_000_000
_ORDER = {"executions": "id", "events": "seq", "dead_letters": "id"}


def open_ledger(folder: Path, clock: Clock) -> Ledger:
    """A ledger on the store in `folder`, as a worker opens it."""
    return Ledger(open_store(folder, clock=clock, stamps=STAMPS), clock)


def store_of(ledger: Ledger) -> Store:
    """The store below a ledger, for what only a test may do to it."""
    return ledger._store


def reservation(number: int = 0, **changes: Any) -> Reservation:
    """The row of an order for signal `number`; `changes` override."""
    values: dict[str, Any] = {
        "signal_ts_ms": T0 + number,
        "symbol": SYMBOL,
        "signal_id": f"id-{number}",
        "id_given": False,
        "state": State.RESERVED,
        "side": "long",
        "gating": True,
        "run_source": "prod",
        "meta_json": "{}",
        "place_file": "ready/signal/BTCUSDT/signals-20231114-22.jsonl",
        "place_offset": number,
        "place_length": 1,
        "score": 0.9,
        "qty": "100.0",
    }
    return Reservation(**{**values, **changes})


def skip(number: int, **changes: Any) -> Reservation:
    """The row of a signal that is never sent."""
    return reservation(
        number, **{"state": State.SKIPPED, "side": "skip", "qty": None, "error_code": "halted", **changes}
    )


def position(offset: int, **changes: Any) -> Position:
    """A source position at `offset`."""
    values: dict[str, Any] = {
        "symbol": SYMBOL,
        "source": "jsonl",
        "name": "a.jsonl",
        "device": 1,
        "inode": 2,
        "offset": offset,
        "marker": "m",
        "mtime_ns": 3,
        "detail": "",
    }
    return Position(**{**values, **changes})


def dead_letter(number: int = 0, **changes: Any) -> DeadLetter:
    """A malformed line."""
    values: dict[str, Any] = {
        "symbol": SYMBOL,
        "source": "jsonl",
        "file": "a.jsonl",
        "offset": number,
        "reason": "not_json",
        "raw": b"{\xff\x00" + str(number).encode(),
    }
    return DeadLetter(**{**values, **changes})


def share(*reservations: Reservation, symbol: str = SYMBOL, **parts: Any) -> Share:
    """One lane's share."""
    return Share(symbol=symbol, reservations=list(reservations), **parts)


def filled(row_id: int, before: State = State.RESERVED, **changes: Any) -> Move:
    """The move to a full fill."""
    return Move(row_id=row_id, before=before, after=State.FILLED, has_fills=True, **changes)


def rows(folder: Path, columns: str, table: str = "executions", order: str = "") -> list[tuple[Any, ...]]:
    """What stands in a table of the store, read from outside; oldest first where a table has an order."""
    order = order or _ORDER.get(table.partition(" ")[0], "1")
    with closing(sqlite3.connect(f"file:{folder / DATABASE}?mode=ro", uri=True)) as reader:
        return reader.execute(f"SELECT {columns} FROM {table} ORDER BY {order}").fetchall()


def everything(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All tables but the owner's counters: equal before and after means that nothing changed."""
    names = ["executions", "events", "source_positions", "lanes", "dead_letters", "projections", "stamps"]
    names += ["halts", "audit", "late_fills", "holdings"]
    return {name: rows(folder, "*", name) for name in names}
