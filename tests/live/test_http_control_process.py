"""Control over HTTP on a real worker, beside the commands, and a token that nothing gives away."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from outside import RunningWorker, run, running_worker, until, write_signals

TOKEN = "a-made-up-token-of-0123456789-letters"
VARIABLE = "V13_EXECUTION__HTTP__TOKEN_FILE"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "http.token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    return path


def ask(worker: RunningWorker, path: str, wish: object, token: str = TOKEN) -> tuple[int, Any]:
    host, _, port = worker.wait_for("worker_ready")["http"].rpartition(":")
    connection = HTTPConnection(host, int(port), timeout=20)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        connection.request("POST", path, json.dumps(wish), headers)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def test_what_is_halted_over_http_is_resumed_by_the_command_and_the_other_way_round(
    tmp_path: Path, token_file: Path
) -> None:
    output = tmp_path / "out"
    with running_worker(output, "--symbols", "BTCUSDT", **{VARIABLE: str(token_file)}) as worker:
        halted = ask(worker, "/halt", {"why": "odd prices"})
        write_signals(output, 3)
        until(lambda: json.loads(worker.get("/status"))["skip_count"] == 3, "three skips")
        by_command = run("resume", "--output", str(output), "--why", "explained")
        after = json.loads(worker.get("/status"))["halts"]
        run("halt", "--output", str(output), "--why", "again")
        resumed = ask(worker, "/resume", {"why": "all is well"})
        write_signals(output, 2, first=10)
        until(lambda: json.loads(worker.get("/status"))["success_count"] == 2, "two orders")
        wrong = ask(worker, "/halt", {"why": "x"}, "b" * 40)
        code = worker.stop()

    assert halted[0] == resumed[0] == 200
    assert [halt["who"] for halt in halted[1]["halts"]] == ["http 127.0.0.1"]
    assert by_command.code == 0, by_command.err
    assert after == resumed[1]["halts"] == []
    assert wrong == (401, {"done": False, "text": "not allowed"})
    assert code == 0
    written = [path for path in output.rglob("*") if path.is_file()]
    assert written
    assert [path for path in [*written, worker.heard] if TOKEN.encode() in path.read_bytes()] == []


def test_a_token_that_others_can_read_stops_the_start_and_no_command_shows_it(
    tmp_path: Path, token_file: Path
) -> None:
    shown = run("config", "show", **{VARIABLE: str(token_file)})
    token_file.chmod(0o644)

    ended = run("--output", str(tmp_path / "out"), **{VARIABLE: str(token_file)})
    once = run("--once", "--output", str(tmp_path / "once"), **{VARIABLE: str(token_file)})
    checked = run("check", "--output", str(tmp_path / "out"), **{VARIABLE: str(token_file)})

    assert ended.code == 77
    assert "has mode 0644, must be 0600" in ended.err
    assert not (tmp_path / "out").exists()
    # A run that serves nothing does not need it.
    assert once.code == 0, once.err
    assert checked.code == 78
    assert "control over HTTP" in checked.out
    for said in (shown, ended, once, checked):
        assert TOKEN not in said.out + said.err
