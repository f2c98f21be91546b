"""Looking back at a real worker: the page in a browser, and a terminal that is given back at the end."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import termios
from pathlib import Path

import pytest
from outside import PROGRAM, clean_environment, run, running_worker, write_signals

CHROMIUM = shutil.which("chromium")
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a worker in dry-run made of two symbols' signals."""
    folder = tmp_path_factory.mktemp("looked") / "out"
    for symbol in ("BTCUSDT", "ETHUSDT"):
        write_signals(folder, 40, symbol=symbol)
    assert run("--output", str(folder), "--once", V13_EXECUTION__HTTP__PORT="0").code == 0
    return folder


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: nobody looked at the page")
@pytest.mark.parametrize("width", [360, 1280])
def test_the_report_opens_in_a_browser_without_a_fault(width: int, output: Path, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    target = tmp_path / "report.html"
    assert run("report", "--output", str(output), "--html", str(target)).code == 0
    faults: list[str] = []
    asked: list[str] = []

    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark")
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(target.as_uri())
        text = page.inner_text("body")
        wide = page.evaluate("document.documentElement.scrollWidth")
        charts = page.evaluate(
            "[...document.querySelectorAll('svg')].map(one => one.getBoundingClientRect().height)"
        )
        picture = page.screenshot(full_page=True)
        browser.close()

    assert (faults, asked) == ([], [target.as_uri()])
    assert wide <= width
    assert all(word in text for word in ("Executions", "BTCUSDT", "ETHUSDT", "By day", "What this assumes"))
    assert charts
    assert min(charts) > 100
    assert len(picture) > 10_000


def test_an_export_of_a_running_worker_has_the_lines_of_its_hourly_files(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_signals(folder, 60)
    with running_worker(folder) as worker:
        worker.wait_for("worker_ready")
        assert run("export", "--output", str(folder), "--to", str(tmp_path / "during.jsonl")).code == 0
        write_signals(folder, 60, first=100)
        assert worker.stop() == 0

    assert run("export", "--output", str(folder), "--to", str(tmp_path / "after.jsonl")).code == 0
    during = (tmp_path / "during.jsonl").read_text().splitlines()
    after = (tmp_path / "after.jsonl").read_text().splitlines()
    hourly = [
        line for path in folder.glob("executions/*/exec_*.jsonl") for line in path.read_text().splitlines()
    ]
    assert sorted(after) == sorted(hourly)
    assert {line for line in during if '"exec_ts_ms":null' not in line} <= set(after)


def test_an_end_from_outside_gives_the_terminal_back(output: Path) -> None:
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    before = termios.tcgetattr(inside)
    with subprocess.Popen(
        [PROGRAM, "top", "--output", str(output)],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
        env=clean_environment(TERM="xterm"),
    ) as process:
        try:
            said = b""
            while b"BTCUSDT" not in said:
                assert select.select([terminal], [], [], PATIENCE_S)[0], said
                said += os.read(terminal, 65_536)
            process.terminate()
            while b"\x1b[?1049l" not in said:
                assert select.select([terminal], [], [], PATIENCE_S)[0], said
                said += os.read(terminal, 65_536)
            code, after = process.wait(PATIENCE_S), termios.tcgetattr(inside)
        finally:
            process.kill()
            os.close(inside)
            os.close(terminal)

    assert (code, after) == (0, before)
    assert b"Traceback" not in said
