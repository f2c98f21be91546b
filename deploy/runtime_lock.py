"""The part of requirements.lock that a running worker needs, with its hashes, on standard output.

The lock holds the tools of `make test` as well; a server gets none of them. Who needs a package stands below
it in the lock, as "# via": the part is everything that our own runtime dependencies lead to.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def name_of(requirement: str) -> str:
    """The normalized name of a requirement such as `pydantic-settings[yaml]>=2.16`."""
    match = _NAME.match(requirement)
    assert match is not None, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def entries_of(lock: str) -> dict[str, str]:
    """Each package's lines, by name."""
    blocks = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)
    return {name_of(block): block for block in blocks if re.match(r"[A-Za-z0-9]", block)}


def wanted_by(block: str) -> set[str]:
    """Who asks for this package."""
    _, _, tail = block.partition("# via")
    return {name_of(word) for word in re.findall(r"^\s*(?:#\s+)?([A-Za-z0-9][\w.-]*)", tail, re.MULTILINE)}


def part_of(lock: str, roots: set[str]) -> str:
    """The lines of `roots` and of all that they need. Raises KeyError for a root that is not locked."""
    entries = entries_of(lock)
    missing = sorted(roots - entries.keys())
    if missing:
        raise KeyError(f"requirements.lock does not hold {', '.join(missing)}: make the lock anew")
    kept, before = set(roots), set[str]()
    while kept != before:
        before = set(kept)
        kept |= {name for name, block in entries.items() if wanted_by(block) & before}
    return "".join(block for name, block in entries.items() if name in kept)


def main() -> None:
    """Print the part."""
    parser = argparse.ArgumentParser(description="Print the part of requirements.lock that a worker needs.")
    parser.add_argument("--build", action="store_true", help="what builds the wheel, instead")
    parser.add_argument(
        "--extra", action="append", default=[], metavar="NAME", help="an extra too: notify, parquet"
    )
    given = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["build-system"]["requires"] if given.build else project["project"]["dependencies"]
    extras = project["project"]["optional-dependencies"]
    unknown = [name for name in given.extra if name not in extras]
    if unknown:
        parser.error(f"there is no extra {unknown[0]}, there are {', '.join(sorted(extras))}")
    wanted = [*wanted, *(one for name in given.extra for one in extras[name])]
    sys.stdout.write(part_of((ROOT / "requirements.lock").read_text(), {name_of(one) for one in wanted}))


if __name__ == "__main__":
    main()
