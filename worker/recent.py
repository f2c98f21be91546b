"""The latest names of many, in bounded memory."""

from __future__ import annotations


class Recent:
    """Remembers at least the last `count` names that were added, and at most twice as many.

    Two generations of sets: when the younger one is full, the older one goes as a whole. A dict from
    which the oldest entry is taken out one by one grows to a multiple of what it holds, and by a jump.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._young: set[str] = set()
        self._old: set[str] = set()

    def add(self, name: str) -> None:
        """Remember `name`; one that is added again stays as long as a new one."""
        if len(self._young) >= self._count and name not in self._young:
            self._young, self._old = set(), self._young
        self._young.add(name)

    def __contains__(self, name: str) -> bool:
        return name in self._young or name in self._old

    def __len__(self) -> int:
        """How many names are remembered; one in both generations counts twice."""
        return len(self._young) + len(self._old)
