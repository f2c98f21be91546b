"""Tests of the store share their small makers with the integration tests."""

from __future__ import annotations

import sys
from pathlib import Path

# The rig is a package of test code of its own, and the worker's code knows nothing of it.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
