"""What every test shares: the guard against foreign packages, real input, reproducible properties."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
OUR_PACKAGES = ("worker", "adapters", "store", "streams", "config")
OUR_DISTRIBUTION = "execution-worker"

# The drill is a package of scripts of its own, and the worker's code knows nothing of it.
sys.path.insert(0, str(ROOT / "tests" / "faults"))

# A shell's background jobs ignore SIGINT, and what they start inherits that: tests interrupt what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Derandomized: the same examples in every run, so that a failure is a change and never the weather.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("ci")


def foreign_owners(distributions: Mapping[str, Iterable[str]]) -> list[str]:
    """One sentence for each distribution other than ours that ships one of our top-level packages."""
    return [
        f"the installed distribution {owner} ships a top-level package {package!r}, which hides ours: "
        "remove it from this environment, or make clean and make test"
        for package in OUR_PACKAGES
        for owner in sorted(set(distributions.get(package, ())) - {OUR_DISTRIBUTION})
    ]


def pytest_configure() -> None:
    """Refuse to run against somebody else's `worker` or `config`."""
    offences = foreign_owners(packages_distributions())
    if offences:
        raise pytest.UsageError("\n".join(offences))


@pytest.fixture(scope="session")
def signals_dir() -> Path:
    """600 real signals in four shapes; a test that needs them is skipped, loudly, where they are missing."""
    folder = ROOT.parent / "shared" / "signals"
    if not folder.is_dir():
        pytest.skip(f"real input is missing: {folder} does not exist, nothing was proven on it")
    return folder
