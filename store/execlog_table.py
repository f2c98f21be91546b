"""The execution log as the table exec_events, for those who ask the store itself.

Written in the transaction of its cursor, so that each event stands there once. Not in the transaction of the
event: an order waits for that one, and would wait for its log row too.
"""

from __future__ import annotations

from store import statements as sql
from store.following import Follower
from store.records import Share

NAME = "exec_events"
# Events in one transaction: some 2 ms, for which a commit may have to wait.
EVENTS_MAX = 500
PASS_DELAY_S = 1.0


class ExecTableProjector(Follower):
    """Keeps exec_events in step with events."""

    pass_delay_s = PASS_DELAY_S
    what = "execution log rows"
    _cursor = 0

    async def _start(self) -> None:
        async with self._reader() as reader:
            cursors: dict[str, int] = dict(await self._fetch(reader, sql.PROJECTIONS))
        self._cursor = cursors.get(NAME, 0)
        self._started = True

    async def _pass(self) -> None:
        """Tell everything that is committed by now."""
        self._news.clear()
        async with self._reader() as reader:
            [(last,)] = await self._fetch(reader, sql.LAST_EVENT_SEQ)
        while self._cursor < last:
            reached = min(last, self._cursor + EVENTS_MAX)
            await self._commit(Share(symbol="", projected={NAME: reached}, told=(self._cursor, reached)))
            self._cursor = reached

    async def prune(self, keep_days: int) -> int:
        """Rows stay: they are in the store, which forgets nothing by age."""
        return 0
