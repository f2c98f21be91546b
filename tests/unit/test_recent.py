"""The latest names of many: the last ones are never forgotten, and memory is bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.recent import Recent

NAMES = st.integers(min_value=0, max_value=12).map(str)


@given(
    count=st.integers(min_value=1, max_value=8),
    generation=st.integers(min_value=1, max_value=8),
    names=st.lists(NAMES, max_size=60),
)
def test_the_last_names_are_remembered_in_bounded_memory(
    count: int, generation: int, names: list[str]
) -> None:
    recent = Recent(count, generation)
    for at, name in enumerate(names, start=1):
        recent.add(name)
        latest = list(dict.fromkeys(reversed(names[:at])))[:count]
        assert [known for known in latest if known not in recent] == []
        assert len(recent) <= count + 2 * generation


def test_what_is_long_past_is_forgotten() -> None:
    recent = Recent(2, generation=1)
    for name in ("first", "second", "third", "fourth", "fifth"):
        recent.add(name)

    assert "first" not in recent
    assert "second" not in recent
    assert "third" in recent
