"""Names decide which files are read, and in which order."""

from __future__ import annotations

import pytest

from streams.files import candidate_of, ignored_reason

HOUR_16 = 1_763_222_400_000


@pytest.mark.parametrize(
    ("name", "time_ms"),
    [
        ("signals-20251115-16.jsonl", HOUR_16),
        ("signals_20251115_1607.jsonl", HOUR_16 + 7 * 60_000),
        ("signals_202511151607.jsonl", HOUR_16 + 7 * 60_000),
        ("signals_202511151607.jsonl.12", HOUR_16 + 7 * 60_000),
        ("20251115-16.jsonl", HOUR_16),
        ("signals.jsonl", None),
        ("signals-20251315-16.jsonl", None),
        ("signals-20250230-16.jsonl", None),
        ("signals-20251115-24.jsonl", None),
        ("signals-120251115-16.jsonl", None),
    ],
)
def test_the_time_is_in_the_name(name: str, time_ms: int | None) -> None:
    candidate = candidate_of(name)

    assert candidate is not None
    assert candidate.time_ms == time_ms


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("signals-20251115-16.jsonl.part", "part"),
        ("signals-20251115-16.tmp", "tmp"),
        ("signals-20251115-16.jsonl.gz", "gz"),
        (".signals-20251115-16.jsonl", "foreign"),
        (".jsonl", "foreign"),
        ("signals.json", "foreign"),
        ("signals.jsonl.old", "foreign"),
        ("signals.jsonl\n", "foreign"),
    ],
)
def test_other_names_are_left_alone_for_a_reason(name: str, reason: str) -> None:
    assert candidate_of(name) is None
    assert ignored_reason(name) == reason


def test_the_order_is_by_time_then_by_name_and_rotated_files_stand_before_their_own() -> None:
    expected = [
        "signals-20251115-16.jsonl.2",
        "signals-20251115-16.jsonl.1",
        "signals-20251115-16.jsonl",
        "signals_20251115_1600.jsonl",
        "signals_202511151601.jsonl",
        "signals-20251115-17.jsonl",
        "a.jsonl",
        "signals.jsonl.1",
        "signals.jsonl",
    ]
    candidates = [candidate_of(name) for name in reversed(expected)]

    ordered = sorted((one for one in candidates if one is not None), key=lambda one: one.order)

    assert [one.name for one in ordered] == expected
