"""The scripts of deploy/: what they refuse, what they leave alone, and that a switch of versions is one step.

A whole installation, which downloads packages, is made by tests/live/test_unit_boots.py.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType

import pytest

from adapters.binance.market import HostMode, Market, hosts_of

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SCRIPTS = (
    DEPLOY / "install.sh",
    DEPLOY / "preflight.sh",
    DEPLOY / "execution-worker-ctl",
    DEPLOY / "systemd" / "restart-pause",
    ROOT / "tests" / "live" / "boot_probe.sh",
)


def script(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DEPLOY / name, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A root with two versions, of which `new` is in use; their Python is the one of this test."""
    root = tmp_path / "root"
    home = root / "opt" / "execution-worker"
    for name in ("old", "new"):
        (home / name / "bin").mkdir(parents=True)
        python = home / name / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        shutil.copytree(DEPLOY / "systemd", home / name / "share")
        (home / name / "complete").touch()
    (home / "current").symlink_to("new")
    (home / "previous").symlink_to("old")
    done = script("install.sh", "instance", "spot", "--root", root)
    assert done.returncode == 0, done.stderr
    return root


def links(root: Path) -> tuple[str, str]:
    home = root / "opt" / "execution-worker"
    return os.readlink(home / "current"), os.readlink(home / "previous")


@pytest.mark.skipif(
    shutil.which("shellcheck") is None, reason="THE SHELL SCRIPTS ARE NOT CHECKED: there is no shellcheck"
)
def test_the_shell_scripts_are_sound() -> None:
    done = subprocess.run(["shellcheck", *SCRIPTS], capture_output=True, text=True, timeout=120, check=False)

    assert done.stdout == ""
    assert [path.name for path in SCRIPTS if not os.access(path, os.X_OK)] == []


