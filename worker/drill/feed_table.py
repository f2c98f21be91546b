"""The feed's table: rows in batches, one commit each, and now and then the whole table built anew."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random

from store import statements_drill as sql
from worker.drill.feed_list import Entry, FeedList, FeedPlan
from worker.sample_shapes import Value
from worker.sample_tables import INDEX, V1_INSERT, V1_TABLE, V2_INSERT, V2_TABLE

BATCH_MAX = 8
BUSY_S = 30.0


class Table:
    """`signals.db` or `signals_v2.db` in WAL mode."""

    def __init__(self, plan: FeedPlan, told: FeedList, dice: Random) -> None:
        self._plan = plan
        self._list = told
        self._dice = dice
        self._is_v1 = plan.shape.startswith("v1")
        self._batch: list[tuple[tuple[Value, ...], Entry]] = []
        path = Path(plan.into) / ("signals.db" if self._is_v1 else "signals_v2.db")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._make()

    def resume(self) -> None:
        """See whether the last batch that the former life announced was committed: all of it, or nothing."""
        signals = [entry for entry in self._list.former if entry["kind"] in ("signal", "void")]
        last = signals[-1] if signals else None
        if last is None or last["kind"] == "void":
            return
        batch = [entry for entry in signals if entry.get("batch") == last["batch"]]
        fields = last["fields"]
        found = self._connection.execute(sql.HAS_SIGNAL, (fields["ts_ms"], fields["symbol"])).fetchone()
        if not found[0]:
            self._list.note(*({"kind": "void", "number": entry["number"]} for entry in batch))

    def write(self, row: tuple[Value, ...], entry: Entry) -> None:
        """Gather one row; a batch that is full is committed."""
        self._batch.append((row, entry))
        if len(self._batch) >= self._dice.randint(1, BATCH_MAX):
            self.commit()

    def commit(self) -> None:
        """Announce what was gathered, then insert and commit it."""
        if not self._batch:
            return
        first = self._batch[0][1]["number"]
        self._list.note(*({**entry, "batch": first} for _, entry in self._batch))
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(V1_INSERT if self._is_v1 else V2_INSERT, [row for row, _ in self._batch])
        self._connection.execute("COMMIT")
        self._batch.clear()
        if self._dice.random() < self._plan.moves:
            self._rebuild()

    def close(self) -> None:
        """Commit and close."""
        self.commit()
        self._connection.close()

    def _rebuild(self) -> None:
        """The same rows in another order: whatever number a row had, it has another one."""
        self._list.note({"kind": "habit", "what": "built the table anew"})
        self._connection.execute("BEGIN IMMEDIATE")
        for statement in (sql.KEEP_SIGNALS, sql.DROP_SIGNALS):
            self._connection.execute(statement)
        self._make()
        for statement in (sql.REFILL_SIGNALS, sql.DROP_KEPT):
            self._connection.execute(statement)
        self._connection.execute("COMMIT")

    def _make(self) -> None:
        self._connection.execute(V1_TABLE if self._is_v1 else V2_TABLE)
        self._connection.execute(INDEX)
