"""The ledger: which signals are ours, and what became of each.

A reservation is on disk before the exchange is called. After a crash it is asked about, never sent
again on a guess: asking costs one request, a second order costs money.

Synchronous on purpose: one call is one transaction, run in the store's one thread. Each lane's share
is a savepoint, so that one lane's fault never costs another lane its commit.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from msgspec.structs import astuple

from config.seams import Clock, crash_point
from store import statements as sql
from store.binding import flat, never_sent, row_values, slices, storable
from store.connection import Store, reconnect
from store.errors import FencedError, StoreDamagedError, StoreError, StoreReplacedError, StoreWriteError
from store.halts import write_controls
from store.lifecycle import State
from store.limits import LimitCheck, is_limited, runs, skip_of
from store.reads import Reads
from store.records import Limits, Move, Receipt, Reservation, Share
from store.steps import take_steps

# Faults of one share's data, not of the store: values that cannot be bound, and SQLite's codes for
# statements that cannot work on them. Every other code is the disk's or the file's.
_UNBINDABLE = (sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError, UnicodeError)
_SHARE_CODES = (
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_RANGE,
)
NO_LIMITS = Limits()
# An I/O error may pass; a second one in a row does not.
FAILURES_MAX = 2
_BROKEN = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Ledger(Reads):
    """All writes of one store. Not safe for concurrent use: one thread owns it."""

    def __init__(self, store: Store, clock: Clock, limits: Limits = NO_LIMITS) -> None:
        self._store = store
        self._limits = LimitCheck(limits)
        self._connection = store.connection
        self._clock = clock
        self._names = (str(store.path), f"{store.path}-wal")
        self._watched = self._identities()
        self._failures = 0
        self._commits = self._connection.execute(sql.COMMITS).fetchone()[1]
        self._over_a_wire = self._last(sql.ANY_OVER_A_WIRE) != 0
        self._now_ms = max(self._last(sql.LAST_EVENT_MS), self._last(sql.LAST_DEAD_LETTER_MS))

    @property
    def folder(self) -> Path:
        """Where the store lies."""
        return self._store.folder

    def _last(self, statement: str) -> int:
        row = self._connection.execute(statement).fetchone()
        return int(row[0]) if row else 0

    def _identities(self) -> tuple[tuple[int, int], ...]:
        found = [os.stat(name) for name in self._names]
        return tuple((status.st_dev, status.st_ino) for status in found)

    def intact(self) -> bool:
        """Whether the database, its WAL and the locked folder are still the ones that were opened."""
        if not self._store.lock.intact():
            return False
        try:
            return self._identities() == self._watched
        except OSError:
            return False

    def commit(self, shares: Sequence[Share]) -> list[Receipt]:
        """Write all shares in one transaction; returns after it is on disk.

        Raises StoreWriteError when nothing was written and it may be tried again, StoreReplacedError,
        StoreDamagedError or FencedError when this worker must stop.
        """
        if not self.intact():
            raise StoreReplacedError(
                f"store {self._store.path} or its folder was removed or replaced while in use"
            )
        started_s = self._clock.monotonic_s()
        try:
            receipts = self._transaction(shares)
        except sqlite3.Error as error:
            receipts = self._after_failure(error)
        self._commits += 1
        self._failures = 0
        for receipt in receipts:
            receipt.took_s = self._clock.monotonic_s() - started_s
        return receipts

    def _transaction(self, shares: Sequence[Share]) -> list[Receipt]:
        self._receipts: list[Receipt] = []
        connection = self._connection
        try:
            self._begin()
            if len(shares) == 1:
                self._receipts = [self._write_only(shares[0])]
            else:
                self._receipts = [self._write(share) for share in shares]
            crash_point("in_reserve")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return self._receipts

    def _begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        if self._connection.execute(sql.COUNT_COMMIT, (self._store.epoch,)).rowcount != 1:
            raise FencedError(f"store {self._store.path} was taken over by a newer worker: this one stops")
        self._now_ms = max(self._clock.wall_ms(), self._now_ms)

    def _after_failure(self, error: sqlite3.Error) -> list[Receipt]:
        """A commit failed: find out whether it happened, by the counter that it would have moved."""
        code = getattr(error, "sqlite_errorcode", 0)
        # SQLite's word for a full disk when the WAL's index has no room to grow.
        if code & 0xFF not in _BROKEN or code == sqlite3.SQLITE_IOERR_SHMSIZE:
            raise StoreWriteError(f"store {self._store.path} could not be written ({error})") from None
        self._failures += 1
        try:
            self._connection.close()
            self._connection = self._store.connection = reconnect(self._store.path)
            self._watched = self._identities()
            epoch, commits = self._connection.execute(sql.COMMITS).fetchone()
        except (sqlite3.OperationalError, OSError) as second:
            raise self._given_up(error, f"could not be opened again ({second})") from None
        except sqlite3.Error as second:
            raise StoreDamagedError(
                f"store {self._store.path} failed ({error}) and could not be read again ({second}): "
                "check the disk, keep a copy, then restore a backup"
            ) from None
        if epoch != self._store.epoch:
            raise FencedError(f"store {self._store.path} was taken over by a newer worker: this one stops")
        if commits == self._commits + 1:
            return self._receipts
        if self._failures >= FAILURES_MAX:
            raise self._given_up(error, f"failed {self._failures} times in a row") from None
        raise StoreWriteError(f"store {self._store.path} could not be written ({error})") from None

    def _given_up(self, error: sqlite3.Error, why: str) -> StoreError:
        return StoreError(
            f"store {self._store.path} {why}, at last with {error}: check the disk, then start again"
        )

    def _write_only(self, share: Share) -> Receipt:
        """Without a savepoint: an order waits for this commit, and nobody else's share is in it."""
        try:
            return self._apply(share)
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            if not _is_of_share(error):
                raise
            self._connection.execute("ROLLBACK")
            self._begin()
            return self._apply_singly(share)

    def _write(self, share: Share) -> Receipt:
        connection = self._connection
        connection.execute("SAVEPOINT lane")
        try:
            receipt = self._apply(share)
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            if not _is_of_share(error):
                raise
            connection.execute("ROLLBACK TO lane")
            receipt = self._apply_singly(share)
        connection.execute("RELEASE lane")
        return receipt

    def _apply(self, share: Share) -> Receipt:
        receipt = Receipt(row_ids=[])
        if share.moves:
            receipt.refused = self._take(share.moves)
        if share.reservations:
            self._reserve(share.reservations, receipt)
        write_controls(self._connection, share, self._now_ms)
        receipt.dead_letters = self._set_aside(share)
        self._save_progress(share)
        return receipt

    def _take(self, moves: Sequence[Move]) -> list[tuple[Move, str]]:
        return take_steps(self._connection, moves, self._now_ms, over_a_wire=self._over_a_wire)

    def _apply_singly(self, share: Share) -> Receipt:
        """The slow way for a share with a fault in it: every reservation stands alone.

        Moves and progress must not be lost: what cannot be written of their text is written as escapes.
        """
        share = replace(
            share,
            moves=[storable(move) for move in share.moves],
            positions=[storable(position) for position in share.positions],
            dead_letters=[storable(letter) for letter in share.dead_letters],
            halts=[storable(halt) for halt in share.halts],
            audits=[storable(audit) for audit in share.audits],
        )
        receipt = Receipt(row_ids=[])
        for move in share.moves:
            receipt.refused += self._move_alone(move)
        for index, reservation in enumerate(share.reservations):
            self._reserve_alone(index, reservation, receipt)
        write_controls(self._connection, share, self._now_ms)
        receipt.dead_letters = self._set_aside(share)
        self._save_progress(share)
        return receipt

    def _move_alone(self, move: Move) -> list[tuple[Move, str]]:
        connection = self._connection
        connection.execute("SAVEPOINT one")
        try:
            refused = self._take([move])
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            if not _is_of_share(error):
                raise
            connection.execute("ROLLBACK TO one")
            refused = [(move, str(error))]
        connection.execute("RELEASE one")
        return refused

    def _reserve_alone(self, index: int, reservation: Reservation, receipt: Receipt) -> None:
        connection = self._connection
        connection.execute("SAVEPOINT one")
        try:
            self._reserve([reservation], receipt)
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            if not _is_of_share(error):
                raise
            connection.execute("ROLLBACK TO one")
            receipt.row_ids.append(None)
            if self._given_id_exists(reservation):
                receipt.reused.append(index)
                self._reserve([never_sent(reservation, "id_reused", None)], Receipt(row_ids=[]))
            else:
                receipt.failed.append((index, str(error)))
                self._reserve([never_sent(reservation, "internal_error", error)], Receipt(row_ids=[]))
        connection.execute("RELEASE one")

    def _given_id_exists(self, reservation: Reservation) -> bool:
        if not reservation.id_given:
            return False
        found = self._connection.execute(
            sql.GIVEN_ID,
            (reservation.symbol, reservation.signal_id),
        )
        return found.fetchone() is not None

    def _reserve(self, reservations: Sequence[Reservation], receipt: Receipt) -> None:
        """Write new rows; an order that a hard limit refuses becomes a skip in the same transaction."""
        if not self._limits.is_on:
            self._insert(reservations, receipt)
            return
        for run in runs(reservations):
            breach = None
            if is_limited(run[0]):
                breach = self._limits.breach(self._connection, run[0], self._now_ms)
            if breach is None:
                self._insert(run, receipt)
                continue
            index = len(receipt.row_ids)
            self._insert([skip_of(run[0], breach), *run[1:]], receipt)
            # A signal that is there already is a duplicate, whatever its order would have been.
            if receipt.row_ids[index] is not None:
                receipt.row_ids[index] = None
                receipt.limited.append((index, breach.code, breach.text))

    def _insert(self, reservations: Sequence[Reservation], receipt: Receipt) -> None:
        connection = self._connection
        if not self._over_a_wire:
            self._over_a_wire = any(new.client_order_id is not None for new in reservations)
        rows = [row_values(reservation, self._now_ms) for reservation in reservations]
        new: dict[tuple[int, str], int] = {}
        if len(rows) == 1:
            for row_id, ts_ms, signal_id in connection.execute(sql.reserve(1), rows[0]).fetchall():
                new[ts_ms, signal_id] = row_id
        else:
            for start, count in slices(len(rows), sql.RESERVATIONS_MAX):
                cursor = connection.execute(sql.reserve(count), flat(rows[start : start + count]))
                new.update(((ts_ms, signal_id), row_id) for row_id, ts_ms, signal_id in cursor.fetchall())
        if new:
            connection.execute(sql.BIRTHS, (self._now_ms, min(new.values())))
        last_order_ms = 0
        for reservation in reservations:
            # popped, so that a key that stands twice in one share counts once
            row_id = new.pop((reservation.signal_ts_ms, reservation.signal_id), None)
            receipt.row_ids.append(row_id)
            if row_id is None:
                receipt.duplicates += 1
                receipt.conflicts += self._conflicts(reservation)
            elif reservation.state is State.RESERVED:
                last_order_ms = max(last_order_ms, reservation.signal_ts_ms)
        self._save_lane(reservations, last_order_ms)

    def _conflicts(self, new: Reservation) -> int:
        """1 when a duplicate says something else than the row that came first."""
        key = (new.signal_ts_ms, new.symbol, new.signal_id)
        _, score, gating, guard_reason = self._connection.execute(sql.BY_KEY, key).fetchone()
        return int((score, gating, guard_reason) != (new.score, int(new.gating), new.guard_reason or ""))

    def _save_lane(self, reservations: Sequence[Reservation], last_order_ms: int) -> None:
        """Duplicates count as read, not as orders: they start no cooldown."""
        if not reservations:
            return
        high_water_ms = max(new.signal_ts_ms for new in reservations)
        self._connection.execute(sql.LANE, (reservations[0].symbol, high_water_ms, last_order_ms))

    def _set_aside(self, share: Share) -> int:
        if not share.dead_letters:
            return 0
        before = self._connection.total_changes
        self._connection.executemany(
            sql.DEAD_LETTER,
            [
                (
                    self._now_ms,
                    letter.symbol,
                    letter.source,
                    letter.file,
                    letter.offset,
                    blake2b(letter.raw, digest_size=16).hexdigest(),
                    letter.reason,
                    letter.raw,
                )
                for letter in share.dead_letters
            ],
        )
        return self._connection.total_changes - before

    def _save_progress(self, share: Share) -> None:
        write = self._connection.executemany
        if share.positions:
            write(sql.POSITION, [astuple(position) for position in share.positions])
        if share.stamps:
            write(sql.STAMP, list(share.stamps.items()))
        if share.told:
            self._connection.execute(sql.TELL_EVENTS, share.told)
        if share.projected_files:
            write(sql.PROJECTED_FILE, [astuple(file) for file in share.projected_files])
        if share.projected:
            write(sql.PROJECTION, list(share.projected.items()))
        if share.forgotten_files:
            write(sql.FORGET_PROJECTED_FILE, [(path,) for path in share.forgotten_files])

    def close(self) -> None:
        """Checkpoint, close the database and give the folder free."""
        self._connection.close()
        self._store.lock.release()


def _is_of_share(error: Exception) -> bool:
    """Whether the fault lies in one share's values; else it is the store's."""
    return isinstance(error, _UNBINDABLE) or getattr(error, "sqlite_errorcode", 0) & 0xFF in _SHARE_CODES
