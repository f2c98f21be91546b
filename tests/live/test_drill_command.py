"""The command `drill` as a person uses it: real workers, real kills, and an environment that means harm."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAM = [sys.executable, "-m", "worker"]
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 600.0
WITNESSES = {
    "restart": 3,
    "feed": 2,
    "exchange": 1,
    "disk": 1,
    "clock": 2,
}


def environment(**more: str) -> dict[str, str]:
    """The caller's own, with the program in reach and without any setting of it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("V13_", "BINANCE_"))}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def drill(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [*PROGRAM, "drill", *arguments], capture_output=True, text=True, timeout=PATIENCE_S, cwd=cwd,
        env=environment(**more), check=False,
    )  # fmt: skip


def until(holds: Callable[[], bool], what: str, patience_s: float = 90.0) -> None:
    """Wait for something that only another process can bring about."""
    end_s = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end_s, f"waited {patience_s:.0f} s in vain for: {what}"
        time.sleep(0.05)


def processes_of(folder: Path) -> list[str]:
    """The command lines of all processes that name this folder, or work in it."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            words = (one / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            inside = str(folder) in os.readlink(one / "cwd")
        except OSError:
            continue
        if one.name != str(os.getpid()) and words and (str(folder) in words or inside):
            found.append(words)
    return found


@contextmanager
def silent_witness() -> Iterator[tuple[int, list[bytes]]]:
    """A port on loopback that a misled worker would speak to, and what it heard."""
    heard: list[bytes] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)

        def listen() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(1)
                    heard.append(connection.recv(4_096))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield listener.getsockname()[1], heard
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.mark.parametrize("kind", WITNESSES)
def test_each_kind_passes_and_keeps_its_evidence(kind: str, tmp_path: Path) -> None:
    done = drill(kind, "--kills", "6", "--seed", "11", "--into", str(tmp_path / "drills"), cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    folder = next((tmp_path / "drills").iterdir())
    result = json.loads((folder / "result.json").read_text())
    assert result["passed"] is True
    assert [result["kind"], result["seed"]] == [kind, 11]
    assert len(result["rows"]) == WITNESSES[kind]
    for row in result["rows"]:
        assert row["signals"] == row["rows"] == row["lines"] > 0
        assert (row["duplicates"], row["lost"]) == (0, 0)
        assert row["recovery_p50_s"] <= row["recovery_p99_s"]
        kept = folder / row["folder"]
        assert (kept / "feed-list.jsonl").exists()
        assert list(kept.glob("output*/executions/executions.db"))
        assert list(kept.glob("worker-*.log"))
    assert str(folder) in done.stdout.splitlines()[-1]
    assert {"report.html", "table.txt"} <= {path.name for path in folder.iterdir()}
    assert processes_of(tmp_path) == []


def test_a_hostile_environment_reaches_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with silent_witness() as (port, heard):
        hostile = {
            "LIVE_CONFIRM": "YES",
            "V13_EXECUTION_MODE": "live",
            "V13_EXECUTION__RISK__MAX_ORDER_USD": "1000",
            "V13_EXECUTION__RISK__MAX_ORDERS_PER_MINUTE": "100",
            "V13_EXECUTION__RISK__MAX_POSITION_USD": "1000",
            "V13_BROKER_REST_URL": f"http://127.0.0.1:{port}",
            "V13_OUTPUT_DIR": str(home / "runtime"),
            "BINANCE_API_KEY": "canary-key-of-the-caller",
            "BINANCE_API_SECRET": "canary-secret-of-the-caller",
            "CREDENTIALS_DIRECTORY": str(home),
            "HTTP_PROXY": f"http://127.0.0.1:{port}",
            "HTTPS_PROXY": f"http://127.0.0.1:{port}",
            "EXECUTION_WORKER_CRASH_POINT": "before_submit",
            "HOME": str(home),
        }
        done = drill("exchange", "--kills", "2", "--into", str(tmp_path / "drills"), cwd=home, **hostile)

    assert done.returncode == 0, done.stdout + done.stderr
    assert heard == []
    assert list(home.iterdir()) == []
    folder = next((tmp_path / "drills").iterdir()) / "exchange"
    assert set(modes_of(folder)) == {"testnet"}
    for path in folder.rglob("*"):
        if path.is_file():
            assert b"of-the-caller" not in path.read_bytes(), path


def modes_of(folder: Path) -> list[str]:
    """In which mode each worker said that it is."""
    said = [line for path in folder.glob("worker-*.log") for line in path.read_text().splitlines()]
    events: list[dict[str, Any]] = [json.loads(line) for line in said if '"worker_ready"' in line]
    return [event["mode"] for event in events]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("kind", ["exchange", "disk"])
def test_whatever_ends_it_no_process_is_left(kind: str, number: signal.Signals, tmp_path: Path) -> None:
    drills = tmp_path / "drills"
    with subprocess.Popen(
        [*PROGRAM, "drill", kind, "--kills", "500", "--into", str(drills)],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        until(lambda: any(drills.glob("*/*/worker-001.log")), "the first worker")
        until(lambda: len(processes_of(drills)) >= 3, "feed, exchange and worker")
        process.send_signal(number)
        _, said = process.communicate(timeout=60)

    until(lambda: processes_of(drills) == [], "the end of every process", 15)
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130, said
        assert "no process is left" in said
        assert "Traceback" not in said
    assert not any(str(drills) in line for line in Path("/proc/mounts").read_text().splitlines())


def test_a_mode_of_live_in_the_settings_is_not_the_drills_business(tmp_path: Path) -> None:
    settings = tmp_path / "live.yaml"
    settings.write_text(f"execution:\n  mode: live\n  sink: {{base_dir: {tmp_path / 'runtime'}}}\n")

    done = drill("feed", "--kills", "2", "--config", str(settings), "--json", cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert [row["drill"] for row in result["rows"]] == ["feed: files", "feed: table"]
    folder = next((tmp_path / "runtime" / "drills").iterdir())
    assert set(modes_of(folder / "feed-files")) == {"dry_run"}


def test_the_report_opens_in_chromium_on_a_desk_and_on_a_phone(tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="NOT PROVEN HERE: no playwright to open the report with"
    )
    if chromium is None:
        pytest.skip("NOT PROVEN HERE: no chromium to open the report with")
    report = tmp_path / "report.html"
    done = drill(
        "feed", "--kills", "4", "--into", str(tmp_path / "drills"), "--report", str(report), cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr

    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width in (360, 1_280):
            page = browser.new_page(viewport={"width": width, "height": 900})
            complaints: list[str] = []
            asked: list[str] = []
            page.on("console", lambda message, found=complaints: found.append(message.text))
            page.on("pageerror", lambda error, found=complaints: found.append(str(error)))
            page.on("request", lambda request, found=asked: found.append(request.url))
            page.goto(report.as_uri())

            assert complaints == []
            assert asked == [report.as_uri()]
            assert "passed: 4 kills, 0 lost, 0 duplicates" in page.inner_text("body")
            wider = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert wider <= 0, f"at {width} px it is {wider} px too wide"
            verdict = page.locator("tbody td:nth-child(2)").first.bounding_box()
            assert verdict is not None
            assert verdict["x"] + verdict["width"] <= width
            if width > 1_000:
                table = page.locator("table").bounding_box()
                assert table is not None
                assert table["x"] + table["width"] <= width
        browser.close()
