"""The parts of docs/ that are made from the code: `python -m worker.contract_docs docs` writes them anew.

The JSON Schema of the execution log, the page on the states of an order, and the blocks between marks in
api_contracts.md. Examples are what the store and the projectors write of one order, not what somebody typed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from config.seams import SystemClock
from store import execlog_line
from store import statements as sql
from store.connection import open_store
from store.execlog_line import Fact, all_steps, event_of
from store.ledger import Ledger
from store.lifecycle import BIRTH_STATES, LATE_FILL_STATES, MOVES, TERMINAL_STATES, State, status_of
from store.projector import dead_letter
from store.records import DeadLetter, Move, Reservation, Share
from worker import metrics
from worker.cli import PROGRAM, app
from worker.cli_tree import tree
from worker.configuration_page import PAGE as CONFIGURATION
from worker.configuration_page import page as configuration_page
from worker.man_page import PAGE as MAN
from worker.man_page import man_page
from worker.tallies import Family

CONTRACTS, SCHEMA, STATES = "api_contracts.md", "execution_log.schema.json", "order_state_machine.md"
COMMAND = "python -m worker.contract_docs docs"
_BLOCK = re.compile(r"(<!-- made from the code: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
EXAMPLE_MS = 1_763_225_940_123


def pages(contracts: str) -> dict[str, str]:
    """Every page by its name; `contracts` is api_contracts.md as it stands, its blocks are filled anew."""
    blocks = {
        "records": _examples(),
        "execution_log_fields": _field_table(),
        "events": _event_table(),
        "metrics": _metric_table(),
    }
    return {
        CONTRACTS: _BLOCK.sub(lambda found: f"{found[1]}{blocks[found[2]]}{found[3]}", contracts),
        SCHEMA: _schema(),
        STATES: _states(),
        CONFIGURATION: configuration_page(),
        MAN: man_page(tree(app), PROGRAM),
    }


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _schema() -> str:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "executor_contract/v1/execution_log",
        **execlog_line.schema(),
    }
    return msgspec.json.format(msgspec.json.encode(_in_one_line(schema)), indent=2).decode() + "\n"


def _in_one_line(value: Any) -> Any:
    """The same with every text free of the line breaks that the code has."""
    if isinstance(value, dict):
        return {key: _in_one_line(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_in_one_line(one) for one in value]
    return " ".join(value.split()) if isinstance(value, str) else value


def _field_table() -> str:
    found = execlog_line.schema()["$defs"]["ExecutionEvent"]["properties"]
    return _table(
        ("field", "type", "what it says"),
        [(f"`{name}`", _type_of(field), field.get("description", "")) for name, field in found.items()],
    )


def _type_of(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type_of(one) for one in field["anyOf"])
    if "enum" in field:
        return " or ".join(f"`{word}`" if word is not None else "null" for word in field["enum"])
    if "$ref" in field:
        return "object"
    return str(field["type"])


def _event_table() -> str:
    return _table(
        ("from", "to", "`event`", "`status`"),
        [
            (before.value if before else "(new)", after.value, event_of(before, after) or "(no line)", status)
            for before, after in all_steps()
            if (status := _statuses(after))
        ],
    )


def _statuses(state: State) -> str:
    """The contract's status of a state, with and without fills."""
    without, with_fills = (status_of(state, has_fills=has_fills) for has_fills in (False, True))
    return without if without == with_fills else f"{with_fills} with fills, else {without}"


def _metric_table() -> str:
    families = [one for one in vars(metrics).values() if isinstance(one, Family)]
    return _table(
        ("metric", "kind", "labels", "what it says"),
        [(f"`{one.name}`", one.kind, ", ".join(one.labels), one.text) for one in families],
    )


def _states() -> str:
    births = [f"    [*] --> {state}: {event_of(None, state) or 'no line'}" for state in _sorted(BIRTH_STATES)]
    moves = [f"    {a} --> {b}: {event_of(a, b) or 'no line'}" for a in MOVES for b in _sorted(MOVES[a])]
    late = [f"    {state} --> filled: late fill, resolved" for state in _sorted(LATE_FILL_STATES)]
    ends = [f"    {state} --> [*]" for state in _sorted(TERMINAL_STATES)]
    diagram = "\n".join(["stateDiagram-v2", *births, *moves, *late, *ends])
    table = _table(
        ("state", "next", "`status`", "final"),
        [
            (
                f"`{state}`",
                ", ".join(f"`{one}`" for one in _sorted(MOVES[state])) or "only a late fill"
                if state is not State.FILLED
                else "",
                _statuses(state),
                "yes" if state in TERMINAL_STATES else "",
            )
            for state in State
        ],
    )
    return f"""# The states of an order

Made from `store/lifecycle.py` and `store/execlog_line.py`: `{COMMAND}`. The store
refuses every other move. What stands on an arrow is the event in the execution log.

```mermaid
{diagram}
```

A signal that is never sent is born `skipped`. `unknown` is an order that was sent and whose outcome is not
proven; `quarantined` is one that could not be proven in time and waits for a person, and holds back its own
symbol. A late fill is evidence against a final state: its symbol halts, and the row is put right.

{table}
## Every step and its event

""" + _event_table()


