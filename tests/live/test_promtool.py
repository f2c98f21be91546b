"""Every alert fires where its tests say, and stays quiet where they say so: promtool plays them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "tests"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", [path.stem for path in sorted(TESTS.glob("*.yml"))])
def test_promtool_finds_each_alert_as_its_tests_say(name: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("NO ALERT WAS PLAYED: there is no promtool (make tools installs it on Debian)")

    done = subprocess.run(
        [promtool, "test", "rules", str(TESTS / f"{name}.yml")], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
