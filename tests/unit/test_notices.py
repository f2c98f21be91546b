"""Messages to people before they are sent: what is told once, what waits, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from config.load import load_settings
from config.notify_rules import TEMPLATE_CHARACTERS_MAX, filled, template_fault
from config.notify_settings import FIELDS, Event, Notify, Templates
from worker.notices.memory import FILE, Memory
from worker.notices.notice import Notice, Phase
from worker.notices.repeats import KEPT_MAX, Remembered, Repeats
from worker.notices.waiting import Message, Waiting
from worker.notices.wording import TEXT_CHARACTERS_MAX, Wording, title_of

AT_MS = 1_763_225_940_123


def notice(event: Event = Event.LIMIT_REACHED, key: str = "risk_rate", **fields: str) -> Notice:
    """Something that happened."""
    return Notice(event, key, AT_MS, fields)


def wording(**templates: str) -> Wording:
    """The words of a worker called `west`."""
    return Wording(Notify(templates=Templates(**templates)), name="west", mode="live")


def lasting(event: Event, phase: Phase) -> Notice:
    """The beginning or the end of something."""
    return Notice(event, "", AT_MS, {"why": "x"}, phase)


def test_the_same_within_a_while_is_one_message_and_counted_when_it_comes_again() -> None:
    repeats = Repeats(900)

    told = [repeats.count(notice(), now_s) for now_s in (0, 1, 899, 900, 901)]

    assert told == [1, None, None, 3, None]


def test_the_same_about_something_else_is_a_message_of_its_own() -> None:
    repeats = Repeats(900)

    told = [repeats.count(notice(key=key), 0) for key in ("risk_rate", "risk_order_usd", "risk_rate")]

    assert told == [1, 1, None]


@pytest.mark.parametrize(
    "notices",
    [
        (Notice(Event.HALTED, "all", 0), Notice(Event.RESUMED, "all", 0)),
        (Notice(Event.HALTED, "BTCUSDT", 0), Notice(Event.RESUMED, "all", 0)),
        (lasting(Event.NO_PROGRESS, Phase.BEGAN), lasting(Event.NO_PROGRESS, Phase.ENDED)),
    ],
)
def test_what_begins_again_after_it_was_over_is_told_however_soon(notices: tuple[Notice, Notice]) -> None:
    repeats = Repeats(900)

    told = [repeats.count(one, 0) for one in (*notices, *notices, notices[1])]

    assert told == [1, 1, 1, 1, None]


def test_what_comes_and_goes_all_the_time_is_no_flood_and_counts_as_there() -> None:
    repeats = Repeats(900)
    phases = (Phase.BEGAN, Phase.ENDED)

    told = [
        (now_s, phase)
        for now_s in range(1_000)
        for phase in phases
        if repeats.count(lasting(Event.TROUBLE, phase), now_s)
    ]

    first = [(now_s, phase) for now_s in range(3) for phase in phases]
    later = [(900, Phase.ENDED), (901, Phase.BEGAN), (901, Phase.ENDED), (902, Phase.BEGAN)]
    assert told == [*first, (3, Phase.BEGAN), *later, (902, Phase.ENDED), (903, Phase.BEGAN)]


def test_the_end_of_one_halt_leaves_the_others_told() -> None:
    repeats = Repeats(900)
    for scope in ("BTCUSDT", "ETHUSDT"):
        repeats.count(notice(Event.HALTED, scope), 0)

    repeats.count(notice(Event.RESUMED, "BTCUSDT"), 0)

    assert repeats.count(notice(Event.HALTED, "ETHUSDT"), 1) is None
    assert repeats.count(notice(Event.HALTED, "BTCUSDT"), 1) == 1


def test_no_number_of_different_things_fills_the_memory() -> None:
    repeats = Repeats(900)

    for number in range(KEPT_MAX + 100):
        repeats.count(notice(key=str(number)), 0)

    assert len(repeats._told) == KEPT_MAX
    assert repeats.count(notice(key=str(KEPT_MAX)), 0) is None


def test_the_oldest_goes_where_there_is_no_room_and_the_next_one_says_how_many_did() -> None:
    waiting = Waiting(2)
    for number in range(5):
        waiting.put(Message(notice(key=str(number))))

    first, second = waiting.take(), waiting.take()

    assert [(one.notice.key, one.dropped) for one in (first, second)] == [("3", 3), ("4", 0)]
    assert "(3 messages were dropped before this one)" in str(wording().body(first)["text"])


def test_what_was_dropped_is_not_forgotten_when_its_message_is_dropped_too() -> None:
    waiting = Waiting(1)
    for number in range(3):
        waiting.put(Message(notice(key=str(number))))
    in_hand = waiting.take()

    waiting.put_back(in_hand)
    waiting.put(Message(notice(key="3")))

    assert waiting.take().dropped == 3


def test_a_receiver_gets_the_events_that_it_wants_and_every_test() -> None:
    waiting = Waiting(9, ["halted"])

    for event in (Event.STARTED, Event.HALTED, Event.TEST):
        waiting.put(Message(notice(event)))

    assert [waiting.take().notice.event for _ in range(2)] == [Event.HALTED, Event.TEST]
    assert not waiting


def test_the_end_is_told_first_and_who_failed_did_not_stop_as_asked() -> None:
    waiting = Waiting(9)
    for event in (Event.HALTED, Event.STARTED, Event.STOPPED, Event.FAILED):
        waiting.put(Message(notice(event)))

    waiting.last_words()

    assert [waiting.take().notice.event for _ in range(3)] == [Event.STARTED, Event.FAILED, Event.HALTED]
    assert not waiting


def test_a_message_has_a_text_for_people_and_fields_for_programs() -> None:
    halted = notice(Event.HALTED, "all", scope="all", why="by hand", who="jo")

    body = wording().body(Message(halted, count=2))

    assert body["text"] == "[west] HALTED all: by hand (by jo) (2 times since it was told last)"
    assert body["content"] == body["text"]
    assert (body["event"], body["severity"], body["state"]) == ("halted", "critical", "once")
    assert (body["name"], body["mode"], body["scope"], body["count"]) == ("west", "live", "all", 2)
    assert body["time"] == "2025-11-15T16:59:00Z"


def test_every_event_has_words_of_its_own() -> None:
    words = {str(wording().body(Message(notice(event)))["text"]) for event in Event}

    assert len(words) == len(Event)


def test_the_end_of_something_is_good_news() -> None:
    body = wording().body(Message(lasting(Event.NO_PROGRESS, Phase.ENDED)))

    assert body["severity"] == "info"
    assert title_of(body) == "west: no progress is over"


def test_no_value_breaks_the_line_or_the_bounds() -> None:
    long = notice(Event.FAILED, why="a\r\n\x1b[31m\u2028b " + "c" * 9_000)

    text = str(wording(failed="{why}{why}{why}{why}").body(Message(long))["text"])

    assert text.isprintable()
    assert text.startswith("[west] a [31m b ccc")
    assert len(text) < TEXT_CHARACTERS_MAX + 200


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("{wy}", "names the field wy, must be one of"),
        ("{wy}", "perhaps why is meant"),
        ("{}", "names the field empty"),
        ("{0}", "names the field 0"),
        ("{why.__class__}", "names the field why.__class__"),
        ("{why[0]}", "names the field why[0]"),
        ("{why!r}", "asks for a format of {why}"),
        ("{why:>999999999}", "asks for a format of {why}"),
        ("{why", "has a brace without its other half"),
        ("}", "has a brace without its other half"),
        ("x" * (TEMPLATE_CHARACTERS_MAX + 1), "must have at most"),
    ],
)
def test_a_template_that_asks_for_more_than_a_field_is_refused(template: str, fault: str) -> None:
    assert fault in (template_fault(template) or "nothing is wrong")


@given(st.text(alphabet="{}!:.[]_ whyc", max_size=30), st.text(max_size=20))
def test_a_template_without_a_fault_holds_its_own_words_and_the_fields_alone(text: str, why: str) -> None:
    if template_fault(text) is None:
        assert filled(text, {"why": why}) == text.format(**{**dict.fromkeys(FIELDS, ""), "why": why})


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("templates.halted", "{simbol}", "perhaps symbol is meant"),
        ("pager.events", ["haltet"], "execution.notify.pager.events holds haltet, must be one of"),
        ("pager.events", ["haltet"], "perhaps halted is meant"),
        ("webhook.url_env", "https://chat/secret", "must be the name of an environment variable"),
        ("name", "a\nb", "execution.notify.name must be one line"),
        ("last_words_s", 60, "execution.notify.last_words_s is 60, must be at most 5"),
    ],
)
def test_a_mistake_in_the_settings_is_a_sentence(key: str, value: object, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_settings(config_file=None, environ={}, overrides={f"execution.notify.{key}": value})

    assert words in str(raised.value)
    assert "chat/secret" not in str(raised.value)


def test_a_worker_that_dies_every_minute_is_told_once_in_a_while(tmp_path: Path) -> None:
    counts = []
    for life in range(20):
        memory, repeats, wall_ms = Memory(tmp_path), Repeats(900), AT_MS + life * 60_000
        repeats.remember(memory.load(), now_s=5.0, wall_ms=wall_ms)
        counts.append(repeats.count(notice(Event.FAILED, "the disk is full"), 5.0))
        memory.save(repeats.told(now_s=5.0, wall_ms=wall_ms))

    assert counts == [1, *[None] * 14, 15, *[None] * 4]


def test_a_clean_restart_is_told_each_time_and_a_killed_one_once_in_a_while() -> None:
    repeats = Repeats(900)
    started, stopped = notice(Event.STARTED, "all"), notice(Event.STOPPED, "all")

    told = [repeats.count(one, 0) for one in (started, stopped, started, stopped, started, started)]

    assert told == [1, 1, 1, 1, 1, None]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        "[" * 60_000,
        '[{"event": "no", "key": "", "at_ms": 1, "since": 0}]',
        '[{"event": "failed", "key": "", "at_ms": 1e999, "since": 0}]',
    ],
    ids=range(6),
)
def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)

    assert Memory(tmp_path).load() == []


def test_a_memory_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "missing")

    memory.save([Remembered(Event.FAILED, "x", AT_MS, 0)])

    assert memory.unwritten == 1


def test_a_time_that_is_still_to_come_counts_as_now() -> None:
    repeats = Repeats(900)

    repeats.remember([Remembered(Event.FAILED, "x", AT_MS + 10**9, 0)], now_s=0, wall_ms=AT_MS)

    assert [repeats.count(notice(Event.FAILED, "x"), now_s) for now_s in (899, 900)] == [None, 2]
