"""Tests run against our packages and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

Check = Callable[[Mapping[str, Iterable[str]]], list[str]]


@pytest.fixture
def foreign_owners(root: Path) -> Check:
    spec = spec_from_file_location("root_conftest", root / "tests" / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    check: Check = module.foreign_owners
    return check


def test_a_foreign_distribution_with_a_package_of_our_name_is_named(foreign_owners: Check) -> None:
    offences = foreign_owners({"config": ["some-config"], "worker": ["execution-worker"], "yaml": ["pyyaml"]})

    assert len(offences) == 1
    assert "some-config" in offences[0]
    assert "'config'" in offences[0]


def test_our_own_distribution_is_no_offence(foreign_owners: Check) -> None:
    assert foreign_owners({"config": ["execution-worker"], "store": ["execution-worker"]}) == []
