"""The writer: group commit over lanes, in one thread, for ever until it is on disk.

Whatever waits when the store is free goes into the next transaction; there is no timer. A lane is
released only after COMMIT returned. While the disk is full the shares wait here and nothing is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from config.seams import Clock
from store.errors import StoreError, StoreWriteError
from store.ledger import Ledger
from store.records import Receipt, Share

T = TypeVar("T")

# A full disk is looked at again this often.
RETRY_DELAY_S = 0.5


class Writer:
    """The one way to the ledger from the event loop; safe for many tasks."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        executor: Executor,
        clock: Clock,
        on_commit: Callable[[float], None] = lambda took_s: None,
        on_work: Callable[[bool], None] = lambda working: None,
    ) -> None:
        self._ledger = ledger
        self._executor = executor
        self._clock = clock
        self._on_commit = on_commit
        self._on_work = on_work
        self._waiting: list[tuple[Share, asyncio.Future[Receipt]]] = []
        self._free = asyncio.Lock()
        self._dead: StoreError | None = None
        self.trouble: str | None = None
        self.commits = 0

    async def commit(self, share: Share) -> Receipt:
        """Return once the share is on disk; waits for as long as the disk refuses.

        Raises the StoreError that stops this worker. Cancelling gives up the wait, not the write.
        """
        if self._dead is not None:
            raise self._dead
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.append((share, future))
        await asyncio.shield(self._commit_in_turn(future))
        return future.result()

    async def _commit_in_turn(self, future: asyncio.Future[Receipt]) -> None:
        async with self._free:
            if not future.done():
                await self._commit_waiting()

    async def _commit_waiting(self) -> None:
        taken, self._waiting = self._waiting, []
        assert taken, "the commit that held this share ended in a bug"
        try:
            receipts = await self._until_written([share for share, _ in taken])
        except StoreError as error:
            self._dead = error
            for _, future in taken + self._waiting:
                if not future.done():
                    future.set_exception(error)
                    future.exception()
            return
        self._on_commit(receipts[0].took_s)
        self.commits += 1
        for (_, future), receipt in zip(taken, receipts, strict=True):
            if not future.done():
                future.set_result(receipt)

    async def _until_written(self, shares: list[Share]) -> list[Receipt]:
        while True:
            self._on_work(True)
            try:
                receipts = await self.call(lambda: self._ledger.commit(shares))
            except StoreWriteError as error:
                self.trouble = str(error)
                await self._clock.sleep(RETRY_DELAY_S)
            else:
                self.trouble = None
                self._on_work(False)
                return receipts

    async def call(self, function: Callable[[], T]) -> T:
        """Run a read of the ledger in the store's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    def intact(self) -> bool:
        """Whether the store's files are still in place; cheap, for the moment just before a send."""
        return self._dead is None and self._ledger.intact()
