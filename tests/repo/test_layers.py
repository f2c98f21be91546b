"""worker above adapters, store and streams, config below all: never up, never sideways."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("worker", "adapters", "store", "streams", "config")


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the layer check on the packages in `folder`."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def copy_of_the_tree(root: Path, tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_layers_hold(root: Path) -> None:
    result = lint_imports(root)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("config/seams.py", "import worker"),
        ("streams/signal.py", "import store"),
        ("adapters/contract.py", "from streams.signal import Signal"),
    ],
)
def test_an_import_against_the_layers_is_caught(copy_of_the_tree: Path, module: str, line: str) -> None:
    with (copy_of_the_tree / module).open("a") as source:
        source.write(f"\n{line}\n")

    result = lint_imports(copy_of_the_tree)

    assert result.returncode == 1, result.stdout + result.stderr
    assert module.removesuffix(".py").replace("/", ".") in result.stdout
