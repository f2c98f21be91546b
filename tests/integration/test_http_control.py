"""POST /halt and /resume over real sockets: the effects of the commands, for those who hold the token."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rig.floor import Worker
from rig.process import Process
from rig.raw_http import send
from rig.rows import rows
from rig.scripted_adapter import ScriptedAdapter

from config.seams import SystemClock
from store.halt_file import HALT_FILE, read_halt
from worker import http_control, http_desk
from worker.http import Server, bind_socket, serve
from worker.http_desk import Desk
from worker.http_token import TokenFile
from worker.metrics import Metrics
from worker.probe import WorkerProbe

TOKEN = "a-made-up-token-of-0123456789-letters"
WHY = {"why": "odd prices"}


class Quiet:
    """A worker that has nothing to tell."""

    def alive(self) -> str | None:
        return None

    def ready(self) -> str | None:
        return None

    def status(self) -> dict[str, object]:
        return {}


@dataclass
class Controlled:
    """A server with a desk, the worker behind it and the file of its token."""

    server: Server
    worker: Worker
    token_file: Path
    folder: Path

    async def post(self, path: str, wish: object = WHY, token: str = TOKEN, **headers: str) -> Any:
        """Status and answer of one request."""
        body = wish if isinstance(wish, bytes) else json.dumps(wish).encode()
        given = {
            "Host": "localhost",
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        lines = [f"{name}: {value}\r\n" for name, value in given.items() if value]
        answer = await send(self.server.port, f"POST {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + body)
        head, _, said = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(said)

    async def counts(self) -> Any:
        """What /status shows of the control."""
        answer = await send(self.server.port, b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return json.loads(answer.partition(b"\r\n\r\n")[2])["http"]["control"]


def token_at(path: Path, text: str = TOKEN) -> Path:
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Controlled]:
    """A whole worker that answers its control folder."""
    clock, folder = SystemClock(), tmp_path / "store"
    async with Process(folder, clock, ScriptedAdapter(clock), {"BTCUSDT": []}) as process:
        token = TokenFile(token_at(tmp_path / "token"), {}, hide=process.worker.log.redact)
        desk = Desk(token, folder, process.worker.floor.halts, process.worker.log, clock)
        probe = WorkerProbe(process.daemon)
        server = await serve(bind_socket("127.0.0.1", 0), metrics=Metrics(), probe=probe, desk=desk)
        yield Controlled(server, process.worker, tmp_path / "token", folder)
        await server.close()


@pytest.fixture
async def stuck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Controlled]:
    """A worker that answers nothing, as with a store that does not commit."""
    monkeypatch.setattr(http_desk, "ANSWER_S_MAX", 0.1)
    monkeypatch.setattr(http_control, "DENIED_S_FIRST", 0.01)
    clock, folder = SystemClock(), tmp_path / "store"
    worker = Worker(folder, clock, ScriptedAdapter(clock), {})
    token = TokenFile(token_at(tmp_path / "token"), {}, hide=worker.log.redact)
    desk = Desk(token, folder, worker.floor.halts, worker.log, clock)
    server = await serve(bind_socket("127.0.0.1", 0), metrics=Metrics(), probe=Quiet(), desk=desk)
    yield Controlled(server, worker, tmp_path / "token", folder)
    await server.close()
    await worker.end()


async def test_a_halt_and_a_resume_do_what_the_commands_do_and_are_kept(running: Controlled) -> None:
    halted = await running.post("/halt", {**WHY, "new_only": True, "for": "15m"})
    during = running.worker.floor.gate.halted("BTCUSDT")
    resumed = await running.post("/resume", {"why": "explained"})

    assert halted[0] == resumed[0] == 200
    assert halted[1]["text"].startswith("new orders of all symbols are halted until 20")
    (halt,) = halted[1]["halts"]
    assert (halt["scope"], halt["why"], halt["who"]) == ("", "odd prices", "http 127.0.0.1")
    assert halt["new_only"]
    assert halt["until_ms"] - halt["at_ms"] <= 900_000
    assert during == "odd prices"
    assert resumed[1]["halts"] == []
    assert not (running.folder / HALT_FILE).exists()
    trail = rows(running.folder, "action, who, why", "audit", order="id")
    assert trail == [("halt", "http 127.0.0.1", "odd prices"), ("resume", "http 127.0.0.1", "explained")]
    assert (await running.counts())["done"] == 2


async def test_one_symbol_is_halted_by_itself_and_what_is_not_halted_cannot_resume(
    running: Controlled,
) -> None:
    halted = await running.post("/halt", {**WHY, "symbol": "btcusdt"})
    other = await running.post("/resume", {**WHY, "scope": "ETHUSDT"})

    assert halted == (200, {**halted[1], "text": "new orders of BTCUSDT are halted"})
    assert [halt["scope"] for halt in halted[1]["halts"]] == ["BTCUSDT"]
    assert other == (409, {**other[1], "text": "ETHUSDT is not halted by itself: nothing to resume"})
    assert not (running.folder / HALT_FILE).exists()


async def test_a_halt_of_everything_holds_although_the_store_is_stuck(stuck: Controlled) -> None:
    status, said = await stuck.post("/halt")

    assert (status, said["done"]) == (200, True)
    assert said["text"].startswith("new orders are halted by the file HALT; the worker did not answer")
    assert stuck.worker.floor.gate.halted("BTCUSDT") == "odd prices"
    halt = read_halt(stuck.folder)
    assert halt is not None
    assert halt.who == "http 127.0.0.1"


@pytest.mark.parametrize(("path", "wish"), [("/resume", WHY), ("/halt", {**WHY, "symbol": "BTCUSDT"})])
async def test_what_a_stuck_worker_cannot_do_is_said_to_be_undone(
    stuck: Controlled, path: str, wish: object
) -> None:
    status, said = await stuck.post(path, wish)

    assert (status, said["done"]) == (503, False)
    # Nothing is left that would be done later, when nobody expects it.
    assert list((stuck.folder / "control").iterdir()) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer x" + TOKEN},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}"},
        {"Authorization": "Bearer \xff\xfe"},
    ],
)
async def test_without_the_token_nothing_happens_and_nothing_is_explained(
    stuck: Controlled, headers: dict[str, str]
) -> None:
    status, said = await stuck.post("/halt", **headers)

    assert (status, said) == (401, {"done": False, "text": "not allowed"})
    assert not (stuck.folder / HALT_FILE).exists()
    assert (await stuck.counts())["denied"] == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Origin": "http://localhost:9109"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 403),
        ({"X_Forwarded_For": "10.0.0.9"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Encoding": "gzip"}, 415),
        ({"Content_Length": "5000"}, 413),
    ],
)
async def test_pages_proxies_forms_and_long_bodies_are_refused_even_with_the_token(
    stuck: Controlled, headers: dict[str, str], status: int
) -> None:
    answer = await send(
        stuck.server.port,
        "".join(
            [
                "POST /halt HTTP/1.1\r\n",
                *(
                    f"{name.replace('_', '-')}: {value}\r\n"
                    for name, value in {
                        "Host": "localhost",
                        "Authorization": f"Bearer {TOKEN}",
                        "Content_Type": "application/json",
                        "Content_Length": "12",
                        **headers,
                    }.items()
                ),
                "\r\n",
                '{"why": "x"}',
            ]
        ).encode(),
    )

    assert int(answer.split()[1]) == status
    assert b"Access-Control" not in answer
    assert not (stuck.folder / HALT_FILE).exists()


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"why": ""},
        {"why": " \n "},
        {"why": "x" * 201},
        {"why": "a\x1b[2Jb"},
        {"why": 7},
        {**WHY, "symbol": "BTC-USDT"},
        {**WHY, "symbol": ""},
        {**WHY, "symbol": "BTCUSDT", "scope": "BTCUSDT"},
        {**WHY, "for": "1 year"},
        {**WHY, "for": "5m", "until_ms": 4_000_000_000_000},
        {**WHY, "until_ms": 1},
        {**WHY, "until_ms": 10**18},
        {**WHY, "scpoe": "BTCUSDT"},
        b"",
        b"{",
        b"[" * 2_000,
        b'{"why": "\xff"}',
        b"null",
    ],
)
async def test_a_wish_that_makes_no_sense_changes_nothing_and_is_told_why(
    stuck: Controlled, wish: object
) -> None:
    status, said = await stuck.post("/halt", wish)

    assert (status, said["done"]) == (400, False)
    assert said["text"].isprintable()
    assert not (stuck.folder / HALT_FILE).exists()


async def test_a_body_in_pieces_is_bounded_too(stuck: Controlled) -> None:
    pieces = b"".join(b"400\r\n" + b"x" * 1_024 + b"\r\n" for _ in range(3)) + b"0\r\n\r\n"
    head = f"POST /halt HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    more = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"

    long = await send(stuck.server.port, (head + more).encode() + pieces)
    bad = await send(stuck.server.port, (head + more).encode() + b"zz\r\n")

    assert long.split()[1] == b"413"
    assert bad.split()[1] == b"400"


async def test_a_body_that_does_not_come_is_not_waited_for(
    stuck: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_control, "BODY_S_MAX", 0.05)

    status, said = await stuck.post("/halt", b"", Content_Length="12")

    assert (status, said["text"]) == (408, "the body did not come in time")


async def test_other_methods_are_told_to_post(stuck: Controlled) -> None:
    answer = await send(stuck.server.port, b"GET /halt HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert answer.split()[1] == b"405"
    assert b"Allow: POST\r\n" in answer


async def test_many_wrong_tokens_are_turned_away_and_the_right_one_is_not_slowed(
    stuck: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_control, "DENIED_WAITING_MAX", 0)

    wrong = [(await stuck.post("/halt", token="b" * 40))[0] for _ in range(3)]
    right = await stuck.post("/halt")
    stuck.worker.log.flush()

    assert wrong == [429, 429, 429]
    assert right[0] == 200
    assert [event["event"] for event in stuck.worker.events()].count("control_denied") == 1


async def test_a_new_token_holds_at_once_and_a_file_open_to_others_ends_the_control(
    stuck: Controlled,
) -> None:
    new = "another-made-up-token-of-9876543210-letters"
    before = await stuck.post("/halt", {})
    token_at(stuck.token_file, new)
    old, fresh = await stuck.post("/halt", {}), await stuck.post("/halt", {}, token=new)
    stuck.token_file.chmod(0o644)
    opened = await stuck.post("/halt", {}, token=new)
    stuck.token_file.unlink()
    removed = await stuck.post("/halt", {}, token=new)

    assert [one[0] for one in (before, old, fresh, opened, removed)] == [400, 401, 400, 503, 503]
    assert opened[1]["text"] == "the token file cannot be used: see the worker's log"


async def test_the_token_is_in_no_answer_no_log_and_no_repr(stuck: Controlled) -> None:
    said = [
        await stuck.post("/halt", {"why": f"my token is {TOKEN}"}),
        await stuck.post("/halt", {TOKEN: 1}, token="wrong" * 8),
        await stuck.counts(),
    ]

    logged = json.dumps(stuck.worker.events())
    assert "control_asked" in logged
    assert TOKEN not in logged
    assert TOKEN not in json.dumps(said[1:])
    assert TOKEN not in repr(vars(TokenFile(stuck.token_file, {})))


async def test_without_a_token_file_the_sentence_says_how_to_switch_it_on(tmp_path: Path) -> None:
    server = await serve(bind_socket("127.0.0.1", 0), metrics=Metrics(), probe=Quiet())

    answer = await send(server.port, b"POST /halt HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await server.close()

    assert answer.split()[1] == b"404"
    assert b"execution.http.token_file" in answer


@pytest.mark.skipif(os.name != "posix", reason="addresses of the network")
async def test_on_an_address_of_the_network_nobody_controls(stuck: Controlled) -> None:
    clock = SystemClock()
    desk = Desk(
        TokenFile(stuck.token_file, {}), stuck.folder, stuck.worker.floor.halts, stuck.worker.log, clock
    )
    open_server = await serve(bind_socket("0.0.0.0", 0), metrics=Metrics(), probe=Quiet(), desk=desk)
    everywhere = Controlled(open_server, stuck.worker, stuck.token_file, stuck.folder)

    status, _ = await everywhere.post("/halt")
    await open_server.close()

    assert status == 403
