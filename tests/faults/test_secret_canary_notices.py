"""No address of a receiver in any output: marked URLs, every way in which a message cannot be delivered.

The worker runs at log level debug. Its log, its files, what its commands print and what its status server
tells are searched for the marks: tokens in a path, in a query, before a host.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from outside import run, running_worker, until, write_signals
from typer.testing import CliRunner

from config.notify_settings import Notify, Webhook
from config.redact import HIDDEN
from config.settings import Execution, Settings
from worker.cli import app
from worker.exits import Exit
from worker.notices.places import places_of
from worker.notices.say import say_once

MARK = "canaryToken7f3a"
SHORT = "tok9"
DEAD = "http://127.0.0.1:9"
ENDS = {"/ok": 200, "/refused": 403, "/broken": 500, "/moved": 302}


class Strange(BaseHTTPRequestHandler):
    """Answers by its path; what it does not know it lets hang."""

    def do_POST(self) -> None:
        """Any message."""
        path = self.path.partition("?")[0].rpartition("/")[0]
        self.rfile.read(int(self.headers["Content-Length"]))
        if path == "/garbage":
            self.wfile.write(f"{MARK}\r\n\r\n".encode())
        elif path in ENDS:
            self.send_response(ENDS[path])
            self.send_header("Location", f"http://127.0.0.1:9/{MARK}")
            self.end_headers()
        else:
            time.sleep(5)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def strange() -> Iterator[str]:
    """The address of such a receiver."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Strange)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def addresses(strange: str) -> dict[str, str]:
    """Receivers of every kind, each of which fails in its own way; one is well."""
    tls = strange.replace("http", "https")
    ends = [f"{strange}{end}/{MARK}?k={SHORT}{MARK}" for end in (*ENDS, "/garbage", "/hangs")]
    return {
        "NOTIFY_WEBHOOK_URL": "\n".join([*ends, f"{DEAD}/{MARK}"]),
        "NOTIFY_PAGER_URL": f"https://jo:{MARK}@127.0.0.1:9/{SHORT}\n{tls}/{MARK}",
        "NOTIFY_APPRISE_URLS": f"json://jo:{MARK}@127.0.0.1:9/{MARK}",
        "NOTIFY_PING_URL": f"{DEAD}/{MARK}",
        "V13_EXECUTION__NOTIFY__PAGER__EVENTS": "started,stopped",
        "V13_EXECUTION__NOTIFY__TIMEOUT_S": "0.5",
        "V13_EXECUTION__NOTIFY__LAST_WORDS_S": "1",
    }


def leaks(said: dict[str, str], folder: Path) -> list[str]:
    """Where a mark was found."""
    files = {str(path): path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()}
    return [
        where
        for where, text in {**said, **files}.items()
        if any(mark in text for mark in (MARK, SHORT, HIDDEN, "canaryToken"))
    ]


def command(said: dict[str, str], environ: dict[str, str], *words: str) -> int:
    """Run a command in this process; whatever it says is kept."""
    ended = CliRunner().invoke(app, list(words), env=environ)
    said[" ".join(words)] = ended.output + (ended.stderr if ended.stderr_bytes else "")
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return ended.exit_code


def test_no_message_that_is_not_delivered_tells_an_address(strange: str, tmp_path: Path) -> None:
    environ, output, said = addresses(strange), tmp_path / "out", dict[str, str]()
    write_signals(output)
    with running_worker(output, "--symbols", "BTCUSDT", "--log-level", "debug", **environ) as worker:
        # Six webhooks, two pagers, apprise and the ping.
        until(lambda: len(worker.events("receiver_not_reached")) >= 10, "every receiver that fails")
        said["status"] = worker.get("/status") + worker.get("/metrics")
        assert worker.stop() == Exit.OK
    told = {event["receiver"]: event["why"] for event in worker.events("receiver_not_reached")}
    given_up = {event["receiver"] for event in worker.events("notice_given_up")}

    assert told["webhook 2"] == "it answered 403"
    assert told["webhook 4"] == "it answered 302: redirects are not followed"
    assert told["webhook 6"] == "no answer within the time limit"
    assert told["apprise"].startswith("apprise could not deliver it")
    assert {"webhook 7", "pager 1", "pager 2", "ping"} <= told.keys()
    assert "webhook 1" not in told.keys() | given_up
    assert leaks(said, tmp_path) == []


def test_no_command_and_no_refusal_tells_an_address(
    strange: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    environ, said = addresses(strange), dict[str, str]()
    loose = tmp_path / "loose"
    loose.write_text(f"https://chat/{MARK}")
    loose.chmod(0o644)
    tested = command(said, environ, "notify", "test")
    tested_json = command(said, environ, "notify", "test", "--json")
    shown = command(said, environ, "config", "show")
    command(said, environ, "check", "--output", str(tmp_path / "none"))
    refusals = [
        command(said, {**environ, name: value}, "notify", "test")
        for name, value in (
            ("NOTIFY_WEBHOOK_URL", f"http://10.0.0.1/{MARK}"),
            ("NOTIFY_PING_URL", f"https:///{MARK}"),
            ("NOTIFY_APPRISE_URLS", f"{MARK}://nothing/{MARK}"),
            ("V13_EXECUTION__NOTIFY__WEBHOOK__URL_ENV", f"https://chat/{MARK}"),
        )
    ]
    started = run("--output", str(tmp_path / "none"), NOTIFY_WEBHOOK_URL=f"http://10.0.0.1/{MARK}")
    said["start"] = started.out + started.err
    webhook = Webhook(url_env="NOTIFY_WEBHOOK_URL")
    notify = Notify(webhook=webhook, last_words_s=0.5, timeout_s=0.3)
    settings = Settings(execution=Execution(notify=notify))
    said["sentences"] = "\n".join(
        say_once(settings, "drill_failed", {"why": f"saw {DEAD}/{MARK}"}, environ=environ)
    )
    with pytest.raises(Exception, match="must be 0600") as raised:
        places_of(Notify(webhook=Webhook(url_file=loose)), {})
    places = places_of(Notify(), environ)
    said["objects"] = f"{raised.value!r} {places!r} {places.webhooks[0]} {settings!r}"
    said["streams"] = "".join(capfd.readouterr())
    loose.unlink()

    assert (tested, tested_json, shown) == (Exit.EXCHANGE_UNAVAILABLE, Exit.EXCHANGE_UNAVAILABLE, Exit.OK)
    assert set(refusals) == {Exit.CONFIGURATION}
    assert started.code == Exit.CONFIGURATION
    assert "webhook 2 was not reached: it answered 403" in said["sentences"]
    assert "Secret(hidden)" in said["objects"]
    assert leaks(said, tmp_path) == []


def test_a_leak_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"POST http://127.0.0.1:9/{MARK}")

    assert len(leaks({"a sentence": f"cannot reach {SHORT}"}, tmp_path)) == 2
