"""The unit under a real systemd, in a container that install.sh fills: it starts, works, dies and comes back.

One boot, some 90 s; boot_probe.sh acts inside and notes what it sees. Needs root, systemd-nspawn and a Python
below /usr. Where the container does not boot this is skipped loudly; then there is still
tests/integration/test_systemd_units.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTALL_S, BOOT_S = 900, 300
PROBE = """[Service]
Type=oneshot
ExecStart=/probe
StandardOutput=file:/notes/out
StandardError=file:/notes/err
"""


def _skip(why: str) -> None:
    pytest.skip(f"THE UNIT WAS NOT BOOTED, only verified offline: {why}")


def _fill(root: Path) -> None:
    """An installed worker, a practice instance, the probe, and the host's /usr, which is bound in later."""
    command = [ROOT / "deploy" / "install.sh", "--root", root, "--skip-preflight"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for name in ("proc", "sys", "dev", "run", "tmp", "root", "notes", "etc/tmpfiles.d"):
        (root / name).mkdir(exist_ok=True)
    # What the bind of /usr hides.
    shutil.copy(root / "usr/lib/tmpfiles.d/execution-worker.conf", root / "etc/tmpfiles.d")
    etc, units = root / "etc", root / "etc/systemd/system"
    (etc / "machine-id").write_text("")
    (etc / "os-release").write_text("ID=probe\n")
    (units / "execution-worker.service.d").mkdir()
    (units / "execution-worker.service.d/short.conf").write_text("[Service]\nWatchdogSec=4\n")
    text = (etc / "execution-worker/config.yaml").read_text().replace("mode: dry_run", "mode: testnet")
    text = text.replace("/var/lib/execution-worker", "/var/lib/execution-worker-trial").replace(
        "9109", "9110"
    )
    (etc / "execution-worker/trial-config").mkdir()
    (etc / "execution-worker/trial-config/config.yaml").write_text(
        text + 'broker: {rest_url: "http://127.0.0.1:8080"}\n'
    )
    shutil.copy(Path(__file__).with_name("boot_probe.sh"), root / "probe")
    (root / "probe").chmod(0o755)
    (units / "probe.service").write_text(PROBE)
    (units / "multi-user.target.wants").mkdir()
    (units / "multi-user.target.wants/probe.service").symlink_to("/etc/systemd/system/probe.service")


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the probe noted; the folder of one boot."""
    if os.geteuid() != 0:
        _skip("this is not root")
    if shutil.which("systemd-nspawn") is None:
        _skip("there is no systemd-nspawn: apt install systemd-container")
    if not list(Path("/usr/bin").glob("python3.1[1-9]")):
        _skip("there is no Python 3.11 below /usr")
    root = tmp_path_factory.mktemp("boot") / "root"
    _fill(root)
    options = [
        "--register=no",
        "--keep-unit",
        "--link-journal=no",
        "--private-network",
        "--console=read-only",
    ]
    command = ["systemd-nspawn", "-q", *options, f"--directory={root}", "--bind-ro=/usr", "--boot"]
    done = subprocess.run(
        ["timeout", "-k", "5", str(BOOT_S), *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    # systemd makes it for the probe: from there on, what goes wrong is no lack of this host.
    if not (root / "notes/out").exists():
        _skip(f"the container did not boot: {(done.stdout + done.stderr)[-300:]}")
    yield root / "notes"
    shutil.rmtree(root, ignore_errors=True)


def shown(notes: Path, name: str) -> dict[str, str]:
    """What `systemctl show` said at that moment."""
    return dict(line.split("=", 1) for line in (notes / name).read_text().splitlines())


def test_the_probe_came_to_its_end_and_waited_for_nothing_in_vain(notes: Path) -> None:
    trouble = notes / "trouble"

    assert (notes / "ended").exists()
    assert not trouble.exists(), trouble.read_text()


def test_the_unit_starts_works_and_says_what_it_does(notes: Path) -> None:
    assert (notes / "start-code").read_text() == "0\n"
    assert shown(notes, "running")["ActiveState"] == "active"
    assert (notes / "healthcheck").read_text() == "ready at 127.0.0.1:9109\n"
    assert "rows       40" in (notes / "status").read_text()


def test_the_producer_can_write_its_table_while_the_worker_reads_it(notes: Path) -> None:
    files = (notes / "files").read_text()

    assert "wrote 20 signals" in (notes / "produced-2").read_text()
    assert "signals 660 /var/lib/signals/signals_v2.db\n" in files
    assert "execution-worker execution-worker 750 /var/lib/execution-worker\n" in files


def test_the_process_has_no_rights_to_lose(notes: Path) -> None:
    process = (notes / "process").read_text().split("\n")

    assert "CapEff:\t0000000000000000" in process
    assert "NoNewPrivs:\t1" in process
    assert "Seccomp:\t2" in process


@pytest.mark.parametrize(("moment", "restarts"), [("killed", "1"), ("stood-still", "2")])
def test_a_killed_and_a_stuck_worker_come_back(notes: Path, moment: str, restarts: str) -> None:
    seen = shown(notes, moment)

    assert (seen["ActiveState"], seen["NRestarts"]) == ("active", restarts)


def test_a_wrong_configuration_is_left_alone(notes: Path) -> None:
    seen = shown(notes, "misconfigured")

    assert (seen["ActiveState"], seen["ExecMainStatus"], seen["NRestarts"]) == ("failed", "78", "0")


def test_a_worker_that_is_switched_off_is_no_failed_unit(notes: Path) -> None:
    seen = shown(notes, "disabled")

    assert (notes / "disabled-code").read_text() == "0\n"
    assert (seen["ActiveState"], seen["Result"]) == ("inactive", "success")


def test_an_instance_gets_its_keys_and_only_then_starts(notes: Path) -> None:
    refused, credentials = shown(notes, "without-keys"), (notes / "credentials").read_text()

    assert (refused["ActiveState"], refused["ExecMainStatus"]) == ("failed", "78")
    assert shown(notes, "with-keys")["ActiveState"] == "active"
    assert "execution-worker@trial.service/BINANCE_API_KEY 400" in credentials
    assert "balance    USDT" in (notes / "account").read_text()


def test_an_exchange_that_is_gone_is_tried_again_and_a_stop_is_at_once(notes: Path) -> None:
    seen = shown(notes, "without-exchange")

    assert (seen["ExecMainStatus"], seen["ActiveState"]) == ("69", "activating")
    assert int((notes / "stop-seconds").read_text()) < 10


def test_it_stops_in_order(notes: Path) -> None:
    seen = shown(notes, "stopped")

    assert (seen["ActiveState"], seen["Result"], seen["ExecMainStatus"]) == ("inactive", "success", "0")
