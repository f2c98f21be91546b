"""The tree as the house rules see it: which files there are, and what they hold."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

PACKAGES = ("worker", "adapters", "store", "streams", "config")
ROOT = Path(__file__).resolve().parents[2]


def _listed(*patterns: str) -> list[Path]:
    """Files that git knows or would add: neither the environment nor what a run left behind."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted({ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()})


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the project."""
    return ROOT


@pytest.fixture(scope="session")
def every_file() -> list[Path]:
    """All files of the project."""
    return _listed()


@pytest.fixture(scope="session")
def all_python() -> dict[str, str]:
    """Text of every Python file, by its path from the root."""
    return {str(path.relative_to(ROOT)): path.read_text() for path in _listed("*.py")}


@pytest.fixture(scope="session")
def package_python(all_python: dict[str, str]) -> dict[str, str]:
    """Text of every Python file that ships."""
    return {name: text for name, text in all_python.items() if name.split("/")[0] in PACKAGES}
