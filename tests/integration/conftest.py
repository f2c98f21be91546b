"""The rig (virtual time, makers of rows, a scripted venue) is importable as `rig`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# What a broken promise shows is what stood on both sides.
pytest.register_assert_rewrite("rig.stand", "rig.promises")
sys.path.insert(0, str(Path(__file__).resolve().parent))
