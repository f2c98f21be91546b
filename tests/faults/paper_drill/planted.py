"""A worker with one planted mistake: `python planted.py MISTAKE ARGUMENTS…` is that worker's command line.

Each mistake is one that a simulated venue with a journal can make. One part is replaced before the worker
begins; everything else is the real thing. The drill has to catch it, or its verdict means nothing.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from adapters.contract import Order, ProvenAbsent
from adapters.paper.adapter import PaperAdapter
from adapters.paper.facts import Fact
from adapters.paper.journal_file import JournalFile
from worker import cli

WRITTEN_LATE_S = 0.3


def answer_before_writing() -> None:
    """The answer is out while the fact is still on its way to the disk."""
    append, is_clean, turn = JournalFile.append, JournalFile.is_clean, threading.Lock()

    def write(self: JournalFile, facts: Sequence[Fact]) -> None:
        with turn:
            append(self, facts)

    def late(self: JournalFile, facts: Sequence[Fact]) -> None:
        timer = threading.Timer(WRITTEN_LATE_S, write, (self, tuple(facts)))
        timer.daemon = True
        timer.start()

    def looked_at_between_writes(self: JournalFile) -> bool:
        with turn:
            return is_clean(self)

    _replace(JournalFile, "append", late)
    _replace(JournalFile, "is_clean", looked_at_between_writes)


def call_everything_absent() -> None:
    """Nobody looks into the journal before an order is said not to be there."""

    async def absent(self: PaperAdapter, client_order_id: str, order: Order) -> ProvenAbsent:
        return ProvenAbsent()

    _replace(PaperAdapter, "lookup", absent)


def _replace(owner: Any, name: str, value: Any) -> None:
    """Put `value` where the worker will find it; a name that is gone must not make a harmless plant."""
    assert hasattr(owner, name), f"{owner} has no {name} any more"
    setattr(owner, name, value)


MISTAKES: dict[str, Callable[[], None]] = {
    "answer-before-write": answer_before_writing,
    "absent-without-looking": call_everything_absent,
}


if __name__ == "__main__":
    mistake = sys.argv.pop(1)
    MISTAKES[mistake]()
    cli.main()