def test_a_dry_run_says_everything_and_does_nothing(tmp_path: Path) -> None:
    done = script("install.sh", "--root", tmp_path / "root", "--dry-run")

    if "outside of /home and /root" in done.stderr:
        pytest.skip("NO DRY RUN OF install.sh: every Python 3.11 of this host lies in a home folder")
    assert done.returncode == 0, done.stderr
    assert f"would: write {tmp_path}/root/etc/systemd/system/execution-worker.service" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--frobnicate"], 2, "there is no --frobnicate"),
        (["--root"], 2, "--root wants a value"),
        (["uninstall", "--dry-run", "--root", ""], 2, "--root wants a value"),
        (["instance", "Not/Good", "--root", "ROOT"], 2, "instance wants a name such as spot"),
        (["list", "--root", "ROOT"], 69, "no version is installed"),
        (["rollback", "--root", "ROOT"], 69, "there is no version before this one"),
        (["--python", "/nowhere/python", "--root", "ROOT"], 78, "is no Python 3.11 or newer"),
    ],
)
def test_each_mistake_is_one_sentence(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    done = script("install.sh", *(one.replace("ROOT", str(tmp_path / "root")) for one in arguments))

    assert done.returncode == code
    assert words in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("install: ")


def test_instances_get_ports_of_their_own_and_keep_their_settings(installed: Path) -> None:
    config = installed / "etc/execution-worker/spot/config.yaml"
    config.write_text(config.read_text() + "# mine\n")
    script("install.sh", "instance", "more", "--root", installed)

    again = script("install.sh", "instance", "spot", "--root", installed)

    assert again.returncode == 0
    assert config.read_text().endswith("# mine\n")
    assert "port: 9110" in config.read_text()
    assert "base_dir: /var/lib/execution-worker-spot\n" in config.read_text()
    assert "port: 9111" in (installed / "etc/execution-worker/more/config.yaml").read_text()
    assert (installed / "etc/credstore").stat().st_mode & 0o777 == 0o700


def test_a_roll_back_switches_both_links_and_a_second_one_goes_forward_again(installed: Path) -> None:
    back = script("install.sh", "rollback", "--root", installed)
    after_one = links(installed)
    script("install.sh", "rollback", "--root", installed)

    assert back.returncode == 0, back.stderr
    assert after_one == ("old", "new")
    assert links(installed) == ("new", "old")
    assert script("install.sh", "list", "--root", installed).stdout == "* new\n- old\n"
    assert sorted(path.name for path in (installed / "opt/execution-worker").iterdir()) == [
        "current",
        "new",
        "old",
        "previous",
    ]


def test_a_version_that_does_not_know_the_store_is_not_switched_to(installed: Path) -> None:
    output = installed / "var" / "output"
    (output / "executions").mkdir(parents=True)
    connection = sqlite3.connect(output / "executions" / "executions.db")
    connection.execute("PRAGMA user_version = 9999")
    connection.close()
    config = installed / "etc/execution-worker/spot/config.yaml"
    config.write_text(config.read_text().replace("/var/lib/execution-worker-spot", str(output)))

    done = script("install.sh", "rollback", "--root", installed)

    assert done.returncode == 78
    assert "has schema 9999" in done.stderr
    assert links(installed) == ("new", "old")


def test_a_version_that_does_not_accept_a_configuration_is_not_switched_to(installed: Path) -> None:
    config = installed / "etc/execution-worker/spot/config.yaml"
    config.write_text(config.read_text().replace("mode: dry_run", "mode: nonsense"))

    done = script("install.sh", "rollback", "--root", installed)

    assert done.returncode == 78
    assert "nonsense" in done.stderr
    assert links(installed) == ("new", "old")


def test_an_uninstalled_worker_leaves_settings_and_stores(installed: Path) -> None:
    store = installed / "var/lib/execution-worker-spot/executions"
    store.mkdir(parents=True)

    done = script("install.sh", "uninstall", "--root", installed)

    assert done.returncode == 0, done.stderr
    assert store.is_dir()
    assert (installed / "etc/execution-worker/spot/config.yaml").is_file()
    assert not (installed / "opt/execution-worker").exists()


# --- the part of the lock ---


@pytest.fixture(scope="module")
def runtime_lock() -> ModuleType:
    spec = importlib.util.spec_from_file_location("runtime_lock", DEPLOY / "runtime_lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_part_of_the_lock_is_what_the_installed_packages_ask_for(runtime_lock: ModuleType) -> None:
    project = [one for one in distribution("execution-worker").requires or [] if "extra ==" not in one]
    roots = {runtime_lock.name_of(one) for one in project}

    part = set(runtime_lock.entries_of(runtime_lock.part_of((ROOT / "requirements.lock").read_text(), roots)))

    needed, waiting = set[str](), set(roots)
    while waiting:
        name = waiting.pop()
        needed.add(name)
        asked = [one for one in distribution(name).requires or [] if "extra ==" not in one]
        lines = [one for one in asked if not re.search(r"; .*(python_version|sys_platform|platform)", one)]
        waiting |= {runtime_lock.name_of(one) for one in lines} - needed
    assert needed <= part
    assert not part & {"pytest", "mypy", "ruff", "playwright", "hypothesis"}


def test_a_package_that_is_not_locked_is_named(runtime_lock: ModuleType) -> None:
    with pytest.raises(KeyError, match="does not hold nothing-known"):
        runtime_lock.part_of("aiofiles==1 \\\n    --hash=sha256:0\n    # via x\n", {"nothing-known"})


# --- the look at the host ---


def test_every_row_of_the_preflight_has_a_verdict_and_what_fails_a_remedy() -> None:
    given = (
        "--mode",
        "testnet",
        "--url",
        "http://127.0.0.1:1",
        "--before-install",
        "--python",
        sys.executable,
    )

    done = script("preflight.sh", *given)

    lines = done.stdout.splitlines()
    rows = [number for number, line in enumerate(lines) if re.match(r"(ok|warn|fail) +\S", line)]
    assert all(re.match(r"(ok|warn|fail) +\S| +→ ", line) for line in lines), done.stdout
    assert [
        lines[number] for number in rows if lines[number][:4] == "fail" and "→" not in lines[number + 1]
    ] == []
    assert any(
        lines[number].startswith("fail  exchange     http://127.0.0.1:1/fapi/v1/time") for number in rows
    )
    assert done.returncode == 1


def test_the_preflight_asks_the_hosts_that_the_worker_trades_on() -> None:
    text = (DEPLOY / "preflight.sh").read_text()

    modes: tuple[HostMode, ...] = ("testnet", "live")
    for market in Market:
        for mode in modes:
            assert f'"{market.value} {mode}") echo {hosts_of(market, mode).rest_url}/' in text
