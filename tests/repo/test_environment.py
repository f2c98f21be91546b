"""Tests run against our packages and no others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

Check = Callable[[Mapping[str, Iterable[str]]], list[str]]


@pytest.fixture
def foreign_owners(root: Path) -> Check:
    spec = spec_from_file_location("root_conftest", root / "tests" / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    check: Check = module.foreign_owners
    return check


def test_a_foreign_distribution_with_a_package_of_our_name_is_named(foreign_owners: Check) -> None:
    offences = foreign_owners({"config": ["some-config"], "worker": ["execution-worker"], "yaml": ["pyyaml"]})

    assert len(offences) == 1
    assert "some-config" in offences[0]
    assert "'config'" in offences[0]


def test_our_own_distribution_is_no_offence(foreign_owners: Check) -> None:
    assert foreign_owners({"config": ["execution-worker"], "store": ["execution-worker"]}) == []


def test_a_run_beside_a_foreign_package_of_our_name_is_refused(root: Path, tmp_path: Path) -> None:
    metadata = tmp_path / "some_config-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: some-config\nVersion: 1.0\n")
    (metadata / "top_level.txt").write_text("store\n")
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", __file__]

    result = subprocess.run(
        command,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert result.returncode == pytest.ExitCode.USAGE_ERROR, result.stdout
    assert "some-config ships a top-level package 'store'" in result.stderr
