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
Waiting = tuple[Share, asyncio.Future[Receipt]]

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
        self._waiting: list[Waiting] = []
        self._busy = False
        self._jobs = 0  # what the store's thread has to do
        self._retry: asyncio.Task[None] | None = None
        self._dead: StoreError | None = None
        self.trouble: str | None = None
        self.commits = 0

    async def commit(self, share: Share, *, at_once: bool = False) -> Receipt:
        """Return once the share is on disk; waits for as long as the disk refuses.

        `at_once` is for a small share that an order waits for: when the store's thread has nothing to do
        it is written on the event loop itself, because waking a thread and being woken by it takes about
        as long as the write. The caller knows that nothing else needs the loop just now.
        Raises the StoreError that stops this worker. Cancelling gives up the wait, not the write.
        """
        if self._dead is not None:
            raise self._dead
        idle = not self._busy and self._jobs == 0
        if at_once and idle and (receipt := self._write_here(share)) is not None:
            return receipt
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.append((share, future))
        if not self._busy:
            self._begin()
        return await future

    def _write_here(self, share: Share) -> Receipt | None:
        """None when the disk refused: then the share waits for it like any other."""
        try:
            receipt = self._ledger.commit([share])[0]
        except StoreWriteError:
            return None
        except StoreError as error:
            self._dead = error
            raise
        self.commits += 1
        # Told when the loop turns next: an order that is due leaves first.
        asyncio.get_running_loop().call_soon(self._on_commit, receipt.took_s)
        return receipt

    def _begin(self) -> None:
        """Write what waits. By callback: a task for each commit would cost every order a turn of the loop."""
        taken, self._waiting = self._waiting, []
        self._busy = True
        self._try(taken)

    def _try(self, taken: list[Waiting]) -> None:
        self._on_work(True)
        shares = [share for share, _ in taken]
        self._job(lambda: self._ledger.commit(shares)).add_done_callback(
            lambda done: self._landed(taken, done)
        )

    def _job(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Run in the store's thread."""
        job = asyncio.get_running_loop().run_in_executor(self._executor, function)
        self._jobs += 1
        job.add_done_callback(self._job_done)
        return job

    def _job_done(self, job: asyncio.Future[T]) -> None:
        self._jobs -= 1

    def _landed(self, taken: list[Waiting], job: asyncio.Future[list[Receipt]]) -> None:
        error = job.exception()
        if isinstance(error, StoreWriteError):
            self.trouble = str(error)
            self._retry = asyncio.get_running_loop().create_task(self._try_later(taken))
            return
        self._busy = False
        if error is not None:
            self._give_up(taken, error)
            return
        receipts = job.result()
        self.trouble = None
        self._on_work(False)
        self._on_commit(receipts[0].took_s)
        self.commits += 1
        for (_, future), receipt in zip(taken, receipts, strict=True):
            if not future.done():
                future.set_result(receipt)
        if self._waiting:
            self._begin()

    async def _try_later(self, taken: list[Waiting]) -> None:
        await self._clock.sleep(RETRY_DELAY_S)
        self._try(taken)

    def _give_up(self, taken: list[Waiting], error: BaseException) -> None:
        """Nothing is written any more: a StoreError stops the worker, anything else is a bug of ours."""
        if isinstance(error, StoreError):
            self._dead = error
        for _, future in taken + self._waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()
        self._waiting = []

    async def call(self, function: Callable[[], T]) -> T:
        """Run a read of the ledger in the store's thread."""
        # Shielded: a cancelled future would look done while the thread is still at it.
        return await asyncio.shield(self._job(function))

    def intact(self) -> bool:
        """Whether the store's files are still in place; cheap, for the moment just before a send."""
        return self._dead is None and self._ledger.intact()
