"""Halts: no new orders, until a person or a set time ends it. A row and a file; either one holds.

The file works when the store cannot be read, and for a process that may not write the store. Whatever
goes wrong while a halt is looked for is a halt.
"""

from __future__ import annotations

import os
from pathlib import Path

from config.seams import Clock
from store.halt_file import HALT_FILE, HaltFileFaultError, read_halt, remove_halt
from store.halts import is_over, stronger
from store.ledger import Ledger
from store.records import Audit, Halt, Share
from store.writer import Writer
from worker.logs import Log

RESUMED_STAMP = "resumed_ms:"
ALL = ""
# Later than every signal.
NEVER_MS = 2**62

_FileMark = tuple[int, int, int]


class Halts:
    """The halts in force. Only this worker changes the rows; anybody may put the file there."""

    def __init__(self, folder: Path, ledger: Ledger, writer: Writer, log: Log, clock: Clock) -> None:
        self._folder = folder
        self._path = str(folder / HALT_FILE)
        self._writer = writer
        self._log = log
        self._clock = clock
        self._rows = {halt.scope: halt for halt in ledger.halts()}
        # What a resume that is being written takes away, by scope.
        self._ending: dict[str, Halt] = {}
        # The end of a halt by file that is over, and the file that could not be removed.
        self._file_until_ms = 0
        self._stuck: _FileMark | None = None
        stamps = ledger.stamps()
        self._resumed_ms = {
            key.removeprefix(RESUMED_STAMP): int(value)
            for key, value in stamps.items()
            if key.startswith(RESUMED_STAMP)
        }

    def why(self, symbol: str) -> str | None:
        """Why no order of `symbol` may leave now; None when it may. Cheap: asked before each send."""
        try:
            for scope in (ALL, symbol):
                row = self._rows.get(scope)
                if row is not None and not self._is_over(row):
                    return row.why
            return self._file()
        except Exception as error:  # noqa: BLE001  # whatever it is: a check that cannot be made is a halt
            return f"the check of the halt failed ({type(error).__name__}): see the store's folder"

    def _is_over(self, halt: Halt) -> bool:
        return is_over(halt, self._clock.wall_ms())

    def _file(self) -> str | None:
        try:
            os.lstat(self._path)
        except FileNotFoundError:
            return None
        halt = self.in_file()
        if halt is None:
            return None
        if self._is_over(halt):
            self._file_until_ms = max(self._file_until_ms, halt.until_ms or 0)
            return None
        return halt.why

    def in_file(self) -> Halt | None:
        """The halt that the file tells of; a file that cannot be read is one without an end."""
        try:
            return read_halt(self._folder)
        except HaltFileFaultError as error:
            return Halt(scope=ALL, why=str(error), who="file", at_ms=self._clock.wall_ms())

    def silent_until_ms(self, symbol: str) -> int:
        """Signals up to this time belong to a halt that has ended: a resume fires no backlog.

        A halt that ended by itself counts from its end on, whoever notices it when. Asked after `why`.
        """
        try:
            resumed = self._resumed_ms
            ends_ms = [self._file_until_ms, resumed.get(ALL, 0), resumed.get(symbol, 0)]
            for scope in (ALL, symbol):
                row = self._rows.get(scope)
                if row is not None and row.until_ms is not None and self._is_over(row):
                    ends_ms.append(row.until_ms)
            return max(ends_ms)
        except Exception:  # noqa: BLE001  # whatever it is: a check that cannot be made is a halt
            return NEVER_MS

    def in_force(self) -> list[Halt]:
        """All halts, rows and file, for people."""
        found = [halt for halt in self._rows.values() if not self._is_over(halt)]
        in_file = self.in_file()
        if in_file is not None and not self._is_over(in_file) and ALL not in self._rows:
            found.append(in_file)
        return found

    def over(self) -> list[Halt]:
        """Halts whose time has come."""
        found = [halt for halt in self._rows.values() if self._is_over(halt)]
        in_file = self.in_file()
        if in_file is None or ALL in self._rows or not self._is_over(in_file):
            return found
        # One that cannot be removed was told of; it is over all the same.
        return found if self._file_mark() == self._stuck else [*found, in_file]

    def holds(self, scope: str) -> bool:
        """Whether a row of exactly this scope is there."""
        return scope in self._rows

    async def adopt_file(self) -> None:
        """Make the file's halt a row, so that it outlives the file."""
        halt = self.in_file()
        if halt is not None and not self._is_over(halt):
            await self.halt(halt)

    async def halt(self, halt: Halt) -> None:
        """In force at once, and on disk when this returns."""
        before = self._rows.get(halt.scope)
        if before is self._ending.get(halt.scope):
            # On its way out: this one has to stand by itself.
            before = None
        if before is not None and not self._is_over(before):
            halt = stronger(before, halt)
            if halt == before:
                return
        self._rows[halt.scope] = halt
        self._log.error(
            "halted", scope=halt.scope or "all", why=halt.why, who=halt.who, until_ms=halt.until_ms
        )
        audit = Audit(action="halt", subject=halt.scope or "all", who=halt.who, why=halt.why)
        await self._writer.commit(Share(symbol="", halts=[halt], audits=[audit]))

    async def end(self, halt: Halt) -> None:
        """A halt whose time is over: it alone goes. Signals up to its end stay skipped."""
        others = [row for row in self._rows.values() if row.scope != halt.scope]
        in_file = self.in_file()
        await self._lift(
            [halt.scope],
            # Without a scope of its own all rows go: the others come back in the same transaction.
            Share(symbol="", resumes=[halt.scope], halts=others if halt.scope == ALL else []),
            at_ms=halt.until_ms or self._clock.wall_ms(),
            audit=Audit("resume", halt.scope or "all", "worker", "its time was over"),
            mark=self._file_mark() if in_file is not None and self._is_over(in_file) else None,
        )

    async def resume(self, scope: str, *, who: str, why: str) -> None:
        """End the halts of `scope` ("" ends all). Signals up to now stay skipped."""
        await self._lift(
            [ALL, *self._rows] if scope == ALL else [scope],
            Share(symbol="", resumes=[scope]),
            at_ms=self._clock.wall_ms(),
            audit=Audit("resume", scope or "all", who, why),
            mark=self._file_mark(),
        )

    async def _lift(
        self, scopes: list[str], share: Share, *, at_ms: int, audit: Audit, mark: _FileMark | None
    ) -> None:
        """Take away the halts that are there now; one that comes meanwhile holds."""
        ending = {one: self._rows[one] for one in scopes if one in self._rows}
        share.stamps = {f"{RESUMED_STAMP}{one}": str(at_ms) for one in scopes}
        share.audits = [audit]
        self._ending |= ending
        try:
            # The mark first: with the halt gone and no mark, the backlog would be sent.
            await self._writer.commit(share)
        finally:
            for one in ending:
                self._ending.pop(one, None)
        for one in scopes:
            self._resumed_ms[one] = max(at_ms, self._resumed_ms.get(one, 0))
            if one in ending and self._rows.get(one) is ending[one]:
                del self._rows[one]
        if ALL in scopes:
            self._remove_file(mark)
        self._log.event("resumed", scope=audit.subject, why=audit.why, who=audit.who)

    def _remove_file(self, mark: _FileMark | None) -> None:
        """Take the file away that was there when the resume began, and no newer one."""
        if mark is None or self._file_mark() != mark:
            return
        try:
            remove_halt(self._folder)
        except OSError as error:
            self._stuck = mark
            self._log.error("halt_file_stays", file=self._path, why=str(error))

    def _file_mark(self) -> _FileMark | None:
        """What tells one file from another one put there later."""
        try:
            status = os.lstat(self._path)
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size
