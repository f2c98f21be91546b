"""The harness in a process of its own: what it kills must not be collected in that of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
COMMAND_S_MAX = 280


def crash_command(module: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a module of the harness to its end. Sets of strings have one order, or seeds would not repeat."""
    paths = os.pathsep.join(str(ROOT / "tests" / name) for name in ("faults", "integration"))
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
        check=False,
    )
