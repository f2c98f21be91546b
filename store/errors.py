"""What can be wrong with a store, each with the exit code that the contract gives it."""

from __future__ import annotations


class StoreError(Exception):
    """A fault of the store that a person has to know about; `exit_code` is the process's."""

    exit_code = 73


class StoreHeldError(StoreError):
    """Another worker holds this store."""

    exit_code = 75


class AccountHeldError(StoreError):
    """Another worker of this host trades this account."""

    exit_code = 75


class FencedError(StoreError):
    """A newer worker has taken this store; this one must stop at once."""

    exit_code = 75


class StoreRefusedError(StoreError):
    """The store belongs to another mode, account, source or version."""

    exit_code = 78


class StoreDamagedError(StoreError):
    """The database is corrupt, or not a store of ours."""

    exit_code = 65


class StoreReplacedError(StoreError):
    """The database or its folder was removed or replaced under the running worker."""


class StoreWriteError(StoreError):
    """A commit did not happen (disk full, read-only); it may be tried again."""
