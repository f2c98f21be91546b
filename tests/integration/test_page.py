"""The page over real sockets on loopback: read only, safe in a browser, and cheap however many look on."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rig import rows as rig
from rig.virtual_clock import ManualClock
from rig.wire_rows import move, reserved, wire

from config.seams import SystemClock
from store.ledger import Ledger
from store.lifecycle import State
from worker.history import History
from worker.http import Server, bind_socket, serve
from worker.metrics import Metrics
from worker.page import sights as page_sights
from worker.page.answers import PATHS
from worker.page.sights import LOOK_S, Look, Sights
from worker.parts import EXECUTIONS_FOLDER
from worker.pulse import Pulses

SCRIPT = "<script>alert(1)</script>"
POLICY = (
    b"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    b"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
)


@dataclass
class Probe:
    """A worker that tells what the test sets."""

    told: dict[str, object] = field(default_factory=lambda: {"mode": "dry_run", "ready": True})
    asked: int = 0

    def alive(self) -> str | None:
        return None

    def ready(self) -> str | None:
        return None

    def status(self) -> dict[str, object]:
        self.asked += 1
        return self.told


@dataclass
class Stage:
    """A server, what it shows, and the store behind it."""

    server: Server
    probe: Probe
    ledger: Ledger
    history: History
    sights: Sights
    clock: LookClock

    async def get(self, path: str, method: str = "GET") -> tuple[bytes, bytes]:
        """Head and body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        await writer.wait_closed()
        head, _, body = answer.partition(b"\r\n\r\n")
        return head + b"\r\n", body

    async def json(self, path: str) -> Any:
        """The body as values."""
        return json.loads((await self.get(path))[1])


class LookClock(SystemClock):
    """A clock whose seconds pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic_s(self) -> float:
        return self.seconds


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A server with a store of its own."""
    clock, metrics, probe = LookClock(), Metrics(), Probe()
    ledger = rig.open_ledger(tmp_path / EXECUTIONS_FOLDER, ManualClock())
    history = History(metrics, lambda: 0, clock, Pulses(clock).of("history"))
    sights = Sights(tmp_path, history, clock)
    server = await serve(bind_socket("127.0.0.1", 0), metrics=metrics, probe=probe, sights=sights)
    yield Stage(server, probe, ledger, history, sights, clock)
    await server.close()
    ledger.close()


@pytest.mark.parametrize("path", sorted(PATHS))
async def test_every_path_of_the_page_lets_a_browser_load_nothing_from_elsewhere(
    stage: Stage, path: str
) -> None:
    head, body = await stage.get(path)
    only_head, nothing = await stage.get(path, "HEAD")

    assert head.startswith(b"HTTP/1.1 200 ")
    assert POLICY in head
    for line in (
        b"Referrer-Policy: no-referrer",
        b"X-Content-Type-Options: nosniff",
        b"Cache-Control: no-store",
    ):
        assert line + b"\r\n" in head
    assert body
    assert nothing == b""
    assert only_head.split(b"\r\n")[0] == head.split(b"\r\n")[0]
    assert (await stage.get(path, "POST"))[0].startswith(b"HTTP/1.1 405 ")


async def test_the_page_needs_no_script_to_tell_how_things_are(stage: Stage) -> None:
    stage.probe.told = {
        "mode": "live",
        "ready": True,
        "halts": [
            {"scope": "", "why": "odd prices", "who": "anna", "at_ms": 1, "new_only": False, "until_ms": None}
        ],
    }

    _, body = await stage.get("/")

    page = body.decode()
    assert '<header id="mode" class="mode live">' in page
    assert "<li>odd prices (by anna)</li>" in page
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page
    assert page.count("<script") == 1


async def test_words_of_the_producer_and_the_exchange_stay_words(stage: Stage) -> None:
    [row_id] = reserved(stage.ledger, wire(1))
    refusal = {"error_code": "exchange_rejected", "error_msg": f"-2019 {SCRIPT}"}
    move(stage.ledger, row_id, State.RESERVED, State.REJECTED, **refusal)
    shut = {"error_code": "gate_blocked", "guard_reason": SCRIPT, "signal_id": SCRIPT}
    stage.ledger.commit([rig.share(rig.skip(2, **shut))])

    page = (await stage.get("/"))[1].decode()
    head, raw = await stage.get("/executions.json")

    assert "exchange_rejected: -2019 &lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "gate_blocked: &lt;script&gt;" in page
    assert "<script>" not in page
    assert b"Content-Type: application/json; charset=utf-8\r\n" in head
    assert [one["signal_id"] for one in json.loads(raw)["executions"]] == [SCRIPT, "id-1"]


async def test_the_script_is_given_the_very_words_of_the_page(stage: Stage) -> None:
    stage.ledger.commit([rig.share(rig.skip(1), rig.reservation(2))])

    view = await stage.json("/page.json")
    page = (await stage.get("/"))[1].decode()

    assert [table["key"] for table in view["tables"]] == [
        "halts",
        "unresolved",
        "lanes",
        "executions",
        "orders",
        "limits",
        "drills",
    ]
    for table in view["tables"]:
        assert f'<section id="{table["key"]}"' in page
        for _, cells in table["rows"]:
            assert all(f">{cell}</td>" in page for cell in cells if cell.isalnum())


