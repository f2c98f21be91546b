"""The image and what stands beside it, as far as can be told without an engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from worker.cli import app

IMAGE = re.compile(r"[a-z/\-]+:v?\d+\.\d+\.\d+[\w.\-]*")


def instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction of a Dockerfile with its words; continued lines are one."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in joined.splitlines() if line.strip()]


@pytest.fixture(scope="session")
def dockerfile(root: Path) -> list[tuple[str, str]]:
    return instructions((root / "deploy/Dockerfile").read_text())


@pytest.fixture(scope="session")
def services(root: Path) -> dict[str, dict[str, Any]]:
    compose = yaml.safe_load((root / "deploy/compose.yaml").read_text())
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


def test_everything_that_is_copied_is_there_and_reaches_the_engine(
    dockerfile: list[tuple[str, str]], root: Path
) -> None:
    sources = [
        source
        for name, words in dockerfile
        if name == "COPY" and "--from" not in words
        for source in words.split()[:-1]
    ]
    let_through = {
        line[1:]
        for line in (root / "deploy/Dockerfile.dockerignore").read_text().splitlines()
        if line[:1] == "!"
    }

    assert [source for source in sources if not (root / source).exists()] == []
    assert set(sources) == let_through
    packages = re.findall(
        r'"(\w+)"', re.findall(r"packages = \[(.*)\]", (root / "pyproject.toml").read_text())[0]
    )
    assert set(packages) <= set(sources)


def test_the_image_is_pinned_runs_as_nobody_in_particular_and_asks_for_its_health(
    dockerfile: list[tuple[str, str]],
) -> None:
    by_name = dict(dockerfile)

    assert re.fullmatch(r"PYTHON=3\.11\.\d+-slim-bookworm", by_name["ARG"])
    assert by_name["USER"] == "10001:10001"
    assert by_name["STOPSIGNAL"] == "SIGTERM"
    assert [name for name, _ in dockerfile][-1] == "ENTRYPOINT"
    command = json.loads(by_name["HEALTHCHECK"].partition("CMD ")[2])
    assert command[0] == "execution-worker"
    assert command[-1] in {
        one.name or one.callback.__name__ for one in app.registered_commands if one.callback
    }
    copied = [words.split()[-1] for name, words in dockerfile if name == "COPY"]
    assert command[2] in copied


def test_every_image_has_its_version(services: dict[str, dict[str, Any]]) -> None:
    foreign = {name: one["image"] for name, one in services.items() if "build" not in one}

    assert set(foreign) == {"prometheus", "alertmanager", "grafana"}
    assert [image for image in foreign.values() if not IMAGE.fullmatch(image)] == []


def test_every_mounted_file_of_ours_exists(services: dict[str, dict[str, Any]], root: Path) -> None:
    mounts = [volume for one in services.values() for volume in one["volumes"]]
    ours = [re.sub(r"^\$\{\w+:-(\./[^}]*)\}", r"\1", mount).split(":")[0] for mount in mounts]

    assert len([path for path in ours if path.startswith("./")]) >= 6
    assert [path for path in ours if path.startswith("./") and not (root / "deploy" / path).exists()] == []


def test_nothing_listens_beyond_loopback(services: dict[str, dict[str, Any]], root: Path) -> None:
    assert all(one["network_mode"] == "host" and "ports" not in one for one in services.values())
    for name in ("prometheus", "alertmanager"):
        assert any(word.startswith("--web.listen-address=127.0.0.1:") for word in services[name]["command"])
    assert services["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    config = yaml.safe_load((root / "deploy/systemd/config.yaml").read_text())
    assert config["execution"]["http"].get("host", "127.0.0.1") == "127.0.0.1"


def test_the_worker_has_no_rights_and_bounded_means(services: dict[str, dict[str, Any]]) -> None:
    worker = services["worker"]

    assert worker["cap_drop"] == ["ALL"]
    assert worker["security_opt"] == ["no-new-privileges:true"]
    assert worker["read_only"] is True
    # A core dump would hold the keys.
    assert worker["ulimits"]["core"] == 0
    assert worker["restart"] == "on-failure"


def test_dashboard_and_rules_stand_where_the_programs_look(
    services: dict[str, dict[str, Any]], root: Path
) -> None:
    provisioning = yaml.safe_load(
        (root / "deploy/grafana/provisioning/dashboards/execution-worker.yml").read_text()
    )
    folder = provisioning["providers"][0]["options"]["path"]

    assert any(volume.split(":")[1] == folder for volume in services["grafana"]["volumes"])
    assert any("/etc/prometheus/rules.yml" in volume for volume in services["prometheus"]["volumes"])


@pytest.mark.skipif(
    shutil.which("docker") is None
    or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0,
    reason="THE COMPOSE FILES ARE ONLY PARSED: there is no docker compose",
)
@pytest.mark.parametrize("more", [[], ["-f", "deploy/compose.keys.yaml"]])
def test_compose_understands_the_files(root: Path, more: list[str]) -> None:
    command = ["docker", "compose", "-f", "deploy/compose.yaml", *more, "config", "--quiet"]

    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
