"""Makers of orders that go over a wire, and of what became of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from rig import rows as rig

from config.seams import Clock
from store.connection import DATABASE, open_store
from store.ledger import Ledger
from store.lifecycle import State
from store.records import Limits, Move, Receipt, Reservation


def limited_ledger(folder: Path, clock: Clock, **limits: Any) -> Ledger:
    """A ledger with hard limits, in decimal text or numbers of orders."""
    values = {name: value if isinstance(value, int) else Decimal(value) for name, value in limits.items()}
    return Ledger(open_store(folder, clock=clock, stamps=rig.STAMPS), clock, limits=Limits(**values))


def wire(number: int, qty: str = "1.0", side: str = "buy", **changes: Any) -> Reservation:
    """The row of an order that goes over a wire, at a price of 10."""
    named = {
        "client_order_id": f"c{number}",
        "order_id": f"c{number}",
        "qty": qty,
        "price": "10",
        "order_json": f'{{"side":"{side}","qty":"{qty}"}}',
        "side": "long" if side == "buy" else "short",
    }
    return rig.reservation(number, **{**named, **changes})


def reserve(ledger: Ledger, *new: Reservation) -> Receipt:
    """Commit new rows as the share of their symbol."""
    return ledger.commit([rig.share(*new, symbol=new[0].symbol)])[0]


def reserved(ledger: Ledger, *new: Reservation) -> list[int]:
    """The ids of new rows, each of which must be this worker's to send."""
    found = [row_id for row_id in reserve(ledger, *new).row_ids if row_id is not None]
    assert len(found) == len(new)
    return found


def move(ledger: Ledger, row_id: int, before: State, after: State, **changes: Any) -> None:
    """One step that must be legal."""
    step = Move(row_id=row_id, before=before, after=after, **changes)
    assert ledger.commit([rig.share(moves=[step])])[0].refused == []


def late(row_id: int, before: State, **changes: Any) -> Move:
    """A fill against a final row."""
    return Move(row_id=row_id, before=before, after=State.FILLED, has_fills=True, late=True, **changes)


def spoil(folder: Path, statement: str) -> None:
    """Change the store from outside, as a bug or a hand would."""
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as connection:
        connection.execute(statement)
