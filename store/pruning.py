"""Forgetting source positions, so that their number does not grow for ever.

A position keeps a file from being read twice: whoever forgets one has to know that its file is gone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from store import statements as sql
from store.connection import Store, open_reader
from store.errors import FencedError

# Rows in one transaction: some 10 ms, for which a commit may have to wait.
FORGOTTEN_MAX = 5_000


class Place(NamedTuple):
    """Which file a stored position belongs to, and how far it was read."""

    name: str
    device: int
    inode: int
    offset: int


def stored_places(path: Path, symbol: str, source: str) -> Iterator[Place]:
    """The places of all positions of a lane, one by one, through a reader that disturbs no writer.

    Raises sqlite3.Error.
    """
    with closing(open_reader(path)) as reader:
        yield from map(Place._make, reader.execute(sql.POSITION_PLACES, (symbol, source)))


def forget_positions(store: Store, symbol: str, source: str, places: Sequence[Place]) -> int:
    """Delete up to FORGOTTEN_MAX positions that still say what `places` say; how many went.

    Belongs into the store's thread. May be repeated. Raises FencedError, and sqlite3.Error when nothing was
    deleted.
    """
    assert len(places) <= FORGOTTEN_MAX, len(places)
    with own_transaction(store) as connection:
        before = connection.total_changes
        connection.executemany(sql.FORGET_POSITION, [(symbol, source, *place) for place in places])
        return connection.total_changes - before


@contextmanager
def own_transaction(store: Store) -> Iterator[sqlite3.Connection]:
    """A transaction beside the ledger's, in the thread that writes; committed unless the body rolls it back.

    It leaves the count of commits alone, because the ledger tells by that whether a commit of its own
    happened. Raises FencedError, and sqlite3.Error when nothing was changed.
    """
    connection = store.connection
    try:
        connection.execute("BEGIN IMMEDIATE")
        epoch, _ = connection.execute(sql.COMMITS).fetchone()
        if epoch != store.epoch:
            raise FencedError(f"store {store.path} was taken over by a newer worker: this one stops")
        yield connection
        if connection.in_transaction:
            connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
