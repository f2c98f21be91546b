"""Messages to people over real sockets: what leaves, what is tried again, and what nobody waits for."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from wire_server import Act, WireServer, free_port, reply, self_signed, serving

from config.notify_settings import Event, Notify, Webhook
from config.seams import SystemClock
from config.settings import Execution, Settings
from worker.logs import Log
from worker.notices.apprise_way import apprise_ways
from worker.notices.herald import Herald, herald_of
from worker.notices.notice import Notice
from worker.notices.places import Places, PlacesError, Secret, places_of
from worker.notices.say import say_once, say_to_all
from worker.notices.ways import ANSWER_BYTES_MAX, Undelivered, WebhookWay, ping

TOKEN = "canaryToken4cf9a2e7b81d66"
BODY: dict[str, str | int] = {"text": "x", "event": "test", "severity": "info"}


class HurriedClock(SystemClock):
    """Pauses are over at once, and count as if they were not."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic_s(self) -> float:
        """The host's, and what was slept."""
        return super().monotonic_s() + sum(self.slept)

    async def sleep(self, delay_s: float) -> None:
        """Gives way."""
        self.slept.append(delay_s)
        await asyncio.sleep(0)


def way_to(server: WireServer, **more: Any) -> WebhookWay:
    """The way to a receiver."""
    return WebhookWay(Secret(f"{server.url}/hooks/{TOKEN}"), **{"trust_env": False, **more})


def bodies(server: WireServer) -> list[dict[str, Any]]:
    """What it was told."""
    return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests]


def herald(clock: SystemClock, *servers: WireServer, **settings: Any) -> Herald:
    """A herald with a webhook for each of them, which logs into memory."""
    urls = tuple(Secret(f"{server.url}/hooks/{TOKEN}") for server in servers)
    made = herald_of(Notify(name="west", **settings), Places(webhooks=urls), mode="dry_run", clock=clock)
    made.listen_to(Log("debug", None, clock, io.StringIO(), False))
    return made


async def came(server: WireServer, count: int) -> None:
    """Wait for so many whole requests."""
    async with asyncio.timeout(20):
        while len(server.requests) < count:
            server.heard.clear()
            await server.heard.wait()


async def test_a_message_is_one_post_of_json() -> None:
    async with serving() as server:
        found = await way_to(server).send(BODY, 5)

    assert found is None
    [request] = server.requests
    head = request.partition(b"\r\n\r\n")[0].decode().lower()
    assert head.startswith(f"post /hooks/{TOKEN.lower()} http/1.1\r\n")
    assert "content-type: application/json" in head
    assert bodies(server) == [BODY]


@pytest.mark.parametrize(
    ("act", "why", "again"),
    [
        (Act(reply(b"", 302, "Location: http://127.0.0.1:1/")), "it answered 302", False),
        (Act(reply(b"", 404)), "it answered 404", False),
        (Act(reply(b"", 429, "Retry-After: 30")), "it answered 429", True),
        (Act(reply(b"", 503)), "it answered 503", True),
        (Act(b"not HTTP\r\n\r\n", "close"), "its answer is not HTTP", True),
        (Act(then="close"), "the connection was closed before a reply", True),
        (Act(then="reset"), "the connection broke (errno 104)", True),
    ],
)
async def test_a_refusal_is_told_in_our_own_words(act: Act, why: str, again: bool) -> None:
    async with serving(WireServer(usual=act)) as server:
        found = await way_to(server).send(BODY, 5)

    assert found is not None
    assert why in found.why
    assert found.again is again
    assert found.pause_s == (30 if "429" in why else 0)
    assert len(server.requests) == 1


async def test_a_receiver_that_takes_and_never_answers_costs_its_time_and_no_more() -> None:
    async with serving(WireServer(usual=Act())) as server:
        began_s = time.monotonic()
        found = await way_to(server).send(BODY, 0.2)

    assert found == Undelivered("no answer within the time limit")
    assert time.monotonic() - began_s < 5


async def test_an_answer_without_end_is_not_read() -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * (4 * ANSWER_BYTES_MAX)
    async with serving(WireServer(usual=Act(endless))) as server:
        found = await way_to(server).send(BODY, 5)

    assert found is None


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    tls, _ = self_signed(tmp_path, "127.0.0.1")
    async with serving(tls=tls) as server:
        found = await way_to(server).send(BODY, 5)

    assert found == Undelivered("the host's certificate is not valid for it")
    assert server.requests == []