@pytest.mark.parametrize("limit", ["0", "201", "-1", "1.5", "x", "", "9" * 500, "%C2%B2"])
async def test_an_odd_limit_is_refused(stage: Stage, limit: str) -> None:
    head, body = await stage.get(f"/executions.json?limit={limit}")

    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body) == {"trouble": "limit must be a number from 1 to 200"}


async def test_executions_are_as_many_as_asked_for_newest_first(stage: Stage) -> None:
    stage.ledger.commit([rig.share(*map(rig.skip, range(250)))])

    few = (await stage.json("/executions.json?limit=3"))["executions"]

    assert [one["signal_id"] for one in few] == ["id-249", "id-248", "id-247"]
    assert len((await stage.json("/executions.json"))["executions"]) == 50
    assert len((await stage.json("/executions.json?limit=200"))["executions"]) == 200


async def test_a_crowd_that_looks_at_once_costs_one_look(stage: Stage) -> None:
    pages = await asyncio.gather(*(stage.get(path) for path in ["/", "/page.json", "/executions.json"] * 15))
    look = await stage.sights.look()

    assert {head.split()[1] for head, _ in pages} == {b"200"}
    assert stage.probe.asked == 2
    stage.clock.seconds += LOOK_S
    assert await stage.sights.look() is not look


async def test_what_is_shown_is_a_second_old_at_most(stage: Stage) -> None:
    assert (await stage.json("/executions.json"))["executions"] == []
    stage.ledger.commit([rig.share(rig.skip(1))])
    assert (await stage.json("/executions.json"))["executions"] == []

    stage.clock.seconds += LOOK_S

    assert len((await stage.json("/executions.json"))["executions"]) == 1


async def test_a_viewer_who_hangs_up_takes_the_look_from_nobody(stage: Stage) -> None:
    held = asyncio.create_task(stage.sights.look())
    other = asyncio.create_task(stage.sights.look())
    await asyncio.sleep(0)

    held.cancel()

    assert (await other).trouble is None


async def test_a_store_that_cannot_be_read_is_a_sentence_and_the_page_is_there(
    stage: Stage, tmp_path: Path
) -> None:
    (tmp_path / EXECUTIONS_FOLDER).rename(tmp_path / "away")

    head, body = await stage.get("/executions.json")
    _, page = await stage.get("/")
    (tmp_path / "away").rename(tmp_path / EXECUTIONS_FOLDER)

    assert head.startswith(b"HTTP/1.1 503 ")
    assert json.loads(body)["trouble"].startswith(
        "the store cannot be read now (unable to open database file)"
    )
    assert b"Running, but" in page
    assert b"the store cannot be read now" in page


async def test_a_disk_that_hangs_is_told_and_the_page_answers(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.ledger.commit([rig.share(rig.skip(1))])
    await stage.get("/")
    stage.clock.seconds += LOOK_S
    # Only now: the first look may take longer than this on a busy host.
    monkeypatch.setattr(page_sights, "LOOK_S_MAX", 0.05)
    release = threading.Event()
    monkeypatch.setattr(Sights, "_look_now", lambda sights: release.wait(20) and Look(1))

    view = await stage.json("/page.json")
    release.set()

    assert view["verdict"]["why"] == ["the store was not read within 0 s: see its disk"]
    assert [len(table["rows"]) for table in view["tables"] if table["key"] == "executions"] == [1]


async def test_the_store_is_never_read_on_the_event_loop(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    original = Sights._look_now

    def noted(sights: Sights) -> Any:
        threads.append(threading.current_thread())
        return original(sights)

    monkeypatch.setattr(Sights, "_look_now", noted)

    await stage.get("/")

    assert threads
    assert threading.main_thread() not in threads


async def test_the_last_hour_is_told_sample_by_sample(stage: Stage) -> None:
    assert await stage.json("/history.json") == {"step_s": 5.0, "length": 720, "samples": []}

    stage.clock.seconds += 5
    stage.history.sample()

    [[at_ms, lag_ms, *rates]] = (await stage.json("/history.json"))["samples"]
    assert at_ms > 0
    assert lag_ms is None
    assert rates == [0.0, 0.0, 0]


async def test_half_a_long_character_breaks_no_answer(stage: Stage) -> None:
    stage.probe.told = {"mode": "paper", "ready": False, "why_not_ready": "a \udc80 in a name"}

    head, body = await stage.get("/page.json")

    assert head.startswith(b"HTTP/1.1 200 ")
    assert json.loads(body)["verdict"]["why"] == ["a \ufffd in a name"]
    assert (await stage.get("/"))[0].startswith(b"HTTP/1.1 200 ")


async def test_without_a_store_there_is_still_a_page() -> None:
    server = await serve(bind_socket("127.0.0.1", 0), metrics=Metrics(), probe=Probe())
    clock = LookClock()
    history = History(Metrics(), lambda: 0, clock, Pulses(clock).of("history"))
    stage = Stage(server, Probe(), None, history, Sights(Path(), history, clock), clock)  # type: ignore[arg-type]  # no store

    answers = [(await stage.get(path))[0].split()[1] for path in sorted(PATHS)]
    await server.close()

    assert answers == [b"200"] * len(PATHS)
