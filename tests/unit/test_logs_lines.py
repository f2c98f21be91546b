"""The lines of the log, for any text: one clean line each, and never a secret."""

from __future__ import annotations

import io
import json
import os
import pty
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from config import settings
from config.seams import SystemClock
from worker import logs
from worker.log_lines import Redactor, Stamps, human_line, json_line, plain_fields

ANY_TEXT = st.text(st.characters(), max_size=60)
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(ANY_TEXT, ANY_VALUE, max_size=5))
@example({"a": "\x85\u2028\x1b[2J", "b": 2**64, "c": float("nan")})
def test_any_fields_become_one_json_line_without_control_characters(fields: dict[str, object]) -> None:
    line = json_line("now", "info", "read", plain_fields(fields, Redactor()))

    assert line.endswith(b"\n")
    assert all(32 <= byte < 127 for byte in line[:-1])
    assert json.loads(line)["event"] == "read"


@given(st.dictionaries(ANY_TEXT, ANY_VALUE, max_size=5))
def test_any_fields_become_one_printable_line_for_a_person(fields: dict[str, object]) -> None:
    line = human_line("now", "info", "read", plain_fields(fields, Redactor())).decode()

    assert line.endswith("\n")
    assert line[:-1].isprintable()


@given(before=ANY_TEXT, secret=st.text(st.characters(), min_size=4, max_size=20), after=ANY_TEXT)
def test_a_secret_leaves_no_trace_in_any_text(before: str, secret: str, after: str) -> None:
    redactor = Redactor()
    redactor.add(secret)

    fields = plain_fields({"text": before + secret + after}, redactor)

    assert secret not in str(fields["text"]) or secret in before + "[redacted]" + after


@given(st.integers(0, 4_102_444_800_000))
def test_the_cached_stamp_is_the_time_whatever_came_before(wall_ms: int) -> None:
    used, fresh = Stamps(), Stamps()
    used.of(wall_ms - wall_ms % 1_000)
    used.of(wall_ms + 60_000)

    assert used.of(wall_ms) == fresh.of(wall_ms)
    assert used.hour == fresh.hour


def test_a_terminal_is_written_for_a_person(tmp_path: Path) -> None:
    reading, writing = pty.openpty()
    with open(writing, "w") as terminal:
        log = logs.configure(settings.Log(), tmp_path, SystemClock(), terminal)
        log.event("order_filled", symbol="BTCUSDT", side="long", qty="1", price="2")
        shown = os.read(reading, 4_096).decode()
        log.close()
    os.close(reading)

    assert shown.rstrip().endswith("info  order_filled         BTCUSDT long 1 @ 2")


def test_a_stream_in_memory_gets_every_line_whole() -> None:
    stream = io.StringIO()
    log = logs.configure(settings.Log(), None, SystemClock(), stream)
    for number in range(500):
        log.event("told", number=number)
    log.close()

    assert [json.loads(line)["number"] for line in stream.getvalue().splitlines()] == list(range(500))
