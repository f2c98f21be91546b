"""The rig (virtual time, makers of rows, a scripted venue) is importable as `rig`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
