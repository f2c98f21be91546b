"""The latest names of many, in bounded memory."""

from __future__ import annotations

from collections import deque

# Small tables of one size: freed and made again, they fit where the last one was, so that memory stays level.
GENERATION = 1_024


class Recent:
    """Remembers at least the last `count` names that were added, and at most a generation more.

    Generations of sets: when the youngest is full, the oldest goes as a whole. A dict from which the oldest
    entry is taken out one by one grows to a multiple of what it holds, and by a jump of a megabyte.
    """

    def __init__(self, count: int, generation: int = GENERATION) -> None:
        self._generation = generation
        self._full: deque[set[str]] = deque(maxlen=-(-count // generation))
        self._young: set[str] = set()

    def add(self, name: str) -> None:
        """Remember `name`; one that is added again stays as long as a new one."""
        if len(self._young) >= self._generation and name not in self._young:
            self._full.append(self._young)
            self._young = set()
        self._young.add(name)

    def __contains__(self, name: str) -> bool:
        return name in self._young or any(name in names for names in self._full)

    def __len__(self) -> int:
        """How many names are remembered; one counts once in each generation that holds it."""
        return len(self._young) + sum(map(len, self._full))
