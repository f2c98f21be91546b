"""One worker per account on a host: the second one is told who is there, and comes in when that is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store import account_lock
from store.account_lock import AccountLock, account_holder
from store.errors import AccountHeldError

WAYS = [pytest.param(True, id="socket"), pytest.param(False, id="file")]
HOLDER = """
import sys
from store.account_lock import AccountLock
from store.errors import StoreError
try:
    lock = AccountLock.acquire(sys.argv[1], by_socket=sys.argv[2] == "True")
except StoreError as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fingerprint that no other test uses, and a folder of its own for temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(account_lock.tempfile, "tempdir", None)
    return f"test-{os.getpid()}-{tmp_path.name[-20:]}"


@contextmanager
def another(account: str, *, by_socket: bool) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that wants the account, and what it said."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, account, str(by_socket)],
        cwd=Path(account_lock.__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("by_socket", WAYS)
def test_a_second_worker_is_refused_naming_the_first_and_comes_in_once_that_is_killed(
    account: str, by_socket: bool
) -> None:
    with another(account, by_socket=by_socket) as (holder, said):
        assert said == "held"
        for _ in range(3):
            with pytest.raises(AccountHeldError, match=f"is traded by pid {holder.pid} on") as caught:
                AccountLock.acquire(account, by_socket=by_socket)
        AccountLock.acquire(f"{account}-b", by_socket=by_socket).release()
        holder.send_signal(signal.SIGKILL)
        holder.wait(20)

        AccountLock.acquire(account, by_socket=by_socket).release()

    assert caught.value.exit_code == 75
    assert "stop that worker" in str(caught.value)


@pytest.mark.parametrize("by_socket", WAYS)
def test_we_are_named_to_the_other_process(account: str, by_socket: bool) -> None:
    lock = AccountLock.acquire(account, by_socket=by_socket)

    with another(account, by_socket=by_socket) as (refused, said):
        refused.wait(20)
    lock.release()
    with another(account, by_socket=by_socket) as (_, then):
        pass

    assert f"pid {os.getpid()} " in said
    assert refused.returncode == 75
    assert then == "held"


@pytest.mark.parametrize("by_socket", WAYS)
def test_a_second_time_in_the_same_process_is_refused_too(account: str, by_socket: bool) -> None:
    lock = AccountLock.acquire(account, by_socket=by_socket)

    with pytest.raises(AccountHeldError):
        AccountLock.acquire(account, by_socket=by_socket)

    lock.release()


def test_many_who_were_refused_are_still_told_who_holds_it(account: str) -> None:
    lock = AccountLock.acquire(account, by_socket=True)

    for _ in range(300):
        with pytest.raises(AccountHeldError, match=f"pid {os.getpid()}"):
            AccountLock.acquire(account, by_socket=True)

    lock.release()


@pytest.mark.parametrize("wrong", ["", "a b", "../etc", "x" * 65, "new\nline"])
def test_what_is_no_fingerprint_names_no_lock(wrong: str) -> None:
    with pytest.raises(AssertionError):
        AccountLock.acquire(wrong)


@pytest.mark.parametrize("by_socket", WAYS)
def test_who_holds_an_account_is_told_without_taking_it(account: str, by_socket: bool) -> None:
    before = account_holder(account, by_socket=by_socket)
    with another(account, by_socket=by_socket) as (process, said):
        held = account_holder(account, by_socket=by_socket)
    AccountLock.acquire(account, by_socket=by_socket).release()

    assert said == "held"
    assert before is None
    assert held is not None
    assert f"is traded by pid {process.pid} on this host" in held
    assert account_holder(account, by_socket=by_socket) is None