async def test_a_proxy_of_the_environment_is_used_only_where_that_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with serving() as server:
        found = [await way_to(server, trust_env=trusted).send(BODY, 5) for trusted in (False, True)]

    assert found == [None, Undelivered("the proxy did not connect")]


async def test_a_ping_is_one_get() -> None:
    async with serving(WireServer(usual=Act(reply(b"OK")))) as server:
        found = await ping(Secret(f"{server.url}/{TOKEN}"), 5, trust_env=False)

    assert found is None
    assert server.requests[0].startswith(b"GET /")


async def test_what_was_not_taken_is_tried_again_with_growing_pauses_and_in_order() -> None:
    server, clock = WireServer(), HurriedClock()
    server.script.extend([Act(reply(b"", 503)), Act(reply(b"", 429, "Retry-After: 30")), Act(then="close")])
    async with serving(server):
        told = herald(clock, server)
        async with told.at_work():
            assert told.log is not None
            told.log.event("worker_ready", version="1")
            told.log.error("halted", scope="all", why="by hand", who="jo")
            await came(server, 5)

    assert [body["event"] for body in bodies(server)] == ["started"] * 4 + ["halted"]
    assert clock.slept[:3] == [1, 30, 4]
    assert told.receivers[0].given_up == 0


async def test_a_message_is_given_up_in_time_and_the_next_one_gets_its_turn() -> None:
    server, clock = WireServer(usual=Act(reply(b"", 503))), HurriedClock()
    async with serving(server):
        told = herald(clock, server, retry_s=100)
        async with told.at_work():
            told.say(Notice(Event.HALTED, "all", 0))
            await came(server, 8)
            server.usual = Act(reply())
            told.say(Notice(Event.RESUMED, "all", 0))
            await came(server, len(server.requests) + 1)

    assert told.receivers[0].given_up == 1
    assert bodies(server)[-1]["event"] == "resumed"


async def test_one_receiver_that_hangs_holds_up_no_other() -> None:
    async with serving(WireServer(usual=Act())) as dead, serving() as well:
        told = herald(SystemClock(), dead, well)
        async with told.at_work():
            for scope in ("A", "B", "C"):
                told.say(Notice(Event.HALTED, scope, 0))
            await came(well, 3)

    assert len(dead.requests) == 1


def test_the_last_words_of_a_worker_take_no_longer_than_their_time() -> None:
    async def hanging() -> tuple[asyncio.Server, int]:
        server = await asyncio.start_server(lambda reader, writer: reader.read(), "127.0.0.1", 0)
        return server, server.sockets[0].getsockname()[1]

    with asyncio.Runner() as runner:
        server, port = runner.run(hanging())
        silent = WireServer(port=port)
        told = herald(SystemClock(), silent, last_words_s=0.3)
        for event in (Event.HALTED, Event.STOPPED, Event.FAILED):
            told.say(Notice(event, "all", 0, {"why": "the disk is full"}))
        began_s = time.monotonic()
        told.last_words()
        took_s = time.monotonic() - began_s
        server.close()

    assert 0.25 < took_s < 2
    assert told.receivers[0].given_up == 2
    assert told.receivers[0].trouble is not None


async def test_an_address_that_no_name_server_knows_is_told_as_that() -> None:
    way = WebhookWay(Secret("https://nowhere.invalid/x"), trust_env=False)

    found = await way.send(BODY, 10)

    assert found is not None
    assert found.why in ("the host's name was not found", "no answer within the time limit")


def settings(**notify: Any) -> Settings:
    """Settings whose one receiver is in `HOOK`."""
    return Settings(execution=Execution(notify=Notify(webhook=Webhook(url_env="HOOK"), **notify)))


def test_a_command_says_one_thing_and_hears_whether_it_arrived() -> None:
    nobody = say_once(settings(), "drill_failed", {"why": "1 lost"}, environ={})
    dead = {"HOOK": f"http://127.0.0.1:{free_port()}/{TOKEN}"}

    found = say_once(settings(last_words_s=0.3), "drill_failed", {"why": "1 lost"}, environ=dead)

    assert nobody == []
    assert found == ["webhook was not reached: no connection (errno 111)"]


