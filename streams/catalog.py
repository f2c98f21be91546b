"""The files of one symbol's folder: what is there, how far each was read, which have to be looked at.

A file keeps its position when it is renamed, and loses it when another file takes its name. Positions
of files that are not there at the moment are remembered by device and inode, so that a rename seen
in two halves, or across a restart, is still a rename.

After a start, files that were finished and cold before it *rest*: they are known by name and inode
and looked at a few hundred a round, so that the first signal does not wait for thousands of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from streams.files import OrderKey
from streams.folder import Entry, FolderSign, identify, list_names, sign_of, sort_names
from streams.known import KnownFiles
from streams.position import SourcePosition
from streams.segment import SOURCE_KIND
from streams.tailed_file import TailedFile

# Every round stats at least this many files, the last ones by order: producers append to them.
HOT_FILES = 16
# At a start so many of the resting files are looked at in a round: a millisecond or two.
ROUSED_FILES_MAX = 256
# A folder's mtime moves in steps of the kernel's tick (<= 10 ms): within this time of a change it is
# listed again, because a second change may have left no trace.
SETTLE_S = 0.05
# A round starts over when the folder changed under it, but not for ever.
ROUND_ATTEMPTS = 4

RESET_REASONS = ("truncated", "replaced", "marker")
IGNORED_REASONS = ("part", "tmp", "gz", "foreign", "unreadable")


class Catalog:
    """The files in order, and the set of those that have work to do.

    Used by one thread at a time, but for `order`, `resets`, `ignored`, `sign` and `due_s`: the event loop
    looks at those meanwhile, so `order` is replaced and never changed in place, and no key is added.
    """

    def __init__(
        self,
        folder: str,
        symbol: str,
        positions: Iterable[SourcePosition],
        *,
        retry_s: float,
        may_rest: bool,
    ) -> None:
        self.folder = folder
        self._symbol = symbol
        self._retry_s = retry_s
        self.sign: FolderSign | None = None
        self.order: list[TailedFile] = []
        # Files with something unread, newly named or unreadable at the moment.
        self.work: set[TailedFile] = set()
        # Files whose last line has no newline yet; they get work when a later file appears.
        self.unended: set[TailedFile] = set()
        # Owed since a rename: the position under the new name.
        self.carried: list[SourcePosition] = []
        # Every reason from the start: the event loop adds them up while a thread counts, and a dict
        # that grows must not be iterated.
        self.resets = Counter(dict.fromkeys(RESET_REASONS, 0))
        self.ignored = Counter(dict.fromkeys(IGNORED_REASONS, 0))
        self.relist = True
        self.due_s: float | None = None
        self._files: dict[str, TailedFile] = {}
        self._ignored_names: set[str] = set()
        self._settled_at_s: float | None = None
        # Candidates by name that are no regular files, or links to nothing.
        self._unusable: set[str] = set()
        self._relist_at_s = 0.0
        self._known = KnownFiles(positions)
        # Only the first listing lays files aside.
        self._may_rest = may_rest
        self._resting: dict[str, int] = {}
        # The last listing, while all of it is dealt with.
        self._listed: dict[str, int] | None = None

    def hint(self, names: Iterable[str]) -> None:
        """These names may have changed; an unknown one means that the folder has."""
        for name in names:
            file = self._files.get(name)
            if file is not None:
                self.work.add(file)
            elif name not in self._ignored_names:
                self._resting.pop(name, None)
                self._list_all_again()

    def suspect_all(self) -> None:
        """Anything may have changed: list the folder and stat every file."""
        self.relist = True
        self.work.update(self.order)

    def begin_round(self, now_s: float) -> list[TailedFile]:
        """The files to read, oldest first, each stat-ed after every later one."""
        self.due_s = None
        self.rouse(now_s, ROUSED_FILES_MAX)
        self._list_when_changed(now_s)
        for _ in range(ROUND_ATTEMPTS):
            if self.order:
                last = self.order[-1]
                self.work.update(file for file in self.unended if file is not last)
            self._stat_newest_first(now_s)
            if not self._list_when_changed(now_s):
                break
        if self._resting:
            self.due_at(now_s)
        ready = [file for file in tuple(self.work) if self._has_work(file, now_s)]
        ready.sort(key=_order_of)
        return ready

    def rouse(self, now_s: float, files_max: int) -> None:
        """Take in up to `files_max` of the files that rest since the start, the newest first."""
        if not self._resting:
            return
        names = list(islice(self._resting.items(), files_max))
        for name, _ in names:
            del self._resting[name]
        entries, ignored = sort_names(names)
        if self._adopt(entries, now_s) or ignored:
            # One of them went away: the listing says which.
            self._list_all_again()
        self._sort()

    def _list_all_again(self) -> None:
        self.relist = True
        self._listed = None

    @property
    def resting(self) -> int:
        """How many finished files were not looked at yet since the start."""
        return len(self._resting)

    def due_at(self, moment_s: float) -> None:
        """Something has to be looked at again at `moment_s`, hint or not."""
        self.due_s = moment_s if self.due_s is None else min(self.due_s, moment_s)

    def done(self, file: TailedFile) -> None:
        """The file was read to the end that its stat showed."""
        file.finish()
        self.work.discard(file)

    def unreadable(self, file: TailedFile, now_s: float) -> None:
        """Leave the file alone for a while; counted once until it can be read again."""
        if file.retry_s is None:
            self.ignored["unreadable"] += 1
        file.retry_s = now_s + self._retry_s
        self.work.add(file)
        self.due_at(file.retry_s)

    def vanished(self, file: TailedFile) -> None:
        """Another file, or none, has this name now."""
        file.stale = True
        self._list_all_again()

    def reset(self, file: TailedFile, reason: str) -> None:
        """Read the file from its first byte; silent when the position was only inherited by inode."""
        if not file.inherited and file.offset > 0:
            self.resets[reason] += 1
        file.start_over()
        self.unended.discard(file)
        self.work.add(file)

    def confirm(self, file: TailedFile, mtime_ns: int) -> None:
        """The bytes agree with an inherited position: it is owed under the new name."""
        file.inherited = False
        self.carried.append(self._position_of(file, file.offset, file.marker, mtime_ns))

    def _position_of(self, file: TailedFile, offset: int, marker: str, mtime_ns: int) -> SourcePosition:
        return SourcePosition(
            symbol=self._symbol,
            source=SOURCE_KIND,
            name=file.name,
            device=file.identity.device,
            inode=file.identity.inode,
            offset=offset,
            marker=marker,
            mtime_ns=mtime_ns,
        )

    def _has_work(self, file: TailedFile, now_s: float) -> bool:
        if file.retry_s is not None:
            if now_s < file.retry_s:
                self.due_at(file.retry_s)
                return False
            return True
        if file.finished and file not in self.unended:
            self.work.discard(file)
            return False
        if file.finished and file is self.order[-1]:
            self.work.discard(file)
            return False
        return True

    def _stat_newest_first(self, now_s: float) -> None:
        wanted = set(self.order[-HOT_FILES:])
        wanted |= self.work
        for file in sorted(wanted, key=_order_of, reverse=True):
            identity = identify(file.path)
            if identity is None or (identity.device, identity.inode) != (
                file.identity.device,
                file.identity.inode,
            ):
                self.vanished(file)
            elif identity != file.identity:
                file.identity = identity
                file.changed_s = now_s
            if not file.finished:
                self.work.add(file)

    def _list_when_changed(self, now_s: float) -> bool:
        """List the folder if it may differ from what is known; True when files came or went."""
        sign = sign_of(self.folder)
        if sign != self.sign or self.relist:
            self._settled_at_s = now_s + SETTLE_S
        elif self._settled_at_s is not None and now_s >= self._settled_at_s:
            # One listing after the folder came to rest sees what the coarse mtime may have hidden.
            self._settled_at_s = None
        elif self._settled_at_s is None and not (self._unusable and now_s >= self._relist_at_s):
            if self._unusable:
                self.due_at(self._relist_at_s)
            return False
        self.sign = sign
        self.relist = False
        changed = self._list(now_s)
        if self._settled_at_s is not None:
            self.due_at(self._settled_at_s)
        if self._unusable:
            self._relist_at_s = now_s + self._retry_s
            self.due_at(self._relist_at_s)
        return changed

    def _list(self, now_s: float) -> bool:
        listed = self._names() if self.sign is not None else {}
        if listed == self._listed and not self._unusable:
            return False
        self._listed = listed
        fresh: list[tuple[str, int]] = []
        gone = dict(self._files)
        resting = self._resting
        for name, inode in listed.items():
            file = gone.get(name)
            if file is not None and file.entry_inode == inode and not file.stale:
                del gone[name]
            elif resting.get(name) != inode:
                fresh.append((name, inode))
        self._resting = {name: inode for name, inode in resting.items() if listed.get(name) == inode}
        fresh = self._lay_aside(fresh)
        entries, ignored = sort_names(fresh)
        for name in ignored.keys() - self._ignored_names:
            self.ignored[ignored[name]] += 1
        self._ignored_names = set(ignored)
        for file in gone.values():
            self._forget(file)
        unusable = self._adopt(entries, now_s)
        self.ignored["unreadable"] += len(unusable - self._unusable)
        self._unusable = unusable
        if not gone and len(unusable) == len(entries):
            return False
        self._sort()
        return True

    def _names(self) -> dict[str, int]:
        """Every name in the folder with its inode; what is known already is the very same name and number."""
        known = self._files
        found: dict[str, int] = {}
        for name, inode in list_names(self.folder):
            file = known.get(name)
            if file is not None and file.entry_inode == inode:
                found[file.name] = file.entry_inode
            else:
                found[name] = inode
        return found

    def _sort(self) -> None:
        self.order = sorted(self._files.values(), key=_order_of)

    def _lay_aside(self, names: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """Let the files rest that were finished and cold when the last worker ended; the others are left.

        To look at thousands of them would cost more than all the rest of a start.
        """
        if not self._may_rest or self.sign is None:
            return names
        self._may_rest = False
        self._resting = self._known.cold(names, self.sign[0], HOT_FILES)
        return [(name, inode) for name, inode in names if name not in self._resting]

    def _forget(self, file: TailedFile) -> None:
        """Drop a name, but remember how far its file was read."""
        del self._files[file.name]
        self.work.discard(file)
        self.unended.discard(file)
        identity = file.identity
        offset, marker = file.offset, file.marker
        if file.skip is not None:
            offset, marker = file.skip.start, file.skip.marker
        at_end = file.finished and offset == identity.size
        self._known.remember(self._position_of(file, offset, marker, identity.mtime_ns if at_end else 0))
        self._known.trim()

    def _adopt(self, entries: Sequence[Entry], now_s: float) -> set[str]:
        """Take names in, newest first, with the position their file is known to have; those it cannot."""
        unusable: set[str] = set()
        adopted: list[TailedFile] = []
        for entry in entries:
            identity = identify(f"{self.folder}/{entry.candidate.name}")
            if identity is None:
                unusable.add(entry.candidate.name)
                continue
            # One number where there would be two equal ones.
            inode = identity.inode if entry.inode == identity.inode else entry.inode
            file = TailedFile(entry.candidate, self.folder, inode, identity, now_s)
            adopted.append(file)
            self._files[file.name] = file
            self._place(file)
        for file in adopted:
            if self._known.was_replaced(file.name):
                self.resets["replaced"] += 1
        return unusable

    def _place(self, file: TailedFile) -> None:
        """Resume a file that is known by its inode; a finished one need not even be opened."""
        identity = file.identity
        known = self._known.claim(file.name, (identity.device, identity.inode))
        if known is not None:
            file.offset, file.marker = known.offset, known.marker
            file.inherited = known.name != file.name
            if known.offset == identity.size and known.mtime_ns == identity.mtime_ns:
                file.finish()
                if file.inherited:
                    self.confirm(file, identity.mtime_ns)
        if not file.finished:
            self.work.add(file)


def _order_of(file: TailedFile) -> OrderKey:
    return file.candidate.order
