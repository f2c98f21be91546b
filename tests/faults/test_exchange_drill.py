"""The planted mistakes of the exchange drill: each still finds the part of the worker that it replaces."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from drill_exchange.planted_run import PLANTS
from drill_exchange.processes import CODE, PLANTED, TESTS


@pytest.mark.parametrize("mistake", PLANTS)
def test_each_planted_mistake_still_finds_the_part_that_it_replaces(mistake: str) -> None:
    """The drill on planted mistakes takes minutes; that a part has moved is seen here at once."""
    path = os.pathsep.join((str(CODE), str(TESTS)))

    done = subprocess.run(
        [sys.executable, str(PLANTED), mistake, "--help"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr[-2_000:]
