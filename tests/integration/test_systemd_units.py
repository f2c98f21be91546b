"""The units where no systemd runs: what they say is checked offline, and a stand-in starts what they start.

tests/live/test_unit_boots.py starts them for real where a container can be booted.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from outside import PROGRAM, clean_environment, until, write_signals

from adapters.binance.credentials import read_credentials
from config.settings import Broker, Shadow
from worker.exits import Exit

SYSTEMD = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
UNITS = ("execution-worker.service", "execution-worker@.service")
EXPOSURE_MAX = 1.3
needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="THE UNITS ARE NOT VERIFIED: there is no systemd-analyze (apt install systemd)",
)


def settings(unit: str) -> list[tuple[str, str]]:
    """Each KEY=VALUE of a unit, in order."""
    lines = (SYSTEMD / unit).read_text().splitlines()
    return [(line.split("=", 1)[0], line.split("=", 1)[1]) for line in lines if re.match(r"[A-Z]\w*=", line)]


def setting(unit: str, key: str) -> str:
    return next(value for name, value in settings(unit) if name == key)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@needs_analyze
@pytest.mark.parametrize("unit", UNITS)
def test_the_exposure_is_at_most_what_is_promised(unit: str) -> None:
    done = analyze("security", "--offline=true", SYSTEMD / unit)

    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= EXPOSURE_MAX, done.stdout


@needs_analyze
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_understands_every_line(unit: str, tmp_path: Path) -> None:
    copy = tmp_path / unit
    # The program is not installed here, and that is all that may be missing.
    copy.write_text(re.sub(r"(?<=[=+])/(opt|usr/bin)/\S+", "/bin/true", (SYSTEMD / unit).read_text()))

    done = analyze("verify", "--man=no", copy)

    ours = [line for line in done.stderr.splitlines() if unit.partition(".")[0] in line]
    assert ours == []


def test_both_units_are_the_same_but_for_the_names() -> None:
    single, template = (settings(unit) for unit in UNITS)

    def unnamed(value: str) -> str:
        return value.replace("/%i", "").replace("-%i", "").replace(" %i", "")

    assert single == [(key, unnamed(value)) for key, value in template]


def test_no_unit_gives_up_and_none_uses_a_word_that_older_systemd_does_not_know() -> None:
    keys = {key for key, _ in settings(UNITS[0])}

    assert setting(UNITS[0], "StartLimitIntervalSec") == "0"
    assert setting(UNITS[0], "Restart") == "on-failure"
    assert not keys & {"RestartSteps", "RestartMaxDelaySec", "RestartMode"}


def test_only_what_a_person_must_mend_is_not_tried_again() -> None:
    left_alone = {int(word) for word in setting(UNITS[0], "RestartPreventExitStatus").split()}

    assert left_alone == {Exit.OK, Exit.USAGE, Exit.DATA, Exit.PERMISSION, Exit.CONFIGURATION}


def test_the_worker_can_still_reach_what_it_needs() -> None:
    assert setting(UNITS[0], "RestrictAddressFamilies") == "AF_UNIX AF_INET AF_INET6"
    assert not {"PrivateNetwork", "IPAddressDeny"} & {key for key, _ in settings(UNITS[0])}


# --- the pause between restarts ---


def pause(folder: Path, when: str, result: str = "exit-code") -> subprocess.CompletedProcess[str]:
    """The unit's own script, with a `sleep` that only says how long."""
    sleep = folder / "bin" / "sleep"
    sleep.parent.mkdir(exist_ok=True)
    sleep.write_text('#!/bin/sh\necho "slept $1"\n')
    sleep.chmod(0o755)
    given = {"RUNTIME_DIRECTORY": str(folder), "SERVICE_RESULT": result}
    path = f"{sleep.parent}:{os.environ['PATH']}"
    return subprocess.run(
        [str(SYSTEMD / "restart-pause"), when],
        capture_output=True,
        text=True,
        env={**given, "PATH": path},
        check=True,
        timeout=20,
    )


def slept(said: str) -> int:
    found = re.search(r"slept (\d+)", said)
    return int(found[1]) if found else 0


