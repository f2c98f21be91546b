"""One file of a symbol's folder, and how far it was read.

There is one for each file that a producer leaves behind, so what it holds is kept small.
"""

from __future__ import annotations

from dataclasses import dataclass

from streams.burst import EMPTY_MARKER, Spot
from streams.files import Candidate
from streams.folder import Identity


@dataclass(slots=True)
class Skip:
    """A line being passed over: a run of NUL bytes, or a line that is too long to be held."""

    start: int
    marker: str
    raw: bytes
    only_nul: bool


@dataclass(slots=True, eq=False)
class TailedFile:
    """One file and how far it was read. `identity` is the last stat, `changed_s` when it moved.

    `read_to` is the (size, mtime) up to which there is nothing left to do. `inherited` holds until
    a position that came from another name was checked against the bytes.
    """

    candidate: Candidate
    folder: str
    entry_inode: int
    identity: Identity
    changed_s: float
    offset: int = 0
    marker: str = EMPTY_MARKER
    inherited: bool = False
    read_to: tuple[int, int] | None = None
    stale: bool = False
    retry_s: float | None = None
    skip: Skip | None = None
    hold_offset: int = -1
    hold_since_s: float = 0.0

    @property
    def name(self) -> str:
        """The file's name in its folder."""
        return self.candidate.name

    @property
    def path(self) -> str:
        """Where it is; made anew each time, because there are as many files as a producer leaves behind."""
        return f"{self.folder}/{self.candidate.name}"

    @property
    def spot(self) -> Spot:
        """Where to read on."""
        return Spot(self.identity.device, self.identity.inode, self.offset, self.marker)

    @property
    def finished(self) -> bool:
        """Whether everything the last stat showed was dealt with."""
        return self.read_to == (self.identity.size, self.identity.mtime_ns)

    def finish(self) -> None:
        """Nothing is left to do up to what the last stat showed."""
        self.read_to = (self.identity.size, self.identity.mtime_ns)

    def start_over(self) -> None:
        """Read from the first byte again."""
        self.offset, self.marker = 0, EMPTY_MARKER
        self.read_to = self.skip = None
        self.inherited = False
        self.hold_offset = -1
