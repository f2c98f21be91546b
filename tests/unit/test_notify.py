"""Words to systemd, over a real datagram socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def supervisor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A listening socket as systemd has one, and its NOTIFY_SOCKET value."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@{tmp_path}/notify"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.settimeout(5)
    listener.bind("\0" + address[1:] if address.startswith("@") else address)
    yield listener, address
    listener.close()


def test_each_word_arrives_as_its_own_datagram(supervisor: tuple[socket.socket, str]) -> None:
    listener, address = supervisor
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000000"})

    delivered = [notifier.ready(), notifier.status("2 lanes"), notifier.watchdog(), notifier.stopping()]
    notifier.close()

    assert delivered == [True] * 4
    words = [listener.recv(1_000) for _ in delivered]
    assert words == [b"READY=1", b"STATUS=2 lanes", b"WATCHDOG=1", b"STOPPING=1"]


def test_a_status_is_one_bounded_line_and_is_not_repeated(supervisor: tuple[socket.socket, str]) -> None:
    listener, address = supervisor
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})

    notifier.status("halted\nREADY=1" + " x" * 1_000)
    notifier.status("halted\nREADY=1" + " x" * 1_000)
    notifier.stopping()
    notifier.close()

    first = listener.recv(10_000)
    assert first.startswith(b"STATUS=halted READY=1 x")
    assert len(first) <= 507
    assert listener.recv(10_000) == b"STOPPING=1"


@pytest.mark.parametrize("address", ["", "relative/path", "vsock:2:1234"])
def test_without_a_socket_every_word_is_a_silent_no_op(address: str) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"})

    said = [notifier.ready(), notifier.status("x"), notifier.watchdog(), notifier.stopping()]

    assert said == [False] * 4
    assert (notifier.watchdog_s, notifier.undelivered) == (None, 0)


def test_a_supervisor_that_is_gone_is_counted_and_never_raises(tmp_path: Path) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": str(tmp_path / "gone")})

    assert notifier.ready() is False
    notifier.close()

    assert notifier.undelivered == 1


def test_an_address_that_is_too_long_never_raises() -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": "/" + "x" * 500})

    assert notifier.ready() is False
    notifier.close()


def test_a_supervisor_that_does_not_read_never_blocks_the_worker(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(address)
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})

    said = [notifier.ready() for _ in range(5_000)]
    notifier.close()
    listener.close()

    assert said[0] is True
    assert said[-1] is False


@pytest.mark.parametrize(
    ("usec", "pid", "watched_s"),
    [
        ("30000000", "", 30.0),
        ("30000000", "77", 30.0),
        ("30000000", "78", None),
        ("0", "", None),
        ("", "", None),
        ("soon", "", None),
        ("²", "", None),
    ],
)
def test_the_watchdog_is_ours_only_when_its_pid_is(usec: str, pid: str, watched_s: float | None) -> None:
    environ = {"NOTIFY_SOCKET": "/run/systemd/notify", "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}

    assert Notifier.from_environment(environ, pid=77).watchdog_s == watched_s