def _sorted(states: Iterable[State]) -> list[State]:
    order = list(State)
    return sorted(states, key=order.index)


class _StillClock(SystemClock):
    """The moment of the examples."""

    def wall_ms(self) -> int:
        """Always the same."""
        return EXAMPLE_MS


def _examples() -> str:
    """One order's line of each kind, and a dead letter, as they are written."""
    with TemporaryDirectory() as folder:
        clock = _StillClock()
        stamps = {"mode": "testnet", "account": "example"}
        store = open_store(Path(folder), clock=clock, stamps=stamps)
        ledger = Ledger(store, clock)
        try:
            ledger.commit([_example_order()])
            ledger.commit([_example_fill()])
            connection = store.connection
            [(*_, record)] = connection.execute(sql.FINAL_RECORDS, (0, 99, 9)).fetchall()
            facts = [Fact(*row) for row in connection.execute(sql.EXECLOG_FACTS, (0, 99, 9))]
            [letter] = connection.execute(sql.DEAD_LETTERS, (0, 99, 9)).fetchall()
        finally:
            ledger.close()
    lines = "".join(execlog_line.line_of(fact).decode() for fact in facts)
    return (
        f"The line of an hourly file:\n\n```json\n{record}\n```\n\n"
        f"The same order in the execution log:\n\n```json\n{lines}```\n\n"
        f"A dead letter:\n\n```json\n{dead_letter(letter).line.decode()}```\n"
    )


def _example_order() -> Share:
    order_id, signal_id = "ew1-6yqvm2kfp3xwz5c4h7n1d8ta", "79fbd7c2a5a04f37a65fd5a4f3c87d6e"
    order = {
        "client_order_id": order_id,
        "symbol": "BTCUSDT",
        "side": "buy",
        "order_type": "limit",
        "tif": "GTC",
        "qty": "0.002",
        "price": "43210.1",
        "signal_id": signal_id,
        "intent_price": "43210.5",
        "rounding_diff": {"price_diff": "0.04", "qty_diff": "0.00031409"},
    }
    meta = {
        "mode": "testnet",
        "adapter": "binance-futures",
        "client_order_id": order_id,
        "lag_ms": 84,
        "run_id": "r7",
        "regime": "active",
        "scenario": "A_H",
        "warmup": False,
        "consistency": 0.62,
    }
    row = Reservation(
        signal_ts_ms=EXAMPLE_MS - 84,
        symbol="BTCUSDT",
        signal_id=signal_id,
        id_given=False,
        state=State.RESERVED,
        side="long",
        gating=True,
        run_source="prod",
        meta_json=msgspec.json.encode(meta).decode(),
        place_file="ready/signal/BTCUSDT/signals-20251115-16.jsonl",
        place_offset=0,
        place_length=412,
        order_id=order_id,
        qty="0.002",
        price="43210.1",
        client_order_id=order_id,
        order_json=msgspec.json.encode(order).decode(),
    )
    letter = DeadLetter("BTCUSDT", "jsonl", row.place_file, 412, "not_json", b'{"ts_ms":17632259')
    return Share(symbol="BTCUSDT", reservations=[row], dead_letters=[letter])


def _example_fill() -> Share:
    answer = {
        "exchange_order_id": "8389765",
        "attempts": 1,
        "latency_ms": 31.207,
        "fee": "0.03335",
        "sent_ts_ms": EXAMPLE_MS - 40,
        "ack_ts_ms": EXAMPLE_MS - 9,
    }
    move = Move(
        row_id=1,
        before=State.RESERVED,
        after=State.FILLED,
        has_fills=True,
        qty="0.002",
        price="43210.3",
        patch=msgspec.json.encode(answer).decode(),
    )
    return Share(symbol="BTCUSDT", moves=[move])


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages into the folder that is named."""
    parser = argparse.ArgumentParser(description="write the pages that are made from the code")
    parser.add_argument("folder", type=Path, help="the folder docs")
    folder: Path = parser.parse_args(arguments).folder
    for name, text in pages((folder / CONTRACTS).read_text()).items():
        (folder / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
