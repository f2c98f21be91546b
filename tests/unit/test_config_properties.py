"""Whatever stands in a file or a variable: the settings load, or every problem is one sentence."""

from __future__ import annotations

from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from config.load import load_settings
from config.names import leaves, nearest, variables
from config.settings import Settings

# A value that is put in by the generator and must never come out in a sentence.
CANARY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aPE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.dates(),
    st.just(CANARY),
    st.sampled_from(
        ["live", "dry_run", "auto", "1e400", "-0", "0x10", "1:30", "~", "null", "http://127.0.0.1:1"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
NODES = sorted({key.rpartition(".")[0] for key in leaves()} | set(leaves()))


def nested(flat: dict[str, object]) -> dict[str, object]:
    root: dict[str, object] = {}
    for key, value in flat.items():
        *parts, name = key.split(".")
        node = root
        for part in parts:
            child = node.get(part)
            node[part] = child = child if isinstance(child, dict) else {}
            node = child
        node[name] = value
    return root


def outcome(path: Path | None, environ: dict[str, str]) -> Settings | tuple[str, ...]:
    try:
        return load_settings(config_file=path, environ=environ, overrides={}).settings
    except ConfigError as error:
        return error.problems


def assert_sentences(found: Settings | tuple[str, ...]) -> None:
    if isinstance(found, Settings):
        return
    assert found
    for problem in found:
        assert problem.isprintable(), problem
        assert len(problem) < 700
        assert CANARY not in problem


@given(flat=st.dictionaries(st.sampled_from(NODES), VALUES, max_size=5))
def test_any_value_of_any_key_is_taken_or_explained(tmp_path: Path, flat: dict[str, object]) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(yaml.safe_dump(nested(flat), allow_unicode=True), encoding="utf-8")

    assert_sentences(outcome(path, {}))


@given(data=st.one_of(st.binary(max_size=60), st.text("{}[]:,-&*!|>'\"%@`#? \n\tab1<", max_size=60)))
def test_any_file_is_taken_or_explained(tmp_path: Path, data: bytes | str) -> None:
    path = tmp_path / "my.yaml"
    path.write_bytes(b"execution: " + (data.encode() if isinstance(data, str) else data))

    assert_sentences(outcome(path, {}))


@given(
    environ=st.dictionaries(
        st.one_of(
            st.sampled_from(sorted(variables())), st.text("ABEX_", max_size=6).map("V13_EXECUTION_".__add__)
        ),
        st.one_of(SCALARS.map(str), st.text(max_size=8)),
        max_size=4,
    )
)
def test_any_variable_is_taken_or_explained(environ: dict[str, str]) -> None:
    assert_sentences(outcome(None, environ))


@given(key=st.sampled_from(sorted(leaves())), at=st.integers(0, 30), letter=st.sampled_from("abcxyz_"))
def test_a_name_with_one_wrong_letter_is_found_again(key: str, at: int, letter: str) -> None:
    name = key.rpartition(".")[2]
    mistyped = name[: at % len(name)] + letter + name[at % len(name) + 1 :]

    assert nearest(mistyped, [name, "something_else"]) in (name, None)
    assert len(name) < 5 or nearest(mistyped, [name, "something_else"]) == name
