"""Time, chance and crash points are arguments: nobody but config/seams.py reads a clock or rolls dice."""

from __future__ import annotations

import ast

import pytest

from config.seams import CRASH_POINTS

SEAM = "config/seams.py"
FORBIDDEN = (
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.perf_counter_ns",
    "time.clock_gettime",
    "time.clock_gettime_ns",
    "time.localtime",
    "time.gmtime",
    "time.sleep",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "uuid.uuid1",
    "uuid.uuid4",
    "os.urandom",
    "os.getrandom",
    "asyncio.sleep",
    "secrets",
    "random",
)
# The type of a generator that was handed in is not a source of chance.
ALLOWED = ("random.Random",)


def imported_names(tree: ast.AST) -> dict[str, str]:
    """What each imported local name means, in full: {'dt': 'datetime.datetime'}."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.split(".")[0]
                names[bound] = alias.name if alias.asname else bound
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def full_name(node: ast.expr, names: dict[str, str]) -> str:
    """The dotted name an expression stands for, '' when it is not one that was imported."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute):
        owner = full_name(node.value, names)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def _is_annotation_only(name: str, called: bool) -> bool:
    return name in ALLOWED and not called


def seam_offences(name: str, text: str) -> list[str]:
    """Every use of a clock or of chance, however imported; `random.Random` may be named, not called."""
    if name == SEAM:
        return []
    tree = ast.parse(text)
    names = imported_names(tree)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute | ast.Name) or not isinstance(node.ctx, ast.Load):
            continue
        used = full_name(node, names)
        # A bare module name is judged by what is taken from it.
        whole_module = isinstance(node, ast.Name) and used in ("random", "secrets")
        if whole_module or _is_annotation_only(used, id(node) in called):
            continue
        if any(used == word or used.startswith(word + ".") for word in FORBIDDEN):
            found.append(f"{name}:{node.lineno}: {used}: take a Clock or a random.Random instead ({SEAM})")
    return found


def crash_point_offences(sources: dict[str, str], declared: tuple[str, ...]) -> list[str]:
    """Crash points that are declared and never passed, or passed and never declared."""
    passed: set[str] = set()
    offences = []
    for name, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", "") != "crash_point":
                continue
            argument = node.args[0] if node.args else None
            if isinstance(argument, ast.Constant) and argument.value in declared:
                passed.add(argument.value)
            else:
                offences.append(f"{name}:{node.lineno}: a crash point that CRASH_POINTS does not list")
    return offences + [
        f"{point}: no code passes this crash point" for point in declared if point not in passed
    ]


def test_only_the_seam_reads_clocks_and_makes_chance(package_python: dict[str, str]) -> None:
    assert [line for name, text in package_python.items() for line in seam_offences(name, text)] == []


def test_every_crash_point_is_passed_and_no_other(package_python: dict[str, str]) -> None:
    assert crash_point_offences(package_python, CRASH_POINTS) == []


@pytest.mark.parametrize(
    "text",
    [
        "import time\nnow = time.time()\n",
        "import time as t\nnow = t.monotonic\n",
        "from time import time_ns as now\nx = now()\n",
        "import datetime\nx = datetime.datetime.now()\n",
        "from datetime import datetime as dt\nx = dt.utcnow()\n",
        "from datetime import date\nx = date.today()\n",
        "import random\nx = random.random()\n",
        "import random\nx = random.Random(1)\n",
        "from random import choice\nx = choice([1])\n",
        "import uuid\nx = uuid.uuid4()\n",
        "from uuid import uuid1\nx = uuid1()\n",
        "import os\nx = os.urandom(8)\n",
        "import secrets\nx = secrets.token_hex()\n",
        "import asyncio\n\n\nasync def f():\n    await asyncio.sleep(1)\n",
        "from asyncio import sleep\n\n\nasync def f():\n    await sleep(1)\n",
    ],
)
def test_a_clock_or_dice_outside_the_seam_is_caught(text: str) -> None:
    assert len(seam_offences("worker/x.py", text)) == 1
    assert seam_offences(SEAM, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "import random\n\n\ndef f(dice: random.Random) -> float:\n    return dice.random()\n",
        "from datetime import UTC, datetime\nx = datetime.fromtimestamp(0, UTC)\n",
        "async def f(clock):\n    await clock.sleep(1)\n",
        "time = 1\nx = time\n",
    ],
)
def test_time_and_dice_that_were_handed_in_are_no_offence(text: str) -> None:
    assert seam_offences("worker/x.py", text) == []


def test_crash_points_that_do_not_match_are_caught() -> None:
    sources = {"store/x.py": 'crash_point("here")\ncrash_point("elsewhere")\n'}

    assert crash_point_offences(sources, ("here", "never")) == [
        "store/x.py:2: a crash point that CRASH_POINTS does not list",
        "never: no code passes this crash point",
    ]
