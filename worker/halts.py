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


class Halts:
    """The halts in force. Only this worker changes the rows; anybody may put the file there."""

    def __init__(self, folder: Path, ledger: Ledger, writer: Writer, log: Log, clock: Clock) -> None:
        self._folder = folder
        self._path = str(folder / HALT_FILE)
        self._writer = writer
        self._log = log
        self._clock = clock
        self._rows = {halt.scope: halt for halt in ledger.halts()}
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
        return None if halt is None or self._is_over(halt) else halt.why

    def in_file(self) -> Halt | None:
        """The halt that the file tells of; a file that cannot be read is one without an end."""
        try:
            return read_halt(self._folder)
        except HaltFileFaultError as error:
            return Halt(scope=ALL, why=str(error), who="file", at_ms=self._clock.wall_ms())

    def silent_until_ms(self, symbol: str) -> int:
        """Signals up to this time belong to a halt that has ended: a resume fires no backlog."""
        resumed = self._resumed_ms
        return max(resumed.get(ALL, 0), resumed.get(symbol, 0))

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
        if in_file is not None and self._is_over(in_file) and ALL not in self._rows:
            found.append(in_file)
        return found

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

    async def resume(self, scope: str, *, who: str, why: str) -> None:
        """End the halts of `scope` ("" ends all). Signals up to now stay skipped."""
        now_ms = self._clock.wall_ms()
        scopes = list(self._rows) if scope == ALL else [scope]
        stamps = {f"{RESUMED_STAMP}{one}": str(now_ms) for one in {*scopes, scope}}
        audit = Audit(action="resume", subject=scope or "all", who=who, why=why)
        # The mark first: with the halt gone and no mark, the backlog would be sent.
        await self._writer.commit(Share(symbol="", resumes=[scope], stamps=stamps, audits=[audit]))
        for one in {*scopes, scope}:
            self._resumed_ms[one] = now_ms
        if scope == ALL:
            remove_halt(self._folder)
        for one in scopes:
            self._rows.pop(one, None)
        self._log.event("resumed", scope=scope or "all", why=why, who=who)