def test_the_pause_doubles_with_each_failure_up_to_five_minutes_and_ends_with_a_stop(tmp_path: Path) -> None:
    pauses = []
    for _ in range(11):
        pause(tmp_path, "after")
        pauses.append(slept(pause(tmp_path, "before").stdout))
    pause(tmp_path, "after", "success")

    assert pauses == [0, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert slept(pause(tmp_path, "before").stdout) == 0


def test_ten_minutes_at_work_make_the_next_failure_the_first(tmp_path: Path) -> None:
    for _ in range(5):
        pause(tmp_path, "after")
        pause(tmp_path, "before")
    os.utime(tmp_path / "begun", (0, 0))
    pause(tmp_path, "after")

    assert slept(pause(tmp_path, "before").stdout) == 0


# --- a stand-in for the service manager ---


@dataclass
class Managed:
    """A worker as systemd would start it, and what it told."""

    process: subprocess.Popen[bytes]
    listener: socket.socket
    words: list[str]

    def hear(self, beginning: str) -> str:
        """The next word that begins so; all that come before are kept as well."""
        while True:
            self.words.append(self.listener.recv(4_096).decode())
            if self.words[-1].startswith(beginning):
                return self.words[-1]


@contextmanager
def managed(folder: Path, config: str, *, watchdog_s: float = 2, **variables: str) -> Iterator[Managed]:
    """The ExecStart line of the unit with its environment and umask; only the paths are others."""
    file = folder / "config.yaml"
    file.write_text(config)
    words = shlex.split(setting(UNITS[0], "ExecStart"))
    assert words[0].endswith("/bin/execution-worker")
    command = [PROGRAM, *(str(file) if word.endswith("/config.yaml") else word for word in words[1:])]
    umask = int(setting(UNITS[0], "UMask"), 8)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(folder / "notify"))
        listener.settimeout(60)
        environment = clean_environment(
            NOTIFY_SOCKET=str(folder / "notify"),
            WATCHDOG_USEC=str(int(watchdog_s * 1_000_000)),
            **dict([setting(UNITS[0], "Environment").split("=", 1)]),
            **variables,
        )
        # A shell in between, as the only one that knows its own pid before the worker has it.
        shell = ["sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh", *command]
        with subprocess.Popen(shell, env=environment, umask=umask, stderr=subprocess.PIPE) as process:
            try:
                yield Managed(process, listener, [])
            finally:
                if process.poll() is None:
                    process.kill()


def configuration(folder: Path, **changes: str) -> str:
    lines = {
        "mode": "dry_run",
        "symbols": "[BTCUSDT]",
        "sink": f"{{base_dir: {folder}}}",
        "http": "{port: 0}",
    }
    return "execution:\n" + "".join(f"  {key}: {value}\n" for key, value in {**lines, **changes}.items())


def test_the_worker_says_ready_feeds_the_watchdog_and_stops_in_order(tmp_path: Path) -> None:
    write_signals(tmp_path / "out", 3)

    with managed(tmp_path, configuration(tmp_path / "out")) as worker:
        worker.hear("READY=1")
        worker.hear("WATCHDOG=1")
        worker.hear("WATCHDOG=1")
        lines = tmp_path / "out" / "executions" / "BTCUSDT"
        until(lambda: any(lines.glob("*.jsonl")), "a line")
        worker.process.terminate()
        worker.hear("STOPPING=1")
        code = worker.process.wait(20)

    assert code == Exit.OK
    assert (lines.stat().st_mode & 0o777, next(lines.iterdir()).stat().st_mode & 0o007) == (0o770, 0)


def test_a_worker_that_stands_still_feeds_nobody_and_tells_where_it_stood_when_it_is_ended(
    tmp_path: Path,
) -> None:
    with managed(tmp_path, configuration(tmp_path / "out")) as worker:
        worker.hear("WATCHDOG=1")
        # What systemd sends when the watchdog was not fed.
        worker.process.send_signal(signal.SIGABRT)
        _, said = worker.process.communicate(timeout=20)

    assert worker.process.returncode == -signal.SIGABRT
    assert b"Fatal Python error: Aborted" in said
    # Of the thread that ran the loop, and of no other: those may run while they are looked at.
    assert said.count(b"most recent call first") == 1
    assert b"in run_forever" in said


def test_a_worker_that_is_switched_off_is_ready_before_it_ends(tmp_path: Path) -> None:
    with managed(tmp_path, configuration(tmp_path / "out", enabled="false")) as worker:
        worker.hear("READY=1")
        code = worker.process.wait(20)

    assert code == Exit.OK


def test_what_only_a_person_can_mend_ends_with_a_code_that_is_left_alone(tmp_path: Path) -> None:
    with managed(tmp_path, configuration(tmp_path / "out", mode="testnet")) as worker:
        ended = worker.process.wait(30)

    assert ended == Exit.CONFIGURATION
    assert str(ended) in setting(UNITS[0], "RestartPreventExitStatus").split()


def test_the_names_of_the_credentials_are_those_that_the_worker_looks_for(tmp_path: Path) -> None:
    names = [value.partition(":")[0] for key, value in settings(UNITS[0]) if key == "LoadCredential"]
    folder = tmp_path / "credentials"
    folder.mkdir(mode=0o700)
    for name in names:
        (folder / name).write_text("one-word" if name.endswith("KEY") else "another-word")
        (folder / name).chmod(0o400)

    given, shadow = {"CREDENTIALS_DIRECTORY": str(folder)}, Shadow()
    brokers = (Broker(), Broker(api_key_env=shadow.api_key_env, secret_env=shadow.secret_env))

    found = [read_credentials(broker, given).origin for broker in brokers]

    assert found == [f"$CREDENTIALS_DIRECTORY/{name}" for name in ("BINANCE_API_KEY", "SHADOW_API_KEY")]
    assert "HTTP_TOKEN" in names
