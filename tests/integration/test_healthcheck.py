"""`healthcheck`: one question, one exit code, and a sentence that says what to do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from worker import cli_health
from worker.cli import app
from worker.exits import Exit


@contextmanager
def answering(answer: bytes | None) -> Iterator[int]:
    """A port that says these bytes to whoever asks; None: takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4_096)
                if answer is not None:
                    connection.sendall(answer)
                else:
                    connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


def http(status: str, body: str, server: str = "execution-worker") -> bytes:
    return f"HTTP/1.1 {status}\r\nServer: {server}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def test_a_ready_worker_is_healthy() -> None:
    with answering(http("200 OK", "ok\n")) as port:
        verdict = cli_health.ask("127.0.0.1", port)

    assert verdict == cli_health.Verdict(Exit.OK, f"ready at 127.0.0.1:{port}")


@pytest.mark.parametrize("host", ["0.0.0.0", ""])
def test_a_worker_that_listens_everywhere_is_asked_on_loopback(host: str) -> None:
    with answering(http("200 OK", "ok\n")) as port:
        assert cli_health.ask(host, port).code == Exit.OK


def test_a_worker_that_is_not_ready_says_why_in_one_line() -> None:
    with answering(http("503 Service Unavailable", "recovery is not done\nfor \x1b[31mBTCUSDT\n")) as port:
        verdict = cli_health.ask("127.0.0.1", port)

    assert verdict.code == 1
    assert verdict.sentence == "not ready: recovery is not done for [31mBTCUSDT"


def test_nothing_there_means_not_running() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    verdict = cli_health.ask("127.0.0.1", port)

    assert verdict.code == Exit.NOT_RUNNING
    assert verdict.sentence == f"nothing answers at 127.0.0.1:{port} (connection refused): start the worker"


@pytest.mark.parametrize("answer", [http("200 OK", "ok\n", "nginx"), b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_another_program_is_not_taken_for_the_worker(answer: bytes) -> None:
    with answering(answer) as port:
        verdict = cli_health.ask("127.0.0.1", port)

    assert verdict.code == Exit.NOT_RUNNING
    assert "another program answers" in verdict.sentence


def test_silence_is_not_health(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_health, "TIMEOUT_S", 0.2)

    with answering(None) as port:
        verdict = cli_health.ask("127.0.0.1", port)

    assert verdict.code == 1
    assert "does not answer within" in verdict.sentence


def test_a_port_that_changes_with_each_start_cannot_be_asked() -> None:
    result = CliRunner().invoke(app, ["healthcheck"], env={"V13_EXECUTION__HTTP__PORT": "0"})

    assert result.exit_code == Exit.CONFIGURATION
    assert result.stderr.startswith("execution-worker: execution.http.port is 0")
    assert result.stdout == ""