async def test_a_test_reaches_every_receiver_whatever_its_events_are() -> None:
    async with serving() as server:
        made = herald_of(
            Notify(webhook=Webhook(events=("halted",))),
            Places(webhooks=(Secret(server.url),), ping=(Secret(server.url),)),
            mode="dry_run",
            clock=SystemClock(),
        )
        found = await asyncio.to_thread(say_to_all, made, SystemClock())

    assert found == [("webhook", None), ("ping", None)]
    assert sorted(request[:4] for request in server.requests) == [b"GET ", b"POST"]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("http://10.0.0.1/x", "must begin with https://"),
        ("http://127.0.0.1.evil.example/x", "must begin with https://"),
        ("ftp://host/x", "must begin with https://"),
        ("https:///x", "is no URL"),
        ("https://host:99999/x", "is no URL"),
        ("secret-without-scheme", "is no URL"),
        ("https://h/\u200bx", "is no URL"),
        ("\n".join(["https://h/x"] * 9), "must hold at most 8"),
        ("https://h/" + "x" * 3_000, "holds no URL"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_being_shown(value: str, sentence: str) -> None:
    with pytest.raises(PlacesError) as raised:
        places_of(Notify(), {"NOTIFY_WEBHOOK_URL": value})

    assert sentence in str(raised.value)
    assert "NOTIFY_WEBHOOK_URL" in str(raised.value)
    assert value not in str(raised.value)


def test_a_file_comes_before_the_variable_and_the_folder_of_the_service_manager_before_both(
    tmp_path: Path,
) -> None:
    folder, path = tmp_path / "credentials", tmp_path / "url"
    folder.mkdir()
    path.write_text("https://file/x\n\nhttps://file/y\n")
    path.chmod(0o600)
    notify = Notify(webhook=Webhook(url_file=path))
    environ = {"NOTIFY_WEBHOOK_URL": "https://variable/x", "CREDENTIALS_DIRECTORY": str(folder)}

    from_file = places_of(notify, environ)
    (folder / "NOTIFY_WEBHOOK_URL").write_text("https://folder/x")
    (folder / "NOTIFY_WEBHOOK_URL").chmod(0o400)
    from_folder = places_of(notify, environ)

    assert [url.reveal() for url in from_file.webhooks] == ["https://file/x", "https://file/y"]
    assert [url.reveal() for url in from_folder.webhooks] == ["https://folder/x"]
    assert places_of(Notify(enabled=False), environ) == Places()


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text(f"https://h/{TOKEN}")
    path.chmod(0o640)

    with pytest.raises(PlacesError) as raised:
        places_of(Notify(webhook=Webhook(url_file=path)), {})

    assert raised.value.kind == "permission"
    assert "must be 0600" in str(raised.value)


async def test_a_flood_of_events_is_bounded_and_ends_in_a_few_messages() -> None:
    async with serving() as server:
        told = herald(SystemClock(), server)
        assert told.log is not None
        with contextlib.redirect_stderr(io.StringIO()):
            for number in range(5_000):
                told.log.warning("order_limited", symbol="X", code="risk_rate", why=str(number))
        async with told.at_work():
            await came(server, 1)
            await asyncio.sleep(0.05)

    assert (told.unheard, len(server.requests)) == (4_000, 1)


async def test_apprise_delivers_where_it_is_installed() -> None:
    pytest.importorskip("apprise", reason="apprise is not installed: its way was not tried")
    async with serving() as server:
        [way] = apprise_ways((Secret(f"json://127.0.0.1:{server.port}/{TOKEN}"),), "X")
        arrived = await way.send({**BODY, "name": "west", "state": "once"}, 10)
        server.usual = Act(reply(b"", 500))
        refused = await way.send({**BODY, "name": "west", "state": "once"}, 10)

    assert arrived is None
    assert refused is not None
    assert refused.why == "apprise could not deliver it: look at the address and at the service"
    assert (bodies(server)[0]["title"], bodies(server)[0]["message"]) == ("west: test", "x")


async def test_a_call_of_apprise_that_hangs_costs_its_time_and_none_is_made_beside_it() -> None:
    pytest.importorskip("apprise", reason="apprise is not installed: its way was not tried")
    async with serving(WireServer(usual=Act())) as server:
        [way] = apprise_ways((Secret(f"json://127.0.0.1:{server.port}/?rto=1&cto=1"),), "X")
        found = [await way.send({**BODY, "name": "west", "state": "once"}, 0.1) for _ in range(2)]

    assert [one and one.why for one in found] == [
        "no answer within the time limit",
        "it is still busy with an earlier message",
    ]


def test_a_missing_apprise_is_a_sentence_and_nobody_misses_it_without_its_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    assert apprise_ways((), "X") == []
    with pytest.raises(PlacesError, match=r"pip install execution-worker\[notify\]"):
        apprise_ways((Secret("tgram://token/1"),), "X")
